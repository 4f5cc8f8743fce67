//! A Postgres server for the tests, started from the installed programs. All tests of a process
//! share one server; each test gets a database. The server ends with the process, even if that is
//! killed.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const MAX_WAIT: Duration = Duration::from_mins(1);
/// Starts the server and stops it as soon as stdin is closed.
const RUN_UNTIL_STDIN_CLOSES: &str =
    r#""$0" "$@" & server=$!; cat >/dev/null; kill -QUIT $server; wait $server"#;
/// Durability is off: no test survives a power failure anyway.
const SETTINGS: [&str; 5] = [
    "fsync=off",
    "listen_addresses=",
    "max_connections=150",
    "log_min_messages=fatal",
    "shared_buffers=64MB",
];

/// A server that a test can stop and restart.
pub(crate) struct PostgresServer {
    dir: TempDir,
    bin: PathBuf,
    /// Settings in addition to [`SETTINGS`].
    settings: Vec<String>,
    server: Mutex<Option<Child>>,
}

/// Returns the server that all tests share.
pub(crate) fn shared_server() -> &'static PostgresServer {
    static SHARED: OnceLock<PostgresServer> = OnceLock::new();
    SHARED.get_or_init(PostgresServer::start)
}

/// Creates an empty database on the shared server and returns its URL.
pub(crate) fn create_database() -> String {
    create_named_database().0
}

/// Creates an empty database on the shared server and returns its URL and name.
pub(crate) fn create_named_database() -> (String, String) {
    let url = shared_server().create_database();
    let name = url
        .split(['/', '?'])
        .nth(3)
        .expect("a URL names a database")
        .to_owned();
    (url, name)
}

impl PostgresServer {
    /// Starts a server. Panics if Postgres is not installed: a skipped test proves nothing.
    pub(crate) fn start() -> Self {
        Self::start_with_settings(|_| Vec::new())
    }

    /// Starts a server with additional settings, computed from the server's folder.
    pub(crate) fn start_with_settings(settings: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let dir = TempDir::new().expect("a folder");
        let bin = programs_folder();
        if is_root() {
            let owned = Command::new("chown")
                .arg("postgres")
                .arg(dir.path())
                .status();
            assert!(
                owned.is_ok_and(|status| status.success()),
                "the user `postgres` owns the server's folder"
            );
        }
        let data = dir.path().join("data");
        let made = as_unprivileged_user(&bin.join("initdb"))
            .args([
                "--auth=trust",
                "--username=postgres",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
                "--pgdata",
            ])
            .arg(&data)
            .output()
            .expect("initdb runs");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let settings = settings(dir.path());
        let cluster = Self {
            dir,
            bin,
            settings,
            server: Mutex::new(None),
        };
        cluster.start_process();
        cluster
    }

    /// The folder with all files of the server.
    pub(crate) fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// Starts the server process.
    pub(crate) fn start_process(&self) {
        self.start_process_until(Some(0));
    }

    /// Starts the server process of a server that rejects all connections.
    pub(crate) fn start_rejecting_process(&self) {
        self.start_process_until(Some(1));
    }

    /// Starts the server process. Waits until `pg_isready` exits with this status.
    fn start_process_until(&self, readiness: Option<i32>) {
        let mut server = as_unprivileged_user(Path::new("sh"));
        server
            .args(["-c", RUN_UNTIL_STDIN_CLOSES])
            .arg(self.bin.join("postgres"))
            .arg("-D")
            .arg(self.dir.path().join("data"));
        let sockets = format!("unix_socket_directories={}", self.dir.path().display());
        let own = self.settings.iter().map(String::as_str);
        for setting in SETTINGS.into_iter().chain([sockets.as_str()]).chain(own) {
            server.args(["-c", setting]);
        }
        let mut server = server
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("postgres runs");
        let begun = Instant::now();
        while self.readiness() != readiness {
            if let Ok(Some(status)) = server.try_wait() {
                let mut said = String::new();
                let _ = server
                    .stderr
                    .take()
                    .map(|mut stderr| stderr.read_to_string(&mut said));
                panic!("postgres ended with {status}: {said}");
            }
            assert!(begun.elapsed() < MAX_WAIT, "postgres does not respond");
            std::thread::sleep(Duration::from_millis(20));
        }
        *self.server.lock().expect("a server") = Some(server);
    }

    /// Stops the server immediately: connections are cut and open transactions are lost.
    pub(crate) fn stop(&self) {
        if let Some(mut server) = self.server.lock().expect("a server").take() {
            drop(server.stdin.take());
            server.wait().expect("postgres ends");
        }
    }

    /// Creates an empty database and returns its URL.
    pub(crate) fn create_database(&self) -> String {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("archive_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.psql("postgres", &format!("CREATE DATABASE {name}"));
        // Tests read the tables, too.
        let path = format!("ALTER DATABASE {name} SET search_path = public, backscroll");
        self.psql("postgres", &path);
        self.url(&name)
    }

    pub(crate) fn url(&self, database: &str) -> String {
        format!(
            "postgres://postgres@localhost/{database}?host={}",
            self.dir.path().display()
        )
    }

    /// Runs a statement and returns psql's output.
    #[track_caller]
    pub(crate) fn psql(&self, database: &str, sql: &str) -> String {
        self.psql_with(&[], database, sql)
    }

    #[track_caller]
    fn psql_with(&self, form: &[&str], database: &str, sql: &str) -> String {
        let mut psql = self.client("psql");
        psql.args(["-qAtX", "-v", "ON_ERROR_STOP=1"])
            .args(form)
            .args(["-d", database, "-c", sql]);
        let output = psql.output();
        let output = output.expect("psql runs");
        assert!(
            output.status.success(),
            "{sql}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout)
            .expect("text")
            .trim_end()
            .to_owned()
    }

    /// Runs a statement in a transaction that stays open until the result is dropped.
    pub(crate) fn hold_transaction(&self, database: &str, sql: &str) -> OpenTransaction {
        let mut psql = self.client("psql");
        psql.args(["-qAtX", "-v", "ON_ERROR_STOP=1", "-d", database])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut psql = psql.spawn().expect("psql runs");
        let mut stdin = psql.stdin.take().expect("a pipe");
        writeln!(
            stdin,
            "SET statement_timeout = 0; BEGIN; {sql}; SELECT 'held';"
        )
        .expect("psql listens");
        let mut answer = [0; 4];
        psql.stdout
            .take()
            .expect("a pipe")
            .read_exact(&mut answer)
            .expect("an answer");
        assert_eq!(&answer, b"held");
        OpenTransaction {
            psql,
            stdin: Some(stdin),
        }
    }

    /// Returns the rows of a query as text. NULL is an empty text.
    #[track_caller]
    pub(crate) fn query_rows(&self, database: &str, sql: &str) -> Vec<Vec<String>> {
        let request = format!("SET TIME ZONE 'UTC'; SET DATESTYLE TO ISO; {sql}");
        let answer = self.psql_with(&["-F", "\x1f", "-R", "\x1e"], database, &request);
        let rows = answer.split('\x1e').filter(|row| !row.is_empty());
        rows.map(|row| row.split('\x1f').map(str::to_owned).collect())
            .collect()
    }

    /// Returns the exit status of `pg_isready`: 0 if the server accepts connections, 1 if it rejects
    /// them, as it does while it starts.
    fn readiness(&self) -> Option<i32> {
        let status = self.client("pg_isready").arg("-q").status();
        status.ok().and_then(|status| status.code())
    }

    fn client(&self, name: &str) -> Command {
        let mut client = Command::new(self.bin.join(name));
        client.args(["-U", "postgres", "-h"]).arg(self.dir.path());
        if let Some(port) = self
            .settings
            .iter()
            .find_map(|setting| setting.strip_prefix("port="))
        {
            client.args(["-p", port]);
        }
        client
    }
}

/// An open transaction.
pub(crate) struct OpenTransaction {
    psql: Child,
    stdin: Option<ChildStdin>,
}

impl Drop for OpenTransaction {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.psql.wait();
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The folder of the server's programs. Debian keeps them out of PATH, in a folder for each
/// version.
fn programs_folder() -> PathBuf {
    let debian = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|dir| dir.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = debian
        .chain(std::env::split_paths(&path))
        .filter(|dir| dir.join("initdb").is_file());
    // The newest version, by the number in the folder's name.
    all.max_by_key(|dir| {
        dir.parent()
            .and_then(|dir| dir.file_name()?.to_str()?.parse::<u32>().ok())
    })
    .expect("Postgres is installed: `tests/run` installs it")
}

/// Returns a command that runs as another user if this process is root: Postgres refuses root.
pub(crate) fn as_unprivileged_user(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("runuser");
    command
        .args(["-u", "postgres", "--"])
        .arg(program)
        .current_dir("/");
    command
}

pub(crate) fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("id runs");
    id.stdout.trim_ascii() == b"0"
}

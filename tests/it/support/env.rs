//! A test environment: a sandbox in this process, a temporary folder, and the command that
//! archives.
//!
//! Messages of the last seconds before a sync may be left to a later sync: the engine does not seal
//! the current second, and it knows the provider's clock only to the second. So a comparison
//! demands all messages older than [`UNSETTLED_TAIL`] before the sync; younger rows must only be
//! correct.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use assert_cmd::Command;
use backscroll::domain::clock::SystemClock;
use backscroll::domain::time::Millis;
use backscroll::sandbox::{Options, RuleCounts, Sandbox, ScriptedAnswer, World};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions, FromRow};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use toml::{Table, Value};

use crate::support::config::{AGORA, TestConfig, WEB3MQ};
use crate::support::fault_proxy::{FaultProxy, ProxiedRequest, ProxyAction};
use crate::support::messages::channel_message;
use crate::support::truth;
use crate::support::wording::assert_nouns_agree;

/// Messages younger than this before a sync may be left to a later one.
const UNSETTLED_TAIL: Duration = Duration::from_secs(5);
/// A limit that no step reaches: a command that hangs fails its test instead of blocking all
/// others.
pub(crate) const MAX_WAIT: Duration = Duration::from_mins(1);

/// The command under test.
pub(crate) const BACKSCROLL: &str = env!("CARGO_BIN_EXE_backscroll");

/// A sandbox, a folder for the archive, and the configuration.
pub(crate) struct TestEnv {
    pub(crate) sandbox: Sandbox,
    pub(crate) dir: TempDir,
    config: TestConfig,
    /// Runs the sandbox. It is dropped last.
    runtime: Runtime,
}

/// The result of a command.
#[derive(Debug)]
pub(crate) struct CommandOutput {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl CommandOutput {
    /// Panics unless the command reports that everything is complete (exit code 0).
    #[track_caller]
    pub(crate) fn assert_ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self
    }

    /// Panics unless the command reports that something is incomplete (exit code 1).
    #[track_caller]
    pub(crate) fn assert_incomplete(self) -> Self {
        assert_eq!(self.code, Some(1), "{self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn assert_prints(self, text: &str) -> Self {
        assert!(
            self.stdout.contains(text) || self.stderr.contains(text),
            "no `{text}` in {self:#?}"
        );
        self
    }
}

impl TestEnv {
    /// Starts a sandbox with a small history that responds at once and without a rate limit, unless
    /// the flags say otherwise.
    pub(crate) fn new(flags: &[&str]) -> Self {
        const DEFAULT_FLAGS: [[&str; 2]; 4] = [
            ["--requests-per-second", "0"],
            ["--ready-after", "0ms"],
            ["--messages", "500"],
            ["--topic-messages", "400"],
        ];
        let unsaid = DEFAULT_FLAGS
            .iter()
            .filter(|pair| !flags.contains(&pair[0]))
            .flatten();
        let options =
            Options::from_flags(unsaid.chain(flags).copied()).expect("flags of the sandbox");
        let runtime = runtime();
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let sandbox = runtime
            .block_on(Sandbox::start(options, listen, Arc::new(SystemClock)))
            .expect("a sandbox");
        let dir = TempDir::new().expect("a folder");
        let config = TestConfig::from_sample(&sandbox.sample_config("sqlite://archive.db"));
        Self {
            sandbox,
            dir,
            config,
            runtime,
        }
    }

    /// Starts a sandbox without messages.
    pub(crate) fn without_messages(flags: &[&str]) -> Self {
        Self::new(&[&["--messages", "0", "--topic-messages", "0"], flags].concat())
    }

    /// Replaces the configuration.
    pub(crate) fn with_config(self, config: TestConfig) -> Self {
        Self { config, ..self }
    }

    /// Sets the database of the archive.
    pub(crate) fn with_database(mut self, url: &str) -> Self {
        self.config.set("database", "url", url);
        self
    }

    /// Schedules passes of a purpose. Without this only the first passes are run.
    pub(crate) fn with_schedule(mut self, purpose: &str, ticks: &str) -> Self {
        self.config.set("schedule", purpose, ticks);
        self
    }

    /// Sets a key of a section that occurs once, such as `log`.
    pub(crate) fn with_setting(
        mut self,
        section: &str,
        key: &str,
        value: impl Into<Value>,
    ) -> Self {
        self.config.set(section, key, value);
        self
    }

    /// Sets a key of every account.
    pub(crate) fn with_account_setting(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.config.set_for_accounts(key, value);
        self
    }

    /// Sets a key of every account of a provider.
    pub(crate) fn with_setting_of(
        mut self,
        provider: &str,
        key: &str,
        value: impl Into<Value>,
    ) -> Self {
        let value = value.into();
        for account in self.config.accounts_mut(provider) {
            account.insert(key.to_owned(), value.clone());
        }
        self
    }

    /// Sets the settle age of every account.
    pub(crate) fn with_settle(self, settle: &str) -> Self {
        self.with_account_setting("settle", settle)
    }

    /// Follows these Agora streams and no others of Agora.
    pub(crate) fn with_agora_streams(mut self, streams: &[Table]) -> Self {
        self.config.set_streams(AGORA, streams);
        self
    }

    /// Lists no Web3MQ topics.
    pub(crate) fn without_web3mq_topics(mut self) -> Self {
        self.config.set_streams(WEB3MQ, &[]);
        self
    }

    /// Keeps the accounts of one provider only: `agora` or `web3mq`.
    pub(crate) fn with_only(mut self, provider: &str) -> Self {
        self.config.keep_provider(provider);
        self
    }

    /// Sets the address of all accounts. Nodes of Web3MQ have moved to it from their last one.
    pub(crate) fn with_base_url(mut self, url: &str) -> Self {
        for account in self.config.accounts_mut(WEB3MQ) {
            let moved_from = account["base_url"].clone();
            account.insert("moved_from".to_owned(), moved_from);
        }
        self.config.set_for_accounts("base_url", url);
        self
    }

    /// Puts a proxy between the command and the sandbox.
    pub(crate) fn behind_proxy(
        self,
        rule: impl Fn(&World, &ProxiedRequest) -> ProxyAction + Send + Sync + 'static,
    ) -> (Self, FaultProxy) {
        let world = self.sandbox.world().clone();
        let url = self.sandbox.base_url();
        let proxy = self
            .runtime
            .block_on(FaultProxy::start(url.clone(), move |request| {
                rule(&world, request)
            }));
        (self.with_base_url(proxy.url.as_str()), proxy)
    }

    pub(crate) fn world(&self) -> &World {
        self.sandbox.world()
    }

    pub(crate) fn config_mut(&mut self) -> &mut TestConfig {
        &mut self.config
    }

    pub(crate) fn config(&self) -> &TestConfig {
        &self.config
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn archive_path(&self) -> PathBuf {
        self.path("archive.db")
    }

    pub(crate) fn write_config(&self) -> PathBuf {
        let path = self.path("config.toml");
        std::fs::write(&path, self.config.to_string()).expect("a configuration");
        path
    }

    /// Scripts a response of the sandbox.
    pub(crate) fn script_answer(&self, answer: ScriptedAnswer) {
        self.sandbox
            .script(answer)
            .expect("an answer that HTTP can carry");
    }

    /// Sends a message to a channel of the first Agora project, with a timestamp this long ago.
    pub(crate) fn append_message(&self, channel: &str, text: &str, ago: Duration) {
        let ms = self.world().now().minus(ago).0;
        self.append_message_at(channel, text, ms);
    }

    pub(crate) fn append_message_at(&self, channel: &str, text: &str, ms: i64) {
        let message = channel_message("alice", channel, ms, text);
        self.world()
            .append_agora("sandbox", message)
            .expect("the first project");
    }

    /// Runs the command to its end.
    pub(crate) fn run(&self, args: &[&str]) -> CommandOutput {
        self.write_config();
        run_command_in(self.dir.path(), args)
    }

    pub(crate) fn sync(&self) -> CommandOutput {
        self.run(&["sync"])
    }

    /// Syncs and compares the archive with the sandbox's messages.
    #[track_caller]
    pub(crate) fn assert_sync_archives_truth(&self) {
        let edge = self.settled_edge();
        self.sync().assert_ok();
        self.assert_archive_equals_truth(edge);
    }

    /// The moment up to which a sync that begins now must archive all messages.
    pub(crate) fn settled_edge(&self) -> Millis {
        self.world().now().minus(UNSETTLED_TAIL)
    }

    /// Panics unless the archive equals the sandbox's messages, byte by byte, up to `edge`. Later
    /// messages may be missing, but no row may be wrong.
    #[track_caller]
    pub(crate) fn assert_archive_equals_truth(&self, edge: Millis) {
        let accounts = self.config.account_names();
        assert!(!accounts.is_empty());
        truth::assert_rows_equal_truth(
            self.world(),
            &accounts,
            self.query_rows(truth::ARCHIVED),
            edge,
        );
        self.assert_conversations_add_up();
    }

    #[track_caller]
    fn assert_conversations_add_up(&self) {
        let (messages, conversations): (i64, i64) =
            self.query_row("SELECT (SELECT count(*) FROM archive), (SELECT coalesce(sum(messages), 0) FROM conversations)");
        assert_eq!(
            messages, conversations,
            "messages in `archive` and over all `conversations`"
        );
    }

    /// Panics if a rule of the providers was broken. Returns the counts of requests.
    #[track_caller]
    pub(crate) fn assert_no_rule_broken(&self) -> RuleCounts {
        let total = self.sandbox.rules().total;
        assert_eq!(total.violations(), 0, "{total:?}");
        total
    }

    /// Queries the archive.
    pub(crate) fn query_rows<T>(&self, sql: &str) -> Vec<T>
    where
        T: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
    {
        self.query_rows_of(&self.archive_path(), sql)
    }

    /// Queries another archive.
    pub(crate) fn query_rows_of<T>(&self, archive: &Path, sql: &str) -> Vec<T>
    where
        T: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
    {
        self.block_on(async {
            let mut reader = open_reader(archive).await;
            sqlx::query_as(AssertSqlSafe(sql.to_owned()))
                .fetch_all(&mut reader)
                .await
                .expect(sql)
        })
    }

    /// Queries one row.
    #[track_caller]
    pub(crate) fn query_row<T>(&self, sql: &str) -> T
    where
        T: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
    {
        let mut rows = self.query_rows(sql);
        assert_eq!(rows.len(), 1, "{sql}");
        rows.remove(0)
    }

    /// Queries one number.
    #[track_caller]
    pub(crate) fn query_number(&self, sql: &str) -> i64 {
        self.query_row::<(i64,)>(sql).0
    }

    /// Runs a statement that Backscroll would not run.
    pub(crate) fn execute_sql(&self, sql: &str) {
        self.block_on(async {
            let options = SqliteConnectOptions::new().filename(self.archive_path());
            let mut writer = options.connect().await.expect("the archive");
            sqlx::query(AssertSqlSafe(sql.to_owned()))
                .execute(&mut writer)
                .await
                .expect(sql);
        });
    }

    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }
}

/// Returns the names of all commands, in the order of the help.
pub(crate) fn command_names() -> Vec<String> {
    let dir = tempfile::TempDir::new().unwrap();
    let help = run_command_in(dir.path(), &["--help"]).assert_ok().stdout;
    let (_, commands) = help
        .split_once("\nCommands:\n")
        .expect("a list of commands");
    let (commands, _) = commands.split_once("\n\n").expect("an end of the list");
    let names = commands.lines().filter_map(|line| {
        // Longer indented lines go on with a description.
        let name = line.strip_prefix("  ")?.split(' ').next()?;
        (!name.is_empty() && name != "help").then(|| name.to_owned())
    });
    let names: Vec<String> = names.collect();
    assert!(names.iter().any(|name| name == "sync"), "{help}");
    names
}

/// Runs the command in a folder.
pub(crate) fn run_command_in(dir: &Path, args: &[&str]) -> CommandOutput {
    output_of(&mut command_in(dir, args))
}

/// Returns the command with its arguments, to be run in a folder.
pub(crate) fn command_in(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(BACKSCROLL);
    command
        .current_dir(dir)
        .env_remove("BACKSCROLL_CONFIG")
        .env_remove("BACKSCROLL_DATABASE")
        .env_remove("BACKSCROLL_LOG")
        .env_remove("COLUMNS")
        .args(args)
        .timeout(MAX_WAIT);
    command
}

/// Runs a command to its end.
#[track_caller]
pub(crate) fn output_of(command: &mut Command) -> CommandOutput {
    let output = command.output().expect("the command can be started");
    let output = CommandOutput {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    };
    assert_nouns_agree(&output.stdout);
    assert_nouns_agree(&output.stderr);
    output
}

/// Opens a read-only connection.
pub(crate) async fn open_reader(path: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .busy_timeout(MAX_WAIT);
    options.connect().await.expect("the archive can be read")
}

/// Waits until a condition is true.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < MAX_WAIT, "timed out waiting for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime")
}

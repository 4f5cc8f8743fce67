//! The prompt, at a terminal of its own.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::query_env::QueryEnv;
use crate::support::env::{BACKSCROLL, wait_until};

on_every_database! {
    prompt_runs_queries_over_several_lines_and_commands,
    interrupt_stops_the_query_and_not_the_prompt,
}

/// A prompt at a terminal.
struct Terminal {
    child: Child,
    keys: File,
    seen: Arc<Mutex<String>>,
}

impl Terminal {
    fn open(env: &QueryEnv) -> Self {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let name = ptsname(&controller, Vec::new()).unwrap();
        let side = || {
            File::options()
                .read(true)
                .write(true)
                .open(name.to_str().unwrap())
                .unwrap()
        };
        let mut command = Command::new("setsid");
        command
            .args(["--ctty", "--wait", BACKSCROLL, "sql"])
            .current_dir(env.env.dir.path())
            .env("TERM", "xterm")
            .env("COLUMNS", "70")
            .env("XDG_STATE_HOME", env.env.path("state"))
            .stdin(Stdio::from(side()))
            .stdout(Stdio::from(side()))
            .stderr(Stdio::from(side()));
        let child = command.spawn().unwrap();
        // The terminal ends with its last program.
        drop(command);
        let keys = File::from(controller);
        let seen = Arc::new(Mutex::new(String::new()));
        let (mut screen, shared) = (keys.try_clone().unwrap(), seen.clone());
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count) = screen.read(&mut bytes) {
                if count == 0 {
                    break;
                }
                shared
                    .lock()
                    .unwrap()
                    .push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        Self { child, keys, seen }
    }

    fn type_keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for a text, and forgets what was seen up to it.
    fn expect(&self, text: &str) {
        wait_until(text, || {
            let mut seen = self.seen.lock().unwrap();
            let Some(found) = seen.find(text) else {
                return false;
            };
            seen.drain(..found + text.len());
            true
        });
    }

    fn exit_code(mut self) -> Option<i32> {
        wait_until("the end", || self.child.try_wait().unwrap().is_some());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

fn prompt_runs_queries_over_several_lines_and_commands(env: &QueryEnv) {
    let mut terminal = Terminal::open(env);
    terminal.expect("sql> ");
    terminal.type_keys(".views\r");
    terminal.expect("archive_text");
    terminal.expect("a range of sent_at_ms is counted from an index alone.");
    terminal.expect("sql> ");
    terminal.type_keys("  .schema gaps\r");
    terminal.expect("expires_at");
    terminal.expect("sql> ");
    terminal.type_keys(".schema nothing\r");
    terminal.expect("there is no view `nothing`");
    terminal.expect("sql> ");
    terminal.type_keys("SELECT count(*) + 4000\r");
    terminal.type_keys("AS messages FROM arch");
    terminal.type_keys("\t");
    // The views that begin so have more letters in common.
    terminal.expect("FROM archive");
    terminal.type_keys(";\r");
    terminal.expect("4003");
    terminal.expect("sql> ");
    terminal.type_keys("SELECT sendr FROM archive;\r");
    terminal.expect("did you mean `sender`?");
    terminal.expect("sql> ");
    terminal.type_keys("DELETE FROM message;\r");
    terminal.expect("only queries run here");
    terminal.expect("sql> ");
    terminal.type_keys("SELECT 50 + 5 AS a; SELECT 60 + 6 AS b;\r");
    terminal.expect("55");
    terminal.expect("66");
    terminal.expect("sql> ");
    terminal.type_keys(".quit\r");
    assert_eq!(terminal.exit_code(), Some(0));

    let history = env.env.path("state/backscroll/sql_history");
    let mode = std::fs::metadata(&history).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut terminal = Terminal::open(env);
    terminal.expect("sql> ");
    // The key for the entry before the last one.
    terminal.type_keys("\u{1b}[A\u{1b}[A\r");
    terminal.expect("66");
    terminal.expect("sql> ");
    // ^D
    terminal.type_keys("\u{4}");
    assert_eq!(terminal.exit_code(), Some(0));
}

fn interrupt_stops_the_query_and_not_the_prompt(env: &QueryEnv) {
    let mut terminal = Terminal::open(env);
    terminal.expect("sql> ");
    terminal.type_keys("SELECT 'half a qu\u{3}");
    terminal.expect("sql> ");
    let rows = "WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s) SELECT n, 'a row' FROM s;\r";
    terminal.type_keys(rows);
    terminal.expect("a row");
    terminal.expect("a row");
    terminal.type_keys("\u{3}");
    terminal.expect("interrupted");
    terminal.expect("sql> ");
    terminal.type_keys("SELECT 700 + 7 AS n;\r");
    terminal.expect("707");
    terminal.expect("sql> ");
    terminal.type_keys(".quit\r");
    assert_eq!(terminal.exit_code(), Some(0));
}

#[test]
fn query_leaves_nothing_to_the_next_one_in_postgres() {
    let env = QueryEnv::in_postgres();
    let mut terminal = Terminal::open(&env);
    terminal.expect("sql> ");
    let held =
        "SELECT pg_advisory_lock(7), 'set=' || set_config('timezone', 'Asia/Tokyo', false);\r";
    terminal.type_keys(held);
    terminal.expect("set=Asia/Tokyo");
    terminal.expect("sql> ");
    let asked = "SELECT 'locks=' || count(*) || current_setting('timezone') AS a FROM pg_locks WHERE locktype = 'advisory' \
                 AND pid = pg_backend_pid();\r";
    terminal.type_keys(asked);
    terminal.expect("locks=0UTC");
    terminal.type_keys(".quit\r");
    assert_eq!(terminal.exit_code(), Some(0));
}

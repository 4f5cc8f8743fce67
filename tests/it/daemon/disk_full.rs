//! A full disk: the daemon logs it once, loses nothing, and continues when there is space.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use crate::support::config::EVERY_SECOND_SCHEDULE;
use crate::support::env::{BACKSCROLL, TestEnv, wait_until};

/// `backscroll run` with its log output so far. It is killed when the test ends.
struct LimitedDaemon {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl LimitedDaemon {
    /// Starts the daemon with SIGXFSZ ignored, so that a write beyond the limit fails with an
    /// error.
    fn start(env: &TestEnv) -> Self {
        let command = Command::new("sh")
            .args([
                "-c",
                r#"trap "" XFSZ; exec "$0" run --config "$1""#,
                BACKSCROLL,
            ])
            .arg(env.write_config())
            .current_dir(env.dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = command.unwrap();
        let (lines, said) = (
            BufReader::new(child.stderr.take().unwrap()).lines(),
            Arc::new(Mutex::default()),
        );
        let heard: Arc<Mutex<String>> = Arc::clone(&said);
        std::thread::spawn(move || {
            lines
                .map_while(Result::ok)
                .for_each(|line| *heard.lock().unwrap() += &(line + "\n"));
        });
        Self { child, said }
    }

    fn log_output(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Limits the size of the files that the daemon writes, in bytes.
    fn limit_file_size(&self, size: &str) {
        let process = self.child.id().to_string();
        let limited = Command::new("prlimit")
            .args(["--pid", &process, &format!("--fsize={size}:")])
            .status();
        assert!(limited.unwrap().success());
    }
}

impl Drop for LimitedDaemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn full_disk_is_logged_once_and_loses_nothing() {
    let flags = [
        "--messages",
        "2500",
        "--topic-messages",
        "0",
        "--requests-per-second",
        "40",
        "--ready-after",
        "20ms",
    ];
    let env = TestEnv::new(&flags)
        .with_only("agora")
        .with_schedule("sync", EVERY_SECOND_SCHEDULE);
    let edge = env.settled_edge();
    let daemon = LimitedDaemon::start(&env);
    let archived = || {
        let made = env.archive_path().exists()
            && env.query_number("SELECT count(*) FROM sqlite_schema WHERE name = 'runs'") == 1;
        if made {
            env.query_number("SELECT count(*) FROM archive")
        } else {
            0
        }
    };
    wait_until("the first messages", || archived() > 100);
    daemon.limit_file_size("4096");
    wait_until("the log line about the full disk", || {
        daemon.log_output().contains("check if the disk is full")
    });
    let before = archived();
    assert!(
        before < 2000,
        "{before} messages were archived before the disk was full"
    );
    // The daemon retries at every tick and logs nothing more.
    let ticks = || {
        Command::new("sh")
            .args(["-c", "date +%s"])
            .output()
            .unwrap()
            .stdout
    };
    let begun = ticks();
    let mut seconds = std::collections::BTreeSet::from([begun]);
    wait_until("a few ticks", || {
        seconds.insert(ticks());
        seconds.len() > 3
    });
    assert_eq!(
        daemon.log_output().matches("the archive failed").count(),
        1,
        "{}",
        daemon.log_output()
    );
    assert_eq!(archived(), before);

    daemon.limit_file_size("unlimited");
    wait_until("the log line about the recovery", || {
        daemon.log_output().contains("the archive has recovered")
    });
    wait_until("the rest", || archived() >= 2500);
    assert_eq!(
        daemon.log_output().matches("the archive failed").count(),
        1,
        "{}",
        daemon.log_output()
    );
    drop(daemon);
    env.sync().assert_ok();
    env.assert_archive_equals_truth(edge);
    let (check,): (String,) = env.query_row("PRAGMA integrity_check");
    assert_eq!(check, "ok");
}

//! A full disk: the daemon logs it once, shows it everywhere, loses nothing, and continues when
//! there is space.

use std::process::{Command, Stdio};

use crate::support::config::EVERY_SECOND_SCHEDULE;
use crate::support::daemon_process::{DaemonProcess, archive_is_ready};
use crate::support::env::{BACKSCROLL, TestEnv, wait_until};
use crate::support::http_client::{ANY_PORT, HttpDaemon, with_web_listener};

/// Starts the daemon with SIGXFSZ ignored, so that a write beyond the limit fails with an error.
fn start_limited(env: &TestEnv) -> HttpDaemon {
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
    HttpDaemon::from_process(DaemonProcess(command.unwrap()))
}

/// Limits the size of the files that the daemon writes, in bytes.
fn limit_file_size(daemon: &HttpDaemon, size: &str) {
    let process = daemon.daemon.0.id().to_string();
    let limited = Command::new("prlimit")
        .args(["--pid", &process, &format!("--fsize={size}:")])
        .status();
    assert!(limited.unwrap().success());
}

fn archived(env: &TestEnv) -> i64 {
    if archive_is_ready(env) {
        env.query_number("SELECT count(*) FROM archive")
    } else {
        0
    }
}

/// The alarm about the disk cannot be written to the archive that lies on it.
#[test]
fn full_disk_shows_in_probe_page_and_metrics() {
    let env = TestEnv::new(&["--messages", "50", "--topic-messages", "0"])
        .with_only("agora")
        .with_schedule("sync", EVERY_SECOND_SCHEDULE);
    let env = with_web_listener(env, ANY_PORT);
    let daemon = start_limited(&env);
    wait_until("readiness", || daemon.get("/readyz").status == 200);
    limit_file_size(&daemon, "4096");
    wait_until("the probe fails", || daemon.get("/readyz").status == 503);
    let reason = daemon.get("/readyz").body;
    assert!(reason.starts_with("the archive: "), "{reason}");
    let alarm = "\nbackscroll_alarm{account=\"\",provider=\"\",kind=\"disk\"} 1\n";
    wait_until("the metric", || daemon.get("/metrics").body.contains(alarm));
    wait_until("the page", || {
        daemon.get("/").body.contains("the database cannot write")
    });
    limit_file_size(&daemon, "unlimited");
    wait_until("readiness", || daemon.get("/readyz").status == 200);
    daemon.stop();
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
    let daemon = start_limited(&env);
    let archived = || archived(&env);
    wait_until("the first messages", || archived() > 100);
    limit_file_size(&daemon, "4096");
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

    limit_file_size(&daemon, "unlimited");
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

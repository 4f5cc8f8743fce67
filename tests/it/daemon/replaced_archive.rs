//! The file of an archive is removed, replaced or renamed while the daemon has it open.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::time::Duration;

use crate::support::daemon_process::{DaemonProcess, archive_is_ready, env_syncing_every_second};
use crate::support::env::{CommandOutput, TestEnv, run_command_in, wait_until};
use crate::support::http_client::{ANY_PORT, HttpDaemon, with_web_listener};

const FLAGS: [&str; 4] = ["--messages", "200", "--topic-messages", "0"];

/// An environment whose daemon has archived everything.
fn start() -> (TestEnv, DaemonProcess) {
    let env = env_syncing_every_second(&FLAGS).with_only("agora");
    let daemon = DaemonProcess::start(&env);
    wait_until("the first messages", || archived(&env) >= 200);
    (env, daemon)
}

fn archived(env: &TestEnv) -> i64 {
    if archive_is_ready(env) {
        env.query_number("SELECT count(*) FROM archive")
    } else {
        0
    }
}

/// Stops the daemon and returns its log output.
#[track_caller]
fn stop(mut daemon: DaemonProcess) -> String {
    daemon.signal("-TERM");
    let (code, said) = daemon.wait_for_exit();
    assert_eq!(code, Some(0), "{said}");
    said
}

#[track_caller]
fn assert_intact(env: &TestEnv) {
    let (check,): (String,) = env.query_row("PRAGMA integrity_check");
    assert_eq!(check, "ok");
}

#[test]
fn removed_archive_is_reported_and_begun_anew() {
    let (env, daemon) = start();
    let edge = env.settled_edge();
    for name in ["archive.db", "archive.db-wal", "archive.db-shm"] {
        fs::remove_file(env.path(name)).unwrap();
    }
    wait_until("a new archive with all messages", || archived(&env) >= 200);
    let said = stop(daemon);
    let archive = env.archive_path().display().to_string();
    let error = format!("the archive {archive} was removed or replaced while it was open");
    assert!(said.contains(&error), "{said}");
    assert!(said.contains("stop the service before moving"), "{said}");
    env.assert_archive_equals_truth(edge);
    assert_intact(&env);
}

#[test]
fn replaced_archive_is_opened_in_place_of_the_old_one() {
    let env = with_web_listener(
        env_syncing_every_second(&FLAGS).with_only("agora"),
        ANY_PORT,
    );
    let daemon = HttpDaemon::start(&env);
    wait_until("the first messages", || archived(&env) >= 200);
    env.run(&["copy", "--to", "sqlite://other.db"]).assert_ok();
    // The log of the old archive stays behind, and must not be taken for that of the new one.
    let inode = fs::metadata(env.path("other.db")).unwrap().ino();
    fs::rename(env.archive_path(), env.path("old.db")).unwrap();
    fs::rename(env.path("other.db"), env.archive_path()).unwrap();
    env.append_message("lobby", "into the new file", Duration::ZERO);
    // Until then, any other reader would apply the old log to the new file.
    wait_until("the log line", || {
        daemon.log_output().contains("the archive was opened anew")
    });
    let new = "SELECT count(*) FROM archive WHERE body = 'into the new file'";
    wait_until("the new message", || env.query_number(new) == 1);
    let edge = env.settled_edge();
    daemon.stop();
    assert_eq!(fs::metadata(env.archive_path()).unwrap().ino(), inode);
    env.assert_archive_equals_truth(edge);
    assert_intact(&env);
    // The old file has everything that was committed to it, without its log.
    let old: Vec<(i64,)> =
        env.query_rows_of(&env.path("old.db"), "SELECT count(*) >= 200 FROM archive");
    assert_eq!(old, [(1,)]);
}

#[test]
fn removed_log_costs_no_message() {
    let (env, mut daemon) = start();
    let before = fs::metadata(env.archive_path()).unwrap().ino();
    fs::remove_file(env.path("archive.db-wal")).unwrap();
    wait_until("a new log", || env.path("archive.db-wal").exists());
    env.append_message("lobby", "after the loss", Duration::ZERO);
    let new = "SELECT count(*) FROM archive WHERE body = 'after the loss'";
    wait_until("the new message", || env.query_number(new) == 1);
    daemon.kill();
    assert_eq!(fs::metadata(env.archive_path()).unwrap().ino(), before);
    assert_eq!(env.query_number("SELECT count(*) >= 200 FROM archive"), 1);
    assert_intact(&env);
}

#[test]
fn readiness_fails_until_the_archive_can_be_opened_anew() {
    let env = with_web_listener(
        env_syncing_every_second(&FLAGS).with_only("agora"),
        ANY_PORT,
    );
    let daemon = HttpDaemon::start(&env);
    wait_until("the first messages", || archived(&env) >= 200);
    let edge = env.settled_edge();
    fs::write(env.path("other"), "no archive, but a text of some length").unwrap();
    fs::rename(env.path("other"), env.archive_path()).unwrap();
    wait_until("the log line", || {
        daemon
            .log_output()
            .contains("the archive cannot be opened yet")
    });
    assert_eq!(daemon.get("/readyz").status, 503);
    fs::remove_file(env.archive_path()).unwrap();
    wait_until("readiness", || daemon.get("/readyz").status == 200);
    wait_until("a new archive with all messages", || archived(&env) >= 200);
    daemon.stop();
    env.assert_archive_equals_truth(edge);
}

#[test]
fn command_stops_at_a_replaced_archive() {
    let env = TestEnv::new(&[
        "--messages",
        "3000",
        "--topic-messages",
        "0",
        "--requests-per-second",
        "20",
    ])
    .with_only("agora");
    let mut sync = DaemonProcess::start_with_args(&env, &["sync"]);
    wait_until("the first messages", || archived(&env) > 0);
    fs::rename(env.archive_path(), env.path("old.db")).unwrap();
    let (code, said) = sync.wait_for_exit();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("was removed or replaced"), "{said}");
    assert!(!env.archive_path().exists(), "nothing was put in its place");
}

/// A file keeps its lock under every name that leads to it.
#[test]
fn no_other_name_of_an_archive_lets_a_second_writer_in() {
    let mut env = env_syncing_every_second(&FLAGS).with_only("agora");
    fs::create_dir(env.path("folder")).unwrap();
    env = env.with_database("sqlite://folder/archive.db");
    let mut daemon = DaemonProcess::start(&env);
    let file = env.path("folder/archive.db");
    wait_until("the archive", || {
        file.exists() && fs::read(env.path("folder/archive.db.lock")).is_ok_and(|n| !n.is_empty())
    });
    symlink(&file, env.path("symbolic.db")).unwrap();
    symlink(env.path("folder"), env.path("link")).unwrap();
    fs::hard_link(&file, env.path("hard.db")).unwrap();
    let holder = format!("process {}", daemon.0.id());
    for (name, names_holder) in [
        ("folder/archive.db", true),
        ("folder/../folder/archive.db", true),
        ("symbolic.db", true),
        ("link/archive.db", true),
        ("hard.db", false),
    ] {
        let env = run_with(&env, name);
        assert_eq!(env.code, Some(1), "{name}: {env:?}");
        assert!(env.stderr.contains("is in use by another"), "{env:?}");
        assert_eq!(
            env.stderr.contains(&holder),
            names_holder,
            "{name}: {env:?}"
        );
    }
    fs::rename(env.path("folder"), env.path("renamed")).unwrap();
    let renamed = run_with(&env, "renamed/archive.db");
    assert!(renamed.stderr.contains(&holder), "{renamed:?}");
    daemon.kill();
}

/// Runs `sync` on an archive of another name.
fn run_with(env: &TestEnv, name: &str) -> CommandOutput {
    let mut config = env.config().clone();
    config.set("database", "url", format!("sqlite://{name}"));
    fs::write(env.path("other.toml"), config.to_string()).unwrap();
    run_command_in(env.dir.path(), &["sync", "--config", "other.toml"])
}

#[test]
fn archive_is_private_and_a_wider_one_is_warned_about() {
    let env = TestEnv::new(&FLAGS).with_only("agora");
    let said = env.sync().assert_ok().stderr;
    assert!(!said.contains("may open the archive"), "{said}");
    for name in ["archive.db", "archive.db.lock"] {
        let mode = fs::metadata(env.path(name)).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
    }
    let mut daemon = DaemonProcess::start(&env);
    wait_until("the log", || env.path("archive.db-wal").exists());
    let mode = fs::metadata(env.path("archive.db-wal")).unwrap().mode() & 0o777;
    assert_eq!(mode, 0o600);
    daemon.kill();
    for (mode, is_warned) in [(0o640, false), (0o660, false), (0o644, true), (0o602, true)] {
        fs::set_permissions(env.archive_path(), fs::Permissions::from_mode(mode)).unwrap();
        let said = env.sync().assert_ok().stderr;
        let warning = "every user of this machine may open the archive archive.db";
        assert_eq!(said.contains(warning), is_warned, "{mode:o}: {said}");
        for command in ["status", "verify"] {
            let said = env.run(&[command]).assert_ok().stderr;
            assert_eq!(
                said.contains(warning),
                is_warned,
                "{command} {mode:o}: {said}"
            );
        }
        let said = env.run(&["check"]).assert_ok().stdout;
        assert_eq!(said.contains(warning), is_warned, "{mode:o}: {said}");
    }
    let path = env.path("notes.txt");
    fs::write(&path, "not an archive\n".repeat(100)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    for command in ["sync", "status", "verify"] {
        let mut config = env.config().clone();
        config.set("database", "url", "sqlite://notes.txt");
        fs::write(env.path("other.toml"), config.to_string()).unwrap();
        let output = run_command_in(env.dir.path(), &[command, "--config", "other.toml"]);
        let said = output.stderr;
        assert!(said.contains("is not a database"), "{command}: {said}");
        assert!(!said.contains("may open the archive"), "{command}: {said}");
    }
}

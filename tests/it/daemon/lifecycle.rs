//! The daemon archives at every tick, can be queried meanwhile, and stops cleanly.

use std::time::{Duration, Instant};

use backscroll::sandbox::{Call, CallFilter, Fault, ScriptedAnswer};

use crate::support::daemon_process::{DaemonProcess, archive_is_ready, env_syncing_every_second};
use crate::support::env::{TestEnv, wait_until};

#[test]
fn daemon_archives_at_every_tick_and_stops_cleanly() {
    let env = env_syncing_every_second(&[
        "--messages",
        "400",
        "--topic-messages",
        "300",
        "--append-rate",
        "20",
    ]);
    let edge = env.settled_edge();
    let mut daemon = DaemonProcess::start(&env);
    // Readers work while the daemon writes, and never see half a message.
    let has = |env: &TestEnv| {
        if archive_is_ready(env) {
            env.query_number("SELECT count(*) FROM archive")
        } else {
            0
        }
    };
    wait_until("the first messages", || has(&env) > 0);
    let first = has(&env);
    wait_until("messages sent meanwhile", || {
        has(&env) > first.max(700) + 20
    });
    wait_until("ticks", || {
        env.query_number("SELECT count(*) FROM runs WHERE finished_at IS NOT NULL") >= 6
    });
    daemon.signal("-TERM");
    let (code, said) = daemon.wait_for_exit();
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("running") && said.contains("stopped"),
        "{said}"
    );
    assert!(!said.contains("ERROR"), "{said}");
    env.assert_archive_equals_truth(edge);
    env.assert_no_rule_broken();
    assert_eq!(
        env.query_number("SELECT count(*) FROM runs WHERE finished_at IS NULL"),
        0,
        "every run was finished"
    );
}

#[test]
fn windows_in_flight_are_finished_after_sigint() {
    let flags = [
        "--messages",
        "3000",
        "--topic-messages",
        "0",
        "--requests-per-second",
        "50",
        "--plain",
    ];
    let env = env_syncing_every_second(&flags).with_only("agora");
    let mut daemon = DaemonProcess::start(&env);
    wait_until("windows under way", || env.sandbox.rules().total.read > 0);
    let before = env.sandbox.rules().total.requests();
    daemon.signal("-INT");
    let (code, said) = daemon.wait_for_exit();
    assert_eq!(code, Some(0), "{said}");
    let (archived, sealed, unfinished): (i64, i64, i64) = env.query_row(
        "SELECT (SELECT count(*) FROM archive), (SELECT count(*) FROM coverage),
                (SELECT count(*) FROM runs WHERE finished_at IS NULL)",
    );
    assert!(
        archived > 0 && sealed > 0,
        "windows in flight were committed: {archived} messages, {sealed} windows"
    );
    assert_eq!(unfinished, 0);
    assert!(
        env.sandbox.rules().total.requests() > before,
        "requests continued until the windows were done"
    );
    env.assert_sync_archives_truth();
}

#[test]
fn hanging_provider_does_not_delay_shutdown() {
    let env = env_syncing_every_second(&["--messages", "200", "--topic-messages", "100"]);
    env.script_answer(ScriptedAnswer {
        on: CallFilter::Only(Call::Read),
        fault: Some(Fault::Hang),
        times: 9999,
        ..ScriptedAnswer::default()
    });
    env.script_answer(ScriptedAnswer {
        on: CallFilter::Only(Call::History),
        fault: Some(Fault::Hang),
        times: 9999,
        ..ScriptedAnswer::default()
    });
    let mut daemon = DaemonProcess::start(&env);
    wait_until("a read that hangs", || {
        env.sandbox.rules().total.read > 0 && env.sandbox.rules().total.history > 0
    });
    daemon.signal("-TERM");
    let (code, said) = daemon.wait_for_exit();
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn second_signal_exits_immediately() {
    let env = env_syncing_every_second(&["--messages", "200", "--topic-messages", "0"])
        .with_only("agora");
    env.script_answer(ScriptedAnswer {
        on: CallFilter::Only(Call::Read),
        fault: Some(Fault::Hang),
        times: 9999,
        ..ScriptedAnswer::default()
    });
    let mut daemon = DaemonProcess::start(&env);
    wait_until("a read that hangs", || env.sandbox.rules().total.read > 0);
    let begun = Instant::now();
    daemon.signal("-TERM");
    // Two pending signals count as one, so the signal is repeated until a second one is received.
    while daemon.0.try_wait().unwrap().is_none() && begun.elapsed() < Duration::from_secs(4) {
        daemon.signal("-TERM");
        std::thread::sleep(Duration::from_millis(20));
    }
    let (code, said) = daemon.wait_for_exit();
    assert_eq!(code, Some(130), "{said}");
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "the grace period for windows in flight was cut short"
    );
}

#[test]
fn failed_account_is_retried_at_a_later_tick() {
    let env =
        env_syncing_every_second(&["--messages", "200", "--topic-messages", "100", "--plain"]);
    env.script_answer(ScriptedAnswer {
        on: CallFilter::Any,
        status: 200,
        body: "<html>".to_owned(),
        times: 8,
        ..ScriptedAnswer::default()
    });
    let edge = env.settled_edge();
    let mut daemon = DaemonProcess::start(&env);
    wait_until("all of it", || {
        archive_is_ready(&env) && env.query_number("SELECT count(*) FROM archive") >= 300
    });
    daemon.signal("-TERM");
    let (code, said) = daemon.wait_for_exit();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("pass ended early"), "{said}");
    env.assert_archive_equals_truth(edge);
}

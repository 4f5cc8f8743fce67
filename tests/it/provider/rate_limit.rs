//! The providers' rate limits and polling rules are kept, however slow responses are.

use crate::support::env::TestEnv;

fn archive_by_the_rules(flags: &[&str]) {
    let env = TestEnv::new(flags);
    env.assert_sync_archives_truth();
    let total = env.assert_no_rule_broken();
    assert!(total.query > 0 && total.history > 0, "{total:?}");
}

#[test]
fn ten_requests_per_second_are_not_exceeded() {
    archive_by_the_rules(&[
        "--requests-per-second",
        "10",
        "--ready-after",
        "300ms",
        "--messages",
        "40",
        "--topic-messages",
        "40",
        "--plain",
    ]);
}

#[test]
fn late_handles_are_not_polled_too_soon() {
    archive_by_the_rules(&[
        "--requests-per-second",
        "100",
        "--ready-after",
        "100ms..1200ms",
        "--messages",
        "420",
    ]);
}

#[test]
fn slow_responses_break_no_rule() {
    archive_by_the_rules(&[
        "--requests-per-second",
        "100",
        "--ready-after",
        "50ms",
        "--latency",
        "5ms..150ms",
    ]);
}

#[test]
fn counts_in_progress_are_not_polled_too_soon() {
    archive_by_the_rules(&[
        "--requests-per-second",
        "100",
        "--count-progress-every",
        "7",
        "--messages",
        "420",
    ]);
}

#[test]
fn expired_handles_are_requested_again() {
    let env = TestEnv::new(&[
        "--handle-ttl",
        "1500ms",
        "--ready-after",
        "100ms..900ms",
        "--messages",
        "420",
    ]);
    env.assert_sync_archives_truth();
    // A client learns only by reading that a handle has expired: the contract has no other way.
    let total = env.sandbox.rules().total;
    assert_eq!(total.violations(), total.dead_handle_read, "{total:?}");
    assert!(
        total.query > total.read - total.in_progress - total.dead_handle_read,
        "{total:?}"
    );
}

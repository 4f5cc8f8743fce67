//! Random faults of every kind: no message is lost or duplicated, memory is bounded, and each
//! failure is logged once.

use backscroll::sandbox::Fault;

use crate::support::env::{CommandOutput, TestEnv};
use crate::support::peak_memory::peak_memory_of_syncs;

const FEW: [&str; 4] = ["--messages", "400", "--topic-messages", "300"];
/// The maximum number of syncs until all is archived. A 401 to the first request parks an account,
/// and `check` releases it.
const MAX_SYNCS: usize = 8;

/// Archives a history while a share of the responses has these faults, and compares the result.
#[track_caller]
fn assert_faults_lose_nothing(share: &str, kinds: &str) -> (TestEnv, Vec<CommandOutput>) {
    let env = TestEnv::new(&[&FEW[..], &["--faults", share, "--fault-kinds", kinds]].concat())
        .with_account_setting("timeout", "1s");
    let edge = env.settled_edge();
    let mut output = Vec::new();
    while output
        .last()
        .is_none_or(|last: &CommandOutput| last.code != Some(0))
    {
        assert!(output.len() < MAX_SYNCS, "{output:#?}");
        if !output.is_empty() {
            env.run(&["check"]);
        }
        output.push(env.sync());
    }
    if kinds == "other" {
        // A count does not name its stream, so the count of another stream can hide a gap. Counting
        // again finds it.
        for _ in 0..4 {
            env.run(&["verify", "--remote", "--repair"]);
        }
    }
    env.assert_archive_equals_truth(edge);
    let report = env.sandbox.rules();
    assert_eq!(report.total.violations(), 0, "{report:?}");
    assert_eq!(
        report.faults.len(),
        kinds.split(',').count(),
        "each kind of fault occurred: {report:?}"
    );
    assert_eq!(env.query_number("SELECT count(*) FROM quarantine"), 0);
    (env, output)
}

#[test]
fn truncated_responses_lose_nothing() {
    assert_faults_lose_nothing("15%", "cut,truncated");
}

#[test]
fn invalid_responses_lose_nothing() {
    assert_faults_lose_nothing("15%", "html,server-error,redirect,deep,charset");
}

#[test]
fn response_to_another_request_is_rejected() {
    assert_faults_lose_nothing("15%", "other");
}

#[test]
fn handles_that_expire_unread_lose_nothing() {
    assert_faults_lose_nothing("15%", "dead-handle");
}

#[test]
fn endless_responses_are_timed_out() {
    assert_faults_lose_nothing("5%", "hang,drip");
}

#[test]
fn rate_limit_responses_lose_nothing() {
    assert_faults_lose_nothing("3%", "too-many,retry-after");
}

#[test]
fn bursts_of_401_do_not_park_an_authenticated_account() {
    let (env, _) = assert_faults_lose_nothing("5%", "unauthorised");
    env.run(&["status"]).assert_ok();
    assert_eq!(
        env.query_number("SELECT count(*) FROM account WHERE paused_until_ms IS NOT NULL"),
        0
    );
}

#[test]
fn ongoing_failure_is_logged_once() {
    let (_, output) = assert_faults_lose_nothing("20%", "server-error");
    for CommandOutput { stderr: err, .. } in output {
        // Once for each account.
        assert!(err.matches("the provider fails").count() <= 2, "{err}");
    }
}

#[test]
fn bodies_of_200_mib_and_gzip_bombs_use_no_memory() {
    let env =
        TestEnv::new(&[&FEW[..], &["--faults", "20%", "--fault-kinds", "oversized"]].concat());
    let peak = peak_memory_of_syncs(&env, MAX_SYNCS);
    assert!(env.sandbox.rules().faults[&Fault::Oversized] > 10);
    assert!(peak < 224 << 20, "{} MiB", peak >> 20);
}

//! Random faults of every kind: no message is lost or duplicated, memory is bounded, and each
//! failure is logged once.

use std::process::{Command, Stdio};

use backscroll::sandbox::Fault;

use crate::support::env::{BACKSCROLL, CommandOutput, TestEnv, wait_until};

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
    const MOST: u64 = 224 << 20;
    let env =
        TestEnv::new(&[&FEW[..], &["--faults", "20%", "--fault-kinds", "oversized"]].concat());
    let edge = env.settled_edge();
    let mut peak = 0;
    for _ in 0..MAX_SYNCS {
        let command = Command::new(BACKSCROLL)
            .args(["sync", "--config"])
            .arg(env.write_config())
            .current_dir(env.dir.path())
            .stdout(Stdio::null())
            .spawn();
        let mut child = command.unwrap();
        let mut status = None;
        wait_until("the end of the process", || {
            peak = peak.max(peak_memory_bytes(child.id()));
            status = child.try_wait().unwrap();
            status.is_some()
        });
        if status.unwrap().success() {
            break;
        }
    }
    env.assert_archive_equals_truth(edge);
    assert!(env.sandbox.rules().faults[&Fault::Oversized] > 10);
    assert!(peak < MOST, "{} MiB", peak >> 20);
}

/// The peak resident memory of a process in bytes; 0 if the system does not report it.
fn peak_memory_bytes(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap_or_default();
    peak.trim()
        .trim_end_matches(" kB")
        .parse::<u64>()
        .unwrap_or(0)
        * 1024
}

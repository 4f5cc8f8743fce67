//! Processes one after the other and side by side stay within one rate limit, also when they are
//! killed.

use crate::support::config::EVERY_SECOND_SCHEDULE;
use crate::support::daemon_process::{DaemonProcess, archive_is_ready};
use crate::support::env::{TestEnv, wait_until};
use crate::support::postgres_env::PostgresEnv;

/// The history lasts for minutes at this rate, also for a test on a busy machine.
const FLAGS: [&str; 10] = [
    "--requests-per-second",
    "10",
    "--messages",
    "40000",
    "--topic-messages",
    "18000",
    "--ready-after",
    "20ms",
    "--latency",
    "1ms..30ms",
];

fn requests(env: &TestEnv) -> u64 {
    env.sandbox.rules().total.requests()
}

/// Starts a command and waits until it has sent this many requests.
fn start_and_wait(env: &TestEnv, args: &[&str], enough: u64) -> DaemonProcess {
    let before = requests(env);
    let mut process = DaemonProcess::start_with_args(env, args);
    wait_until("requests", || {
        assert!(process.0.try_wait().unwrap().is_none(), "it has ended");
        requests(env) >= before + enough
    });
    process
}

#[test]
fn commands_one_after_the_other_keep_the_rate() {
    let env = TestEnv::new(&FLAGS);
    // The first plan finds no archive in which it could leave a record.
    env.run(&["plan", "--ranges", "12"]).assert_ok();
    start_and_wait(&env, &["sync"], 20).kill();
    for _ in 0..3 {
        env.run(&["plan", "--ranges", "5"]).assert_ok();
        env.run(&["check"]).assert_ok();
        start_and_wait(&env, &["sync"], 12).kill();
    }
    env.assert_no_rule_broken();
}

/// The archive comes to be while the plan is at work.
#[test]
fn plan_beside_the_first_sync_takes_turns_with_it() {
    let env = TestEnv::new(&FLAGS);
    let mut plan = start_and_wait(&env, &["plan", "--ranges", "150"], 8);
    let mut sync = start_and_wait(&env, &["sync"], 40);
    assert!(plan.0.try_wait().unwrap().is_none(), "the plan has ended");
    sync.kill();
    plan.kill();
    env.assert_no_rule_broken();
}

/// None of them finds an archive; the last one creates it.
#[test]
fn commands_before_the_first_sync_keep_the_rate() {
    let env = TestEnv::new(&FLAGS);
    for _ in 0..3 {
        env.run(&["check"]).assert_ok();
        start_and_wait(&env, &["plan"], 9).kill();
    }
    start_and_wait(&env, &["sync"], 12).kill();
    env.assert_no_rule_broken();
}

#[test]
fn commands_beside_a_sync_take_turns_with_it() {
    let env = TestEnv::new(&FLAGS);
    let mut sync = start_and_wait(&env, &["sync"], 10);
    wait_until("the archive", || archive_is_ready(&env));
    env.run(&["plan", "--ranges", "10"]).assert_ok();
    for _ in 0..5 {
        env.run(&["check"]).assert_ok();
    }
    env.run(&["verify", "--remote", "--account", "sandbox"]);
    let before = requests(&env);
    wait_until("the sync goes on", || requests(&env) > before + 10);
    sync.kill();
    env.assert_no_rule_broken();
}

#[test]
fn process_killed_and_restarted_at_once_keeps_the_rate() {
    const KILLS: u64 = 10;
    let env = TestEnv::new(&FLAGS);
    let mut dice = fastrand::Rng::with_seed(7);
    for _ in 0..KILLS {
        start_and_wait(&env, &["sync"], dice.u64(1..30)).kill();
    }
    env.assert_no_rule_broken();
}

#[test]
fn processes_on_one_postgres_keep_the_rate() {
    let mut postgres = PostgresEnv::start(&FLAGS);
    postgres.env = postgres.env.with_schedule("sync", EVERY_SECOND_SCHEDULE);
    let env = &postgres.env;
    let mut first = start_and_wait(env, &["run"], 30);
    let mut second = DaemonProcess::start_with_args(env, &["run"]);
    env.run(&["plan", "--ranges", "10"]).assert_ok();
    env.run(&["check"]).assert_ok();
    for _ in 0..2 {
        first.kill();
        let before = requests(env);
        wait_until("the takeover", || requests(env) > before + 15);
        first = std::mem::replace(&mut second, DaemonProcess::start_with_args(env, &["run"]));
    }
    drop((first, second));
    env.assert_no_rule_broken();
}

//! Clock jumps of this machine and of the provider, in both directions, while the engine runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use backscroll::domain::clock::{Clock, SystemClock};
use backscroll::domain::time::Millis;
use backscroll::sandbox::ClockSkew;
use backscroll::store::{Archive, IfMissing, SqliteStore};
use backscroll::sync::{Engine, HistoryBounds, Purpose};
use tokio_util::sync::CancellationToken;

use crate::support::env::{TestEnv, wait_until};
use crate::support::sandbox_providers::sandbox_providers_with_clock;

/// The local clock, which a test sets.
#[derive(Debug, Default)]
struct JumpingClock(AtomicI64);

impl Clock for JumpingClock {
    fn now(&self) -> Millis {
        Millis(SystemClock.now().0 + self.0.load(Ordering::Relaxed))
    }
}

const HOUR_MS: i64 = 3_600_000;

/// The number of processes that make the passes of a test.
#[derive(Clone, Copy, PartialEq)]
enum Processes {
    One,
    OnePerPass,
}

/// Runs passes over the first project. Before each of them `set` may change a clock, and messages
/// are sent.
fn run_passes(set: impl Fn(&TestEnv, &JumpingClock, usize)) -> TestEnv {
    run_passes_in(Processes::One, set)
}

fn run_passes_in(processes: Processes, set: impl Fn(&TestEnv, &JumpingClock, usize)) -> TestEnv {
    let env = TestEnv::new(&["--messages", "300", "--topic-messages", "200"]);
    let machine = Arc::new(JumpingClock::default());
    let clock: Arc<dyn Clock> = machine.clone();
    env.block_on(async {
        let store = Arc::new(
            SqliteStore::open(&env.archive_path(), IfMissing::Create)
                .await
                .unwrap(),
        );
        let start = || {
            let settle = Duration::from_mins(2);
            let providers = sandbox_providers_with_clock(&env, &clock, settle);
            Engine::new(providers, store.clone(), &clock)
        };
        let mut engine = start();
        for round in 0..6 {
            set(&env, &machine, round);
            if processes == Processes::OnePerPass {
                engine = start();
            }
            env.append_message("lobby", &format!("in round {round}"), Duration::ZERO);
            engine
                .pass(
                    Purpose::Sync(HistoryBounds::default()),
                    &CancellationToken::new(),
                )
                .await
                .unwrap();
        }
        store.close().await;
    });
    env
}

/// Panics unless the messages of these rounds are archived once their time has come, and no future
/// range was sealed.
#[track_caller]
fn assert_nothing_lost(env: &TestEnv, settled_to: Millis, rounds: &[usize]) {
    let future = env.query_number(&format!(
        "SELECT count(*) FROM sealed_window WHERE to_s > {}",
        settled_to.second().0
    ));
    assert_eq!(future, 0, "windows sealed in the future");
    let said: Vec<String> = rounds
        .iter()
        .map(|round| format!("'in round {round}'"))
        .collect();
    let said = format!(
        "SELECT count(*) FROM archive WHERE body IN ({})",
        said.join(", ")
    );
    let edge = env.settled_edge();
    wait_until("the last second has passed", || {
        env.sync().assert_ok();
        env.query_number(&said) == i64::try_from(rounds.len()).unwrap()
    });
    env.assert_archive_equals_truth(edge);
}

#[test]
fn local_clock_jumps_lose_nothing() {
    let env = run_passes(|_, machine, round| {
        let leaps = [0, 24, -24, 0, -1, 1];
        machine.0.store(leaps[round] * HOUR_MS, Ordering::Relaxed);
    });
    let now = env.world().now();
    assert_nothing_lost(&env, now, &[0, 1, 2, 3, 4, 5]);
}

#[test]
fn provider_clock_ahead_for_a_while_loses_nothing() {
    let env = run_passes(|env, _, round| match round {
        2 => env.world().shift_clock(ClockSkew { offset_ms: HOUR_MS }),
        4 => env.world().shift_clock(ClockSkew {
            offset_ms: -HOUR_MS,
        }),
        _ => {}
    });
    // Messages sent meanwhile have a timestamp in the future.
    let now = env.world().now();
    assert_nothing_lost(&env, now, &[0, 1, 4, 5]);
}

#[test]
fn provider_clock_set_back_loses_nothing() {
    let env = run_passes(|env, _, round| {
        if round == 2 {
            env.world().shift_clock(ClockSkew { offset_ms: -20_000 });
        }
    });
    let now = env.world().now();
    assert_nothing_lost(&env, now, &[2, 3, 4, 5]);
}

/// The clocks agree, so nothing contradicts them. Once they are right, what they had sealed in the
/// future is fetched again, and nothing else that they had recorded stays.
#[test]
fn both_clocks_a_year_ahead_for_a_while_lose_nothing() {
    const YEAR_MS: i64 = 365 * 24 * HOUR_MS;
    for processes in [Processes::One, Processes::OnePerPass] {
        let env = run_passes_in(processes, |env, machine, round| {
            let offset_ms = if round < 2 { YEAR_MS } else { 0 };
            machine.0.store(offset_ms, Ordering::Relaxed);
            let shift_ms = [YEAR_MS, 0, -YEAR_MS, 0, 0, 0][round];
            env.world().shift_clock(ClockSkew {
                offset_ms: shift_ms,
            });
        });
        let now = env.world().now();
        let ahead = env.query_number(&format!(
            "SELECT count(*) FROM account WHERE max(settled_s, wanted_to_s, coalesce(horizon_s, 0)) > {}",
            now.second().0
        ));
        assert_eq!(ahead, 0, "edges in the future");
        let never_wanted = "SELECT count(*) FROM stream WHERE wanted_from_s > ";
        let now_s = now.second().0;
        assert_eq!(env.query_number(&format!("{never_wanted}{now_s}")), 0);
        assert_nothing_lost(&env, now, &[2, 3, 4, 5]);
    }
}

#[test]
fn first_dates_a_year_off_lose_nothing() {
    for off in ["365d", "-365d"] {
        let flags = [
            "--first-dates",
            off,
            "--first-answers",
            "5",
            "--messages",
            "60",
        ];
        let env = TestEnv::new(&flags);
        env.assert_sync_archives_truth();
        assert_eq!(env.query_number("SELECT count(*) FROM gaps WHERE lost"), 0);
        let future = env.world().now().second().0;
        let sealed_ahead = format!("SELECT count(*) FROM sealed_window WHERE to_s > {future}");
        assert_eq!(env.query_number(&sealed_ahead), 0, "{off}");
        env.assert_sync_archives_truth();
    }
}

/// The wrong `Date` lasts for so long that it is believed, and is corrected while a pass relies on
/// it.
#[test]
fn first_dates_that_are_believed_lose_nothing() {
    let flags = [
        "--first-dates",
        "365d",
        "--first-answers",
        "20",
        "--messages",
        "60",
    ];
    let env = TestEnv::new(&flags);
    env.assert_sync_archives_truth();
    env.assert_sync_archives_truth();
    assert_eq!(env.query_number("SELECT count(*) FROM gaps WHERE lost"), 0);
}

/// A pause that was recorded by a clock far ahead ends after the longest pause that there is.
#[test]
fn pause_of_a_wrong_clock_ends() {
    let env = TestEnv::new(&["--messages", "60", "--topic-messages", "0"]).with_only("agora");
    env.sync().assert_ok();
    let far = env.world().now().plus(Duration::from_hours(365 * 24)).0;
    env.execute_sql(&format!(
        "UPDATE account SET paused_until_ms = {far}, paused_reason = 'refused'"
    ));
    env.sync()
        .assert_incomplete()
        .assert_prints("is paused for another 35");
    let until = env.query_number("SELECT paused_until_ms FROM account");
    assert!(until <= env.world().now().plus(Duration::from_hours(1)).0);
}

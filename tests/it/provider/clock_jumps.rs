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

/// Runs passes over the first project. Before each of them `set` may change a clock, and messages
/// are sent.
fn run_passes(set: impl Fn(&TestEnv, &JumpingClock, usize)) -> TestEnv {
    let env = TestEnv::new(&["--messages", "300", "--topic-messages", "200"]);
    let machine = Arc::new(JumpingClock::default());
    let clock: Arc<dyn Clock> = machine.clone();
    env.block_on(async {
        let store = Arc::new(
            SqliteStore::open(&env.archive_path(), IfMissing::Create)
                .await
                .unwrap(),
        );
        let mut engine = Engine::new(
            sandbox_providers_with_clock(&env, &clock, Duration::from_mins(2)),
            store.clone(),
            &clock,
        );
        for round in 0..6 {
            set(&env, &machine, round);
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

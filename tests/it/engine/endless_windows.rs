//! A second in which messages never end: a pass reads a bounded part of it, reports it, and
//! archives everything else.

use std::time::Duration;

use backscroll::domain::time::Second;

use crate::support::fake_provider::{EndlessSecond, FakeProvider};
use crate::support::model_run::{ModelRun, NOW, SYNC};
use crate::support::paused_clock::{hold_clock, paused_runtime};

const SETTLE: Duration = Duration::from_mins(2);
const RETENTION: Duration = Duration::from_hours(24);
/// The messages of a pass that are read of one window.
const MAX_MESSAGES: u64 = 250_000;
/// The time for which a pass reads one window.
const MAX_TIME: Duration = Duration::from_mins(5);
const SOUND_MESSAGES: u64 = 500;

fn endless_second() -> Second {
    NOW.minus(Duration::from_hours(2)).second()
}

/// A provider with a sound history around a second without an end.
fn provider(messages_per_part: u64, part_duration: Duration) -> FakeProvider {
    let mut provider = FakeProvider::new(NOW, SETTLE, Some(RETENTION));
    let begin = NOW.minus(Duration::from_hours(5)).0 + 1000;
    let number = |n| 1_000_000 + n;
    let sound = (0..SOUND_MESSAGES).map(|n| (begin + n as i64 * 30_000, number(n)));
    provider.history().messages.extend(sound);
    provider.endless = Some(EndlessSecond {
        second: endless_second(),
        messages_per_part,
        part_duration,
    });
    provider
}

/// Runs a pass. Panics unless it has suspended the second without an end, said so, and archived all
/// else. Returns the positions at which parts of that second were read.
async fn assert_suspended(run: &mut ModelRun) -> Vec<u64> {
    run.provider.history().endless_offsets.clear();
    let report = run.run_pass(SYNC).await;
    let failure = report.failure.unwrap().to_string();
    assert!(
        failure.contains("holds more messages than one pass reads"),
        "{failure}"
    );
    assert!(!report.is_account_failure, "{failure}");
    let status = run.store.status().await.unwrap().remove(0);
    let error = status.error.unwrap().error;
    assert!(error.contains("and no end"), "{error}");
    // Only the second itself is left.
    let status = run.store.status().await.unwrap().remove(0);
    assert_eq!(status.missing_seconds, 1, "{status:#?}");
    let archived = run.archived_messages().await;
    let sound = archived.iter().filter(|(_, number)| *number >= 1_000_000);
    assert_eq!(sound.count() as u64, SOUND_MESSAGES);
    run.provider.history().endless_offsets.clone()
}

/// Panics unless the parts follow each other without a gap. Returns the position behind them.
#[track_caller]
fn assert_consecutive(offsets: &[u64], begin: u64, part: u64) -> u64 {
    let expected = (0..offsets.len() as u64).map(|n| begin + n * part);
    assert_eq!(offsets, expected.collect::<Vec<u64>>());
    begin + offsets.len() as u64 * part
}

#[tokio::test]
async fn a_pass_reads_a_bounded_number_of_messages_of_one_window() {
    const PART: u64 = 10_000;
    let mut run = ModelRun::with_provider(provider(PART, Duration::ZERO)).await;
    let offsets = assert_suspended(&mut run).await;
    assert_eq!(offsets.len() as u64, MAX_MESSAGES / PART);
    assert_consecutive(&offsets, 0, PART);
}

#[test]
fn a_pass_reads_one_window_for_a_bounded_time_and_the_next_continues() {
    const PART: u64 = 10;
    const TAKES: Duration = Duration::from_secs(25);
    paused_runtime().block_on(async {
        let _held = hold_clock();
        let mut run = ModelRun::with_provider(provider(PART, TAKES)).await;
        let mut begin = 0;
        for pass in 0..2 {
            let offsets = assert_suspended(&mut run).await;
            let took = TAKES * offsets.len() as u32;
            assert!(
                took > MAX_TIME && took <= MAX_TIME + TAKES,
                "{pass}: {took:?}"
            );
            begin = assert_consecutive(&offsets, begin, PART);
        }
    });
}

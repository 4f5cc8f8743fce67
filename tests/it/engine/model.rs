//! Model-based tests of engine and store with a history that changes at random.

use std::collections::BTreeSet;
use std::time::Duration;

use backscroll::domain::clock::Clock;
use backscroll::domain::time::Millis;
use backscroll::domain::window::Window;
use backscroll::proof::{VerifyOptions, verify};
use backscroll::provider::Provider;
use backscroll::store::LedgerRow;
use backscroll::sync::Purpose;
use proptest::prelude::*;

use crate::support::fake_provider::FakeProvider;
use crate::support::model_run::{ModelRun, NOW, SYNC};

const SETTLE: Duration = Duration::from_mins(2);
/// An event of a random history.
#[derive(Clone, Debug)]
enum ModelEvent {
    /// Messages with timestamps from this many milliseconds ago, a second apart, appear now.
    Appear {
        ago: i64,
        count: u64,
    },
    /// The clock advances by this many seconds.
    Wait(u64),
    /// A message vanishes for good. It is counted before and after, since counts cannot show that
    /// one message vanished and another appeared between them.
    Vanish(usize),
    /// This many further fetches miss a message.
    Lack(u32),
    Read(usize),
    /// Another stream is followed, which overlaps the others.
    Follow,
    /// A message cannot be parsed from now on.
    Garble(usize),
    /// The quarantine is parsed again, by a version that understands it or not.
    Requeue(bool),
    Sync,
    Reconcile,
    Refresh,
    /// Future calls fail, each after this many that succeed.
    Fail(Vec<u32>),
    /// A pass is dropped after this many polls, like that of a killed process.
    Break(u32),
}

fn events() -> impl Strategy<Value = Vec<ModelEvent>> {
    let event = prop_oneof![
        4 => (0i64..7_200_000, 1u64..40).prop_map(|(ago, count)| ModelEvent::Appear { ago, count }),
        2 => (0i64..180_000, 1u64..5).prop_map(|(ago, count)| ModelEvent::Appear { ago, count }),
        3 => (1u64..3000).prop_map(ModelEvent::Wait),
        1 => any::<usize>().prop_map(ModelEvent::Vanish),
        1 => (1u32..3).prop_map(ModelEvent::Lack),
        1 => any::<usize>().prop_map(ModelEvent::Read),
        2 => Just(ModelEvent::Follow),
        1 => any::<usize>().prop_map(ModelEvent::Garble),
        1 => any::<bool>().prop_map(ModelEvent::Requeue),
        4 => Just(ModelEvent::Sync),
        2 => Just(ModelEvent::Reconcile),
        1 => Just(ModelEvent::Refresh),
        3 => prop::collection::vec(0u32..6, 1..5).prop_map(ModelEvent::Fail),
        2 => (1u32..60).prop_map(ModelEvent::Break),
    ];
    prop::collection::vec(event, 1..24)
}

async fn happen(run: &mut ModelRun, event: ModelEvent, number: &mut u64) {
    match event {
        ModelEvent::Appear { ago, count } => {
            let now = run.provider.clock.now().0;
            let mut history = run.provider.history();
            for n in 0..count {
                *number += 1;
                history
                    .messages
                    .insert(((now - ago + n as i64 * 1000).min(now), *number));
            }
        }
        ModelEvent::Wait(seconds) => run.provider.clock.advance(Duration::from_secs(seconds)),
        ModelEvent::Vanish(nth) => {
            run.provider.history().calls_before_failures.clear();
            run.run_pass(Purpose::Reconcile).await;
            {
                let mut history = run.provider.history();
                let Some(gone) = history
                    .messages
                    .iter()
                    .nth(nth % history.messages.len().max(1))
                    .copied()
                else {
                    return;
                };
                history.messages.remove(&gone);
            }
            run.run_pass(Purpose::Reconcile).await;
        }
        ModelEvent::Lack(readings) => run.provider.history().incomplete_reads = readings,
        ModelEvent::Read(nth) => {
            let mut history = run.provider.history();
            let read = history
                .messages
                .iter()
                .nth(nth % history.messages.len().max(1))
                .map(|one| one.1);
            history.read.extend(read);
        }
        ModelEvent::Follow => {
            run.provider.follow_next();
            run.restart();
        }
        ModelEvent::Garble(nth) => {
            let mut history = run.provider.history();
            let garbled = history
                .messages
                .iter()
                .nth(nth % history.messages.len().max(1))
                .map(|one| one.1);
            history.garbled.extend(garbled);
        }
        ModelEvent::Requeue(understands) => {
            run.provider.history().understands_garbled = understands;
            run.requeue().await;
        }
        ModelEvent::Sync => drop(run.run_pass(SYNC).await),
        ModelEvent::Reconcile => drop(run.run_pass(Purpose::Reconcile).await),
        ModelEvent::Refresh => drop(run.run_pass(Purpose::Refresh).await),
        ModelEvent::Fail(calls) => run.provider.history().calls_before_failures.extend(calls),
        ModelEvent::Break(polls) => run.run_pass_for_polls(polls).await,
    }
}

/// The history of a channel.
fn channel(shifts: (i64, i64), retention: Option<Duration>) -> FakeProvider {
    let mut provider = FakeProvider::new(NOW, SETTLE, retention);
    provider.count_shifts_ms = shifts;
    provider
}

async fn whatever_happens(mut run: ModelRun, retention: Option<Duration>, events: Vec<ModelEvent>) {
    run.run_pass(SYNC).await;
    let mut number = 0;
    // No provider both removes messages and has a retention. The combination is left out: of a row
    // that overlaps the retention edge with fewer messages than archived, nothing could be
    // concluded. The same holds of messages that are shown and cannot be archived.
    let is_left_out = |event: &ModelEvent| {
        retention.is_some() && matches!(event, ModelEvent::Vanish(_) | ModelEvent::Garble(_))
    };
    for event in events.into_iter().filter(|event| !is_left_out(event)) {
        happen(&mut run, event, &mut number).await;
        run.assert_ledger_agrees().await;
    }
    // Suspect windows are refetched with growing delays; after this time none is left.
    run.provider.history().incomplete_reads = 0;
    run.provider.history().calls_before_failures.clear();
    run.provider
        .clock
        .advance(Duration::from_hours(if retention.is_some() {
            1
        } else {
            400
        }));
    run.run_pass(SYNC).await;
    run.run_pass(Purpose::Reconcile).await;
    run.provider.history().understands_garbled = true;
    run.requeue().await;
    run.assert_ledger_agrees().await;
    let verified = verify(&*run.store, VerifyOptions::default()).await.unwrap();
    assert!(verified.agrees(), "{verified:?}");

    let archived = run.archived_messages().await;
    let distinct: BTreeSet<_> = archived.iter().copied().collect();
    assert_eq!(distinct.len(), archived.len(), "no message is duplicated");
    let shown: Vec<_> = run
        .provider
        .history()
        .shown
        .difference(&distinct)
        .copied()
        .collect();
    assert_eq!(shown, [], "messages shown once and not archived");
    // Messages at the retention edge cannot be demanded.
    let now = run.provider.clock.now();
    let edge = retention.map_or(0, |retention| now.minus(retention).0 + 310_000);
    let suspects = run.suspects().await;
    if suspects == 0 {
        let truth: Vec<_> = run.provider.shown_to_any(edge, now.minus(SETTLE * 9).0);
        let missing: Vec<_> = truth
            .into_iter()
            .filter(|one| !distinct.contains(one))
            .collect();
        assert_eq!(
            missing,
            [],
            "messages of the provider that are not archived"
        );
    } else {
        assert!(
            retention.is_some(),
            "no fetchable window stays suspect: {suspects}"
        );
    }
    // The result is remembered: an unchanged history costs one count.
    let (requests, readings) = (
        run.provider.requests_sent(),
        run.provider.history().fetched_windows.len(),
    );
    run.run_pass(Purpose::Reconcile).await;
    assert_eq!(
        run.provider.history().fetched_windows.len(),
        readings,
        "no window is fetched twice for the same reason"
    );
    let streams = run.provider.streams().len() as u64;
    assert!(
        run.provider.requests_sent() - requests <= 2 + streams,
        "{} requests",
        run.provider.requests_sent() - requests
    );
}

/// The number of cases: `PROPTEST_CASES`, or 100.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(100)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_history_changes_lose_and_duplicate_nothing(
        shifts in prop::sample::select(vec![(0, 0), (0, 1), (1, 1), (0, 1000), (1000, 0), (1000, 1000)]),
        retention in prop::option::of((2u64..12).prop_map(Duration::from_hours)),
        events in events(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let run = ModelRun::with_provider(channel(shifts, retention)).await;
            whatever_happens(run, retention, events).await;
        });
    }

    #[test]
    fn overlapping_streams_lose_nothing_and_every_row_stays_true(
        shifts in prop::sample::select(vec![(0, 0), (0, 1000), (1000, 0)]),
        retention in prop::option::weighted(0.2, (2u64..12).prop_map(Duration::from_hours)),
        events in events(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let provider = channel(shifts, retention).with_participants();
            whatever_happens(ModelRun::with_provider(provider).await, retention, events).await;
        });
    }
}

proptest! {
    // Each case makes a database of its own.
    #![proptest_config(ProptestConfig { cases: cases().div_ceil(8), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn overlapping_streams_lose_nothing_in_postgres(events in events()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let provider = channel((0, 0), None).with_participants();
            whatever_happens(ModelRun::in_postgres(provider).await, None, events).await;
        });
    }
}

/// A channel with a message every 86 ms for a day. For rows without a straggler the archive holds
/// only the ledger: they are counted, and never fetched.
#[tokio::test]
async fn reconciling_a_million_messages_takes_few_requests() {
    const ROWS: i64 = 1000;
    const ROW_S: u64 = 86;
    let mut run = ModelRun::with_provider(FakeProvider::new(
        NOW,
        SETTLE,
        Some(Duration::from_hours(72)),
    ))
    .await;
    run.run_pass(SYNC).await;
    let begin = NOW.second().plus(-26 * 3600);
    let message = |n: i64| (begin.start().0 + n * 86, n as u64);
    let row = |n: i64| Window::with_length(begin.plus(n * ROW_S as i64), ROW_S);
    let mut ledger = run.store.ledgers().await.unwrap().remove(0);
    let empty = ledger.streams[0].windows.remove(0);
    let counted = |n| LedgerRow {
        window: row(n),
        messages: 1000,
        provider_count: Some(1000),
        digest: None,
        ..empty.clone()
    };
    ledger.streams[0].windows.extend((0..ROWS).map(counted));
    run.store.restore_ledger(&ledger).await.unwrap();
    run.provider
        .history()
        .messages
        .extend((0..ROWS * 1000).map(message));
    for late in [70_400, 130_001, 799_999] {
        run.store_unsealed(row(late / 1000)).await;
        run.provider
            .history()
            .messages
            .insert((message(late).0 + 41, 10_000_000 + late as u64));
    }

    let before = run.provider.requests_sent();
    let report = run.run_pass(Purpose::Reconcile).await;
    assert_eq!((report.tally.new, report.failure.is_none()), (3, true));
    let requests = run.provider.requests_sent() - before;
    assert!(requests <= 60, "{requests} requests");
    let recorded = run
        .query_texts("SELECT requests || ' ' || new FROM runs WHERE why = 'reconcile'")
        .await;
    assert_eq!(recorded, [format!("{requests} 3")]);
    assert_eq!(run.archived_messages().await.len(), 3003);
}

#[tokio::test]
async fn repeated_stragglers_increase_the_settle_age() {
    let mut run = ModelRun::with_provider(FakeProvider::new(NOW, SETTLE, None)).await;
    let mut number = 0;
    for (ago, known) in [(130, None), (3000, None), (300, None), (200, Some(240))] {
        run.provider.clock.advance(Duration::from_hours(2));
        run.run_pass(SYNC).await;
        number += 1;
        let at = run.provider.clock.now().0 - ago * 1000;
        run.provider.history().messages.insert((at, number));
        assert_eq!(run.run_pass(Purpose::Reconcile).await.tally.new, 1, "{ago}");
        let settle = run.store.status().await.unwrap()[0].settle_override;
        assert_eq!(
            settle.map(|settle| settle.as_secs()),
            known,
            "the message that came an hour late does not count"
        );
    }
    run.provider.clock.advance(Duration::from_hours(2));
    run.run_pass(SYNC).await;
    let sealed_to: Millis = run.query_texts("SELECT max(to_at) FROM coverage").await[0]
        .parse()
        .unwrap();
    assert_eq!(
        sealed_to.second(),
        run.provider.clock.now().second().plus(-240)
    );
    assert!(
        run.run_pass(SYNC).await.is_complete(),
        "unsettled history is not missing"
    );
}

#[tokio::test]
async fn ledger_row_with_many_late_messages_is_split() {
    let mut run = ModelRun::with_provider(FakeProvider::new(NOW, SETTLE, None)).await;
    run.provider
        .history()
        .messages
        .insert((NOW.0 - 9_000_000, 0));
    run.run_pass(SYNC).await;
    run.provider.history().fetched_windows.clear();
    run.provider
        .history()
        .messages
        .extend((1..9000).map(|n| (NOW.0 - 9_000_000 + n as i64 * 500, n)));
    let report = run.run_pass(Purpose::Reconcile).await;
    assert_eq!((report.tally.new, report.is_complete()), (8999, true));
    let readings = std::mem::take(&mut run.provider.history().fetched_windows);
    let size = |window: &Window| run.provider.window(*window).len();
    let longest = readings.iter().map(size).max().unwrap();
    assert!(longest <= 4000, "{longest} messages in one fetch");
    run.assert_ledger_agrees().await;
}

#[tokio::test]
async fn lasting_suspect_window_is_refetched_less_and_less_often() {
    let mut run = ModelRun::with_provider(FakeProvider::new(NOW, SETTLE, None)).await;
    run.provider
        .history()
        .messages
        .insert((NOW.0 - 9_000_000, 0));
    run.provider.history().incomplete_reads = u32::MAX;
    run.run_pass(SYNC).await;
    let before = run.provider.history().fetched_windows.len();
    for _ in 0..24 * 14 {
        run.provider.clock.advance(Duration::from_hours(1));
        run.run_pass(Purpose::Reconcile).await;
    }
    let readings = run.provider.history().fetched_windows.len() - before;
    assert!(
        (5..=12).contains(&readings),
        "{readings} fetches in two weeks of hourly passes"
    );
    run.provider.history().incomplete_reads = 0;
    run.provider.history().calls_before_failures.clear();
    run.provider.clock.advance(Duration::from_hours(24 * 30));
    run.run_pass(Purpose::Reconcile).await;
    assert_eq!(
        run.query_texts("SELECT DISTINCT state FROM coverage").await,
        ["sealed"]
    );
}

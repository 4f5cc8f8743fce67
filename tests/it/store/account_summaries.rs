//! Account summaries equal the sum of the stream statuses, for random ledgers.

use std::time::Duration;

use backscroll::domain::frontier::Frontier;
use backscroll::domain::time::Second;
use backscroll::domain::window::Window;
use backscroll::store::{
    AccountLedger, AccountSummary, ErrorSubject, LedgerRow, Pause, RecordedError, StreamLedger,
    StreamStatus,
};

use crate::support::store_fixture::{NOW, StoreFixture, scope};

on_every_database! {
    account_summaries_equal_the_sum_of_stream_statuses,
    account_summaries_include_failures_suspects_and_pauses,
    new_account_has_a_summary,
}

/// The number of random ledgers.
const LEDGERS: u64 = 40;
const STREAMS: usize = 6;

fn sealed(from: i64, to: i64, doubt: bool, messages: u64) -> LedgerRow {
    LedgerRow {
        window: Window::new(Second(from), Second(to)).unwrap(),
        messages,
        digest: None,
        provider_count: None,
        not_shown: 0,
        doubt: doubt.then(|| "why".to_owned()),
        doubted_at: doubt.then_some(NOW),
        sealed_at: NOW,
    }
}

/// Returns a stream with consecutive rows up to the settled time, some with holes between them.
fn stream(random: &mut fastrand::Rng, number: usize, settled: i64) -> StreamLedger {
    let mut windows = Vec::new();
    let mut at = random.i64(0..settled + 20);
    while random.u8(..10) > 0 {
        let to = at + random.i64(1..200);
        if to > settled {
            break;
        }
        windows.push(sealed(at, to, random.u8(..5) == 0, random.u64(..1000)));
        at = to + if random.bool() { 0 } else { random.i64(1..100) };
    }
    let key = format!("destination=room-{number}");
    let (scope, wanted_from) = (Some(scope(&key)), Second(random.i64(0..settled + 20)));
    let (active, discovered) = (random.u8(..5) > 0, false);
    StreamLedger {
        key,
        scope,
        wanted_from,
        followed_at: wanted_from,
        active,
        discovered,
        arrival_mark: None,
        windows,
        quarantine: vec![],
    }
}

fn ledger(random: &mut fastrand::Rng, account: &str) -> AccountLedger {
    let settled = random.i64(1..1000);
    let horizon = random.bool().then(|| Second(random.i64(0..settled + 50)));
    AccountLedger {
        account: account.to_owned(),
        provider: "agora".to_owned(),
        identity: None,
        frontier: Frontier {
            horizon,
            settled_to: Second(settled),
            wanted_to: Second(settled + 120),
            retention: horizon.map(|_| Duration::from_hours(1)),
        },
        streams: (0..STREAMS)
            .map(|number| stream(random, number, settled))
            .collect(),
    }
}

/// Returns the summary computed from the statuses of the active streams.
fn expected(ledger: &AccountLedger, streams: &[&StreamStatus]) -> AccountSummary {
    let sum = |of: fn(&StreamStatus) -> u64| streams.iter().map(|stream| of(stream)).sum();
    // A stream without sealed rows is complete up to its start.
    let complete_to =
        |s: &&StreamStatus| s.missing.first().map(|range| range.from()).or(s.watermark);
    let forgets = ledger.frontier.retention.is_some();
    AccountSummary {
        account: ledger.account.clone(),
        provider: ledger.provider.clone(),
        streams: streams.len() as u64,
        failing_streams: 0,
        frontier: ledger.frontier,
        pause: None,
        complete_to: streams.iter().filter_map(complete_to).min(),
        missing: vec![],
        lost_seconds: sum(|s| s.lost_seconds),
        suspect_rows: sum(|s| s.suspect_rows),
        expired_suspect_rows: sum(|s| s.expired_suspect_rows),
        quarantined: sum(|s| s.quarantined),
        recent_messages: if forgets {
            sum(|s| s.recent_messages)
        } else {
            0
        },
        recent_seconds: if forgets {
            sum(|s| s.recent_seconds)
        } else {
            0
        },
    }
}

async fn account_summaries_equal_the_sum_of_stream_statuses(fixture: StoreFixture) {
    let mut held = 0;
    for seed in 0..LEDGERS {
        let mut random = fastrand::Rng::with_seed(seed);
        let ledgers =
            ["one", "two"].map(|account| ledger(&mut random, &format!("{account}-{seed:02}")));
        for ledger in &ledgers {
            fixture.store.restore_ledger(ledger).await.unwrap();
        }
        let (status, figures) = (
            fixture.store.status().await.unwrap(),
            fixture.store.account_summaries().await.unwrap(),
        );
        for ledger in &ledgers {
            let streams: Vec<_> = status
                .iter()
                .filter(|stream| stream.account == ledger.account)
                .collect();
            let found = figures
                .iter()
                .find(|figures| figures.account == ledger.account)
                .unwrap();
            let expected = expected(ledger, &streams);
            // A row after a hole can put the watermark beyond the settled time; a real ledger has
            // no such row.
            let (mut ranges, mut wanted): (Vec<Window>, Vec<Window>) = (
                found.missing.iter().map(|(_, range)| *range).collect(),
                streams.iter().flat_map(|s| s.missing.clone()).collect(),
            );
            ranges.sort_by_key(|range| (range.from(), range.to()));
            wanted.sort_by_key(|range| (range.from(), range.to()));
            assert_eq!(ranges, wanted, "seed {seed}, {ledger:#?}");
            held += ranges.len();
            let complete_to = if wanted.is_empty() {
                found.complete_to
            } else {
                expected.complete_to
            };
            let expected = AccountSummary {
                missing: found.missing.clone(),
                complete_to,
                ..expected
            };
            assert_eq!(*found, expected, "seed {seed}, {ledger:#?}");
        }
    }
    assert!(held > 100, "{held} ranges are missing");
}

async fn account_summaries_include_failures_suspects_and_pauses(fixture: StoreFixture) {
    fixture.assert_frontier(Some(0), 900, 1000).await;
    let doubtful = backscroll::store::Seal {
        doubt: Some("why".into()),
        ..crate::support::store_fixture::seal(crate::support::store_fixture::window(0, 500), None)
    };
    fixture
        .commit(&[backscroll::store::Commit {
            seal: Some(doubtful),
            ..fixture.commit_of(0, 500, vec![])
        }])
        .await;
    let trouble = RecordedError {
        error: "reset".to_owned(),
        hint: "wait".to_owned(),
    };
    fixture
        .store
        .record_error(
            ErrorSubject::Stream {
                id: fixture.streams[1],
                now: NOW,
            },
            Some(&trouble),
        )
        .await
        .unwrap();
    let pause = Pause {
        until: NOW,
        reason: "told to".to_owned(),
        refused_credentials: None,
    };
    fixture
        .store
        .pause(fixture.account, Some(&pause))
        .await
        .unwrap();
    let found = fixture.store.account_summaries().await.unwrap().remove(0);
    assert_eq!(
        (
            found.streams,
            found.failing_streams,
            found.suspect_rows,
            found.pause.clone()
        ),
        (2, 1, 1, Some(pause))
    );
    assert_eq!(
        found.missing,
        [
            (
                fixture.streams[1],
                crate::support::store_fixture::window(0, 900)
            ),
            (
                fixture.streams[0],
                crate::support::store_fixture::window(500, 900)
            )
        ]
    );
    assert_eq!(
        (found.missing_seconds(), found.complete_to),
        (1300, Some(Second(0)))
    );
    // The account's watermark is that of its least complete stream.
    fixture.commit(&[fixture.commit_of(500, 910, vec![])]).await;
    fixture
        .commit(&[backscroll::store::Commit {
            stream: fixture.streams[1],
            ..fixture.commit_of(0, 905, vec![])
        }])
        .await;
    let found = fixture.store.account_summaries().await.unwrap().remove(0);
    assert_eq!(
        (found.missing_seconds(), found.complete_to),
        (0, Some(Second(905)))
    );
}

async fn new_account_has_a_summary(fixture: StoreFixture) {
    let found = fixture.store.account_summaries().await.unwrap();
    assert_eq!(
        (
            found.len(),
            found[0].streams,
            found[0].missing_seconds(),
            found[0].complete_to
        ),
        (1, 2, 0, None)
    );
    assert_eq!(
        (found[0].lost_seconds, found[0].frontier.wanted_to),
        (0, Second(0))
    );
}

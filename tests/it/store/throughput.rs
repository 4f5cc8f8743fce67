//! Statuses, ledger days and throughput, for random ledgers.

use std::time::Duration;

use backscroll::domain::time::{Millis, Second};
use backscroll::domain::window::{Runs, Window};
use backscroll::store::{LedgerDay, LedgerRow, RunTotals, ThroughputBucket};

use crate::support::store_fixture::{NOW, StoreFixture, window};

on_every_database! {
    status_equals_the_ledger_row_by_row,
    ledger_days_sum_the_rows_within_them,
    passes_are_listed_newest_first_and_summed_by_bucket,
}

const DAY: i64 = 86_400;

fn row(window: Window, messages: u64, doubt: bool) -> LedgerRow {
    LedgerRow {
        window,
        messages,
        digest: None,
        provider_count: None,
        not_shown: 0,
        doubt: doubt.then(|| "why".to_owned()),
        doubted_at: None,
        sealed_at: NOW,
    }
}

async fn status_equals_the_ledger_row_by_row(fixture: StoreFixture) {
    let mut random = fastrand::Rng::with_seed(6);
    let mut horizon = None;
    for round in 0..60 {
        let settled = 1000 + round;
        // The frontier never moves back.
        horizon = if round < 20 {
            None
        } else {
            horizon.max(Some(random.i64(0..900)))
        };
        let wanted_from = random.i64(0..600);
        let mut rows = Vec::new();
        let mut from = random.i64(0..200);
        while from < settled {
            let to = (from + random.i64(1..150)).min(settled);
            rows.push(row(
                window(from, to),
                random.u64(0..50),
                random.u8(0..5) == 0,
            ));
            from = if random.bool() {
                to
            } else {
                to + random.i64(1..120)
            };
        }
        fixture
            .restore_ledger(wanted_from, horizon, settled, rows.clone())
            .await;

        let runs: Runs = rows.iter().map(|row| row.window).collect();
        let edge = horizon.unwrap_or(i64::MIN);
        let start = Second(wanted_from.max(edge));
        let recent: Vec<&LedgerRow> = rows.iter().filter(|row| row.window.to().0 > edge).collect();
        let missing = Window::new(start, Second(settled))
            .map(|wanted| runs.gaps_in(wanted))
            .unwrap_or_default();
        // What had expired before the first fetch is not lost.
        let first = wanted_from.max(rows[0].window.from().0);
        let forgotten = Window::new(Second(first), Second(edge)).map(|wanted| runs.gaps_in(wanted));
        let seconds = |ranges: &[Window]| ranges.iter().map(|range| range.seconds()).sum::<u64>();

        let status = fixture.store.status().await.unwrap();
        let status = status
            .iter()
            .find(|status| status.stream == "destination=lobby")
            .unwrap();
        assert_eq!(status.id, Some(fixture.streams[0]));
        assert_eq!(
            status.sealed,
            recent.iter().map(|row| row.window).collect(),
            "{round}: {rows:?}"
        );
        assert_eq!(
            status.messages,
            rows.iter().map(|row| row.messages).sum::<u64>()
        );
        assert_eq!(
            status.recent_messages,
            recent.iter().map(|row| row.messages).sum::<u64>()
        );
        assert_eq!(
            status.recent_seconds,
            recent.iter().map(|row| row.window.seconds()).sum::<u64>()
        );
        assert_eq!(
            status.suspect_rows,
            rows.iter().filter(|row| row.doubt.is_some()).count() as u64
        );
        assert_eq!(
            status.watermark,
            Some(runs.watermark(start)).filter(|mark| *mark > start)
        );
        assert_eq!(
            (status.missing_seconds, &status.missing),
            (seconds(&missing), &missing)
        );
        assert_eq!(
            status.lost_seconds,
            seconds(&forgotten.unwrap_or_default()),
            "{round}: {rows:?}"
        );
        assert_eq!(
            fixture
                .store
                .sealed_runs_of(fixture.streams[0])
                .await
                .unwrap(),
            runs
        );
    }
}

async fn ledger_days_sum_the_rows_within_them(fixture: StoreFixture) {
    let days = async |from, to| {
        fixture
            .store
            .ledger_days(fixture.streams[0], window(from, to))
            .await
            .unwrap()
    };
    assert_eq!(days(0, 10 * DAY).await, []);
    let rows = vec![
        row(window(DAY + 10, DAY + 20), 3, false),
        row(window(DAY + 20, DAY + 50), 4, true),
        row(window(DAY + 60, 2 * DAY), 5, false),
        // The window spans two midnights.
        row(window(2 * DAY + 5, 4 * DAY + 1), 6, false),
        row(window(4 * DAY + 1, 4 * DAY + 3), 7, false),
    ];
    fixture.restore_ledger(0, None, 9 * DAY, rows).await;
    let stretch = |from, to, seconds: i64, messages, is_suspect| LedgerDay {
        window: window(from, to),
        seconds: seconds.unsigned_abs(),
        messages,
        is_suspect,
    };
    let all = [
        stretch(DAY + 10, 2 * DAY, DAY - 50, 8, false),
        stretch(DAY + 20, DAY + 50, 30, 4, true),
        stretch(2 * DAY + 5, 4 * DAY + 1, 2 * DAY - 4, 6, false),
        stretch(4 * DAY + 1, 4 * DAY + 3, 2, 7, false),
    ];
    assert_eq!(days(0, 10 * DAY).await, all);
    assert_eq!(days(3 * DAY, 3 * DAY + 1).await, all[2..3]);
    assert_eq!(days(5 * DAY, 10 * DAY).await, []);
}

async fn passes_are_listed_newest_first_and_summed_by_bucket(fixture: StoreFixture) {
    for (begun, requests, lag) in [
        (1_000, 7, Some(125)),
        (59_999, 1, Some(300)),
        (60_000, 2, None),
    ] {
        let run = fixture
            .store
            .begin_run(fixture.account, "sync", Millis(begun))
            .await
            .unwrap();
        let tally = RunTotals {
            requests,
            new: 10 * requests,
            lag_seconds: lag,
            ..RunTotals::default()
        };
        let tally = RunTotals {
            last_error: Some("oh".into()),
            errors: 1,
            ..tally
        };
        fixture
            .store
            .end_run(run, &tally, Millis(begun + 500))
            .await
            .unwrap();
    }
    fixture
        .store
        .begin_run(fixture.account, "reconcile", Millis(61_000))
        .await
        .unwrap();
    let passes = fixture.store.recent_passes(3).await.unwrap();
    let said = passes.iter().map(|pass| {
        (
            pass.why.as_str(),
            pass.started_at.0,
            pass.finished_at.map(|at| at.0),
        )
    });
    let expected = [
        ("reconcile", 61_000, None),
        ("sync", 60_000, Some(60_500)),
        ("sync", 59_999, Some(60_499)),
    ];
    assert_eq!(said.collect::<Vec<_>>(), expected);
    let tally = &passes[2].totals;
    assert_eq!(
        (tally.requests, tally.new, tally.errors, tally.lag_seconds),
        (1, 10, 1, Some(300))
    );
    assert_eq!(
        (passes[2].account.as_str(), tally.last_error.as_deref()),
        ("shop", Some("oh"))
    );

    let pulse = |from, requests, errors, lag_seconds| ThroughputBucket {
        account: "shop".to_owned(),
        from: Millis(from),
        requests,
        new: 10 * requests,
        errors,
        lag_seconds,
    };
    let minutes = async |since| {
        fixture
            .store
            .throughput(Millis(since), Duration::from_mins(1))
            .await
            .unwrap()
    };
    assert_eq!(
        minutes(0).await,
        [pulse(0, 8, 2, Some(300)), pulse(60_000, 2, 1, None)]
    );
    assert_eq!(minutes(60_000).await, [pulse(60_000, 2, 1, None)]);
}

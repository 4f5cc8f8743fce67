//! Coverage and gaps of hand-made ledgers.

use std::sync::Arc;

use backscroll::domain::stream::Stream;
use backscroll::domain::time::Second;
use backscroll::store::{Commit, ErrorSubject, NewAccount, RecordedError, Seal, WantedHistory};

use crate::support::store_fixture::{
    NOW, StoreFixture, message, register, scope, seal, texts, wanted_since, window,
};

on_every_database! {
    only_short_adjacent_windows_share_a_ledger_row,
    gaps_show_range_reason_and_loss,
    history_that_expired_before_the_first_fetch_is_not_lost,
    history_that_expired_before_a_late_first_fetch_is_lost,
    lost_range_leaves_later_ranges_complete,
    stream_without_sealed_windows_is_one_gap,
}

async fn only_short_adjacent_windows_share_a_ledger_row(fixture: StoreFixture) {
    let seal = |from: i64, to, messages: i64, provider_count, doubt: Option<&str>| {
        let messages = (0..messages)
            .map(|n| message(from * 1000 + n, "hi"))
            .collect();
        let seal = Seal {
            doubt: doubt.map(str::to_owned),
            ..seal(window(from, to), provider_count)
        };
        Commit {
            seal: Some(seal),
            ..fixture.commit_of(from, to, messages)
        }
    };
    fixture
        .commit(&[
            seal(0, 10, 400, Some(400), None),
            seal(10, 20, 600, Some(600), None), // joins: a thousand together
            seal(20, 30, 1, Some(1), None),     // one too many
            seal(30, 40, 0, None, None),        // not counted
            seal(40, 50, 0, None, Some("why")), // in doubt
            seal(50, 60, 0, None, None),        // after one in doubt
            seal(70, 80, 0, None, None),        // not a neighbour
        ])
        .await;
    let rows = fixture
        .query_texts("SELECT from_s, to_s, messages FROM sealed_window ORDER BY from_s")
        .await;
    let ends: Vec<_> = rows.iter().map(|row| row.join(" ")).collect();
    assert_eq!(
        ends,
        [
            "0 20 1000",
            "20 30 1",
            "30 40 0",
            "40 50 0",
            "50 60 0",
            "70 80 0"
        ]
    );
    let coverage = "SELECT from_at, to_at, messages, provider_count, state, reason, windows FROM coverage ORDER BY 1";
    let rows: Vec<_> = fixture
        .query_texts(coverage)
        .await
        .iter()
        .map(|row| row.join(" "))
        .collect();
    let expected = [
        "0 40000 1001  sealed  3",
        "40000 50000 0  suspect why 1",
        "50000 60000 0  sealed  1",
        "70000 80000 0  sealed  1",
    ];
    assert_eq!(rows, expected);
    assert_eq!(
        fixture.store.sealed_runs(fixture.account).await.unwrap()[&fixture.streams[0]]
            .iter()
            .collect::<Vec<_>>(),
        [window(0, 60), window(70, 80)]
    );
}

async fn gaps_show_range_reason_and_loss(fixture: StoreFixture) {
    register(&*fixture.store, &["destination=lobby"], Some(100), None).await;
    fixture.assert_frontier(Some(250), 900, 1000).await;
    for (from, to) in [(150, 200), (300, 400), (600, 900)] {
        fixture.commit(&[fixture.commit_of(from, to, vec![])]).await;
    }
    let trouble = RecordedError {
        error: "refused".into(),
        hint: "ask".into(),
    };
    fixture
        .store
        .record_error(
            ErrorSubject::Stream {
                id: fixture.streams[0],
                now: NOW,
            },
            Some(&trouble),
        )
        .await
        .unwrap();
    let gaps = "SELECT from_at, to_at, reason, CASE WHEN lost THEN 1 ELSE 0 END, expires_at
                FROM gaps ORDER BY 1";
    let lost = "behind the provider's retention edge before it was fetched";
    assert_eq!(
        fixture.query_texts(gaps).await,
        [
            texts(["200000", "250000", lost, "1", "950000"]),
            texts(["250000", "300000", "refused", "0", "1000000"]),
            texts(["400000", "600000", "refused", "0", "1150000"]),
            texts([
                "900000",
                "1000000",
                "fetched, but too young to be final",
                "0",
                "1650000"
            ]),
        ]
    );
    let status = fixture.store.status().await.unwrap().remove(0);
    assert_eq!(
        (
            status.missing_seconds,
            status.lost_seconds,
            status.watermark
        ),
        (250, 50, None)
    );
    // History that had expired before the first fetch was never there to be lost.
    assert_eq!(status.wanted_from, Second(150));
    assert_eq!(status.missing, [window(250, 300), window(400, 600)]);
    assert_eq!(status.error, Some(trouble));
    // Nothing expires if the provider has no known retention.
    fixture.assert_frontier(None, 900, 1000).await;
    assert_eq!(
        fixture
            .query_texts("SELECT DISTINCT coalesce(CAST(expires_at AS TEXT), 'never') FROM gaps")
            .await,
        [["never"]]
    );

    fixture
        .store
        .record_error(
            ErrorSubject::Stream {
                id: fixture.streams[0],
                now: NOW,
            },
            None,
        )
        .await
        .unwrap();
    let reasons = fixture
        .query_texts("SELECT DISTINCT reason FROM gaps WHERE reason LIKE 'not%'")
        .await;
    assert_eq!(reasons, [texts(["not fetched yet"])]);
}

async fn lost_range_leaves_later_ranges_complete(fixture: StoreFixture) {
    register(&*fixture.store, &["destination=lobby"], Some(100), None).await;
    fixture.assert_frontier(Some(250), 900, 1000).await;
    fixture.commit(&[fixture.commit_of(250, 900, vec![])]).await;
    let state = async || {
        let status = fixture.store.status().await.unwrap().remove(0);
        let summary = fixture.store.account_summaries().await.unwrap().remove(0);
        let lost = "SELECT count(*) FROM gaps WHERE lost";
        let gaps = fixture.query_texts(lost).await.remove(0).remove(0);
        assert_eq!(status.lost_seconds, summary.lost_seconds);
        (
            status.watermark,
            status.missing_seconds,
            status.lost_seconds,
            gaps,
        )
    };
    let complete = Some(Second(900));
    assert_eq!(
        state().await,
        (complete, 0, 0, "0".to_owned()),
        "the first fetch"
    );
    // Something older had been fetched: what lies between has expired since.
    fixture.commit(&[fixture.commit_of(120, 150, vec![])]).await;
    assert_eq!(state().await, (complete, 0, 100, "1".to_owned()));
}

/// A stream that nothing was ever fetched of has lost nothing, however long ago it is wanted from.
async fn history_that_expired_before_the_first_fetch_is_not_lost(fixture: StoreFixture) {
    register(&*fixture.store, &["destination=lobby"], Some(0), None).await;
    fixture.assert_frontier(Some(800), 900, 1000).await;
    let status = fixture.store.status().await.unwrap().remove(0);
    assert_eq!((status.wanted_from, status.lost_seconds), (Second(800), 0));
    assert_eq!(status.missing, [window(800, 900)]);
    let summary = fixture.store.account_summaries().await.unwrap().remove(0);
    assert_eq!((summary.lost_seconds, summary.missing_seconds()), (0, 100));
    let gaps = "SELECT from_at, CASE WHEN lost THEN 1 ELSE 0 END FROM gaps ORDER BY 1";
    assert_eq!(fixture.query_texts(gaps).await, [texts(["800000", "0"])]);
}

/// A stream that was followed long ago and could not be fetched since has lost what expired.
async fn history_that_expired_before_a_late_first_fetch_is_lost(fixture: StoreFixture) {
    let stream = Arc::new(Stream {
        key: "destination=lobby".to_owned(),
        scope: scope("destination=lobby"),
        discovered: false,
    });
    // The retention is 200 s, so that at -3000 it could have been fetched from -3200 on, and what
    // expired within an hour is left out.
    let wanted = WantedHistory {
        now: Second(-3000),
        ..wanted_since(0)
    };
    let account = NewAccount {
        streams: Some((&[stream], wanted)),
        ..NewAccount::named("shop", "agora")
    };
    fixture.store.register(&account).await.unwrap();
    fixture.assert_frontier(Some(800), 900, 1000).await;
    let state = async || {
        let status = fixture.store.status().await.unwrap().remove(0);
        let summary = fixture.store.account_summaries().await.unwrap().remove(0);
        assert_eq!(status.lost_seconds, summary.lost_seconds);
        let lost = "SELECT from_at, to_at FROM gaps WHERE lost";
        let gaps = fixture.query_texts(lost).await;
        (status.wanted_from.0, status.lost_seconds, gaps)
    };
    assert_eq!(state().await, (400, 400, vec![texts(["400000", "800000"])]));
    fixture.commit(&[fixture.commit_of(800, 900, vec![])]).await;
    assert_eq!(state().await, (400, 400, vec![texts(["400000", "800000"])]));
    // Had it been fetched in time, only the rest would be lost.
    fixture.commit(&[fixture.commit_of(300, 700, vec![])]).await;
    assert_eq!(state().await, (300, 100, vec![texts(["700000", "800000"])]));
}

async fn stream_without_sealed_windows_is_one_gap(fixture: StoreFixture) {
    register(&*fixture.store, &["destination=lobby"], Some(100), None).await;
    fixture.assert_frontier(None, 900, 1000).await;
    let gaps = fixture
        .query_texts("SELECT stream, from_at, to_at, CASE WHEN lost THEN 1 ELSE 0 END FROM gaps")
        .await;
    assert_eq!(
        gaps,
        [texts(["destination=lobby", "100000", "1000000", "0"])]
    );
}

//! Accounts, runs and pauses in the store.

use std::sync::Arc;
use std::time::Duration;

use backscroll::domain::stream::Stream;
use backscroll::domain::time::{Millis, Second};
use backscroll::store::{NewAccount, Pause, RequestRate, RunTotals, WantedHistory};

use crate::support::store_fixture::{NOW, StoreFixture, message, register, scope, window};

on_every_database! {
    frontier_is_that_of_the_latest_pass,
    runs_show_the_result_of_each_pass,
    request_rate_is_taken_from_longer_passes,
    message_density_counts_only_retained_history,
    archive_reports_its_size_on_disk,
    wanted_history_follows_the_configuration,
    changed_settle_age_replaces_the_learned_one,
    inactive_stream_keeps_messages_and_has_no_gaps,
    pause_persists_until_it_is_cleared,
}

async fn frontier_is_that_of_the_latest_pass(fixture: StoreFixture) {
    let recorded = "SELECT horizon_s, settled_s, wanted_to_s FROM account";
    for (horizon, settled, wanted_to) in [
        (Some(200), 900, 1000),
        (Some(100), 800, 900),
        (None, 850, 950),
        (Some(300), 980, 1000),
    ] {
        fixture.assert_frontier(horizon, settled, wanted_to).await;
        let horizon = horizon.map_or(String::new(), |horizon: i64| horizon.to_string());
        assert_eq!(
            fixture.query_texts(recorded).await,
            [[horizon, settled.to_string(), wanted_to.to_string()]]
        );
    }
}

async fn runs_show_the_result_of_each_pass(fixture: StoreFixture) {
    let first = fixture
        .store
        .begin_run(fixture.account, "sync", Millis(5_000))
        .await
        .unwrap();
    let tally = RunTotals {
        requests: 7,
        new: 5,
        changed: 1,
        windows: 2,
        errors: 1,
        ..RunTotals::default()
    };
    let tally = RunTotals {
        last_error: Some("oh".into()),
        lag_seconds: Some(125),
        ..tally
    };
    fixture
        .store
        .end_run(first, &tally, Millis(6_500))
        .await
        .unwrap();
    fixture
        .store
        .begin_run(fixture.account, "sync", Millis(9_000))
        .await
        .unwrap();
    let rows = fixture.query_texts("SELECT account, why, started_at, finished_at, requests, new, changed, windows, errors, last_error, lag_seconds FROM runs ORDER BY 3").await;
    assert_eq!(rows[0].join(" "), "shop sync 5000 6500 7 5 1 2 1 oh 125");
    assert_eq!(rows[1].join(" "), "shop sync 9000  0 0 0 0 0  ");
}

async fn request_rate_is_taken_from_longer_passes(fixture: StoreFixture) {
    let paces = async |since| {
        fixture
            .store
            .request_rates(Millis(since), Duration::from_secs(10))
            .await
            .unwrap()
    };
    let run = async |begun: i64, took: i64, requests| {
        let run = fixture
            .store
            .begin_run(fixture.account, "sync", Millis(begun))
            .await
            .unwrap();
        let tally = RunTotals {
            requests,
            ..RunTotals::default()
        };
        fixture
            .store
            .end_run(run, &tally, Millis(begun + took))
            .await
            .unwrap();
    };
    let none = RequestRate {
        account: "shop".into(),
        requests: 0,
        busy: Duration::ZERO,
        last_pass: None,
    };
    assert_eq!(paces(0).await, std::slice::from_ref(&none));
    assert_eq!(none.per_second(), None);
    run(1_000, 20_000, 999).await;
    run(50_000, 10_000, 80).await;
    run(70_000, 30_000, 240).await;
    run(200_000, 9_999, 1).await;
    fixture
        .store
        .begin_run(fixture.account, "sync", Millis(300_000))
        .await
        .unwrap();
    let found = paces(40_000).await.remove(0);
    let last_pass = Some(Millis(300_000));
    assert_eq!(
        found,
        RequestRate {
            requests: 320,
            busy: Duration::from_secs(40),
            last_pass,
            ..none
        }
    );
    assert_eq!(found.per_second(), Some(8.0));
}

async fn message_density_counts_only_retained_history(fixture: StoreFixture) {
    register(&*fixture.store, &["destination=lobby"], Some(0), None).await;
    fixture
        .commit(&[fixture.commit_of(
            0,
            100,
            (0..90).map(|n| message(n * 1000, &n.to_string())).collect(),
        )])
        .await;
    fixture
        .commit(&[fixture.commit_of(200, 250, vec![message(210_000, "a")])])
        .await;
    fixture
        .commit(&[fixture.commit_of(300, 400, vec![message(310_000, "b"), message(320_000, "c")])])
        .await;
    fixture.assert_frontier(Some(240), 900, 1000).await;
    let status = fixture.store.status().await.unwrap().remove(0);
    assert_eq!(
        (
            status.messages,
            status.recent_messages,
            status.recent_seconds
        ),
        (93, 3, 150)
    );
    assert_eq!(
        (status.wanted_from, status.frontier.retention),
        (Second(0), Some(Duration::from_secs(760)))
    );
    assert_eq!(
        status.sealed.iter().collect::<Vec<_>>(),
        [window(200, 250), window(300, 400)]
    );
    assert_eq!((status.missing_seconds, status.lost_seconds), (550, 100));
}

async fn archive_reports_its_size_on_disk(fixture: StoreFixture) {
    let before = fixture.store.size_bytes().await.unwrap();
    let messages = (0..2000)
        .map(|n| message(n * 10, &"long".repeat(100)))
        .collect();
    fixture.commit(&[fixture.commit_of(0, 100, messages)]).await;
    let taken = fixture.store.size_bytes().await.unwrap() - before;
    assert!((800_000..2_000_000).contains(&taken), "{taken}");
}

async fn wanted_history_follows_the_configuration(fixture: StoreFixture) {
    let streams = [Arc::new(Stream {
        key: "source=carol".to_owned(),
        scope: scope("source=carol"),
        discovered: false,
    })];
    let from = async |now: i64, since: Option<i64>, reach_s: Option<u64>| {
        let wanted = WantedHistory {
            since: since.map(Second),
            reach: reach_s.map(Duration::from_secs),
            now: Second(now),
        };
        let account = NewAccount {
            streams: Some((&streams[..], wanted)),
            ..NewAccount::named("shop", "agora")
        };
        let registered = fixture.store.register(&account).await.unwrap();
        let start = registered.streams[0].1;
        let followed = fixture.store.status().await.unwrap();
        assert_eq!(followed[0].wanted_from, start);
        assert_eq!(wanted.start(Some(followed[0].followed_at)), start);
        start.0
    };
    let reach = Some(500);
    assert_eq!(
        from(1_000, None, reach).await,
        500,
        "as far back as it reaches"
    );
    assert_eq!(
        from(1_400, None, reach).await,
        500,
        "what expired since is missing"
    );
    assert_eq!(
        from(1_400, Some(700), reach).await,
        700,
        "`since` is configured"
    );
    assert_eq!(from(1_400, Some(200), reach).await, 200, "an earlier one");
    assert_eq!(from(1_400, None, reach).await, 500, "it is no longer");
    assert_eq!(
        from(1_400, None, Some(900)).await,
        100,
        "a longer retention"
    );
    assert_eq!(from(1_400, None, Some(300)).await, 700, "a shorter one");
    assert_eq!(from(1_400, None, None).await, 0, "no retention");
    assert_eq!(
        from(900, None, reach).await,
        400,
        "the clock had been ahead"
    );
    assert_eq!(from(1_400, None, reach).await, 400);
}

async fn changed_settle_age_replaces_the_learned_one(fixture: StoreFixture) {
    let learned = async |settle_s: u64| {
        let account = NewAccount {
            settle: Some(Duration::from_secs(settle_s)),
            ..NewAccount::named("shop", "agora")
        };
        let registered = fixture.store.register(&account).await.unwrap();
        registered.settle_override.map(|settle| settle.as_secs())
    };
    let learn = async |settle_s| {
        let settle = Duration::from_secs(settle_s);
        let store = &fixture.store;
        store
            .set_settle_override(fixture.account, settle)
            .await
            .unwrap();
        store.add_stragglers(fixture.account, 2).await.unwrap();
    };
    let stragglers = "SELECT straggler_count FROM account";
    assert_eq!(learned(120).await, None);
    learn(480).await;
    assert_eq!(learned(120).await, Some(480), "as before");
    assert_eq!(fixture.query_number(stragglers).await, 2);
    for settle_s in [60, 240] {
        assert_eq!(learned(settle_s).await, None, "another one is configured");
        assert_eq!(fixture.query_number(stragglers).await, 0);
        learn(480).await;
    }
    assert_eq!(learned(240).await, Some(480));
}

async fn inactive_stream_keeps_messages_and_has_no_gaps(fixture: StoreFixture) {
    fixture.assert_frontier(None, 900, 1000).await;
    fixture
        .commit(&[fixture.commit_of(0, 100, vec![message(10_000, "hi")])])
        .await;
    let known = register(&*fixture.store, &["source=alice"], None, None).await;
    assert_eq!(
        known.streams[0].0, fixture.streams[1],
        "a stream keeps its number"
    );
    let streams = |rows: Vec<Vec<String>>| rows.concat();
    assert_eq!(
        streams(
            fixture
                .query_texts("SELECT DISTINCT stream FROM gaps")
                .await
        ),
        ["source=alice"]
    );
    assert_eq!(
        streams(fixture.query_texts("SELECT stream FROM coverage").await),
        ["destination=lobby"]
    );
    assert_eq!(
        fixture.query_number("SELECT count(*) FROM archive").await,
        1
    );
    let status = fixture.store.status().await.unwrap();
    assert_eq!(
        status.iter().map(|s| s.stream.as_str()).collect::<Vec<_>>(),
        ["source=alice"]
    );
    assert!(
        fixture
            .store
            .sealed_runs(fixture.account)
            .await
            .unwrap()
            .is_empty()
    );
    register(&*fixture.store, &["destination=lobby"], None, None).await;
    assert_eq!(
        fixture
            .store
            .sealed_runs(fixture.account)
            .await
            .unwrap()
            .len(),
        1,
        "a stream followed again continues where it was"
    );
}

async fn pause_persists_until_it_is_cleared(fixture: StoreFixture) {
    let pause = Pause {
        until: Millis(NOW.0 + 900_000),
        reason: "refused".into(),
        refused_credentials: Some("0123".into()),
    };
    fixture
        .store
        .pause(fixture.account, Some(&pause))
        .await
        .unwrap();
    let known = async || {
        let account = NewAccount::named("shop", "agora");
        fixture.store.register(&account).await.unwrap()
    };
    assert_eq!(known().await.pause, Some(pause.clone()));
    assert!(
        fixture
            .store
            .status()
            .await
            .unwrap()
            .iter()
            .all(|stream| stream.pause.as_ref() == Some(&pause))
    );
    fixture.store.pause(fixture.account, None).await.unwrap();
    assert_eq!(known().await.pause, None);
    assert_eq!(
        fixture.store.status().await.unwrap().len(),
        2,
        "registering without streams leaves them unchanged"
    );
}

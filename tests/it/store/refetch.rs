//! What a store knows of what is looked at again: doubts, unread messages, quarantine, and how far to wait.

use std::time::Duration;

use backscroll::domain::message::{DeliveryStatus, Message, UnparsableMessage};
use backscroll::domain::time::Millis;
use backscroll::store::{Commit, HeldId, NewAccount, Seal, StreamId};

use crate::support::store_fixture::{
    NOW, StoreFixture, message, scope, seal, texts, window, with_status,
};

on_every_database! {
    suspect_keeps_its_age_and_clears_once_counts_match,
    message_times_belong_to_the_stream,
    partial_refetch_updates_the_row_count,
    unsealed_row_becomes_a_gap,
    ledger_row_spans_at_most_half_the_retention,
    unread_messages_are_grouped_by_minute_newest_first,
    stragglers_accumulate_until_the_settle_age_grows,
    requeue_releases_parsed_messages_and_updates_other_reasons,
}

async fn suspect_keeps_its_age_and_clears_once_counts_match(shelf: StoreFixture) {
    let reading = |doubt: Option<&str>, replaces| {
        let seal = Seal {
            doubt: doubt.map(str::to_owned),
            replaces,
            ..seal(window(0, 100), Some(1))
        };
        [Commit {
            seal: Some(seal),
            ..shelf.window(0, 100, vec![message(10_000, "hi")])
        }]
    };
    let doubts = async || {
        let rows = shelf.store.doubted_rows(shelf.account).await.unwrap();
        rows.into_iter()
            .map(|(id, row)| (id, row.doubted_at, row.sealed_at))
            .collect::<Vec<(StreamId, _, _)>>()
    };
    let at = |minutes: i64| Millis(NOW.0 + minutes * 60_000);
    shelf
        .store
        .commit(&reading(Some("why"), false), at(0))
        .await
        .unwrap();
    assert_eq!(doubts().await, [(shelf.streams[0], Some(at(0)), at(0))]);
    shelf
        .store
        .commit(&reading(Some("why still"), true), at(5))
        .await
        .unwrap();
    assert_eq!(doubts().await, [(shelf.streams[0], Some(at(0)), at(5))]);
    let reason = "SELECT coalesce(reason, 'none') FROM coverage";
    assert_eq!(shelf.ask(reason).await, [texts(["why still"])]);
    shelf
        .store
        .commit(&reading(None, true), at(9))
        .await
        .unwrap();
    assert_eq!(doubts().await, []);
    assert_eq!(shelf.ask(reason).await, [texts(["none"])]);
}

async fn message_times_belong_to_the_stream(shelf: StoreFixture) {
    let to_bob = Message {
        recipient: "bob".into(),
        ..message(15_000, "hi")
    };
    let ours = [
        message(10_000, "a"),
        message(10_000, "b"),
        message(20_999, "c"),
        message(21_000, "d"),
    ];
    shelf
        .commit(&[shelf.window(0, 100, [ours.to_vec(), vec![to_bob]].concat())])
        .await;
    for (key, expected) in [
        ("destination=lobby", vec![10_000, 10_000, 20_999]),
        ("source=alice", vec![10_000, 10_000, 15_000, 20_999]),
    ] {
        let (scope, from, to) = (scope(key), Millis(10_000), Millis(21_000));
        let times = shelf
            .store
            .message_times(shelf.account, &scope, from, to)
            .await
            .unwrap();
        assert_eq!(
            times.iter().map(|at| at.0).collect::<Vec<_>>(),
            expected,
            "{key}"
        );
        assert_eq!(
            shelf
                .store
                .count(shelf.account, &scope, from, to)
                .await
                .unwrap(),
            Some(expected.len() as u64)
        );
    }
}

async fn partial_refetch_updates_the_row_count(shelf: StoreFixture) {
    shelf
        .commit(&[shelf.window(0, 100, vec![message(10_000, "a"), message(60_000, "b")])])
        .await;
    let seal = Seal {
        replaces: true,
        ..seal(window(0, 100), Some(3))
    };
    let part = vec![message(60_000, "b"), message(61_000, "late")];
    shelf
        .commit(&[Commit {
            seal: Some(seal),
            ..shelf.window(50, 100, part)
        }])
        .await;
    assert_eq!(
        shelf
            .ask("SELECT messages, provider_count FROM coverage")
            .await,
        [texts(["3", "3"])]
    );
}

async fn unsealed_row_becomes_a_gap(shelf: StoreFixture) {
    shelf.assert_frontier(None, 900, 900).await;
    shelf
        .commit(&[shelf.window(0, 100, vec![message(10_000, "hi")])])
        .await;
    shelf
        .store
        .unseal(shelf.streams[0], window(0, 100))
        .await
        .unwrap();
    assert_eq!(shelf.number("SELECT count(*) FROM coverage").await, 0);
    assert_eq!(
        shelf.number("SELECT count(*) FROM archive").await,
        1,
        "what is archived stays"
    );
}

async fn ledger_row_spans_at_most_half_the_retention(shelf: StoreFixture) {
    const DAY: i64 = 86_400;
    let rows = async || shelf.number("SELECT count(*) FROM sealed_window").await;
    for day in 0..4 {
        shelf
            .commit(&[shelf.window(day * DAY, (day + 1) * DAY, vec![])])
            .await;
    }
    assert_eq!(rows().await, 1, "a provider that never forgets");
    shelf.assert_frontier(Some(0), 7 * DAY, 7 * DAY).await;
    for day in 4..9 {
        shelf
            .commit(&[shelf.window(day * DAY, (day + 1) * DAY, vec![])])
            .await;
    }
    assert_eq!(rows().await, 3, "four days, three and two");
}

async fn unread_messages_are_grouped_by_minute_newest_first(shelf: StoreFixture) {
    let said = |ms, status| Message {
        sent_at: Millis(ms),
        ..with_status(status, ms)
    };
    let messages = [
        said(10_000, DeliveryStatus::Read),
        said(11_000, DeliveryStatus::Delivered),
        said(130_000, DeliveryStatus::Received),
        said(133_000, DeliveryStatus::Delivered),
        message(134_000, "without a status"),
    ];
    shelf
        .commit(&[shelf.window(0, 200, messages.to_vec())])
        .await;
    let unread = async |since, limit| {
        let found = shelf
            .store
            .unread(shelf.account, Millis(since), limit)
            .await
            .unwrap();
        assert!(
            found
                .iter()
                .all(|one| (one.sender.as_str(), one.recipient.as_str()) == ("alice", "lobby"))
        );
        found
            .iter()
            .map(|one| (one.first.0, one.last.0))
            .collect::<Vec<_>>()
    };
    assert_eq!(unread(0, 9).await, [(130_000, 133_000), (11_000, 11_000)]);
    assert_eq!(unread(0, 1).await, [(130_000, 133_000)]);
    assert_eq!(unread(131_000, 9).await, [(133_000, 133_000)]);
    let other = NewAccount {
        name: "other",
        provider: "web3mq",
        streams: None,
        since: None,
        horizon: None,
    };
    let other = shelf.store.register(&other).await.unwrap().account;
    assert!(
        shelf
            .store
            .unread(other, Millis(0), 9)
            .await
            .unwrap()
            .is_empty(),
        "another account's"
    );
}

async fn stragglers_accumulate_until_the_settle_age_grows(shelf: StoreFixture) {
    let count = async |more| shelf.store.stragglers(shelf.account, more).await.unwrap();
    assert_eq!((count(2).await, count(3).await), (2, 5));
    let wider = Duration::from_mins(4);
    shelf.store.settle(shelf.account, wider).await.unwrap();
    assert_eq!(count(1).await, 1);
    assert!(
        shelf
            .store
            .status()
            .await
            .unwrap()
            .iter()
            .all(|stream| stream.settle == Some(wider))
    );
    let known =
        crate::support::store_fixture::register(&*shelf.store, &["destination=lobby"], None, None)
            .await;
    assert_eq!(
        known.settle,
        Some(wider),
        "and the next process hears of it"
    );
}

async fn requeue_releases_parsed_messages_and_updates_other_reasons(shelf: StoreFixture) {
    let raw = |raw: &str| UnparsableMessage {
        raw: raw.to_owned(),
        reason: "no `src`".to_owned(),
    };
    let unreadable = vec![raw("{1}"), raw("{2}"), raw("{3}")];
    shelf
        .commit(&[Commit {
            unreadable,
            ..shelf.window(0, 100, vec![])
        }])
        .await;
    let held = async |after, limit| {
        shelf
            .store
            .quarantined(shelf.account, after, limit)
            .await
            .unwrap()
    };
    let first = held(HeldId::default(), 2).await;
    let rest = held(first[1].id, 2).await;
    assert_eq!((first.len(), rest.len()), (2, 1));
    let mut raws: Vec<_> = first
        .iter()
        .chain(&rest)
        .map(|held| held.quarantined.raw.as_str())
        .collect();
    raws.sort_unstable();
    assert_eq!(raws, ["{1}", "{2}", "{3}"]);
    assert_eq!(
        (rest[0].stream, rest[0].key.as_str()),
        (shelf.streams[0], "destination=lobby")
    );
    shelf
        .store
        .reconsider(shelf.account, first[0].id, None)
        .await
        .unwrap();
    shelf
        .store
        .reconsider(shelf.account, first[1].id, Some("no `dst`"))
        .await
        .unwrap();
    let left = shelf.ask("SELECT reason FROM quarantine ORDER BY 1").await;
    assert_eq!(left, [texts(["no `dst`"]), texts(["no `src`"])]);
}

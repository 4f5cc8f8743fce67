//! Refetching in the store: suspect rows, unread messages, quarantine and stragglers.

use std::time::Duration;

use backscroll::domain::message::{DeliveryStatus, Message, UnparsableMessage};
use backscroll::domain::time::Millis;
use backscroll::store::{Commit, NewAccount, QuarantineId, Seal, StreamId};

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

async fn suspect_keeps_its_age_and_clears_once_counts_match(fixture: StoreFixture) {
    let reading = |doubt: Option<&str>, replaces| {
        let seal = Seal {
            doubt: doubt.map(str::to_owned),
            replaces,
            ..seal(window(0, 100), Some(1))
        };
        [Commit {
            seal: Some(seal),
            ..fixture.commit_of(0, 100, vec![message(10_000, "hi")])
        }]
    };
    let doubts = async || {
        let rows = fixture.store.doubted_rows(fixture.account).await.unwrap();
        rows.into_iter()
            .map(|(id, row)| (id, row.doubted_at, row.sealed_at))
            .collect::<Vec<(StreamId, _, _)>>()
    };
    let at = |minutes: i64| Millis(NOW.0 + minutes * 60_000);
    fixture
        .store
        .commit(&reading(Some("why"), false), at(0))
        .await
        .unwrap();
    assert_eq!(doubts().await, [(fixture.streams[0], Some(at(0)), at(0))]);
    fixture
        .store
        .commit(&reading(Some("why still"), true), at(5))
        .await
        .unwrap();
    assert_eq!(doubts().await, [(fixture.streams[0], Some(at(0)), at(5))]);
    let reason = "SELECT coalesce(reason, 'none') FROM coverage";
    assert_eq!(fixture.query_texts(reason).await, [texts(["why still"])]);
    fixture
        .store
        .commit(&reading(None, true), at(9))
        .await
        .unwrap();
    assert_eq!(doubts().await, []);
    assert_eq!(fixture.query_texts(reason).await, [texts(["none"])]);
}

async fn message_times_belong_to_the_stream(fixture: StoreFixture) {
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
    fixture
        .commit(&[fixture.commit_of(0, 100, [ours.to_vec(), vec![to_bob]].concat())])
        .await;
    for (key, expected) in [
        ("destination=lobby", vec![10_000, 10_000, 20_999]),
        ("source=alice", vec![10_000, 10_000, 15_000, 20_999]),
    ] {
        let (scope, from, to) = (scope(key), Millis(10_000), Millis(21_000));
        let times = fixture
            .store
            .message_times(fixture.account, &scope, from, to)
            .await
            .unwrap();
        assert_eq!(
            times.iter().map(|at| at.0).collect::<Vec<_>>(),
            expected,
            "{key}"
        );
        assert_eq!(
            fixture
                .store
                .count_messages(fixture.account, &scope, from, to)
                .await
                .unwrap(),
            expected.len() as u64
        );
    }
}

async fn partial_refetch_updates_the_row_count(fixture: StoreFixture) {
    fixture
        .commit(&[fixture.commit_of(0, 100, vec![message(10_000, "a"), message(60_000, "b")])])
        .await;
    let seal = Seal {
        replaces: true,
        ..seal(window(0, 100), Some(3))
    };
    let part = vec![message(60_000, "b"), message(61_000, "late")];
    fixture
        .commit(&[Commit {
            seal: Some(seal),
            ..fixture.commit_of(50, 100, part)
        }])
        .await;
    assert_eq!(
        fixture
            .query_texts("SELECT messages, provider_count FROM coverage")
            .await,
        [texts(["3", "3"])]
    );
}

async fn unsealed_row_becomes_a_gap(fixture: StoreFixture) {
    fixture.assert_frontier(None, 900, 900).await;
    fixture
        .commit(&[fixture.commit_of(0, 100, vec![message(10_000, "hi")])])
        .await;
    fixture
        .store
        .unseal(fixture.streams[0], window(0, 100))
        .await
        .unwrap();
    assert_eq!(
        fixture.query_number("SELECT count(*) FROM coverage").await,
        0
    );
    assert_eq!(
        fixture.query_number("SELECT count(*) FROM archive").await,
        1,
        "archived messages stay"
    );
}

async fn ledger_row_spans_at_most_half_the_retention(fixture: StoreFixture) {
    const DAY: i64 = 86_400;
    let rows = async || {
        fixture
            .query_number("SELECT count(*) FROM sealed_window")
            .await
    };
    for day in 0..4 {
        fixture
            .commit(&[fixture.commit_of(day * DAY, (day + 1) * DAY, vec![])])
            .await;
    }
    assert_eq!(rows().await, 1, "without a retention");
    fixture.assert_frontier(Some(0), 7 * DAY, 7 * DAY).await;
    for day in 4..9 {
        fixture
            .commit(&[fixture.commit_of(day * DAY, (day + 1) * DAY, vec![])])
            .await;
    }
    assert_eq!(rows().await, 3, "four days, three and two");
}

async fn unread_messages_are_grouped_by_minute_newest_first(fixture: StoreFixture) {
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
    fixture
        .commit(&[fixture.commit_of(0, 200, messages.to_vec())])
        .await;
    let unread = async |since, limit| {
        let found = fixture
            .store
            .unread_messages(fixture.account, Millis(since), limit)
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
    let other = NewAccount::named("other", "web3mq");
    let other = fixture.store.register(&other).await.unwrap().account;
    assert!(
        fixture
            .store
            .unread_messages(other, Millis(0), 9)
            .await
            .unwrap()
            .is_empty(),
        "the other account has none"
    );
}

async fn stragglers_accumulate_until_the_settle_age_grows(fixture: StoreFixture) {
    let count = async |more| {
        fixture
            .store
            .add_stragglers(fixture.account, more)
            .await
            .unwrap()
    };
    assert_eq!((count(2).await, count(3).await), (2, 5));
    let wider = Duration::from_mins(4);
    fixture
        .store
        .set_settle_override(fixture.account, wider)
        .await
        .unwrap();
    assert_eq!(count(1).await, 1);
    assert!(
        fixture
            .store
            .status()
            .await
            .unwrap()
            .iter()
            .all(|stream| stream.settle_override == Some(wider))
    );
    let known = crate::support::store_fixture::register(
        &*fixture.store,
        &["destination=lobby"],
        None,
        None,
    )
    .await;
    assert_eq!(
        known.settle_override,
        Some(wider),
        "the next process reads it"
    );
}

async fn requeue_releases_parsed_messages_and_updates_other_reasons(fixture: StoreFixture) {
    let raw = |raw: &str| UnparsableMessage::new(raw, "no `src`");
    let unreadable = vec![raw("{1}"), raw("{2}"), raw("{3}")];
    fixture
        .commit(&[Commit {
            unreadable,
            ..fixture.commit_of(0, 100, vec![])
        }])
        .await;
    let held = async |after, limit| {
        fixture
            .store
            .quarantined_messages(fixture.account, after, limit)
            .await
            .unwrap()
    };
    let first = held(QuarantineId::default(), 2).await;
    let rest = held(first[1].entry.id, 2).await;
    assert_eq!((first.len(), rest.len()), (2, 1));
    let mut raws: Vec<_> = first
        .iter()
        .chain(&rest)
        .map(|held| held.entry.raw.as_str())
        .collect();
    raws.sort_unstable();
    assert_eq!(raws, ["{1}", "{2}", "{3}"]);
    assert_eq!(
        (rest[0].stream, rest[0].key.as_str()),
        (fixture.streams[0], "destination=lobby")
    );
    fixture
        .store
        .release_from_quarantine(fixture.account, first[0].entry.id)
        .await
        .unwrap();
    fixture
        .store
        .update_quarantine_reason(fixture.account, first[1].entry.id, "no `dst`")
        .await
        .unwrap();
    let left = fixture
        .query_texts("SELECT reason FROM quarantine ORDER BY 1")
        .await;
    assert_eq!(left, [texts(["no `dst`"]), texts(["no `src`"])]);
}

//! The filter of readers, and the ranges in which what it selects may be incomplete.

use std::collections::BTreeSet;
use std::time::Duration;

use backscroll::domain::frontier::Frontier;
use backscroll::domain::message::{Conversation, ConversationKind, Message};
use backscroll::domain::time::{Millis, Second};
use backscroll::reader::{
    Completeness, IncompleteRange, MessageFilter, RangeState, completeness, resolve,
};
use backscroll::store::{AccountLedger, LedgerRow, StreamLedger};

use crate::support::store_fixture::{NOW, StoreFixture, message, scope, window};

on_every_database! {
    name_that_the_archive_does_not_have_is_answered_with_similar_ones,
    conversation_is_judged_by_the_streams_that_bring_it,
    conversation_of_peers_takes_both_directions,
    filter_without_an_end_ends_where_history_is_final,
    gaps_and_losses_are_those_of_the_views,
}

fn ledger_row(from: i64, to: i64, doubt: Option<&str>) -> LedgerRow {
    LedgerRow {
        window: window(from, to),
        messages: 0,
        digest: None,
        provider_count: None,
        not_shown: 0,
        doubt: doubt.map(str::to_owned),
        doubted_at: None,
        sealed_at: NOW,
    }
}

/// A stream that is wanted from second 100 on.
fn stream(key: &str, windows: Vec<LedgerRow>) -> StreamLedger {
    StreamLedger {
        key: key.to_owned(),
        scope: Some(scope(key)),
        wanted_from: Second(100),
        followed_at: Second(-9_000),
        active: true,
        discovered: false,
        arrival_mark: None,
        windows,
        quarantine: vec![],
    }
}

/// Replaces the ledger of the account: its horizon is 250, history is settled up to 900 and wanted
/// up to 1000.
async fn restore(fixture: &StoreFixture, streams: Vec<StreamLedger>) {
    let ledger = AccountLedger {
        account: "shop".to_owned(),
        provider: "agora".to_owned(),
        identity: None,
        frontier: Frontier {
            horizon: Some(Second(250)),
            settled_to: Second(900),
            wanted_to: Second(1000),
            retention: Some(Duration::from_secs(750)),
        },
        streams,
    };
    fixture.store.restore_ledger(&ledger).await.unwrap();
}

async fn ask(fixture: &StoreFixture, filter: MessageFilter) -> Completeness {
    let filter = resolve(&*fixture.store, filter).await.unwrap();
    completeness(&*fixture.store, &filter).await.unwrap()
}

fn lines(completeness: &Completeness) -> Vec<String> {
    let end =
        |second: Option<Second>| second.map_or("…".to_owned(), |second| second.0.to_string());
    let line = |range: &IncompleteRange| {
        let (from, to) = (end(range.from), end(range.to));
        let (state, streams) = (range.state.as_str(), range.streams.join(" "));
        format!("{from} {to} {state}: {} [{streams}]", range.reason)
    };
    completeness.ranges.iter().map(line).collect()
}

fn in_conversation(name: &str) -> MessageFilter {
    MessageFilter {
        conversation: Some(name.to_owned()),
        ..MessageFilter::default()
    }
}

async fn name_that_the_archive_does_not_have_is_answered_with_similar_ones(fixture: StoreFixture) {
    fixture
        .commit(&[fixture.commit_of(0, 10, vec![message(1000, "hi")])])
        .await;
    let refused = async |filter| {
        resolve(&*fixture.store, filter)
            .await
            .unwrap_err()
            .to_string()
    };
    let filter = MessageFilter::default();
    for (filter, text) in [
        (
            MessageFilter {
                account: Some("shopp".to_owned()),
                ..filter.clone()
            },
            "the archive has no account `shopp`: did you mean `shop`?",
        ),
        (
            in_conversation("Loby"),
            "the archive has no conversation `Loby`: did you mean `lobby`?",
        ),
        (
            MessageFilter {
                account: Some("shop".to_owned()),
                ..in_conversation("x")
            },
            "the account `shop` has no conversation `x`: names are compared exactly; \
             `SELECT conversation FROM conversations` lists them",
        ),
        (
            MessageFilter {
                sender: Some("alicia".to_owned()),
                ..filter.clone()
            },
            "the archive has no sender `alicia`: did you mean `alice`?",
        ),
        (
            // A recipient is no sender.
            MessageFilter {
                sender: Some("lobby".to_owned()),
                ..filter.clone()
            },
            "the archive has no sender `lobby`: names are compared exactly; \
             `SELECT sender FROM senders` lists them",
        ),
    ] {
        assert_eq!(refused(filter).await, text);
    }
    let all = MessageFilter {
        account: Some("shop".to_owned()),
        sender: Some("alice".to_owned()),
        ..in_conversation("lobby")
    };
    let found = resolve(&*fixture.store, all).await.unwrap();
    assert_eq!(found.selection.account, Some(fixture.account));
    assert!(found.selection.sender.is_some());
    let [conversation] = &found.conversations[..] else {
        panic!("{found:?}");
    };
    assert_eq!(conversation.kind, ConversationKind::Channel);
    let latest = ("alice".to_owned(), "lobby".to_owned());
    assert_eq!(conversation.latest, Some(latest));
}

async fn conversation_is_judged_by_the_streams_that_bring_it(fixture: StoreFixture) {
    fixture
        .commit(&[fixture.commit_of(0, 10, vec![message(1000, "hi")])])
        .await;
    let windows = vec![
        ledger_row(150, 200, None),
        ledger_row(300, 400, None),
        ledger_row(500, 600, Some("counts differ")),
        ledger_row(600, 900, None),
    ];
    // Half of the conversation: what one user says in it.
    let alice = stream("source=alice", vec![ledger_row(100, 900, None)]);
    restore(&fixture, vec![stream("destination=lobby", windows), alice]).await;
    let filter = MessageFilter {
        since: Some(Millis(50_000)),
        until: Some(Millis(1_100_000)),
        ..in_conversation("lobby")
    };
    let lost = "behind the provider's retention edge before it was fetched";
    let found = ask(&fixture, filter.clone()).await;
    assert!(!found.is_complete());
    assert_eq!(
        lines(&found),
        [
            "50 100 unarchived: older than the history that is wanted [destination=lobby]"
                .to_owned(),
            format!("100 150 lost: {lost} [destination=lobby]"),
            format!("200 250 lost: {lost} [destination=lobby]"),
            "250 300 gap: not fetched yet [destination=lobby]".to_owned(),
            "400 500 gap: not fetched yet [destination=lobby]".to_owned(),
            "500 600 suspect: counts differ [destination=lobby]".to_owned(),
            "900 1000 gap: fetched, but too young to be final [destination=lobby]".to_owned(),
            "1000 1100 unarchived: newer than the latest pass [destination=lobby]".to_owned(),
        ]
    );
    // What the user says in the conversation is brought by either stream.
    let found = ask(
        &fixture,
        MessageFilter {
            sender: Some("alice".to_owned()),
            since: Some(Millis(100_000)),
            until: Some(Millis(900_000)),
            ..in_conversation("lobby")
        },
    )
    .await;
    assert_eq!(lines(&found), Vec::<String>::new());
    assert!(found.is_complete());
    // A stream that brings the conversation is not followed.
    restore(&fixture, vec![stream("source=bob", vec![])]).await;
    fixture
        .commit(&[fixture.commit_of(20, 30, vec![elsewhere(25_000)])])
        .await;
    let found = ask(&fixture, in_conversation("elsewhere")).await;
    assert!(!found.is_complete());
    assert_eq!(
        lines(&found),
        ["… … unarchived: no stream that is followed brings these messages []"]
    );
}

fn elsewhere(ms: i64) -> Message {
    Message {
        conversation: Conversation::named(ConversationKind::Channel, "elsewhere"),
        ..Message::text("alice", "elsewhere", Millis(ms), "hi")
    }
}

async fn conversation_of_peers_takes_both_directions(fixture: StoreFixture) {
    let hello = Message::text("alice", "bob", Millis(301_000), "hello");
    fixture
        .commit(&[fixture.commit_of(300, 310, vec![hello])])
        .await;
    let from_alice = stream("source=alice", vec![ledger_row(250, 900, None)]);
    let from_bob = stream("source=bob", vec![ledger_row(250, 500, None)]);
    let filter = MessageFilter {
        since: Some(Millis(250_000)),
        until: Some(Millis(900_000)),
        ..in_conversation("alice/bob")
    };
    restore(&fixture, vec![from_alice.clone(), from_bob]).await;
    let found = ask(&fixture, filter.clone()).await;
    assert_eq!(lines(&found), ["500 900 gap: not fetched yet [source=bob]"]);
    // Another stream brings the rest of it.
    let to_alice = stream("destination=alice", vec![ledger_row(450, 900, None)]);
    let from_bob = stream("source=bob", vec![ledger_row(250, 500, None)]);
    restore(&fixture, vec![from_alice, from_bob, to_alice]).await;
    assert!(ask(&fixture, filter).await.is_complete());
}

async fn filter_without_an_end_ends_where_history_is_final(fixture: StoreFixture) {
    fixture
        .commit(&[fixture.commit_of(0, 10, vec![message(1000, "hi")])])
        .await;
    restore(&fixture, vec![]).await;
    let found = ask(&fixture, MessageFilter::default()).await;
    assert!(!found.is_complete(), "{found:?}: no stream was ever read");
    let all = |key: &str| stream(key, vec![ledger_row(100, 900, None)]);
    restore(
        &fixture,
        vec![all("destination=lobby"), all("source=alice")],
    )
    .await;
    let found = ask(&fixture, MessageFilter::default()).await;
    assert_eq!(
        lines(&found),
        [
            "… 100 unarchived: older than the history that is wanted [destination=lobby source=alice]",
            "900 … unarchived: too young to be final [destination=lobby source=alice]",
        ]
    );
    assert!(found.is_complete());
    assert_eq!(
        found.sentences(1),
        ["The archive is complete from 1970-01-01T00:01:40Z to 1970-01-01T00:15:00Z."]
    );
    let with_a_gap = stream(
        "source=bob",
        vec![ledger_row(100, 300, None), ledger_row(400, 900, None)],
    );
    restore(&fixture, vec![all("destination=lobby"), with_a_gap]).await;
    // Only what makes the answer incomplete is listed.
    let incomplete = ask(&fixture, MessageFilter::default()).await;
    assert_eq!(
        incomplete.sentences(1),
        [
            "The archive is NOT complete in this range:",
            "  1970-01-01T00:05:00Z to 1970-01-01T00:06:40Z: gap, not fetched yet (shop: source=bob)",
        ]
    );
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json["ranges"][1]["from"], "1970-01-01T00:15:00Z");
    assert_eq!(json["ranges"][1]["to"], serde_json::Value::Null);
    assert_eq!(json["ranges"][1]["state"], "unarchived");
}

/// The streams are so many that unbroken ones are found together.
async fn gaps_and_losses_are_those_of_the_views(fixture: StoreFixture) {
    let mut random = fastrand::Rng::with_seed(7);
    let streams: Vec<StreamLedger> = (0..60)
        .map(|n| {
            let mut windows = Vec::new();
            let mut at = random.i64(0..300);
            while at < 900 {
                let to = (at + random.i64(50..400)).min(900);
                let doubt = (random.u8(0..5) == 0).then_some("doubtful");
                windows.push(ledger_row(at, to, doubt));
                at = to + random.i64(0..3).pow(2) * 40;
            }
            StreamLedger {
                followed_at: Second(random.i64(-9_000..0)),
                ..stream(&format!("destination=room-{n}"), windows)
            }
        })
        .collect();
    restore(&fixture, streams).await;
    let filter = MessageFilter {
        until: Some(Millis(1_000_000)),
        ..MessageFilter::default()
    };
    let found = ask(&fixture, filter).await;
    let mut ours = BTreeSet::new();
    for range in &found.ranges {
        if range.state == RangeState::Unarchived {
            continue;
        }
        let (from, to) = (range.from.unwrap().0, range.to.unwrap().0);
        let seconds = (from..to).flat_map(|at| range.streams.iter().map(move |key| (key, at)));
        ours.extend(seconds.map(|(key, at)| (key.clone(), at, range.state.as_str().to_owned())));
    }
    let views = "
        SELECT stream, from_at, to_at, CASE WHEN lost THEN 'lost' ELSE 'gap' END FROM gaps
        UNION ALL
        SELECT stream, from_at, to_at, state FROM coverage WHERE state = 'suspect'";
    let mut theirs = BTreeSet::new();
    for row in fixture.query_texts(views).await {
        let second = |text: &String| text.parse::<i64>().unwrap() / 1000;
        let seconds = second(&row[1])..second(&row[2]);
        theirs.extend(seconds.map(|at| (row[0].clone(), at, row[3].clone())));
    }
    assert!(theirs.len() > 1000, "{} seconds", theirs.len());
    assert_eq!(ours, theirs);
}

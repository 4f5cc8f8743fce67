//! The views that readers use: ids, completeness, JSON, and values at the limits of a database.

use std::sync::Arc;
use std::time::Instant;

use backscroll::domain::message::{Conversation, ConversationKind, Message};
use backscroll::domain::time::Millis;
use backscroll::store::{Commit, Seal, StreamId};

use crate::support::env::MAX_WAIT;
use crate::support::postgres_server;
use crate::support::store_fixture::{
    NOW, SqlReader, StoreFixture, message, register, scope, seal, texts, window,
};

on_every_database! {
    ids_grow_in_the_order_of_commits,
    conversation_of_peers_is_complete_while_both_directions_are_sealed,
    conversation_of_one_sender_of_many_is_not_complete,
    json_bodies_are_readable_as_json,
    values_at_the_limits_fail_no_view,
}

const DAY_S: i64 = 86_400;

fn unsealed(fixture: &StoreFixture, messages: Vec<Message>) -> Commit {
    Commit {
        seal: None,
        ..fixture.commit_of(0, 1000, messages)
    }
}

async fn ids_grow_in_the_order_of_commits(fixture: StoreFixture) {
    assert_eq!(fixture.query_number("SELECT id FROM archive_end").await, 0);
    // The later commit brings the older message.
    for ms in [50_000, 10_000] {
        let commit = unsealed(&fixture, vec![message(ms, "hi")]);
        fixture.commit(&[commit]).await;
    }
    // A second copy of a message changes no id.
    let again = unsealed(
        &fixture,
        vec![message(50_000, "hi"), message(60_000, "new")],
    );
    fixture.commit(&[again]).await;
    let by_id = "SELECT sent_at_ms FROM archive WHERE id > 0 ORDER BY id";
    assert_eq!(
        fixture.query_texts(by_id).await.concat(),
        ["50000", "10000", "60000"]
    );
    let ends = "SELECT (SELECT max(id) FROM archive) - (SELECT id FROM archive_end)";
    assert_eq!(fixture.query_number(ends).await, 0);
    let aliases = "SELECT count(*) FROM archive WHERE rowid <> id";
    assert_eq!(fixture.query_number(aliases).await, 0);
}

/// A sealed range of a stream.
fn sealed(fixture: &StoreFixture, stream: StreamId, key: &str, days: (i64, i64)) -> Commit {
    let window = window(days.0 * DAY_S, days.1 * DAY_S);
    Commit {
        stream,
        window,
        seal: Some(Seal {
            scope: scope(key),
            ..seal(window, None)
        }),
        ..fixture.commit_of(0, 1, vec![])
    }
}

async fn conversation_of_peers_is_complete_while_both_directions_are_sealed(fixture: StoreFixture) {
    let keys = ["destination=alice", "destination=bob"];
    let streams = register(&*fixture.store, &keys, None, None).await.streams;
    let said = |day: i64| Message {
        conversation: Conversation::named(ConversationKind::Peer, "alice/bob"),
        ..Message::text("alice", "bob", Millis(day * DAY_S * 1000 + 1), "hi")
    };
    let messages = unsealed(&fixture, vec![said(0), said(1), said(2), said(9)]);
    fixture.commit(&[messages]).await;
    let ranges = "SELECT from_ms, to_ms FROM completeness ORDER BY 1";
    let to_alice = sealed(&fixture, streams[0].0, keys[0], (0, 2));
    fixture.commit(&[to_alice]).await;
    assert!(fixture.query_texts(ranges).await.is_empty());
    // The other direction is sealed from noon of the second day only.
    let mut to_bob = sealed(&fixture, streams[1].0, keys[1], (1, 5));
    to_bob.window = window(DAY_S + DAY_S / 2, 5 * DAY_S);
    to_bob.seal.as_mut().unwrap().window = to_bob.window;
    fixture.commit(&[to_bob]).await;
    let both = texts(["129600000", "172800000"]);
    assert_eq!(fixture.query_texts(ranges).await, [both]);
    let days = "SELECT state, messages FROM days ORDER BY day";
    let states = fixture.query_texts(days).await;
    let expected = ["unknown", "partial", "unknown", "unknown"];
    assert_eq!(states, expected.map(|state| texts([state, "1"])));
    let more = [sealed(&fixture, streams[0].0, keys[0], (2, 5))];
    fixture.commit(&more).await;
    let states = fixture.query_texts(days).await;
    let expected = ["unknown", "partial", "complete", "unknown"];
    assert_eq!(states, expected.map(|state| texts([state, "1"])));
}

async fn conversation_of_one_sender_of_many_is_not_complete(fixture: StoreFixture) {
    // The fixture follows `destination=lobby` and `source=alice`.
    let alone = sealed(&fixture, fixture.streams[1], "source=alice", (0, 1));
    let messages = unsealed(&fixture, vec![message(10_000, "hi")]);
    fixture.commit(&[messages, alone]).await;
    let states = "SELECT state FROM days";
    assert_eq!(fixture.query_texts(states).await, [texts(["unknown"])]);
    let all = sealed(&fixture, fixture.streams[0], "destination=lobby", (0, 1));
    fixture.commit(&[all]).await;
    assert_eq!(fixture.query_texts(states).await, [texts(["complete"])]);
}

async fn json_bodies_are_readable_as_json(fixture: StoreFixture) {
    let bodies = [
        r#"{"type":"a"}"#,
        r#" [{"type":"b"}]"#,
        "1",
        "null",
        "{broken",
        "text",
    ];
    let messages = (0..).zip(bodies).map(|(ms, body)| message(ms, body));
    let commit = unsealed(&fixture, messages.collect());
    fixture.commit(&[commit]).await;
    let json = "SELECT sent_at_ms, coalesce(body_json ->> 'type', body_json -> 0 ->> 'type')
                FROM archive WHERE body_json IS NOT NULL ORDER BY 1";
    assert_eq!(
        fixture.query_texts(json).await,
        [texts(["0", "a"]), texts(["1", "b"])]
    );
}

async fn values_at_the_limits_fail_no_view(fixture: StoreFixture) {
    let digits = "7".repeat(140_000);
    let deep = format!("{}{}", "[".repeat(3000), "]".repeat(3000));
    let bodies = [
        r#"{"a":"\u0000"}"#,
        r#"{"a":"\ud800"}"#,
        r#"{"a":1e-20000}"#,
        r#"{"a":1e99999999}"#,
        &format!("[{digits}]"),
        &deep,
        "[\0]",
    ];
    let messages = (0..).zip(bodies).map(|(ms, body)| {
        let extra = body.starts_with('{').then(|| body.to_owned());
        let status = backscroll::domain::message::Delivery {
            status: backscroll::domain::message::DeliveryStatus::Read,
            at: Some(Millis(if ms % 2 == 0 { i64::MAX } else { i64::MIN })),
        };
        Message {
            extra,
            status: Some(status),
            ..message(ms, body)
        }
    });
    let commit = unsealed(&fixture, messages.collect());
    fixture.commit(&[commit]).await;
    for view in ["archive", "archive_text"] {
        let sql: &'static str = match view {
            "archive" => "SELECT * FROM archive",
            _ => "SELECT * FROM archive_text",
        };
        assert_eq!(fixture.query_texts(sql).await.len(), bodies.len(), "{view}");
    }
}

/// A commit that is under way when a later one becomes visible holds `archive_end` back.
#[tokio::test(flavor = "multi_thread")]
async fn archive_end_waits_for_commits_under_way_in_postgres() {
    let fixture = Arc::new(StoreFixture::in_postgres().await);
    let SqlReader::Postgres(database) = &fixture.reader else {
        panic!("a Postgres database")
    };
    let first = unsealed(&fixture, vec![message(10_000, "hi")]);
    fixture.commit(&[first]).await;
    let sql =
        "INSERT INTO message (sent_at_ms, archived_at_s, recipient_id, slot, conversation_id, \
                                    sender_id, hash, payload)
               SELECT sent_at_ms + 1, archived_at_s, recipient_id, slot, conversation_id, sender_id,
                      hash, payload
               FROM message
               WHERE (SELECT CAST(pg_advisory_xact_lock_shared(
                          CAST(CAST('message_id' AS REGCLASS) AS OID)::INTEGER,
                          CAST(last_value >> 10 AS INTEGER)) AS TEXT)
                      FROM message_id) IS NOT NULL";
    let under_way = postgres_server::shared_server().hold_transaction(database, sql);
    let later = unsealed(&fixture, vec![message(20_000, "hi")]);
    fixture.store.commit(&[later], NOW).await.unwrap();
    let seen = "SELECT count(*) FROM archive WHERE id > (SELECT id FROM archive_end)";
    assert_eq!(fixture.query_number(seen).await, 2);
    drop(under_way);
    // The server ends the transaction some time after the client has gone.
    let begun = Instant::now();
    while fixture.query_number(seen).await > 0 {
        assert!(begun.elapsed() < MAX_WAIT, "the transaction has ended");
    }
}

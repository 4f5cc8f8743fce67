//! The contract of a store, tested through its trait, and the views of hand-made ledgers.

use backscroll::domain::digest::ChainLink;
use backscroll::domain::identity::identify;
use backscroll::domain::message::{
    Conversation, ConversationKind, Delivery, DeliveryStatus, Message, UnparsableMessage,
};
use backscroll::domain::time::Millis;
use backscroll::store::{
    Archive, ArchivedMessage, Commit, Cursor, Eviction, IfMissing, SqliteStore, StoreError,
    StreamId, Windows, WriteCounts,
};
use tempfile::TempDir;

use crate::support::store_fixture::{
    NOW, StoreFixture, message, open_sqlite, register, seal, texts, window, with_status,
};

on_every_database! {
    commit_is_atomic,
    repeated_commit_changes_nothing,
    equal_messages_of_a_batch_are_counted_per_window,
    messages_with_colliding_index_slots_are_all_kept,
    pages_of_any_size_hold_every_message_once_and_in_order,
    partly_archived_window_is_completed,
    status_moves_forward_only,
    message_moves_to_the_peer_conversation_once_known,
    conversation_of_unknown_kind_becomes_a_channel_once_known,
    unreadable_message_is_quarantined_once,
    window_sealed_by_another_process_keeps_its_bounds,
}

async fn commit_is_atomic(fixture: StoreFixture) {
    let good = || {
        fixture.commit_of(
            0,
            100,
            vec![message(10_000, "hi"), message(20_000, "a name new to it")],
        )
    };
    // The stream does not exist, so its ledger row fails at the end of the transaction.
    let bad = Commit {
        stream: StreamId(4711),
        ..fixture.commit_of(100, 200, vec![message(110_000, "ho")])
    };
    fixture.store.commit(&[good(), bad], NOW).await.unwrap_err();
    let held = "SELECT (SELECT count(*) FROM archive) + (SELECT count(*) FROM coverage) + (SELECT count(*) FROM conversations)";
    assert_eq!(fixture.query_number(held).await, 0);
    // The store does not cache names that were not committed.
    assert_eq!(
        fixture.commit(&[good()]).await,
        [WriteCounts { new: 2, changed: 0 }]
    );
    assert_eq!(
        fixture
            .query_texts("SELECT DISTINCT sender, recipient FROM archive")
            .await,
        [texts(["alice", "lobby"])]
    );
}

async fn repeated_commit_changes_nothing(fixture: StoreFixture) {
    let same = || {
        fixture.commit_of(
            0,
            100,
            vec![
                message(10_000, "hi"),
                message(10_000, "hi"),
                message(20_000, ""),
            ],
        )
    };
    assert_eq!(
        fixture.commit(&[same()]).await,
        [WriteCounts { new: 3, changed: 0 }]
    );
    let all = "SELECT sender, sent_at_ms, body, occurrence, archived_at, status FROM archive ORDER BY 2, 4";
    let before = fixture.query_texts(all).await;
    let later = fixture
        .store
        .commit(&[same(), same()], Millis(NOW.0 + 60_000))
        .await
        .unwrap();
    assert_eq!(later, [WriteCounts::default(); 2]);
    assert_eq!(fixture.query_texts(all).await, before);
    let elsewhere = Commit {
        stream: fixture.streams[1],
        ..same()
    };
    assert_eq!(
        fixture.commit(&[elsewhere]).await,
        [WriteCounts::default()],
        "a message from another stream is the same message"
    );
    assert_eq!(
        fixture.query_number("SELECT count(*) FROM coverage").await,
        2
    );
}

async fn equal_messages_of_a_batch_are_counted_per_window(fixture: StoreFixture) {
    let two = || vec![message(10_000, "ok"), message(10_000, "ok")];
    let other = Commit {
        stream: fixture.streams[1],
        ..fixture.commit_of(0, 100, [two(), two()[..1].to_vec()].concat())
    };
    let written = fixture
        .commit(&[fixture.commit_of(0, 100, two()), other])
        .await;
    assert_eq!(
        written,
        [
            WriteCounts { new: 2, changed: 0 },
            WriteCounts { new: 1, changed: 0 }
        ]
    );
}

async fn pages_of_any_size_hold_every_message_once_and_in_order(fixture: StoreFixture) {
    let texts = |ms: i64, count: i64| (0..count).map(move |n| message(ms, &(n % 5).to_string()));
    let messages = texts(10_000, 9)
        .chain(texts(10_001, 1))
        .chain(texts(20_000, 30))
        .chain(texts(30_000, 2))
        .collect();
    let commit = fixture.commit_of(0, 100, messages);
    let mut expected: Vec<ChainLink> = commit
        .messages
        .iter()
        .map(ChainLink::from_identified)
        .collect();
    expected.sort_unstable();
    fixture.commit(&[commit]).await;
    let (from, end) = (Millis(10_000), Millis(30_000));
    expected.retain(|link| link.sent_at < end);
    for limit in [1, 2, 7, 9, 10, 29, 100] {
        let mut reader = fixture.store.message_reader().await.unwrap();
        let (mut after, mut found) = (Cursor::before(from), Vec::new());
        loop {
            let page = reader.next_messages(&after, end, limit).await.unwrap();
            let Some(last) = page.last() else { break };
            after = last.cursor();
            assert!(page.len() as u64 <= limit);
            found.extend(
                page.iter()
                    .map(|m| ChainLink::from_identified(&m.identified)),
            );
        }
        assert_eq!(found, expected, "in pages of {limit}");
    }
}

/// An attacker may construct messages whose hashes share a prefix.
async fn messages_with_colliding_index_slots_are_all_kept(fixture: StoreFixture) {
    let meeting = |texts: &[&str], status: Option<DeliveryStatus>| {
        let status = status.map(|status| Delivery { status, at: None });
        let messages = texts
            .iter()
            .map(|text| Message {
                status,
                ..message(10_000, text)
            })
            .collect();
        let mut window = fixture.commit_of(0, 100, messages);
        for known in &mut window.messages {
            known.fingerprint.0[..4].copy_from_slice(&[1, 2, 3, 4]);
        }
        window
    };
    let many: Vec<String> = (0..80).map(|n| n.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(
        fixture.commit(&[meeting(&many[..2], None)]).await,
        [WriteCounts { new: 2, changed: 0 }]
    );
    assert_eq!(
        fixture.commit(&[meeting(&many, None)]).await,
        [WriteCounts {
            new: 78,
            changed: 0
        }]
    );
    assert_eq!(
        fixture.commit(&[meeting(&many, None)]).await,
        [WriteCounts::default()]
    );
    assert_eq!(
        fixture
            .commit(&[meeting(&many, Some(DeliveryStatus::Read))])
            .await,
        [WriteCounts {
            new: 0,
            changed: 80
        }]
    );
    let distinct = "SELECT count(DISTINCT body) FROM archive WHERE status = 'read'";
    assert_eq!(
        (
            fixture.query_number(distinct).await,
            fixture.query_number("SELECT count(*) FROM archive").await
        ),
        (80, 80)
    );
    // A removed message does not hide those that were displaced by it.
    let there = fixture
        .store
        .messages(&Cursor::before(Millis(0)), Millis(i64::MAX), 100)
        .await
        .unwrap();
    for gone in 0..79 {
        let is_gone =
            |m: &&ArchivedMessage| m.identified.message.payload.bytes == many[gone].as_bytes();
        let message = there.iter().find(is_gone).unwrap();
        let aside = [Eviction {
            message,
            reason: "a test",
        }];
        assert_eq!(
            fixture
                .store
                .move_to_quarantine(fixture.streams[0], &aside, NOW)
                .await
                .unwrap(),
            1
        );
        assert_eq!(
            fixture.commit(&[meeting(&many[gone + 1..], None)]).await,
            [WriteCounts::default()]
        );
    }
    assert_eq!(
        fixture.query_number("SELECT count(*) FROM archive").await,
        1
    );
}

/// Every part of the window may exist already: the first or the last messages, or those between.
async fn partly_archived_window_is_completed(fixture: StoreFixture) {
    let all: Vec<Message> = (0..100)
        .map(|n| message(10_000 + n * 100, &n.to_string()))
        .collect();
    let part = |keep: fn(i64) -> bool, base: i64| {
        let messages = (0..).zip(&all).filter(|(n, _)| keep(*n));
        let messages = messages
            .map(|(_, m)| Message {
                sent_at: Millis(m.sent_at.0 + base),
                ..m.clone()
            })
            .collect();
        fixture.commit_of(base / 1000, base / 1000 + 100, messages)
    };
    let parts: [fn(i64) -> bool; 4] = [|n| n < 50, |n| n == 57, |n| n % 33 == 0, |n| n % 33 != 0];
    for (base, keep) in (0..).step_by(1_000_000).zip(parts) {
        let first = fixture.commit(&[part(keep, base)]).await[0].new;
        assert!(first > 0 && first < 100);
        let rest = fixture.commit(&[part(|_| true, base)]).await;
        assert_eq!(
            rest,
            [WriteCounts {
                new: 100 - first,
                changed: 0
            }]
        );
    }
    assert_eq!(
        fixture.query_number("SELECT count(*) FROM archive").await,
        400
    );
}

async fn status_moves_forward_only(fixture: StoreFixture) {
    let says = async |message| {
        let written = fixture
            .commit(&[fixture.commit_of(0, 100, vec![message])])
            .await;
        (
            written[0].changed,
            fixture
                .query_texts("SELECT status, status_at FROM archive")
                .await
                .remove(0),
        )
    };
    assert_eq!(
        says(with_status(DeliveryStatus::Delivered, 11_000)).await,
        (0, texts(["delivered", "11000"]))
    );
    assert_eq!(
        says(with_status(DeliveryStatus::Received, 12_000)).await,
        (0, texts(["delivered", "11000"]))
    );
    assert_eq!(
        says(Message {
            status: None,
            ..with_status(DeliveryStatus::Read, 0)
        })
        .await
        .0,
        0
    );
    assert_eq!(
        says(with_status(DeliveryStatus::Read, 13_000)).await,
        (1, texts(["read", "13000"]))
    );
    assert_eq!(
        says(with_status(DeliveryStatus::Delivered, 14_000)).await,
        (0, texts(["read", "13000"]))
    );
    assert_eq!(
        fixture.query_number("SELECT count(*) FROM archive").await,
        1
    );
}

async fn message_moves_to_the_peer_conversation_once_known(fixture: StoreFixture) {
    let to_bob = |conversation| Message {
        recipient: "bob".into(),
        conversation,
        ..message(10_000, "hi")
    };
    fixture
        .commit(&[fixture.commit_of(
            0,
            100,
            vec![to_bob(Conversation::named(
                ConversationKind::Unknown,
                "bob",
            ))],
        )])
        .await;
    let filed = "SELECT conversation, conversation_kind FROM archive";
    assert_eq!(
        fixture.query_texts(filed).await,
        [texts(["bob", "unknown"])]
    );

    let known = || Commit {
        stream: fixture.streams[1],
        ..fixture.commit_of(0, 100, vec![to_bob(Conversation::between("alice", "bob"))])
    };
    assert_eq!(
        fixture.commit(&[known()]).await,
        [WriteCounts { new: 0, changed: 1 }]
    );
    assert_eq!(
        fixture.query_texts(filed).await,
        [texts(["alice/bob", "peer"])]
    );
    // An older version of a message does not remove known values.
    let unknown = fixture.commit_of(
        0,
        100,
        vec![to_bob(Conversation::named(
            ConversationKind::Unknown,
            "bob",
        ))],
    );
    assert_eq!(fixture.commit(&[unknown]).await, [WriteCounts::default()]);
    assert_eq!(
        fixture.query_texts(filed).await,
        [texts(["alice/bob", "peer"])]
    );
    assert_eq!(
        fixture
            .query_texts("SELECT conversation, messages FROM conversations")
            .await,
        [texts(["alice/bob", "1"])]
    );
}

async fn conversation_of_unknown_kind_becomes_a_channel_once_known(fixture: StoreFixture) {
    let unknown = Message {
        conversation: Conversation::named(ConversationKind::Unknown, "lobby"),
        ..message(10_000, "hi")
    };
    fixture
        .commit(&[fixture.commit_of(0, 100, vec![unknown])])
        .await;
    let typed = Message {
        message_type: Some("group_message".into()),
        ..message(10_000, "hi")
    };
    fixture
        .commit(&[fixture.commit_of(0, 100, vec![typed, message(20_000, "ho")])])
        .await;
    let rows =
        fixture.query_texts("SELECT conversation_kind, message_type, conversation_id FROM archive ORDER BY sent_at_ms").await;
    assert_eq!(
        rows,
        [
            texts(["channel", "group_message", "1"]),
            texts(["channel", "", "1"])
        ]
    );
}

async fn unreadable_message_is_quarantined_once(fixture: StoreFixture) {
    let unreadable = || vec![UnparsableMessage::new("{\"x\":1}", "no `src`"); 2];
    for stream in [0, 1, 0] {
        let commit = Commit {
            stream: fixture.streams[stream],
            unreadable: unreadable(),
            ..fixture.commit_of(0, 100, vec![])
        };
        fixture.commit(&[commit]).await;
    }
    assert_eq!(
        fixture
            .query_texts("SELECT raw, reason, from_s, to_s FROM quarantined_message")
            .await,
        [texts(["{\"x\":1}", "no `src`", "0", "100"])]
    );
    assert_eq!(
        fixture
            .store
            .status()
            .await
            .unwrap()
            .iter()
            .map(|s| s.quarantined)
            .sum::<u64>(),
        1
    );
}

async fn window_sealed_by_another_process_keeps_its_bounds(fixture: StoreFixture) {
    fixture
        .commit(&[fixture.commit_of(100, 200, vec![message(110_000, "first")])])
        .await;
    for (from, to) in [(150, 250), (50, 150), (120, 130), (100, 200), (0, 300)] {
        let late = fixture.commit_of(from, to, vec![message(125_000, "late")]);
        fixture.commit(&[late]).await;
    }
    assert_eq!(
        fixture
            .query_texts("SELECT from_s, to_s, messages FROM sealed_window ORDER BY from_s")
            .await,
        [texts(["100", "200", "2"])],
        "the late message is counted"
    );
    assert_eq!(
        fixture.query_number("SELECT count(*) FROM archive").await,
        2,
        "the messages were archived all the same"
    );
}

#[tokio::test]
async fn archive_is_created_and_reopened_unchanged() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("archive.db");
    let missing = SqliteStore::open(&path, IfMissing::Refuse)
        .await
        .unwrap_err();
    assert!(matches!(missing, StoreError::NotFound { .. }), "{missing}");
    std::fs::write(&path, "").unwrap();
    for _ in 0..2 {
        let store = open_sqlite(&path).await;
        store.ping().await.unwrap();
        for view in ["archive", "conversations", "coverage", "gaps", "runs"] {
            let found = store
                .query("SELECT name FROM sqlite_schema WHERE type = 'view' ORDER BY name")
                .await
                .unwrap();
            assert!(found.rows.concat().contains(&view.to_owned()), "{view}");
        }
        assert_eq!(
            store
                .query("SELECT max(version) FROM _sqlx_migrations")
                .await
                .unwrap()
                .rows
                .concat(),
            [store.schema_version().to_string()]
        );
        assert_eq!(
            store
                .query("PRAGMA journal_mode")
                .await
                .unwrap()
                .rows
                .concat(),
            ["wal"]
        );
        store.close().await;
    }
}

#[tokio::test]
async fn two_stores_of_one_file_write_in_turn() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("archive.db");
    let (one, other) = (open_sqlite(&path).await, open_sqlite(&path).await);
    let known = register(&one, &["source=alice"], None, None).await;
    let batch = |n: i64| {
        let window = window(n * 10, n * 10 + 10);
        let seal = Some(seal(window, Some(1)));
        let from = Message {
            sender: format!("user {n}"),
            ..message(n * 10_000, "hi")
        };
        let messages = identify(vec![from]);
        [Commit {
            account: known.account,
            stream: known.streams[0].0,
            window,
            seal,
            messages,
            unreadable: vec![],
        }]
    };
    let write = async |store: &SqliteStore, parity: i64| {
        for n in (0..40).filter(|n| n % 2 == parity) {
            store.commit(&batch(n), NOW).await.unwrap();
        }
    };
    tokio::join!(write(&one, 0), write(&other, 1));
    let rows = one
        .query("SELECT count(*), count(DISTINCT sender) FROM archive")
        .await
        .unwrap()
        .rows
        .concat();
    assert_eq!(rows, ["40", "40"]);
}

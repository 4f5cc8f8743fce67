//! The contract of a store, tested through its trait, and the views of hand-made ledgers.

use std::time::Duration;

use crate::support::store_fixture::{
    NOW, StoreFixture, message, open_sqlite, register, seal, texts, window, with_status,
};
use backscroll::domain::identity::identify;
use backscroll::domain::message::{
    Conversation, ConversationKind, Delivery, DeliveryStatus, Message, UnparsableMessage,
};
use backscroll::domain::time::{Millis, Second};
use backscroll::store::{
    Archive, ArchivedMessage, Commit, Cursor, Eviction, IfMissing, NewAccount, Pace, Pause,
    RecordedError, Seal, SqliteStore, StoreError, StreamId, Tally, WriteCounts,
};
use tempfile::TempDir;

on_every_database! {
    commit_is_atomic,
    repeated_commit_changes_nothing,
    equal_messages_of_a_batch_are_counted_per_window,
    messages_with_colliding_index_slots_are_all_kept,
    partly_archived_window_is_completed,
    status_moves_forward_only,
    message_moves_to_the_peer_conversation_once_known,
    conversation_of_unknown_kind_becomes_a_channel_once_known,
    unreadable_message_is_quarantined_once,
    window_sealed_by_another_process_is_left_unchanged,
    only_short_adjacent_windows_share_a_ledger_row,
    gaps_show_range_reason_and_loss,
    lost_range_leaves_later_ranges_complete,
    stream_without_sealed_windows_is_one_gap,
    frontier_never_moves_back,
    runs_show_the_result_of_each_pass,
    request_rate_is_taken_from_longer_passes,
    message_density_counts_only_retained_history,
    archive_reports_its_size_on_disk,
    wanted_from_never_moves_forward,
    inactive_stream_keeps_messages_and_has_no_gaps,
    pause_persists_until_it_is_cleared,
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
    let unreadable = || {
        vec![
            UnparsableMessage {
                raw: "{\"x\":1}".into(),
                reason: "no `src`".into()
            };
            2
        ]
    };
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
            .query_texts("SELECT raw, reason, from_s, to_s FROM quarantine")
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

async fn window_sealed_by_another_process_is_left_unchanged(fixture: StoreFixture) {
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
        [texts(["100", "200", "1"])]
    );
    assert_eq!(
        fixture.query_number("SELECT count(*) FROM archive").await,
        2,
        "the messages were archived all the same"
    );
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
        .record_stream_error(fixture.streams[0], Some(&trouble), NOW)
        .await
        .unwrap();
    let gaps = "SELECT from_at, to_at, reason, lost, expires_at FROM gaps ORDER BY 1";
    let lost = "behind the provider's retention edge before it was fetched";
    assert_eq!(
        fixture.query_texts(gaps).await,
        [
            texts(["100000", "150000", lost, "1", "850000"]),
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
        (250, 100, None)
    );
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
        .record_stream_error(fixture.streams[0], None, NOW)
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
    let status = fixture.store.status().await.unwrap().remove(0);
    assert_eq!(
        (
            status.watermark,
            status.missing_seconds,
            status.lost_seconds
        ),
        (Some(Second(900)), 0, 150)
    );
}

async fn stream_without_sealed_windows_is_one_gap(fixture: StoreFixture) {
    register(&*fixture.store, &["destination=lobby"], Some(100), None).await;
    fixture.assert_frontier(None, 900, 1000).await;
    let gaps = fixture
        .query_texts("SELECT stream, from_at, to_at, lost FROM gaps")
        .await;
    assert_eq!(
        gaps,
        [texts(["destination=lobby", "100000", "1000000", "0"])]
    );
}

async fn frontier_never_moves_back(fixture: StoreFixture) {
    fixture.assert_frontier(Some(200), 900, 1000).await;
    fixture.assert_frontier(Some(100), 800, 900).await;
    let stands = "SELECT horizon_s, settled_s, wanted_to_s FROM account";
    assert_eq!(
        fixture.query_texts(stands).await,
        [texts(["200", "900", "1000"])]
    );
    // Without a retention there is no horizon.
    fixture.assert_frontier(None, 900, 1000).await;
    assert_eq!(
        fixture.query_texts(stands).await,
        [texts(["", "900", "1000"])]
    );
}

async fn runs_show_the_result_of_each_pass(fixture: StoreFixture) {
    let first = fixture
        .store
        .begin_run(fixture.account, "sync", Millis(5_000))
        .await
        .unwrap();
    let tally = Tally {
        requests: 7,
        new: 5,
        changed: 1,
        windows: 2,
        errors: 1,
        ..Tally::default()
    };
    let tally = Tally {
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
            .paces(Millis(since), Duration::from_secs(10))
            .await
            .unwrap()
    };
    let run = async |begun: i64, took: i64, requests| {
        let run = fixture
            .store
            .begin_run(fixture.account, "sync", Millis(begun))
            .await
            .unwrap();
        let tally = Tally {
            requests,
            ..Tally::default()
        };
        fixture
            .store
            .end_run(run, &tally, Millis(begun + took))
            .await
            .unwrap();
    };
    let none = Pace {
        account: "shop".into(),
        requests: 0,
        busy: Duration::ZERO,
        last_pass: None,
    };
    assert_eq!(paces(0).await, std::slice::from_ref(&none));
    assert_eq!(none.rate(), None);
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
        Pace {
            requests: 320,
            busy: Duration::from_secs(40),
            last_pass,
            ..none
        }
    );
    assert_eq!(found.rate(), Some(8.0));
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

async fn wanted_from_never_moves_forward(fixture: StoreFixture) {
    let from = async |since, horizon| {
        register(&*fixture.store, &["source=carol"], since, horizon)
            .await
            .streams[0]
            .1
    };
    assert_eq!(
        from(None, Some(500)).await,
        Second(500),
        "as far back as the retention reached"
    );
    assert_eq!(
        from(None, Some(900)).await,
        Second(500),
        "history that expired since is still missing"
    );
    assert_eq!(
        from(Some(700), Some(900)).await,
        Second(700),
        "unless `since` is configured"
    );
    assert_eq!(from(None, Some(900)).await, Second(700));
    assert_eq!(
        register(&*fixture.store, &["source=dave"], None, None)
            .await
            .streams[0]
            .1,
        Second(0)
    );
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
    };
    fixture
        .store
        .pause(fixture.account, Some(&pause))
        .await
        .unwrap();
    let known = async || {
        let account = NewAccount {
            name: "shop",
            provider: "agora",
            streams: None,
            since: None,
            horizon: None,
        };
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

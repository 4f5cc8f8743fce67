//! What a store must be, by way of the trait; and what the views say of ledgers made by hand.

use std::time::Duration;

use crate::support::store_fixture::{
    NOW, StoreFixture, message, open, register, seal, texts, window, with_status,
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

async fn commit_is_atomic(shelf: StoreFixture) {
    let good = || {
        shelf.window(
            0,
            100,
            vec![message(10_000, "hi"), message(20_000, "a name new to it")],
        )
    };
    // No such stream: its ledger row cannot be written, at the very end of the transaction.
    let bad = Commit {
        stream: StreamId(4711),
        ..shelf.window(100, 200, vec![message(110_000, "ho")])
    };
    shelf.store.commit(&[good(), bad], NOW).await.unwrap_err();
    let held = "SELECT (SELECT count(*) FROM archive) + (SELECT count(*) FROM coverage) + (SELECT count(*) FROM conversations)";
    assert_eq!(shelf.number(held).await, 0);
    // Nor does the store remember names that were never written.
    assert_eq!(
        shelf.commit(&[good()]).await,
        [WriteCounts { new: 2, changed: 0 }]
    );
    assert_eq!(
        shelf
            .ask("SELECT DISTINCT sender, recipient FROM archive")
            .await,
        [texts(["alice", "lobby"])]
    );
}

async fn repeated_commit_changes_nothing(shelf: StoreFixture) {
    let same = || {
        shelf.window(
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
        shelf.commit(&[same()]).await,
        [WriteCounts { new: 3, changed: 0 }]
    );
    let all = "SELECT sender, sent_at_ms, body, occurrence, archived_at, status FROM archive ORDER BY 2, 4";
    let before = shelf.ask(all).await;
    let later = shelf
        .store
        .commit(&[same(), same()], Millis(NOW.0 + 60_000))
        .await
        .unwrap();
    assert_eq!(later, [WriteCounts::default(); 2]);
    assert_eq!(shelf.ask(all).await, before);
    let elsewhere = Commit {
        stream: shelf.streams[1],
        ..same()
    };
    assert_eq!(
        shelf.commit(&[elsewhere]).await,
        [WriteCounts::default()],
        "by another stream it is the same message"
    );
    assert_eq!(shelf.number("SELECT count(*) FROM coverage").await, 2);
}

async fn equal_messages_of_a_batch_are_counted_per_window(shelf: StoreFixture) {
    let two = || vec![message(10_000, "ok"), message(10_000, "ok")];
    let other = Commit {
        stream: shelf.streams[1],
        ..shelf.window(0, 100, [two(), two()[..1].to_vec()].concat())
    };
    let written = shelf.commit(&[shelf.window(0, 100, two()), other]).await;
    assert_eq!(
        written,
        [
            WriteCounts { new: 2, changed: 0 },
            WriteCounts { new: 1, changed: 0 }
        ]
    );
}

/// Somebody may take pains to find messages whose hashes begin alike.
async fn messages_with_colliding_index_slots_are_all_kept(shelf: StoreFixture) {
    let meeting = |texts: &[&str], status: Option<DeliveryStatus>| {
        let status = status.map(|status| Delivery { status, at: None });
        let messages = texts
            .iter()
            .map(|text| Message {
                status,
                ..message(10_000, text)
            })
            .collect();
        let mut window = shelf.window(0, 100, messages);
        for known in &mut window.messages {
            known.fingerprint.0[..4].copy_from_slice(&[1, 2, 3, 4]);
        }
        window
    };
    let many: Vec<String> = (0..80).map(|n| n.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(
        shelf.commit(&[meeting(&many[..2], None)]).await,
        [WriteCounts { new: 2, changed: 0 }]
    );
    assert_eq!(
        shelf.commit(&[meeting(&many, None)]).await,
        [WriteCounts {
            new: 78,
            changed: 0
        }]
    );
    assert_eq!(
        shelf.commit(&[meeting(&many, None)]).await,
        [WriteCounts::default()]
    );
    assert_eq!(
        shelf
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
            shelf.number(distinct).await,
            shelf.number("SELECT count(*) FROM archive").await
        ),
        (80, 80)
    );
    // One that leaves does not hide those that had to make way for it.
    let there = shelf
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
            shelf
                .store
                .move_to_quarantine(shelf.streams[0], &aside, NOW)
                .await
                .unwrap(),
            1
        );
        assert_eq!(
            shelf.commit(&[meeting(&many[gone + 1..], None)]).await,
            [WriteCounts::default()]
        );
    }
    assert_eq!(shelf.number("SELECT count(*) FROM archive").await, 1);
}

/// Whatever part of it is there: the first glance may see only what is there, or only what is not.
async fn partly_archived_window_is_completed(shelf: StoreFixture) {
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
        shelf.window(base / 1000, base / 1000 + 100, messages)
    };
    let parts: [fn(i64) -> bool; 4] = [|n| n < 50, |n| n == 57, |n| n % 33 == 0, |n| n % 33 != 0];
    for (base, keep) in (0..).step_by(1_000_000).zip(parts) {
        let first = shelf.commit(&[part(keep, base)]).await[0].new;
        assert!(first > 0 && first < 100);
        let rest = shelf.commit(&[part(|_| true, base)]).await;
        assert_eq!(
            rest,
            [WriteCounts {
                new: 100 - first,
                changed: 0
            }]
        );
    }
    assert_eq!(shelf.number("SELECT count(*) FROM archive").await, 400);
}

async fn status_moves_forward_only(shelf: StoreFixture) {
    let says = async |message| {
        let written = shelf.commit(&[shelf.window(0, 100, vec![message])]).await;
        (
            written[0].changed,
            shelf
                .ask("SELECT status, status_at FROM archive")
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
    assert_eq!(shelf.number("SELECT count(*) FROM archive").await, 1);
}

async fn message_moves_to_the_peer_conversation_once_known(shelf: StoreFixture) {
    let to_bob = |conversation| Message {
        recipient: "bob".into(),
        conversation,
        ..message(10_000, "hi")
    };
    shelf
        .commit(&[shelf.window(
            0,
            100,
            vec![to_bob(Conversation::named(
                ConversationKind::Unknown,
                "bob",
            ))],
        )])
        .await;
    let filed = "SELECT conversation, conversation_kind FROM archive";
    assert_eq!(shelf.ask(filed).await, [texts(["bob", "unknown"])]);

    let known = || Commit {
        stream: shelf.streams[1],
        ..shelf.window(0, 100, vec![to_bob(Conversation::between("alice", "bob"))])
    };
    assert_eq!(
        shelf.commit(&[known()]).await,
        [WriteCounts { new: 0, changed: 1 }]
    );
    assert_eq!(shelf.ask(filed).await, [texts(["alice/bob", "peer"])]);
    // What is known is not unlearned by who knows less.
    let unknown = shelf.window(
        0,
        100,
        vec![to_bob(Conversation::named(
            ConversationKind::Unknown,
            "bob",
        ))],
    );
    assert_eq!(shelf.commit(&[unknown]).await, [WriteCounts::default()]);
    assert_eq!(shelf.ask(filed).await, [texts(["alice/bob", "peer"])]);
    assert_eq!(
        shelf
            .ask("SELECT conversation, messages FROM conversations")
            .await,
        [texts(["alice/bob", "1"])]
    );
}

async fn conversation_of_unknown_kind_becomes_a_channel_once_known(shelf: StoreFixture) {
    let unknown = Message {
        conversation: Conversation::named(ConversationKind::Unknown, "lobby"),
        ..message(10_000, "hi")
    };
    shelf.commit(&[shelf.window(0, 100, vec![unknown])]).await;
    let typed = Message {
        message_type: Some("group_message".into()),
        ..message(10_000, "hi")
    };
    shelf
        .commit(&[shelf.window(0, 100, vec![typed, message(20_000, "ho")])])
        .await;
    let rows =
        shelf.ask("SELECT conversation_kind, message_type, conversation_id FROM archive ORDER BY sent_at_ms").await;
    assert_eq!(
        rows,
        [
            texts(["channel", "group_message", "1"]),
            texts(["channel", "", "1"])
        ]
    );
}

async fn unreadable_message_is_quarantined_once(shelf: StoreFixture) {
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
            stream: shelf.streams[stream],
            unreadable: unreadable(),
            ..shelf.window(0, 100, vec![])
        };
        shelf.commit(&[commit]).await;
    }
    assert_eq!(
        shelf
            .ask("SELECT raw, reason, from_s, to_s FROM quarantine")
            .await,
        [texts(["{\"x\":1}", "no `src`", "0", "100"])]
    );
    assert_eq!(
        shelf
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

async fn window_sealed_by_another_process_is_left_unchanged(shelf: StoreFixture) {
    shelf
        .commit(&[shelf.window(100, 200, vec![message(110_000, "first")])])
        .await;
    for (from, to) in [(150, 250), (50, 150), (120, 130), (100, 200), (0, 300)] {
        let late = shelf.window(from, to, vec![message(125_000, "late")]);
        shelf.commit(&[late]).await;
    }
    assert_eq!(
        shelf
            .ask("SELECT from_s, to_s, messages FROM sealed_window ORDER BY from_s")
            .await,
        [texts(["100", "200", "1"])]
    );
    assert_eq!(
        shelf.number("SELECT count(*) FROM archive").await,
        2,
        "the messages were taken all the same"
    );
}

async fn only_short_adjacent_windows_share_a_ledger_row(shelf: StoreFixture) {
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
            ..shelf.window(from, to, messages)
        }
    };
    shelf
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
    let rows = shelf
        .ask("SELECT from_s, to_s, messages FROM sealed_window ORDER BY from_s")
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
    let rows: Vec<_> = shelf
        .ask(coverage)
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
        shelf.store.sealed_runs(shelf.account).await.unwrap()[&shelf.streams[0]]
            .iter()
            .collect::<Vec<_>>(),
        [window(0, 60), window(70, 80)]
    );
}

async fn gaps_show_range_reason_and_loss(shelf: StoreFixture) {
    register(&*shelf.store, &["destination=lobby"], Some(100), None).await;
    shelf.assert_frontier(Some(250), 900, 1000).await;
    for (from, to) in [(150, 200), (300, 400), (600, 900)] {
        shelf.commit(&[shelf.window(from, to, vec![])]).await;
    }
    let trouble = RecordedError {
        error: "refused".into(),
        hint: "ask".into(),
    };
    shelf
        .store
        .record_stream_error(shelf.streams[0], Some(&trouble), NOW)
        .await
        .unwrap();
    let gaps = "SELECT from_at, to_at, reason, lost, expires_at FROM gaps ORDER BY 1";
    let lost = "behind the provider's retention edge before it was fetched";
    assert_eq!(
        shelf.ask(gaps).await,
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
    let status = shelf.store.status().await.unwrap().remove(0);
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
    // Where a provider is not known to forget, nothing expires.
    shelf.assert_frontier(None, 900, 1000).await;
    assert_eq!(
        shelf
            .ask("SELECT DISTINCT coalesce(CAST(expires_at AS TEXT), 'never') FROM gaps")
            .await,
        [["never"]]
    );

    shelf
        .store
        .record_stream_error(shelf.streams[0], None, NOW)
        .await
        .unwrap();
    let reasons = shelf
        .ask("SELECT DISTINCT reason FROM gaps WHERE reason LIKE 'not%'")
        .await;
    assert_eq!(reasons, [texts(["not fetched yet"])]);
}

async fn lost_range_leaves_later_ranges_complete(shelf: StoreFixture) {
    register(&*shelf.store, &["destination=lobby"], Some(100), None).await;
    shelf.assert_frontier(Some(250), 900, 1000).await;
    shelf.commit(&[shelf.window(250, 900, vec![])]).await;
    let status = shelf.store.status().await.unwrap().remove(0);
    assert_eq!(
        (
            status.watermark,
            status.missing_seconds,
            status.lost_seconds
        ),
        (Some(Second(900)), 0, 150)
    );
}

async fn stream_without_sealed_windows_is_one_gap(shelf: StoreFixture) {
    register(&*shelf.store, &["destination=lobby"], Some(100), None).await;
    shelf.assert_frontier(None, 900, 1000).await;
    let gaps = shelf
        .ask("SELECT stream, from_at, to_at, lost FROM gaps")
        .await;
    assert_eq!(
        gaps,
        [texts(["destination=lobby", "100000", "1000000", "0"])]
    );
}

async fn frontier_never_moves_back(shelf: StoreFixture) {
    shelf.assert_frontier(Some(200), 900, 1000).await;
    shelf.assert_frontier(Some(100), 800, 900).await;
    let stands = "SELECT horizon_s, settled_s, wanted_to_s FROM account";
    assert_eq!(shelf.ask(stands).await, [texts(["200", "900", "1000"])]);
    // Unless the provider is not said to forget any more: then nothing is behind a horizon.
    shelf.assert_frontier(None, 900, 1000).await;
    assert_eq!(shelf.ask(stands).await, [texts(["", "900", "1000"])]);
}

async fn runs_show_the_result_of_each_pass(shelf: StoreFixture) {
    let first = shelf
        .store
        .begin_run(shelf.account, "sync", Millis(5_000))
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
    shelf
        .store
        .end_run(first, &tally, Millis(6_500))
        .await
        .unwrap();
    shelf
        .store
        .begin_run(shelf.account, "sync", Millis(9_000))
        .await
        .unwrap();
    let rows = shelf.ask("SELECT account, why, started_at, finished_at, requests, new, changed, windows, errors, last_error, lag_seconds FROM runs ORDER BY 3").await;
    assert_eq!(rows[0].join(" "), "shop sync 5000 6500 7 5 1 2 1 oh 125");
    assert_eq!(rows[1].join(" "), "shop sync 9000  0 0 0 0 0  ");
}

async fn request_rate_is_taken_from_longer_passes(shelf: StoreFixture) {
    let paces = async |since| {
        shelf
            .store
            .paces(Millis(since), Duration::from_secs(10))
            .await
            .unwrap()
    };
    let run = async |begun: i64, took: i64, requests| {
        let run = shelf
            .store
            .begin_run(shelf.account, "sync", Millis(begun))
            .await
            .unwrap();
        let tally = Tally {
            requests,
            ..Tally::default()
        };
        shelf
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
    shelf
        .store
        .begin_run(shelf.account, "sync", Millis(300_000))
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

async fn message_density_counts_only_retained_history(shelf: StoreFixture) {
    register(&*shelf.store, &["destination=lobby"], Some(0), None).await;
    shelf
        .commit(&[shelf.window(
            0,
            100,
            (0..90).map(|n| message(n * 1000, &n.to_string())).collect(),
        )])
        .await;
    shelf
        .commit(&[shelf.window(200, 250, vec![message(210_000, "a")])])
        .await;
    shelf
        .commit(&[shelf.window(300, 400, vec![message(310_000, "b"), message(320_000, "c")])])
        .await;
    shelf.assert_frontier(Some(240), 900, 1000).await;
    let status = shelf.store.status().await.unwrap().remove(0);
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

async fn archive_reports_its_size_on_disk(shelf: StoreFixture) {
    let before = shelf.store.size_bytes().await.unwrap();
    let messages = (0..2000)
        .map(|n| message(n * 10, &"long".repeat(100)))
        .collect();
    shelf.commit(&[shelf.window(0, 100, messages)]).await;
    let taken = shelf.store.size_bytes().await.unwrap() - before;
    assert!((800_000..2_000_000).contains(&taken), "{taken}");
}

async fn wanted_from_never_moves_forward(shelf: StoreFixture) {
    let from = async |since, horizon| {
        register(&*shelf.store, &["source=carol"], since, horizon)
            .await
            .streams[0]
            .1
    };
    assert_eq!(
        from(None, Some(500)).await,
        Second(500),
        "as far back as the provider remembered"
    );
    assert_eq!(
        from(None, Some(900)).await,
        Second(500),
        "what it has forgotten since is still missed"
    );
    assert_eq!(
        from(Some(700), Some(900)).await,
        Second(700),
        "unless the operator says otherwise"
    );
    assert_eq!(from(None, Some(900)).await, Second(700));
    assert_eq!(
        register(&*shelf.store, &["source=dave"], None, None)
            .await
            .streams[0]
            .1,
        Second(0)
    );
}

async fn inactive_stream_keeps_messages_and_has_no_gaps(shelf: StoreFixture) {
    shelf.assert_frontier(None, 900, 1000).await;
    shelf
        .commit(&[shelf.window(0, 100, vec![message(10_000, "hi")])])
        .await;
    let known = register(&*shelf.store, &["source=alice"], None, None).await;
    assert_eq!(
        known.streams[0].0, shelf.streams[1],
        "a stream keeps its number"
    );
    let streams = |rows: Vec<Vec<String>>| rows.concat();
    assert_eq!(
        streams(shelf.ask("SELECT DISTINCT stream FROM gaps").await),
        ["source=alice"]
    );
    assert_eq!(
        streams(shelf.ask("SELECT stream FROM coverage").await),
        ["destination=lobby"]
    );
    assert_eq!(shelf.number("SELECT count(*) FROM archive").await, 1);
    let status = shelf.store.status().await.unwrap();
    assert_eq!(
        status.iter().map(|s| s.stream.as_str()).collect::<Vec<_>>(),
        ["source=alice"]
    );
    assert!(
        shelf
            .store
            .sealed_runs(shelf.account)
            .await
            .unwrap()
            .is_empty()
    );
    register(&*shelf.store, &["destination=lobby"], None, None).await;
    assert_eq!(
        shelf.store.sealed_runs(shelf.account).await.unwrap().len(),
        1,
        "followed again, it goes on where it was"
    );
}

async fn pause_persists_until_it_is_cleared(shelf: StoreFixture) {
    let pause = Pause {
        until: Millis(NOW.0 + 900_000),
        reason: "refused".into(),
    };
    shelf
        .store
        .pause(shelf.account, Some(&pause))
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
        shelf.store.register(&account).await.unwrap()
    };
    assert_eq!(known().await.pause, Some(pause.clone()));
    assert!(
        shelf
            .store
            .status()
            .await
            .unwrap()
            .iter()
            .all(|stream| stream.pause.as_ref() == Some(&pause))
    );
    shelf.store.pause(shelf.account, None).await.unwrap();
    assert_eq!(known().await.pause, None);
    assert_eq!(
        shelf.store.status().await.unwrap().len(),
        2,
        "asking without streams leaves them as they are"
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
        let store = open(&path).await;
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
    let (one, other) = (open(&path).await, open(&path).await);
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

//! Ledger rows: counts and digests that are merged and replaced, and never cut.

use std::time::Duration;

use backscroll::domain::digest::{ChainLink, Digest};
use backscroll::domain::identity::identify;
use backscroll::domain::message::{Conversation, Encoding, Message, Payload, UnparsableMessage};
use backscroll::domain::stream::Scope;
use backscroll::domain::time::Millis;
use backscroll::domain::window::Window;
use backscroll::store::{
    ArchivedMessage, Commit, Cursor, DigestUpdate, Eviction, LedgerRow, Seal, WriteCounts,
};

use crate::support::store_fixture::{NOW, StoreFixture, message, scope, seal, window};

on_every_database! {
    digest_is_independent_of_message_order,
    extended_ledger_row_keeps_its_digest,
    ledger_row_without_digest_is_not_extended,
    replacement_replaces_the_rows_it_covers,
    replacement_that_cuts_a_row_is_rejected,
    archived_messages_no_longer_shown_are_counted,
    message_outside_of_the_scope_is_archived_and_not_counted,
    ledger_rows_of_a_window_are_those_overlapping_it,
    restored_ledger_equals_the_original,
    digest_is_stored_once_for_its_row,
    evicted_message_moves_to_quarantine,
    changed_row_does_not_match_its_hash,
}

/// Returns the expected row for these messages.
fn row(from: i64, to: i64, messages: &[Message]) -> (Window, u64, Option<Digest>) {
    let mut links: Vec<ChainLink> = identify(messages.to_vec())
        .iter()
        .map(ChainLink::from_identified)
        .collect();
    links.sort_unstable();
    (
        window(from, to),
        links.len() as u64,
        Some(Digest::default().append_all(&links)),
    )
}

fn said(rows: &[LedgerRow]) -> Vec<(Window, u64, Option<Digest>)> {
    rows.iter()
        .map(|row| (row.window, row.messages, row.digest))
        .collect()
}

async fn digest_is_independent_of_message_order(fixture: StoreFixture) {
    let messages = [
        message(10_000, "b"),
        message(20_000, "c"),
        message(10_000, "a"),
        message(10_000, "a"),
    ];
    let reversed = messages.iter().rev().cloned().collect();
    fixture.commit(&[fixture.commit_of(0, 100, reversed)]).await;
    assert_eq!(
        said(&fixture.ledger_rows(0).await),
        [row(0, 100, &messages)]
    );
    // The window extends beyond its sealed part: later messages are archived but not part of the
    // row.
    let more = [message(100_000, "d"), message(150_000, "e")];
    let part = Seal {
        doubt: Some("why".into()),
        ..seal(window(100, 150), None)
    };
    fixture
        .commit(&[Commit {
            seal: Some(part),
            ..fixture.commit_of(100, 200, more.to_vec())
        }])
        .await;
    assert_eq!(
        said(&fixture.ledger_rows(0).await)[1],
        row(100, 150, &more[..1])
    );
    assert_eq!(
        fixture.query_number("SELECT count(*) FROM archive").await,
        6
    );
}

async fn extended_ledger_row_keeps_its_digest(fixture: StoreFixture) {
    let messages: Vec<Message> = (0..6).map(|n| message(n * 10_000, "hi")).collect();
    for n in [0, 1, 2] {
        let part = messages[n * 2..n * 2 + 2].to_vec();
        fixture
            .commit(&[fixture.commit_of(n as i64 * 20, n as i64 * 20 + 20, part)])
            .await;
    }
    fixture.commit(&[fixture.commit_of(60, 100, vec![])]).await;
    let rows = fixture.ledger_rows(0).await;
    assert_eq!(said(&rows), [row(0, 100, &messages)]);
    assert_eq!(rows[0].provider_count, Some(6));
}

async fn ledger_row_without_digest_is_not_extended(fixture: StoreFixture) {
    fixture
        .commit(&[fixture.commit_of(0, 100, vec![message(10_000, "hi")])])
        .await;
    let mut ledger = fixture.store.ledgers().await.unwrap().remove(0);
    for stream in &mut ledger.streams {
        stream.windows.iter_mut().for_each(|row| row.digest = None);
    }
    fixture.store.restore_ledger(&ledger).await.unwrap();
    let next = [message(110_000, "ho")];
    fixture
        .commit(&[fixture.commit_of(100, 200, next.to_vec())])
        .await;
    assert_eq!(
        said(&fixture.ledger_rows(0).await),
        [(window(0, 100), 1, None), row(100, 200, &next)]
    );
}

async fn replacement_replaces_the_rows_it_covers(fixture: StoreFixture) {
    let old = |from: i64| message(from * 1000, "old");
    let doubtful = Seal {
        doubt: Some("why".into()),
        ..seal(window(100, 200), None)
    };
    fixture
        .commit(&[fixture.commit_of(0, 100, vec![old(10)])])
        .await;
    fixture
        .commit(&[Commit {
            seal: Some(doubtful),
            ..fixture.commit_of(100, 200, vec![old(110)])
        }])
        .await;
    fixture
        .commit(&[fixture.commit_of(300, 400, vec![old(310)])])
        .await;
    assert_eq!(fixture.ledger_rows(0).await.len(), 3);

    // The same row, then several rows with the ranges between them.
    let later = Millis(NOW.0 + 5000);
    let again = [old(110), message(120_000, "late")];
    fixture
        .store
        .commit(&[fixture.replacement(100, 200, again.to_vec())], later)
        .await
        .unwrap();
    let all = [vec![old(10)], again.to_vec()].concat();
    let rows = fixture.ledger_rows(0).await;
    // The row is not merged although it is short: its neighbour may be about to be replaced.
    assert_eq!(
        said(&rows),
        [
            row(0, 100, &[old(10)]),
            row(100, 200, &again),
            row(300, 400, &[old(310)])
        ]
    );
    assert_eq!(
        (
            rows[1].doubt.as_deref(),
            rows[1].doubted_at,
            rows[1].sealed_at
        ),
        (None, None, later)
    );

    let all = [all, vec![message(250_000, "between"), old(310)]].concat();
    assert_eq!(
        fixture
            .commit(&[fixture.replacement(-50, 400, all.clone())])
            .await,
        [WriteCounts { new: 1, changed: 0 }]
    );
    assert_eq!(said(&fixture.ledger_rows(0).await), [row(-50, 400, &all)]);
    // Without sealed rows there is nothing to replace.
    fixture
        .commit(&[fixture.replacement(500, 600, vec![])])
        .await;
    assert_eq!(fixture.ledger_rows(0).await.len(), 2);
}

async fn replacement_that_cuts_a_row_is_rejected(fixture: StoreFixture) {
    fixture
        .commit(&[fixture.commit_of(100, 200, vec![message(110_000, "first")])])
        .await;
    // The late message becomes part of the row, which otherwise stays.
    let both = [message(110_000, "first"), message(125_000, "late")];
    let before = fixture.ledger_rows(0).await;
    for (from, to) in [(150, 250), (50, 150), (120, 130), (100, 199), (101, 200)] {
        fixture
            .commit(&[fixture.replacement(from, to, vec![both[1].clone()])])
            .await;
        let rows = fixture.ledger_rows(0).await;
        assert_eq!(said(&rows), [row(100, 200, &both)]);
        let unchanged = LedgerRow {
            messages: before[0].messages,
            digest: before[0].digest,
            ..rows[0].clone()
        };
        assert_eq!([unchanged], before[..]);
    }
    assert_eq!(
        fixture.query_number("SELECT count(*) FROM archive").await,
        2,
        "the messages were archived all the same"
    );
}

async fn archived_messages_no_longer_shown_are_counted(fixture: StoreFixture) {
    let peer = |ms, text| Message {
        conversation: Conversation::between("alice", "lobby"),
        ..message(ms, text)
    };
    let messages = vec![
        peer(10_000, "stays"),
        peer(20_000, "goes"),
        peer(30_000, "stays"),
    ];
    let other = Message {
        sender: "bob".into(),
        recipient: "carol".into(),
        ..message(15_000, "elsewhere")
    };
    let unsealed = Commit {
        seal: None,
        ..fixture.commit_of(0, 100, [messages.clone(), vec![other]].concat())
    };
    fixture.commit(&[unsealed]).await;
    let shown = vec![messages[0].clone(), messages[2].clone()];
    let (pair, both) = (
        "conversation=alice/lobby",
        Scope {
            sender: Some("alice".into()),
            ..scope("destination=lobby")
        },
    );
    for (n, scope) in [
        scope("destination=lobby"),
        scope("source=alice"),
        scope(pair),
        both,
    ]
    .into_iter()
    .enumerate()
    {
        let seal = Seal {
            scope,
            replaces: true,
            ..seal(window(0, 100), Some(2))
        };
        fixture
            .commit(&[Commit {
                seal: Some(seal),
                ..fixture.commit_of(0, 100, shown.clone())
            }])
            .await;
        assert_eq!(
            said(&fixture.ledger_rows(0).await),
            [row(0, 100, &messages)],
            "{n}"
        );
    }
}

async fn message_outside_of_the_scope_is_archived_and_not_counted(fixture: StoreFixture) {
    let in_attic = Message {
        recipient: "attic".into(),
        ..message(20_000, "received in a channel")
    };
    let unreadable = vec![UnparsableMessage::new("{}", "no `src`")];
    let messages = vec![message(10_000, "hi"), in_attic];
    fixture
        .commit(&[Commit {
            unreadable,
            ..fixture.commit_of(0, 100, messages.clone())
        }])
        .await;
    let rows = fixture.ledger_rows(0).await;
    assert_eq!(said(&rows), [row(0, 100, &messages[..1])]);
    assert_eq!((rows[0].provider_count, &rows[0].doubt), (Some(2), &None));
    assert_eq!(
        fixture.query_number("SELECT count(*) FROM archive").await,
        2
    );
}

async fn ledger_rows_of_a_window_are_those_overlapping_it(fixture: StoreFixture) {
    for (from, to) in [(0, 10), (20, 30), (40, 50), (60, 70)] {
        fixture.commit(&[fixture.commit_of(from, to, vec![])]).await;
    }
    let starts = async |from, to, limit| {
        let rows = fixture
            .store
            .ledger_rows(fixture.streams[0], window(from, to), limit)
            .await
            .unwrap();
        rows.iter()
            .map(|row| row.window.from().0)
            .collect::<Vec<_>>()
    };
    assert_eq!(starts(10, 20, 9).await, [0; 0]);
    assert_eq!(starts(9, 21, 9).await, [0, 20]);
    assert_eq!(starts(25, 26, 9).await, [20]);
    assert_eq!(starts(20, 60, 9).await, [20, 40]);
    assert_eq!(starts(-10, 100, 3).await, [0, 20, 40]);
    assert!(
        fixture.ledger_rows(1).await.is_empty(),
        "another stream has its own rows"
    );
}

async fn restored_ledger_equals_the_original(fixture: StoreFixture) {
    fixture
        .commit(&[fixture.commit_of(0, 100, vec![message(10_000, "hi")])])
        .await;
    fixture.assert_frontier(Some(50), 900, 1000).await;
    let before = fixture.store.ledgers().await.unwrap();
    assert_eq!(before[0].streams[0].scope, Some(scope("destination=lobby")));
    assert_eq!(before[0].frontier.retention, Some(Duration::from_secs(950)));
    fixture.store.restore_ledger(&before[0]).await.unwrap();
    assert_eq!(fixture.store.ledgers().await.unwrap(), before);
}

async fn digest_is_stored_once_for_its_row(fixture: StoreFixture) {
    fixture
        .commit(&[fixture.commit_of(0, 100, vec![message(10_000, "hi")])])
        .await;
    let mut ledger = fixture.store.ledgers().await.unwrap().remove(0);
    ledger.streams[0].windows[0].digest = None;
    fixture.store.restore_ledger(&ledger).await.unwrap();
    let stream = fixture.streams[0];
    let stamp = |to, messages, byte| DigestUpdate {
        stream,
        window: window(0, to),
        messages,
        digest: Digest([byte; 32]),
    };
    fixture
        .store
        .add_digests(&[stamp(99, 1, 1), stamp(100, 2, 2)])
        .await
        .unwrap();
    assert_eq!(
        fixture.ledger_rows(0).await[0].digest,
        None,
        "the digest of another row is rejected"
    );
    fixture
        .store
        .add_digests(&[stamp(100, 1, 3), stamp(100, 1, 4)])
        .await
        .unwrap();
    assert_eq!(
        fixture.ledger_rows(0).await[0].digest,
        Some(Digest([3; 32]))
    );
}

async fn archived(fixture: &StoreFixture) -> Vec<ArchivedMessage> {
    fixture
        .store
        .messages(&Cursor::before(Millis(0)), Millis(i64::MAX), 100)
        .await
        .unwrap()
}

async fn evicted_message_moves_to_quarantine(fixture: StoreFixture) {
    fixture
        .commit(&[fixture.commit_of(0, 100, vec![message(10_000, "hi"), message(20_000, "ho")])])
        .await;
    let all = archived(&fixture).await;
    let aside = || {
        [Eviction {
            message: &all[0],
            reason: "because",
        }]
    };
    assert_eq!(
        fixture
            .store
            .move_to_quarantine(fixture.streams[0], &aside(), NOW)
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        fixture
            .store
            .move_to_quarantine(fixture.streams[0], &aside(), NOW)
            .await
            .unwrap(),
        0,
        "the message is already gone"
    );
    assert_eq!(archived(&fixture).await, all[1..]);
    let rows = fixture
        .query_texts("SELECT reason, from_s, to_s, raw FROM quarantined_message")
        .await;
    assert_eq!(rows[0][..3], ["because", "10", "11"]);
    assert!(rows[0][3].contains("\"payload_hex\":\"6869\""), "{rows:?}");
    // The message is archived again like any other.
    fixture
        .commit(&[fixture.commit_of(0, 100, vec![message(10_000, "hi")])])
        .await;
    assert_eq!(archived(&fixture).await.len(), 2);
}

async fn changed_row_does_not_match_its_hash(fixture: StoreFixture) {
    let faithful = Message {
        payload: Payload {
            bytes: b"a\0b".to_vec(),
            encoding: Encoding::Utf8,
        },
        ..message(1, "")
    };
    fixture
        .commit(&[fixture.commit_of(0, 100, vec![faithful, message(20_000, "ho")])])
        .await;
    assert!(
        archived(&fixture)
            .await
            .iter()
            .all(|message| message.fault().is_none())
    );
}

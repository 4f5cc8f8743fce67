//! Every field of a message at its limits, through commit, views, copy and back, and values that a
//! database refuses.

use std::collections::BTreeSet;

use backscroll::domain::message::{
    Conversation, ConversationKind, Delivery, DeliveryStatus, Encoding, Message, Payload,
};
use backscroll::domain::time::Millis;
use backscroll::store::copy::copy;
use backscroll::store::{Archive, ArchivedMessage, Commit, Cursor, WriteCounts};
use sqlx::{ConnectOptions, Executor};

use crate::support::postgres_server;
use crate::support::store_fixture::{NOW, SqlReader, StoreFixture, message, seal, texts, window};

on_every_database! {
    every_value_is_archived_shown_and_copied,
    long_names_of_streams_and_alarms_are_kept,
    counts_at_their_limits_fail_no_view,
    value_that_no_database_holds_costs_only_its_message,
    refused_value_costs_only_its_message,
}

/// The first millisecond behind the last second that a window can end at.
const END_OF_WINDOWS: i64 = i64::MAX / 1000 * 1000;

/// Text that does not compress, so that it reaches every limit of an index.
fn incompressible(bytes: usize) -> String {
    let hash = |block: usize| blake3::hash(&block.to_le_bytes()).to_hex().to_string();
    let mut text: String = (0..=bytes / 64).map(hash).collect();
    text.truncate(bytes);
    text
}

/// Texts of every kind that a provider may serve.
fn odd_texts() -> Vec<String> {
    let odd = [
        "",
        " ",
        "\n\t\u{1}\u{7f}\u{85}",
        "\u{202e}\u{feff}𝕏😀",
        "'\"\\%_`",
        "e\u{301}é",
    ];
    let mut texts: Vec<String> = odd.map(str::to_owned).to_vec();
    texts.extend([2600, 2800, 9000, 200_000].map(incompressible));
    texts
}

fn odd_times() -> Vec<i64> {
    let year_1 = -62_135_596_800_000;
    let year_10_000 = 253_402_300_800_000;
    let mut times = vec![i64::MIN, i64::MIN + 1, -1, 0, 999, END_OF_WINDOWS - 1];
    for edge in [year_1, year_10_000, year_10_000 - 31_536_000_000] {
        times.extend([edge - 1, edge, edge + 1]);
    }
    times
}

fn odd_payloads() -> Vec<Payload> {
    // Without the byte by which the tests' client separates rows.
    let every_byte: Vec<u8> = (0..=255).filter(|byte| *byte != 0x1E).collect();
    let large = incompressible(1 << 20).into_bytes();
    let mut payloads = Vec::new();
    for encoding in [Encoding::Utf8, Encoding::Base64, Encoding::Raw] {
        for bytes in [
            b"",
            &b"\0"[..],
            b"\xED\xA0\x80",
            b"{\"a\":1}",
            &every_byte,
            &large,
        ] {
            let bytes = bytes.to_vec();
            payloads.push(Payload { bytes, encoding });
        }
    }
    payloads
}

/// Messages that each have one value at a limit.
fn odd_messages() -> Vec<Message> {
    let mut messages = Vec::new();
    let mut ms = 10_000;
    let mut add = |change: &dyn Fn(&mut Message)| {
        ms += 1;
        let mut odd = message(ms, "odd");
        change(&mut odd);
        messages.push(odd);
    };
    for text in odd_texts() {
        add(&|m| m.sender.clone_from(&text));
        add(&|m| m.recipient.clone_from(&text));
        add(&|m| m.conversation = Conversation::named(ConversationKind::Group, &text));
        add(&|m| m.provider_id = Some(text.clone()));
        add(&|m| m.message_type = Some(text.clone()));
        add(&|m| m.payload_type = Some(text.clone()));
        add(&|m| m.cipher_suite = Some(text.clone()));
        add(&|m| m.extra = Some(serde_json::json!({ "a": text }).to_string()));
    }
    for at in odd_times() {
        add(&|m| m.sent_at = Millis(at));
        let status = DeliveryStatus::Delivered;
        add(&|m| {
            m.status = Some(Delivery {
                status,
                at: Some(Millis(at)),
            });
        });
    }
    for payload in odd_payloads() {
        add(&|m| m.payload = payload.clone());
    }
    for kind in [ConversationKind::Unknown, ConversationKind::Topic] {
        add(&|m| m.conversation = Conversation::named(kind, "kind"));
    }
    messages
}

fn unsealed(fixture: &StoreFixture, messages: Vec<Message>) -> Commit {
    Commit {
        seal: None,
        ..fixture.commit_of(0, 100, messages)
    }
}

/// All messages of an archive, without what differs between two archives.
async fn contents(store: &dyn Archive) -> BTreeSet<String> {
    let all = store
        .messages(&Cursor::before(Millis(i64::MIN)), Millis(i64::MAX), 10_000)
        .await
        .unwrap();
    let content = |archived: &ArchivedMessage| {
        let m = &archived.identified.message;
        format!(
            "{} {:?} {} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {}",
            archived.id,
            m.sender,
            m.recipient,
            m.sent_at,
            m.payload.bytes,
            m.payload.encoding,
            m.conversation,
            m.provider_id,
            m.message_type,
            m.payload_type,
            m.cipher_suite,
            m.status,
            m.extra.as_deref().unwrap_or("none"),
        )
    };
    all.iter().map(content).collect()
}

async fn every_value_is_archived_shown_and_copied(fixture: StoreFixture) {
    let messages = odd_messages();
    let count = messages.len() as u64;
    let commit = || unsealed(&fixture, messages.clone());
    let new = [WriteCounts {
        new: count,
        changed: 0,
    }];
    assert_eq!(fixture.commit(&[commit()]).await, new);
    assert_eq!(fixture.commit(&[commit()]).await, [WriteCounts::default()]);
    assert_eq!(
        fixture
            .query_number("SELECT count(*) FROM quarantine")
            .await,
        0
    );
    for sql in [
        "SELECT * FROM archive",
        "SELECT * FROM archive_text",
        "SELECT * FROM times",
    ] {
        assert_eq!(fixture.query_texts(sql).await.len() as u64, count, "{sql}");
    }
    for sql in [
        "SELECT * FROM conversations",
        "SELECT * FROM senders",
        "SELECT * FROM days",
        "SELECT * FROM completeness",
    ] {
        fixture.query_texts(sql).await;
    }
    let original = contents(&*fixture.store).await;
    assert_eq!(original.len() as u64, count);
    let (there, back) = (
        StoreFixture::in_postgres().await,
        StoreFixture::in_sqlite().await,
    );
    let copied = copy(&*fixture.store, &*there.store, |_| {}).await.unwrap();
    assert_eq!(copied.messages, count);
    assert_eq!(contents(&*there.store).await, original);
    copy(&*there.store, &*back.store, |_| {}).await.unwrap();
    assert_eq!(contents(&*back.store).await, original);
}

async fn long_names_of_streams_and_alarms_are_kept(fixture: StoreFixture) {
    use backscroll::domain::alarm::{Alarm, AlarmKind, AlarmSubject, Notified};
    let keys: Vec<String> = [3000, 3001, 60_000]
        .map(|bytes| format!("destination={}", incompressible(bytes)))
        .to_vec();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let register = async || {
        crate::support::store_fixture::register(&*fixture.store, &keys, None, None)
            .await
            .streams
    };
    assert_eq!(register().await, register().await, "the same streams");
    let alarm = |stream: &str, text: &str| Alarm {
        subject: AlarmSubject {
            account: Some("shop".to_owned()),
            stream: Some(stream.to_owned()),
            kind: AlarmKind::Stuck,
        },
        since: NOW,
        until: None,
        text: text.to_owned(),
        hint: String::new(),
        level: None,
        notified: Notified::Nothing,
    };
    for text in ["first", "second"] {
        let alarms: Vec<Alarm> = keys.iter().map(|key| alarm(key, text)).collect();
        fixture.save_alarms(&alarms).await;
    }
    let shown = "SELECT text, count(*) FROM alarms GROUP BY text";
    assert_eq!(fixture.query_texts(shown).await, [texts(["second", "3"])]);
}

async fn counts_at_their_limits_fail_no_view(fixture: StoreFixture) {
    for (from, to) in [(0, 100), (100, 200), (200, 300)] {
        let commit = Commit {
            seal: Some(seal(window(from, to), Some(u64::MAX))),
            ..fixture.commit_of(from, to, vec![])
        };
        fixture.commit(&[commit]).await;
    }
    assert_eq!(fixture.query_texts("SELECT * FROM coverage").await.len(), 1);
    fixture.query_texts("SELECT * FROM gaps").await;
    fixture.store.status().await.unwrap();
    fixture.store.account_summaries().await.unwrap();
}

async fn value_that_no_database_holds_costs_only_its_message(fixture: StoreFixture) {
    let nul = || "a\0b".to_owned();
    let changes: [&dyn Fn(&mut Message); 9] = [
        &|m| m.sender = nul(),
        &|m| m.recipient = nul(),
        &|m| m.conversation.name = nul(),
        &|m| m.provider_id = Some(nul()),
        &|m| m.message_type = Some(nul()),
        &|m| m.payload_type = Some(nul()),
        &|m| m.cipher_suite = Some(nul()),
        &|m| m.extra = Some(nul()),
        &|m| m.sent_at = Millis(i64::MAX),
    ];
    let mut messages = vec![message(1, "before"), message(99_000, "behind")];
    messages.extend(changes.iter().zip(1..).map(|(change, n)| {
        let mut odd = message(n * 1000, "odd");
        change(&mut odd);
        odd
    }));
    let written = fixture.commit(&[fixture.commit_of(0, 100, messages)]).await;
    assert_eq!(written, [WriteCounts { new: 2, changed: 0 }]);
    let sealed = "SELECT messages, provider_count FROM coverage";
    assert_eq!(fixture.query_texts(sealed).await, [texts(["2", "11"])]);
    let reasons = "SELECT reason, count(*) FROM quarantine GROUP BY reason ORDER BY 2 DESC";
    let expected = [
        texts(["a text contains U+0000, which Postgres cannot store", "8"]),
        texts(["its time lies behind the end of every window", "1"]),
    ];
    assert_eq!(fixture.query_texts(reasons).await, expected);
}

/// Plays a database that refuses a value for a reason that Backscroll does not know.
async fn refuse_payload(fixture: &StoreFixture, payload: &str) {
    match &fixture.reader {
        SqlReader::Sqlite(store, _) => {
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(store.location());
            let mut connection = options.connect().await.unwrap();
            let trigger = format!(
                "CREATE TRIGGER refuse BEFORE INSERT ON message
                 WHEN new.payload = CAST('{payload}' AS BLOB)
                 BEGIN SELECT RAISE(ABORT, 'the trigger says no'); END"
            );
            connection
                .execute(sqlx::AssertSqlSafe(trigger))
                .await
                .unwrap();
        }
        SqlReader::Postgres(database) => {
            let constraint = format!(
                "ALTER TABLE message ADD CONSTRAINT says_no CHECK (payload <> '{payload}')"
            );
            postgres_server::shared_server().psql(database, &constraint);
        }
    }
}

async fn refused_value_costs_only_its_message(fixture: StoreFixture) {
    refuse_payload(&fixture, "refused").await;
    let words = |n: i64| {
        if n % 40 == 7 {
            "refused".to_owned()
        } else {
            n.to_string()
        }
    };
    let messages = (0..100)
        .map(|n| message(100_000 + n * 100, &words(n)))
        .collect();
    let batch = [
        fixture.commit_of(0, 100, vec![message(5000, "the window before")]),
        fixture.commit_of(100, 200, messages),
        fixture.commit_of(200, 300, vec![message(250_000, "the window behind")]),
    ];
    let written = fixture.commit(&batch).await;
    let new = written.iter().map(|counts| counts.new).collect::<Vec<_>>();
    assert_eq!(new, [1, 97, 1]);
    let sealed = "SELECT messages, provider_count FROM coverage";
    assert_eq!(fixture.query_texts(sealed).await, [texts(["99", "102"])]);
    let kept =
        "SELECT count(*) FROM quarantine WHERE reason LIKE 'the database refuses it%says%no%'";
    assert_eq!(fixture.query_number(kept).await, 3);
    // The same window again changes nothing.
    let again = fixture.commit(&batch).await;
    assert_eq!(again, [WriteCounts::default(); 3]);
    assert_eq!(
        fixture
            .query_number("SELECT count(*) FROM quarantine")
            .await,
        3
    );
    // An error that no message causes fails the commit.
    let unknown_stream = Commit {
        stream: backscroll::store::StreamId(4711),
        ..fixture.commit_of(300, 400, vec![message(350_000, "lost and found")])
    };
    fixture
        .store
        .commit(&[unknown_stream], NOW)
        .await
        .unwrap_err();
}

/// The archive's tables have a replica identity, so a publication of all tables hinders no update.
#[tokio::test]
async fn publication_of_all_tables_hinders_no_change_in_postgres() {
    let fixture = StoreFixture::in_postgres().await;
    let SqlReader::Postgres(database) = &fixture.reader else {
        panic!("a Postgres database")
    };
    let said = message(10_000, "hi");
    fixture
        .commit(&[unsealed(&fixture, vec![said.clone()])])
        .await;
    let publish = "CREATE PUBLICATION everything FOR ALL TABLES";
    postgres_server::shared_server().psql(database, publish);
    let status = Some(Delivery {
        status: DeliveryStatus::Read,
        at: None,
    });
    let read = || {
        vec![Message {
            status,
            ..said.clone()
        }]
    };
    let changed = [WriteCounts { new: 0, changed: 1 }];
    assert_eq!(fixture.commit(&[unsealed(&fixture, read())]).await, changed);
    let all = fixture
        .store
        .messages(&Cursor::before(Millis(0)), Millis(i64::MAX), 10)
        .await
        .unwrap();
    let eviction = backscroll::store::Eviction {
        message: &all[0],
        reason: "a test",
    };
    let moved = fixture
        .store
        .move_to_quarantine(fixture.streams[0], &[eviction], NOW)
        .await;
    assert_eq!(moved.unwrap(), 1);
    let without = "SELECT count(*) FROM pg_class c
                   WHERE c.relkind IN ('r', 'p')
                     AND c.relnamespace = (SELECT relnamespace FROM pg_class
                                           WHERE oid = 'message'::regclass)
                     AND NOT EXISTS (SELECT 1 FROM pg_index i
                                     WHERE i.indrelid = c.oid AND i.indisprimary)";
    assert_eq!(
        fixture.query_number(without).await,
        0,
        "tables without a primary key"
    );
}

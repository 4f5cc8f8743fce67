//! The search index holds the words of every message up to its end, and of no other.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use backscroll::domain::message::{Encoding, Message, Payload};
use backscroll::domain::time::Millis;
use backscroll::store::{
    ArchivedMessage, Commit, CopiedMessages, Cursor, Eviction, IndexExtent, Origin, StoreError,
};

use crate::support::store_fixture::{NOW, StoreFixture, message};

on_every_database! {
    index_follows_commits_in_the_order_of_ids,
    evicted_message_leaves_the_index,
    evicted_message_that_was_tampered_with_leaves_no_trace_for_readers,
    copied_message_before_the_end_is_indexed_at_once,
    ids_without_messages_are_passed_over,
    index_that_is_turned_off_is_emptied_and_built_again,
    index_of_other_rules_is_built_anew,
    payload_that_is_not_text_has_no_words,
    message_with_very_many_words_is_indexed,
    commits_and_evictions_during_a_batch_are_kept_apart,
    batch_that_is_dropped_at_any_await_leaves_a_true_index,
    eviction_that_is_dropped_at_any_await_takes_message_and_words_together,
}

impl StoreFixture {
    async fn index_all(&self) -> IndexExtent {
        loop {
            let extent = self.store.extend_index().await.unwrap();
            if extent.missing() == 0 {
                return extent;
            }
        }
    }

    /// Returns the texts of the messages that the index has a word for, in the order of ids.
    async fn indexed(&self, sqlite: &'static str, postgres: &'static str) -> Vec<String> {
        let sql = if self.is_postgres() { postgres } else { sqlite };
        let rows = self.query_texts(sql).await;
        rows.into_iter().map(|mut row| row.remove(0)).collect()
    }

    async fn with_hi(&self) -> Vec<String> {
        self.indexed(
            "SELECT a.body FROM archive_search s JOIN archive a ON a.id = s.rowid
             WHERE s.words MATCH 'hi' ORDER BY a.id",
            "SELECT a.body FROM archive_search s
                    JOIN archive a ON a.id = s.rowid AND a.sent_at_ms = s.sent_at_ms
             WHERE s.words @@ TSQUERY 'hi' ORDER BY a.id",
        )
        .await
    }

    /// Returns the number of messages in the index, with or without a message in the archive.
    async fn indexed_rows(&self) -> i64 {
        let rows = self
            .indexed(
                "SELECT count(*) FROM archive_search_docsize",
                "SELECT count(*) FROM archive_search",
            )
            .await;
        rows[0].parse().unwrap()
    }

    async fn commit_texts(&self, from: i64, texts: &[&str]) {
        let messages = (0..)
            .zip(texts)
            .map(|(n, text)| message(from * 1000 + n, text));
        let commit = self.commit_of(from, from + 1, messages.collect());
        self.commit(&[commit]).await;
    }

    async fn archived(&self) -> Vec<ArchivedMessage> {
        let (first, end) = (Cursor::before(Millis(i64::MIN)), Millis(i64::MAX));
        self.store.messages(&first, end, 100_000).await.unwrap()
    }

    async fn evict(&self, body: &str) {
        let archived = self.archived().await;
        let is_meant =
            |found: &&ArchivedMessage| found.identified.message.payload.bytes == body.as_bytes();
        let evictions = [Eviction {
            message: archived.iter().find(is_meant).unwrap(),
            reason: "a test",
        }];
        let stream = self.streams[0];
        let evicted = self.store.move_to_quarantine(stream, &evictions, NOW).await;
        assert_eq!(evicted.unwrap(), 1);
    }
}

async fn index_follows_commits_in_the_order_of_ids(fixture: StoreFixture) {
    assert_eq!(fixture.index_all().await.indexed_to, 0);
    fixture.commit_texts(10, &["Hi there", "hello"]).await;
    assert!(fixture.with_hi().await.is_empty());
    let extent = fixture.store.index_extent().await.unwrap();
    assert_eq!((extent.is_enabled, extent.missing()), (true, 2));
    assert_eq!(fixture.index_all().await.missing(), 0);
    assert_eq!(fixture.with_hi().await, ["Hi there"]);
    fixture.commit_texts(20, &["oh, HI!", "?!"]).await;
    fixture.index_all().await;
    assert_eq!(fixture.with_hi().await, ["Hi there", "oh, HI!"]);
    // The last message has no words.
    assert_eq!(fixture.indexed_rows().await, 3);
    let end = "SELECT (SELECT id FROM archive_search_end) - (SELECT max(id) FROM archive)";
    assert_eq!(fixture.query_number(end).await, 0);
}

async fn evicted_message_leaves_the_index(fixture: StoreFixture) {
    fixture
        .commit_texts(10, &["hi one", "hi two", "hi three"])
        .await;
    fixture.index_all().await;
    fixture.evict("hi two").await;
    assert_eq!(fixture.with_hi().await, ["hi one", "hi three"]);
    assert_eq!(fixture.indexed_rows().await, 2);
    fixture.commit_texts(20, &["hi four"]).await;
    fixture.evict("hi four").await;
    fixture.index_all().await;
    assert_eq!(fixture.with_hi().await, ["hi one", "hi three"]);
    assert_eq!(fixture.indexed_rows().await, 2);
}

async fn evicted_message_that_was_tampered_with_leaves_no_trace_for_readers(fixture: StoreFixture) {
    fixture.commit_texts(10, &["hi"]).await;
    fixture.index_all().await;
    let tamper = if fixture.is_postgres() {
        "UPDATE message SET payload = convert_to('a much longer text than before', 'UTF8')"
    } else {
        "UPDATE message SET payload = CAST('a much longer text than before' AS BLOB)"
    };
    fixture.execute_sql(tamper).await;
    fixture.evict("a much longer text than before").await;
    assert!(fixture.with_hi().await.is_empty());
    fixture.commit_texts(20, &["hi again"]).await;
    fixture.index_all().await;
    assert_eq!(fixture.with_hi().await, ["hi again"]);
}

async fn copied_message_before_the_end_is_indexed_at_once(fixture: StoreFixture) {
    fixture.store.reserve_ids(100).await.unwrap();
    fixture.commit_texts(10, &["hi 101"]).await;
    fixture.index_all().await;
    let messages = vec![message(20_000, "hi 50"), message(20_001, "hi")];
    let Commit {
        account, messages, ..
    } = fixture.commit_of(20, 21, messages);
    // Once more: messages that are there keep their ids.
    for id in [Some(50), None] {
        let origin = |id| Origin {
            id,
            archived_at: NOW,
        };
        let copied = CopiedMessages {
            account,
            messages: messages.clone(),
            origins: vec![origin(id), origin(None)],
        };
        fixture.store.import(&[copied]).await.unwrap();
    }
    assert_eq!(fixture.with_hi().await, ["hi 50", "hi 101"]);
    fixture.index_all().await;
    assert_eq!(fixture.with_hi().await, ["hi 50", "hi 101", "hi"]);
    assert_eq!(fixture.indexed_rows().await, 3);
}

async fn ids_without_messages_are_passed_over(fixture: StoreFixture) {
    fixture.commit_texts(10, &["hi before"]).await;
    fixture.store.reserve_ids(5_000_000).await.unwrap();
    fixture.commit_texts(20, &["hi behind"]).await;
    let first = fixture.store.extend_index().await.unwrap();
    assert_eq!(first.missing(), 0, "one batch: {first:?}");
    assert_eq!(fixture.with_hi().await, ["hi before", "hi behind"]);
}

async fn index_that_is_turned_off_is_emptied_and_built_again(fixture: StoreFixture) {
    fixture.commit_texts(10, &["hi one"]).await;
    fixture.index_all().await;
    fixture.store.enable_index(false).await.unwrap();
    assert_eq!(fixture.indexed_rows().await, 0);
    fixture.commit_texts(20, &["hi two"]).await;
    fixture.evict("hi one").await;
    let extent = fixture.store.extend_index().await.unwrap();
    assert_eq!((extent.is_enabled, extent.indexed_to), (false, 0));
    assert!(fixture.with_hi().await.is_empty());
    fixture.store.enable_index(true).await.unwrap();
    fixture.index_all().await;
    assert_eq!(fixture.with_hi().await, ["hi two"]);
    // It is on already: nothing changes.
    fixture.store.enable_index(true).await.unwrap();
    assert_eq!(fixture.with_hi().await, ["hi two"]);
}

async fn index_of_other_rules_is_built_anew(fixture: StoreFixture) {
    fixture.store.enable_index(true).await.unwrap();
    fixture.commit_texts(10, &["hi"]).await;
    fixture.index_all().await;
    let other_rules = "UPDATE search_progress SET token_rules = token_rules + 1";
    fixture.execute_sql(other_rules).await;
    fixture.store.enable_index(true).await.unwrap();
    assert_eq!(fixture.store.index_extent().await.unwrap().missing(), 1);
    fixture.index_all().await;
    assert_eq!(fixture.with_hi().await, ["hi"]);
    assert_eq!(fixture.indexed_rows().await, 1);
}

async fn payload_that_is_not_text_has_no_words(fixture: StoreFixture) {
    let secret = Message {
        cipher_suite: Some("AES".into()),
        ..message(10_000, "hi secret")
    };
    let broken = Message {
        payload: Payload {
            bytes: b"hi\xff\0broken".to_vec(),
            encoding: Encoding::Utf8,
        },
        ..message(10_001, "")
    };
    let commit = fixture.commit_of(10, 11, vec![secret, broken]);
    fixture.commit(&[commit]).await;
    fixture.index_all().await;
    assert_eq!(fixture.with_hi().await, ["hi\u{FFFD}\u{FFFD}broken"]);
    assert_eq!(fixture.indexed_rows().await, 1);
}

async fn message_with_very_many_words_is_indexed(fixture: StoreFixture) {
    let words: Vec<String> = (0..100_000).map(|n| format!("{n:0>20}")).collect();
    let mut long = words.join(" ") + " ";
    long.push_str("hi");
    fixture.commit_texts(10, &[&long, "hi"]).await;
    fixture.index_all().await;
    assert_eq!(fixture.indexed_rows().await, 2);
    let found = fixture.with_hi().await.len();
    // The words of a message are NULL in Postgres if they are too many.
    let expected = if fixture.is_postgres() { 1 } else { 2 };
    assert_eq!(found, expected);
}

/// The batches of two indexers, commits and evictions happen in any order: in the end the index holds
/// exactly what the archive holds.
async fn commits_and_evictions_during_a_batch_are_kept_apart(fixture: StoreFixture) {
    let fixture = &fixture;
    let commits = async {
        for n in 0..20 {
            let texts: Vec<String> = (0..50).map(|m| format!("hi {n} {m}")).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            fixture.commit_texts(n * 10, &texts).await;
            fixture.evict(&format!("hi {n} 7")).await;
            if n > 0 {
                fixture.evict(&format!("hi {} 8", n - 1)).await;
            }
        }
    };
    let index = || async {
        for _ in 0..40 {
            fixture.store.extend_index().await.unwrap();
        }
    };
    tokio::join!(commits, index(), index());
    fixture.index_all().await;
    let found = fixture.with_hi().await;
    let archived = fixture.archived().await.len();
    assert_eq!((found.len(), archived), (961, 961));
    assert_eq!(fixture.indexed_rows().await, 961);
}

/// Polls a future at most so often, and drops it. True if it has ended well.
async fn has_ended_after<T>(
    mut polls: usize,
    future: impl Future<Output = Result<T, StoreError>>,
) -> bool {
    let mut future = pin!(future);
    poll_fn(|context| {
        if polls == 0 {
            return Poll::Ready(false);
        }
        polls -= 1;
        future.as_mut().poll(context).map(|result| result.is_ok())
    })
    .await
}

/// A batch that is dropped has all of its effect or none.
async fn batch_that_is_dropped_at_any_await_leaves_a_true_index(fixture: StoreFixture) {
    let texts: Vec<String> = (0..700).map(|n| format!("hi {n}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    fixture.commit_texts(10, &texts).await;
    let mut polls = 0;
    loop {
        let ended = has_ended_after(polls, fixture.store.extend_index()).await;
        let indexed = fixture.indexed_rows().await;
        let end = fixture.store.index_extent().await.unwrap().indexed_to;
        let last = "SELECT coalesce(max(id), 0) FROM archive";
        let is_whole = end == fixture.query_number(last).await;
        assert_eq!(
            (indexed, is_whole),
            if end == 0 { (0, false) } else { (700, true) }
        );
        // The database may answer before it is asked again, so that few polls are enough.
        if ended && polls > 3 {
            break;
        }
        // It may have ended behind the back of the one who dropped it.
        if end > 0 {
            fixture.store.enable_index(false).await.unwrap();
            fixture.store.enable_index(true).await.unwrap();
        }
        polls += 1;
    }
    fixture.index_all().await;
    assert_eq!(
        (fixture.with_hi().await.len(), fixture.indexed_rows().await),
        (700, 700)
    );
}

/// A message and its words leave in one transaction.
async fn eviction_that_is_dropped_at_any_await_takes_message_and_words_together(
    fixture: StoreFixture,
) {
    let texts: Vec<String> = (0..60).map(|n| format!("hi {n}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    fixture.commit_texts(10, &texts).await;
    fixture.index_all().await;
    for polls in 0.. {
        let archived = fixture.archived().await;
        let message = archived.first().expect("it ends before all are evicted");
        let evictions = [Eviction {
            message,
            reason: "a test",
        }];
        let stream = fixture.streams[0];
        let eviction = fixture.store.move_to_quarantine(stream, &evictions, NOW);
        let has_ended = has_ended_after(polls, eviction).await;
        // It may end behind the back of the one who dropped it, so this is one statement.
        let difference = fixture.indexed(
            "SELECT (SELECT count(*) FROM archive) - (SELECT count(*) FROM archive_search_docsize)",
            "SELECT (SELECT count(*) FROM archive) - (SELECT count(*) FROM archive_search)",
        );
        assert_eq!(difference.await, ["0"], "{polls}");
        // The database may answer before it is asked again, so that one poll is enough.
        if has_ended && polls > 1 {
            break;
        }
    }
    let left = fixture.archived().await.len();
    assert_eq!(fixture.with_hi().await.len(), left);
    assert!(left < texts.len());
}

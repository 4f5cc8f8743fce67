//! Discovered streams in the store.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backscroll::domain::message::{Conversation, ConversationKind, Message};
use backscroll::domain::participant::Participant;
use backscroll::domain::stream::Stream;
use backscroll::domain::time::Second;
use backscroll::store::{Commit, ErrorSubject, NewAccount, RecordedError, RegisteredAccount};

use crate::support::store_fixture::{StoreFixture, message, scope, texts, wanted_since};

on_every_database! {
    discovered_stream_is_followed_while_discovery_is_on,
    discovered_stream_begins_at_the_given_start,
    ten_thousand_streams_are_followed_in_one_call,
    participants_are_the_names_in_the_messages_of_an_account,
    discovery_error_is_recorded,
}

fn found(key: &str) -> Arc<Stream> {
    Arc::new(Stream {
        key: key.to_owned(),
        scope: scope(key),
        discovered: true,
    })
}

async fn discovered_stream_is_followed_while_discovery_is_on(fixture: StoreFixture) {
    let streams = [
        found("source=bob"),
        found("destination=it's \"odd\" {\\} café"),
    ];
    let ids = fixture
        .store
        .follow(fixture.account, &streams, wanted_since(500))
        .await
        .unwrap();
    assert_eq!(
        fixture
            .store
            .follow(fixture.account, &streams, wanted_since(500))
            .await
            .unwrap(),
        ids,
        "once more"
    );
    let known = fixture
        .store
        .discovered_streams(fixture.account)
        .await
        .unwrap();
    assert_eq!(
        known,
        streams
            .iter()
            .map(|stream| (**stream).clone())
            .collect::<Vec<_>>()
    );
    let status = fixture.store.status().await.unwrap();
    let marked: Vec<_> = status
        .iter()
        .map(|stream| (stream.stream.as_str(), stream.discovered))
        .collect();
    let expected = [
        ("destination=it's \"odd\" {\\} café", true),
        ("destination=lobby", false),
        ("source=alice", false),
        ("source=bob", true),
    ];
    assert_eq!(marked, expected);

    crate::support::store_fixture::register(&*fixture.store, &["destination=lobby"], None, None)
        .await;
    assert_eq!(
        fixture.followed_streams().await,
        [texts(["destination=lobby", "0", "0"])],
        "no stream is discovered any more"
    );
    assert_eq!(
        fixture
            .store
            .discovered_streams(fixture.account)
            .await
            .unwrap(),
        known,
        "but the stream is known"
    );
    // A listed stream stays listed.
    let RegisteredAccount { streams, .. } =
        crate::support::store_fixture::register(&*fixture.store, &["source=bob"], None, None).await;
    let without_since = Second::EPOCH;
    assert_eq!(streams, [(ids[0].0, without_since)]);
    assert_eq!(
        fixture.followed_streams().await,
        [texts(["source=bob", "0", "0"])]
    );
}

async fn discovered_stream_begins_at_the_given_start(fixture: StoreFixture) {
    fixture
        .store
        .follow(fixture.account, &[found("source=bob")], wanted_since(500))
        .await
        .unwrap();
    fixture
        .store
        .follow(fixture.account, &[found("source=bob")], wanted_since(800))
        .await
        .unwrap();
    let of_bob = "SELECT wanted_from_s FROM stream WHERE key = 'source=bob'";
    assert_eq!(fixture.query_number(of_bob).await, 800);
    fixture.assert_frontier(Some(900), 1000, 1000).await;
    // History that had expired before its first fetch is no gap.
    let gaps = "SELECT from_at, to_at FROM gaps WHERE stream = 'source=bob' ORDER BY from_at";
    assert_eq!(
        fixture.query_texts(gaps).await,
        [texts(["900000", "1000000"])]
    );
}

async fn ten_thousand_streams_are_followed_in_one_call(fixture: StoreFixture) {
    let streams: Vec<_> = (0..10_000)
        .map(|n| found(&format!("source=user-{n}")))
        .collect();
    let begun = Instant::now();
    let ids = fixture
        .store
        .follow(fixture.account, &streams, wanted_since(0))
        .await
        .unwrap();
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
    eprintln!("10,000 streams are written down in {took:?}");
    assert_eq!(ids.len(), 10_000);
    let key = fixture
        .query_texts("SELECT id FROM stream WHERE key = 'source=user-4711'")
        .await;
    assert_eq!(
        key,
        [[ids[4711].0.0.to_string()]],
        "ids are in the order of the streams"
    );
    assert_eq!(
        fixture
            .store
            .discovered_streams(fixture.account)
            .await
            .unwrap()
            .len(),
        10_000
    );
}

async fn participants_are_the_names_in_the_messages_of_an_account(fixture: StoreFixture) {
    let to_peer = |from: &str, to: &str| Message {
        sender: from.into(),
        recipient: to.into(),
        conversation: Conversation::between(from, to),
        ..message(20_000, "psst")
    };
    let vague = Message {
        recipient: "what".into(),
        conversation: Conversation::named(ConversationKind::Unknown, "what"),
        ..message(30_000, "?")
    };
    fixture
        .commit(&[fixture.commit_of(
            0,
            100,
            vec![message(10_000, "hi"), to_peer("a/b", "carol"), vague],
        )])
        .await;
    let other = NewAccount::named("other", "agora");
    let other = fixture.store.register(&other).await.unwrap().account;
    let theirs = |n: i64| Message {
        sender: "dave".into(),
        ..message(40_000 + n, "elsewhere")
    };
    let elsewhere = fixture.commit_of(0, 100, (0..300).map(theirs).collect());
    fixture
        .commit(&[Commit {
            account: other,
            seal: None,
            ..elsewhere
        }])
        .await;

    let parties = async |account| {
        let mut parties = fixture.store.participants(account).await.unwrap();
        parties.sort();
        parties.dedup();
        parties
    };
    let user = |name: &'static str| Participant::User(name.into());
    let room = |name: &'static str| Participant::Channel(name.into());
    let ours = [
        user("a/b"),
        user("alice"),
        user("carol"),
        room("lobby"),
        room("what"),
    ];
    assert_eq!(parties(fixture.account).await, ours);
    assert_eq!(parties(other).await, [user("dave"), room("lobby")]);
}

async fn discovery_error_is_recorded(fixture: StoreFixture) {
    let trouble = RecordedError {
        error: "chats: no".into(),
        hint: "ask again".into(),
    };
    let other = NewAccount::named("other", "web3mq");
    let other = fixture.store.register(&other).await.unwrap().account;
    fixture
        .store
        .record_error(ErrorSubject::Discovery(other), Some(&trouble))
        .await
        .unwrap();
    let status = fixture.store.status().await.unwrap();
    let theirs: Vec<_> = status
        .iter()
        .filter(|stream| stream.account == "other")
        .collect();
    assert_eq!(theirs.len(), 1, "even without followed streams");
    assert_eq!(
        (
            theirs[0].stream.as_str(),
            theirs[0].discovery_error.as_ref()
        ),
        ("(none yet)", Some(&trouble))
    );
    assert!(
        status
            .iter()
            .all(|stream| stream.account == "other" || stream.discovery_error.is_none())
    );
    fixture
        .store
        .record_error(ErrorSubject::Discovery(other), None)
        .await
        .unwrap();
    assert!(
        fixture
            .store
            .status()
            .await
            .unwrap()
            .iter()
            .all(|stream| stream.account != "other")
    );
}

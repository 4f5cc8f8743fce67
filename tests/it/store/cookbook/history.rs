//! A small history with everything that the questions of the cookbook ask for: its days are those of
//! the queries, and a few messages are as old as the queries say, counted from now.

use std::sync::Arc;
use std::time::Duration;

use backscroll::daemon::complete_index;
use backscroll::domain::alarm::{Alarm, AlarmKind, AlarmSubject, Notified};
use backscroll::domain::clock::{Clock, SystemClock};
use backscroll::domain::frontier::Frontier;
use backscroll::domain::identity::identify;
use backscroll::domain::message::{
    Conversation, ConversationKind, Delivery, DeliveryStatus, Message, UnparsableMessage,
};
use backscroll::domain::stream::Stream;
use backscroll::domain::time::Millis;
use backscroll::domain::window::Window;
use backscroll::store::{
    AccountId, Archive, Commit, NewAccount, RunTotals, Seal, StreamId, WantedHistory,
};
use tokio_util::sync::CancellationToken;

use crate::support::store_fixture::scope;

/// The keys of the streams of the account `shop`.
const SHOP: [&str; 3] = ["destination=lobby", "destination=alice", "destination=bob"];
/// The stream of the account `chat`.
const CHAT: [&str; 1] = ["topic=group:team"];

/// Parses a time of 2026-03 like `02T09:00:00`.
fn at(time: &str) -> Millis {
    format!("2026-03-{time}Z").parse().expect(time)
}

/// An account with its streams.
struct Account {
    id: AccountId,
    streams: Vec<StreamId>,
}

/// Writes the history into an empty archive, and completes the search index.
pub(super) async fn write(store: &dyn Archive) {
    let shop = register(store, "shop", "agora", &SHOP, "2026-02-27T00:00:00Z").await;
    let chat = register(store, "chat", "web3mq", &CHAT, "2026-03-05T00:00:00Z").await;
    write_lobby(store, &shop).await;
    write_peers(store, &shop).await;
    write_groups(store, &chat).await;
    let frontier = |horizon, retention| Frontier {
        horizon,
        settled_to: at("06T00:00:00").second(),
        wanted_to: at("06T00:00:00").second(),
        retention,
    };
    let retention = Duration::from_hours(5 * 24);
    let saved = frontier(Some(at("01T00:00:00").second()), Some(retention));
    store.save_frontier(shop.id, saved).await.unwrap();
    store
        .save_frontier(chat.id, frontier(None, None))
        .await
        .unwrap();
    write_runs(store, &shop).await;
    let alarm = Alarm {
        subject: AlarmSubject {
            account: Some("shop".to_owned()),
            stream: Some("destination=lobby".to_owned()),
            kind: AlarmKind::Lost,
        },
        since: at("06T01:00:00"),
        until: None,
        text: "two days are lost".to_owned(),
        hint: "fetch more often".to_owned(),
        level: Some(172_800),
        notified: Notified::Nothing,
    };
    store
        .save_alarms(&[alarm], at("06T01:00:00"))
        .await
        .unwrap();
    complete_index(store, true, &CancellationToken::new())
        .await
        .unwrap();
}

async fn register(
    store: &dyn Archive,
    name: &'static str,
    provider: &'static str,
    keys: &[&str],
    since: &str,
) -> Account {
    let stream = |key: &&str| {
        Arc::new(Stream {
            key: (*key).to_owned(),
            scope: scope(key),
            discovered: false,
        })
    };
    let streams: Vec<Arc<Stream>> = keys.iter().map(stream).collect();
    let since: Millis = since.parse().unwrap();
    let wanted = WantedHistory {
        since: Some(since.second()),
        reach: None,
        now: since.second(),
    };
    let account = NewAccount {
        streams: Some((&streams[..], wanted)),
        ..NewAccount::named(name, provider)
    };
    let registered = store.register(&account).await.unwrap();
    let streams = registered.streams.into_iter().map(|(id, _)| id);
    Account {
        id: registered.account,
        streams: streams.collect(),
    }
}

/// A commit of messages. A range that is given is sealed.
struct Part<'a> {
    account: &'a Account,
    stream: usize,
    key: &'a str,
    sealed: Option<(&'a str, &'a str)>,
    doubt: Option<&'a str>,
    messages: Vec<Message>,
    unreadable: Vec<UnparsableMessage>,
    archived_at: Millis,
}

impl<'a> Part<'a> {
    fn new(account: &'a Account, stream: usize, key: &'a str, messages: Vec<Message>) -> Self {
        Self {
            account,
            stream,
            key,
            sealed: None,
            doubt: None,
            messages,
            unreadable: vec![],
            archived_at: SystemClock.now(),
        }
    }

    async fn commit(self, store: &dyn Archive) {
        let times = self.messages.iter().map(|message| message.sent_at.second());
        let window = match self.sealed {
            Some((from, to)) => Window::new(at(from).second(), at(to).second()),
            None => Window::new(times.clone().min().unwrap(), times.max().unwrap().plus(1)),
        };
        let window = window.unwrap();
        let seal = self.sealed.map(|_| Seal {
            window,
            scope: scope(self.key),
            provider_count: Some(self.messages.len() as u64),
            shown_outside: 0,
            doubt: self.doubt.map(str::to_owned),
            replaces: false,
        });
        let commit = Commit {
            account: self.account.id,
            stream: self.account.streams[self.stream],
            window,
            seal,
            messages: identify(self.messages),
            unreadable: self.unreadable,
        };
        store.commit(&[commit], self.archived_at).await.unwrap();
    }
}

fn in_lobby(sender: &str, time: &str, text: &str) -> Message {
    Message {
        conversation: Conversation::named(ConversationKind::Channel, "lobby"),
        message_type: Some("rtm".to_owned()),
        ..Message::text(sender, "lobby", at(time), text)
    }
}

async fn write_lobby(store: &dyn Archive, shop: &Account) {
    let order = r#"{"type":"order","id":7,"price":12.5}"#;
    let messages = vec![
        in_lobby("alice", "02T09:00:00", "Good morning"),
        in_lobby("bob", "02T09:05:00", "Good morning, alice"),
        in_lobby("carol", "02T14:00:00", order),
        in_lobby("carol", "02T14:00:00", order),
    ];
    let first = Part {
        sealed: Some(("02T00:00:00", "04T00:00:00")),
        archived_at: at("04T00:30:00"),
        ..Part::new(shop, 0, SHOP[0], messages)
    };
    first.commit(store).await;
    let late = in_lobby("dave", "02T15:00:00", "Sent from a train");
    let late = Part {
        archived_at: at("05T12:00:00"),
        ..Part::new(shop, 0, SHOP[0], vec![late])
    };
    late.commit(store).await;
    let unreadable = UnparsableMessage::new(r#"{"src":5}"#, "`src` is not a text");
    let second = Part {
        sealed: Some(("05T00:00:00", "06T00:00:00")),
        archived_at: at("06T00:30:00"),
        unreadable: vec![unreadable],
        ..Part::new(
            shop,
            0,
            SHOP[0],
            vec![in_lobby("erin", "05T08:00:00", "今天的消息 in the lobby")],
        )
    };
    second.commit(store).await;
}

async fn write_peers(store: &dyn Archive, shop: &Account) {
    let said = |sender: &str, recipient: &str, time: &str, text: &str| {
        Message::text(sender, recipient, at(time), text)
    };
    let to_bob = vec![
        said("alice", "bob", "02T10:00:00", "Is the order ready?"),
        said("alice", "bob", "02T10:10:00", "Thanks"),
    ];
    let to_alice = vec![
        said("bob", "alice", "02T10:02:00", "Yes, since noon"),
        said("bob", "alice", "02T10:02:10", "Come and get it"),
        said("bob", "alice", "02T10:10:30", "No problem"),
    ];
    for (stream, messages) in [(1, to_alice), (2, to_bob)] {
        let part = Part {
            sealed: Some(("02T00:00:00", "04T00:00:00")),
            archived_at: at("04T00:31:00"),
            ..Part::new(shop, stream, SHOP[stream], messages)
        };
        part.commit(store).await;
    }
}

async fn write_groups(store: &dyn Archive, chat: &Account) {
    let said =
        |group: &str, sender: &str, sent_at: Millis, text: &str, status, status_at| Message {
            conversation: Conversation::named(ConversationKind::Group, group),
            provider_id: Some(format!("{sender}-{}", sent_at.0)),
            payload_type: Some("text/plain; charset=utf-8".to_owned()),
            cipher_suite: Some("NONE".to_owned()),
            status: Some(Delivery {
                status,
                at: status_at,
            }),
            extra: Some(r#"{"version":1}"#.to_owned()),
            ..Message::text(sender, group, sent_at, text)
        };
    let team = "group:team";
    let sealed = vec![
        said(
            team,
            "erin",
            at("05T09:00:00"),
            "Deploy at ten",
            DeliveryStatus::Read,
            Some(at("05T09:30:00")),
        ),
        said(
            team,
            "frank",
            at("05T09:10:00"),
            "Fine",
            DeliveryStatus::Delivered,
            Some(at("05T09:10:05")),
        ),
        said(
            team,
            "frank",
            at("05T09:20:00"),
            "Done",
            DeliveryStatus::Read,
            Some(at("05T09:30:00")),
        ),
    ];
    let sealed = Part {
        sealed: Some(("05T00:00:00", "06T00:00:00")),
        doubt: Some("two counts differ"),
        archived_at: at("06T00:31:00"),
        ..Part::new(chat, 0, CHAT[0], sealed)
    };
    sealed.commit(store).await;
    let now = SystemClock.now();
    let ago = |hours| now.minus(Duration::from_hours(hours));
    let recent = vec![
        said(
            team,
            "frank",
            ago(48),
            "Has anybody read this?",
            DeliveryStatus::Received,
            None,
        ),
        said(
            "group:new",
            "grace",
            ago(2),
            "Hello",
            DeliveryStatus::Received,
            None,
        ),
    ];
    Part::new(chat, 0, CHAT[0], recent).commit(store).await;
}

async fn write_runs(store: &dyn Archive, shop: &Account) {
    let passes = [
        ("sync", "02T12:00:00", 10, 4),
        ("reconcile", "02T23:59:59", 3, 1),
        ("sync", "03T00:00:00", 2, 0),
    ];
    for (why, time, requests, new) in passes {
        let run = store.begin_run(shop.id, why, at(time)).await.unwrap();
        let totals = RunTotals {
            requests,
            new,
            ..RunTotals::default()
        };
        store.end_run(run, &totals, at(time)).await.unwrap();
    }
}

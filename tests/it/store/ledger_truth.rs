//! Ledger rows stay true at every commit, whichever stream brings a message or takes it away.

use std::sync::Arc;

use backscroll::domain::identity::identify;
use backscroll::domain::message::{Conversation, ConversationKind, Message, UnparsableMessage};
use backscroll::domain::stream::{Scope, Stream};
use backscroll::domain::time::{Millis, Second};
use backscroll::domain::window::Window;
use backscroll::store::{
    Commit, Cursor, Eviction, LedgerRow, NewAccount, Seal, StreamId, WriteCounts,
};

use crate::support::ledger_truth::{assert_none, untrue_rows};
use crate::support::store_fixture::{
    NOW, StoreFixture, message, scope, seal, wanted_since, window,
};

on_every_database! {
    rows_stay_true_after_every_random_commit,
    message_of_one_stream_adjusts_the_rows_of_all_others,
    message_that_leaves_adjusts_all_rows,
    row_that_differed_before_keeps_its_claim,
    messages_not_shown_are_counted_by_themselves,
    recipient_of_a_busy_time_is_counted_exactly,
}

/// A part of a scope: `any` or a name.
fn part(name: &str) -> Option<String> {
    (name != "any").then(|| name.to_owned())
}

/// Streams that overlap in every way: sender, recipient, both, and conversation.
const SCOPES: [[&str; 3]; 7] = [
    ["any", "lobby", "any"],
    ["alice", "any", "any"],
    ["any", "bob", "any"],
    ["bob", "any", "any"],
    ["alice", "lobby", "any"],
    ["any", "any", "alice/bob"],
    ["any", "any", "lobby"],
];

async fn follow(fixture: &StoreFixture, scopes: &[[&str; 3]]) -> Vec<(StreamId, Scope)> {
    let streams = scopes.iter().map(|[sender, recipient, conversation]| {
        Arc::new(Stream {
            key: format!("{sender} {recipient} {conversation}"),
            scope: Scope {
                sender: part(sender),
                recipient: part(recipient),
                conversation: part(conversation),
            },
            discovered: false,
        })
    });
    let streams: Vec<Arc<Stream>> = streams.collect();
    let account = NewAccount {
        streams: Some((&streams[..], wanted_since(0))),
        ..NewAccount::named("shop", "agora")
    };
    let registered = fixture.store.register(&account).await.unwrap();
    let ids = registered.streams.into_iter().map(|(id, _)| id);
    let scopes = streams.iter().map(|stream| stream.scope.clone());
    ids.zip(scopes).collect()
}

fn said(sender: &str, recipient: &str, ms: i64, text: &str) -> Message {
    let conversation = if recipient == "lobby" {
        Conversation::named(ConversationKind::Channel, recipient)
    } else {
        Conversation::between(sender, recipient)
    };
    Message {
        conversation,
        ..Message::text(sender, recipient, Millis(ms), text)
    }
}

/// A commit by a stream of a whole window, sealed.
fn sealed(
    fixture: &StoreFixture,
    (stream, scope): &(StreamId, Scope),
    window: Window,
    messages: Vec<Message>,
) -> Commit {
    Commit {
        account: fixture.account,
        stream: *stream,
        window,
        seal: Some(Seal {
            scope: scope.clone(),
            ..seal(window, Some(messages.len() as u64))
        }),
        messages: identify(messages),
        unreadable: vec![],
    }
}

/// A random message of a small world, in which the same message is met often. The kind of a
/// conversation is sometimes unknown at first.
fn random_message(random: &mut fastrand::Rng, window: Window) -> Message {
    let sender = random.choice(["alice", "bob", "carol"]).unwrap();
    let recipient = random.choice(["lobby", "lobby", "bob", "alice"]).unwrap();
    let ms = random.i64(window.from().start().0..window.to().start().0);
    let message = said(
        sender,
        recipient,
        ms - ms % 500,
        random.choice(["a", "b"]).unwrap(),
    );
    if random.u8(..4) > 0 {
        return message;
    }
    Message {
        conversation: Conversation::named(ConversationKind::Unknown, recipient),
        ..message
    }
}

fn random_window(random: &mut fastrand::Rng) -> Window {
    let from = random.i64(0..60);
    window(from, from + random.i64(1..30))
}

fn random_commit(
    fixture: &StoreFixture,
    streams: &[(StreamId, Scope)],
    random: &mut fastrand::Rng,
) -> Commit {
    let stream = random.choice(streams).unwrap();
    let window = random_window(random);
    let count = random.usize(..12);
    let mut messages: Vec<Message> = (0..count).map(|_| random_message(random, window)).collect();
    // A page may hold messages from outside of the window, and of other streams.
    if random.u8(..4) > 0 {
        messages.retain(|message| stream.1.matches(message));
    }
    if random.u8(..5) == 0 {
        let anywhere = Window::new(Second(0), Second(100)).unwrap();
        messages.push(random_message(random, anywhere));
    }
    let mut commit = sealed(fixture, stream, window, messages);
    match random.u8(..6) {
        0 => commit.seal = None,
        1 => {
            let up_to = window.from().plus(random.i64(1..30));
            commit.seal = commit.seal.and_then(|seal| {
                let window = window.up_to(up_to)?;
                Some(Seal { window, ..seal })
            });
        }
        _ => {}
    }
    if let Some(seal) = &mut commit.seal {
        seal.replaces = random.u8(..3) == 0;
        seal.doubt = (random.u8(..6) == 0).then(|| "why".to_owned());
    }
    commit
}

async fn rows_stay_true_after_every_random_commit(fixture: StoreFixture) {
    let streams = follow(&fixture, &SCOPES).await;
    let seed = std::env::var("BACKSCROLL_SEED").ok();
    let seed = seed.and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| fastrand::u64(..));
    let mut random = fastrand::Rng::with_seed(seed);
    let mut most = 0;
    for step in 0..400 {
        let what = match random.u8(..20) {
            0 => {
                let stream = random.choice(&streams).unwrap().0;
                let unsealed = random_window(&mut random);
                fixture.store.unseal(stream, unsealed).await.unwrap();
                "unseal"
            }
            1 | 2 => {
                let all = archived(&fixture).await;
                if all.is_empty() {
                    continue;
                }
                let gone = (0..random.usize(1..4)).map(|_| random.choice(&all).unwrap());
                let gone: Vec<Eviction> = gone
                    .map(|message| Eviction {
                        message,
                        reason: "because",
                    })
                    .collect();
                let stream = random.choice(&streams).unwrap().0;
                let moved = fixture.store.move_to_quarantine(stream, &gone, NOW);
                moved.await.unwrap();
                "evict"
            }
            _ => {
                let commits = 0..random.usize(1..4);
                let batch: Vec<Commit> = commits
                    .map(|_| random_commit(&fixture, &streams, &mut random))
                    .collect();
                fixture.commit(&batch).await;
                "commit"
            }
        };
        let untrue = untrue_rows(&*fixture.store).await;
        assert_none(&untrue, &format!("{what}, step {step} of seed {seed}"));
        for (stream, _) in &streams {
            most = most.max(rows(&fixture, *stream).await.len());
        }
    }
    assert!(most > 1, "{most} rows");
}

async fn archived(fixture: &StoreFixture) -> Vec<backscroll::store::ArchivedMessage> {
    fixture
        .store
        .messages(&Cursor::before(Millis(0)), Millis(i64::MAX), 10_000)
        .await
        .unwrap()
}

async fn rows(fixture: &StoreFixture, stream: StreamId) -> Vec<LedgerRow> {
    let ever = window(-1_000_000, 1_000_000);
    fixture.store.ledger_rows(stream, ever, 100).await.unwrap()
}

/// Returns the number of messages of a stream's first row, and the number not shown.
async fn counts(fixture: &StoreFixture, stream: StreamId) -> (u64, u64) {
    let rows = rows(fixture, stream).await;
    (rows[0].messages, rows[0].not_shown)
}

/// Each stream in turn brings a late message that all others have missed.
async fn message_of_one_stream_adjusts_the_rows_of_all_others(fixture: StoreFixture) {
    let scopes = [
        ["any", "lobby", "any"],
        ["alice", "any", "any"],
        ["alice", "lobby", "any"],
        ["any", "any", "lobby"],
    ];
    let streams = follow(&fixture, &scopes).await;
    let whole = window(0, 100);
    for stream in &streams {
        let first = vec![said("alice", "lobby", 10_000, "first")];
        fixture
            .commit(&[sealed(&fixture, stream, whole, first)])
            .await;
    }
    for (n, source) in streams.iter().enumerate() {
        let late = said("alice", "lobby", 20_000 + n as i64, "late");
        let unsealed = Commit {
            seal: None,
            ..sealed(&fixture, source, window(20, 21), vec![late])
        };
        let new = WriteCounts { new: 1, changed: 0 };
        assert_eq!(fixture.commit(&[unsealed]).await, [new]);
        assert_none(&untrue_rows(&*fixture.store).await, "a late message");
        for (other, stream) in streams.iter().enumerate() {
            let brought_by_others = n + 1 - usize::from(other <= n);
            let expected = (n as u64 + 2, brought_by_others as u64);
            assert_eq!(counts(&fixture, stream.0).await, expected, "{n} {other}");
        }
    }
    // The same message again changes nothing.
    let again = said("alice", "lobby", 20_000, "late");
    let before = rows(&fixture, streams[0].0).await;
    let commit = Commit {
        seal: None,
        ..sealed(&fixture, &streams[1], window(20, 21), vec![again])
    };
    fixture.commit(&[commit]).await;
    assert_eq!(rows(&fixture, streams[0].0).await, before);
}

async fn message_that_leaves_adjusts_all_rows(fixture: StoreFixture) {
    let streams = follow(&fixture, &SCOPES[..2]).await;
    let both = vec![
        said("alice", "lobby", 10_000, "a"),
        said("alice", "lobby", 20_000, "b"),
    ];
    for stream in &streams {
        let commit = sealed(&fixture, stream, window(0, 100), both.clone());
        fixture.commit(&[commit]).await;
    }
    let all = archived(&fixture).await;
    let gone = [Eviction {
        message: &all[0],
        reason: "because",
    }];
    let moved = fixture.store.move_to_quarantine(streams[0].0, &gone, NOW);
    assert_eq!(moved.await.unwrap(), 1);
    assert_none(&untrue_rows(&*fixture.store).await, "the removal");
    for stream in &streams {
        assert_eq!(counts(&fixture, stream.0).await, (1, 0));
    }
}

/// A message that was deleted behind the program's back stays a finding, even if others arrive.
async fn row_that_differed_before_keeps_its_claim(fixture: StoreFixture) {
    let streams = follow(&fixture, &SCOPES[..2]).await;
    let messages = vec![
        said("alice", "lobby", 10_000, "a"),
        said("alice", "lobby", 20_000, "b"),
    ];
    for stream in &streams {
        let commit = sealed(&fixture, stream, window(0, 100), messages.clone());
        fixture.commit(&[commit]).await;
    }
    let mut ledger = fixture.store.ledgers().await.unwrap().remove(0);
    let claimed = |row: &mut LedgerRow| row.messages += 1;
    let windows = ledger
        .streams
        .iter_mut()
        .flat_map(|stream| &mut stream.windows);
    windows.for_each(claimed);
    fixture.store.restore_ledger(&ledger).await.unwrap();
    let before = rows(&fixture, streams[0].0).await;
    let late = Commit {
        seal: None,
        ..sealed(
            &fixture,
            &streams[1],
            window(30, 31),
            vec![said("alice", "lobby", 30_000, "late")],
        )
    };
    fixture.commit(&[late]).await;
    assert_eq!(rows(&fixture, streams[0].0).await, before);
    assert_eq!(untrue_rows(&*fixture.store).await.len(), 2);
}

/// Two sums may be equal by accident: one archived message is not shown, and another one is shown
/// and cannot be read.
async fn messages_not_shown_are_counted_by_themselves(fixture: StoreFixture) {
    let streams = follow(
        &fixture,
        &[["any", "lobby", "any"], ["alice", "any", "any"]],
    )
    .await;
    let whole = window(0, 100);
    let hidden = said("alice", "lobby", 10_000, "hidden");
    let first = sealed(&fixture, &streams[1], whole, vec![hidden.clone()]);
    fixture.commit(&[first]).await;
    let shown = said("bob", "lobby", 20_000, "shown");
    let mut second = sealed(&fixture, &streams[0], whole, vec![shown.clone()]);
    second.unreadable = vec![UnparsableMessage::new("{}", "no `src`")];
    second.seal.as_mut().unwrap().provider_count = Some(2);
    fixture.commit(&[second]).await;
    let row = &rows(&fixture, streams[0].0).await[0];
    let figures = (row.messages, row.provider_count, row.not_shown);
    assert_eq!(figures, (2, Some(2), 1));

    // A part of the row is fetched again; the rest was shown before, or was not.
    let mut part = sealed(&fixture, &streams[0], window(50, 100), vec![]);
    let seal = part.seal.as_mut().unwrap();
    (seal.window, seal.shown_outside, seal.replaces) = (whole, 1, true);
    fixture.commit(&[part]).await;
    assert_eq!(counts(&fixture, streams[0].0).await, (2, 1));
    // The provider shows it after all.
    let mut again = sealed(&fixture, &streams[0], whole, vec![hidden, shown]);
    again.seal.as_mut().unwrap().replaces = true;
    fixture.commit(&[again]).await;
    assert_eq!(counts(&fixture, streams[0].0).await, (2, 0));
    assert_none(&untrue_rows(&*fixture.store).await, "the last reading");
}

/// More messages of others than can be searched lie in the window of a recipient.
async fn recipient_of_a_busy_time_is_counted_exactly(fixture: StoreFixture) {
    let long = "é".repeat(150);
    let names = ["bob", "b/o\\b", "b", long.as_str()];
    let whole = window(0, 100);
    let noise = (0..6000).map(|n| message(n * 10, "noise")).collect();
    let lobby = scope("destination=lobby");
    let noise = sealed(&fixture, &(fixture.streams[0], lobby), whole, noise);
    fixture.commit(&[noise]).await;
    for name in names {
        let streams = follow(&fixture, &[["any", name, "any"], ["zoe", "any", "any"]]).await;
        let channel = Message {
            conversation: Conversation::named(ConversationKind::Channel, name),
            ..said("alice", name, 30_000, "to the channel")
        };
        let messages = [
            said("alice", name, 10_000, "from a name before"),
            said("zoe", name, 20_000, "from a name after"),
            said(name, "alice", 20_001, "to another"),
            said("alice", &format!("{name}!"), 20_002, "to a similar name"),
            channel,
        ];
        let by_others = Commit {
            seal: None,
            ..sealed(&fixture, &streams[1], whole, messages.to_vec())
        };
        fixture.commit(&[by_others]).await;
        let shown = vec![messages[0].clone()];
        fixture
            .commit(&[sealed(&fixture, &streams[0], whole, shown)])
            .await;
        assert_eq!(counts(&fixture, streams[0].0).await, (3, 2), "{name}");
        let late = said("zoe", name, 40_000, "late");
        let late = Commit {
            seal: None,
            ..sealed(&fixture, &streams[1], whole, vec![late])
        };
        fixture.commit(&[late]).await;
        assert_eq!(counts(&fixture, streams[0].0).await, (4, 3), "{name}");
        assert_none(&untrue_rows(&*fixture.store).await, name);
    }
}

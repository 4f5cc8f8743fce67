//! The generated history of the benchmarks. It is the same in every run.

use std::sync::Arc;

use backscroll::domain::identity::identify;
use backscroll::domain::message::{Conversation, ConversationKind, Encoding, Message, Payload};
use backscroll::domain::stream::{Scope, Stream};
use backscroll::domain::time::{Millis, Second};
use backscroll::domain::window::Window;
use backscroll::store::{AccountId, Commit, Seal, StreamId};

/// The messages per window.
pub(super) const WINDOW_MESSAGES: usize = 1000;
/// The number of senders and conversations. Each conversation is a stream.
pub(super) const SENDERS: usize = 50;
pub(super) const CONVERSATIONS: usize = 4;
/// The time of the first message: 2026-01-05T00:00:00Z.
pub(super) const START: Second = Second(1_767_571_200);
/// The interval between two messages of a conversation.
const MESSAGE_INTERVAL_S: i64 = 8;
const WINDOW_S: i64 = WINDOW_MESSAGES as i64 * MESSAGE_INTERVAL_S;
/// The range of the payload sizes.
const MIN_PAYLOAD_BYTES: usize = 100;
const MAX_PAYLOAD_BYTES: usize = 200;

/// The number of words that are in a message besides those of [`WORDS`].
const WORD_RANKS: f64 = 100_000.0;
const WORDS: [&str; 16] = [
    "the", "build", "is", "broken", "again", "after", "lunch", "could", "someone", "look", "at",
    "staging", "thanks", "größer", "than", "before",
];

/// Returns the name of a conversation.
pub(super) fn conversation_name(number: usize) -> String {
    format!("channel-{number}")
}

/// Returns the name of a sender.
pub(super) fn sender_name(number: usize) -> String {
    format!("user-{number:02}")
}

/// Returns the streams of the conversations, and then as many streams with the same messages.
pub(super) fn streams() -> Vec<Arc<Stream>> {
    let streams = |prefix: &'static str| {
        (0..CONVERSATIONS).map(move |n| {
            let key = format!("{prefix}={}", conversation_name(n));
            Arc::new(Stream {
                key,
                scope: stream_scope(n),
                discovered: false,
            })
        })
    };
    streams("destination").chain(streams("again")).collect()
}

fn stream_scope(number: usize) -> Scope {
    Scope {
        recipient: Some(conversation_name(number)),
        ..Scope::default()
    }
}

/// Returns window number `n` with its messages. The conversations take turns.
pub(super) fn window(n: usize, account: AccountId, stream: StreamId) -> Commit {
    let messages: Vec<Message> = (0..WINDOW_MESSAGES).map(|i| message(n, i)).collect();
    let from = START.plus((n / CONVERSATIONS) as i64 * WINDOW_S);
    let window = Window::new(from, from.plus(WINDOW_S))
        .unwrap_or_else(|| unreachable!("windows have a length"));
    let count = messages.len() as u64;
    let scope = stream_scope(n % CONVERSATIONS);
    let seal = Seal {
        window,
        scope,
        provider_count: Some(count),
        shown_outside: 0,
        doubt: None,
        replaces: false,
    };
    Commit {
        account,
        stream,
        window,
        seal: Some(seal),
        messages: identify(messages),
        unreadable: Vec::new(),
    }
}

/// Returns a word whose frequency falls with its rank, as in every language: `w1` is in about every
/// twelfth message, `w100000` in one of a million.
pub(super) fn word_of_random_rank(random: &mut fastrand::Rng) -> String {
    format!("w{:.0}", WORD_RANKS.powf(random.f64()))
}

/// Returns message number `i` of window number `n`.
pub(super) fn message(n: usize, i: usize) -> Message {
    let mut random = fastrand::Rng::with_seed((n * WINDOW_MESSAGES + i) as u64);
    let second = (n / CONVERSATIONS) as i64 * WINDOW_S + i as i64 * MESSAGE_INTERVAL_S;
    let recipient = conversation_name(n % CONVERSATIONS);
    let length = random.usize(MIN_PAYLOAD_BYTES..MAX_PAYLOAD_BYTES);
    let mut text = word_of_random_rank(&mut random) + " ";
    while text.len() < length {
        text.push_str(random.choice(WORDS).unwrap_or_default());
        text.push(' ');
    }
    Message {
        sender: sender_name(random.usize(0..SENDERS)),
        conversation: Conversation::named(ConversationKind::Channel, &recipient),
        recipient,
        sent_at: Millis(START.plus(second).start().0 + random.i64(0..1000)),
        payload: Payload {
            bytes: text.into_bytes(),
            encoding: Encoding::Utf8,
        },
        provider_id: None,
        message_type: Some("group_message".to_owned()),
        payload_type: None,
        cipher_suite: None,
        status: None,
        extra: None,
    }
}

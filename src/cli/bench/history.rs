//! The history that is measured with: made up as it is needed, the same every time.

use std::sync::Arc;

use crate::domain::identity::identify;
use crate::domain::message::{Conversation, ConversationKind, Encoding, Message, Payload};
use crate::domain::stream::{Scope, Stream};
use crate::domain::time::{Millis, Second};
use crate::domain::window::Window;
use crate::store::{AccountId, Commit, Seal, StreamId};

/// Messages to a window.
pub(super) const WINDOW_MESSAGES: usize = 1000;
/// Who speaks, and where. Each conversation is a stream.
pub(super) const SENDERS: usize = 50;
pub(super) const CONVERSATIONS: usize = 4;
/// 2026-01-05T00:00:00Z.
pub(super) const START: Second = Second(1_767_571_200);
/// Between a message and the next of the same conversation.
const MESSAGE_INTERVAL_S: i64 = 8;
const WINDOW_S: i64 = WINDOW_MESSAGES as i64 * MESSAGE_INTERVAL_S;
/// Payloads are this long.
const MIN_PAYLOAD_BYTES: usize = 100;
const MAX_PAYLOAD_BYTES: usize = 200;

const WORDS: [&str; 16] = [
    "the", "build", "is", "broken", "again", "after", "lunch", "could", "someone", "look", "at",
    "staging", "thanks", "größer", "than", "before",
];

/// A conversation's name.
pub(super) fn conversation_name(number: usize) -> String {
    format!("channel-{number}")
}

/// A sender's name.
pub(super) fn sender_name(number: usize) -> String {
    format!("user-{number:02}")
}

/// The streams that follow the conversations, and others that bring the same messages again.
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

/// Window number `n`, and all that was said in it: the conversations take turns.
pub(super) fn window(n: usize, account: AccountId, stream: StreamId) -> Commit {
    let messages: Vec<Message> = (0..WINDOW_MESSAGES).map(|i| message(n, i)).collect();
    let from = START.plus((n / CONVERSATIONS) as i64 * WINDOW_S);
    // From and to differ.
    let window = Window::new(from, from.plus(WINDOW_S))
        .unwrap_or_else(|| unreachable!("windows have a length"));
    let count = messages.len() as u64;
    let scope = stream_scope(n % CONVERSATIONS);
    let seal = Seal {
        window,
        scope,
        provider_count: Some(count),
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

/// Message number `i` of window number `n`.
pub(super) fn message(n: usize, i: usize) -> Message {
    let mut dice = fastrand::Rng::with_seed((n * WINDOW_MESSAGES + i) as u64);
    let second = (n / CONVERSATIONS) as i64 * WINDOW_S + i as i64 * MESSAGE_INTERVAL_S;
    let recipient = conversation_name(n % CONVERSATIONS);
    let length = dice.usize(MIN_PAYLOAD_BYTES..MAX_PAYLOAD_BYTES);
    let mut text = String::with_capacity(MAX_PAYLOAD_BYTES + 8);
    while text.len() < length {
        text.push_str(dice.choice(WORDS).unwrap_or_default());
        text.push(' ');
    }
    Message {
        sender: sender_name(dice.usize(0..SENDERS)),
        conversation: Conversation::named(ConversationKind::Channel, &recipient),
        recipient,
        sent_at: Millis(START.plus(second).start().0 + dice.i64(0..1000)),
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

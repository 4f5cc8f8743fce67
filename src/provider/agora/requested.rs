//! The messages that a request asks for.

use super::conversations::ConversationKinds;
use crate::domain::message::{ConversationKind, Message};
use crate::domain::stream::{Scope, Stream};
use crate::domain::window::Window;

/// The messages that were asked for: those of a stream between these bounds. The bounds must allow
/// for a provider that interprets its own more liberally.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestedMessages<'a> {
    pub(super) stream: &'a Stream,
    pub(super) bounds: Window,
}

impl RequestedMessages<'_> {
    /// True if the message was asked for.
    pub(super) fn include(&self, message: &Message, kinds: &ConversationKinds) -> bool {
        self.bounds.contains(message.sent_at) && belongs_to(self.stream, message, kinds)
    }
}

/// True if a stream holds messages of this sender and recipient.
pub(super) fn belongs_to(stream: &Stream, message: &Message, kinds: &ConversationKinds) -> bool {
    let Scope {
        sender, recipient, ..
    } = &stream.scope;
    let is_recipient = |recipient: &String| {
        *recipient == message.recipient || is_received_in_channel(recipient, message, kinds)
    };
    is_wanted(sender.as_ref(), &message.sender) && recipient.as_ref().is_none_or(is_recipient)
}

/// True if the message may be one that a user received in a channel. Some versions of the API bring
/// those with the messages to the user. A query for a channel never brings another one's, and a
/// message between peers is received by one of them only.
fn is_received_in_channel(user: &str, message: &Message, kinds: &ConversationKinds) -> bool {
    if message.recipient.trim().eq_ignore_ascii_case(user.trim()) {
        // The same name in another form is a fault of the item.
        return false;
    }
    kinds.of_destination(user) != Some(ConversationKind::Channel)
        && message.conversation.kind != ConversationKind::Peer
}

fn is_wanted(wanted: Option<&String>, name: &str) -> bool {
    wanted.is_none_or(|wanted| wanted == name)
}

//! Topics, their streams, and the conversation of a message.

use crate::domain::message::{Conversation, ConversationKind, Message};
use crate::domain::stream::{Scope, Stream};

/// The prefix of a stream's key; the rest is the topic's name.
pub(super) const KEY_PREFIX: &str = "topic=";

/// The topic that messages are read from, and the user who reads it.
#[derive(Clone, Copy, Debug)]
pub(super) struct TopicMessages<'a> {
    pub(super) user: &'a str,
    pub(super) topic: &'a str,
}

impl TopicMessages<'_> {
    /// Returns the conversation of a message in this topic.
    pub(super) fn conversation(&self, sender: &str, recipient: &str) -> Conversation {
        topic_conversation(self.user, self.topic)
            .unwrap_or_else(|| Conversation::between(sender, recipient))
    }

    /// True if a page of this topic may hold the message. In a chat of two, either user may be the
    /// recipient.
    pub(super) fn may_hold(&self, message: &Message) -> bool {
        let is_chat_of_two = topic_kind(self.topic) == ConversationKind::Peer;
        message.recipient == self.topic || (is_chat_of_two && message.recipient == self.user)
    }
}

/// Returns the kind that a topic id names by its prefix.
fn topic_kind(topic: &str) -> ConversationKind {
    match topic.split_once(':') {
        Some(("user", _)) => ConversationKind::Peer,
        Some(("group", _)) => ConversationKind::Group,
        _ => ConversationKind::Topic,
    }
}

/// Returns the conversation that all messages of a topic belong to. `None` for the user's own id:
/// it receives messages from anybody.
fn topic_conversation(user: &str, topic: &str) -> Option<Conversation> {
    match topic_kind(topic) {
        ConversationKind::Peer if topic == user => None,
        ConversationKind::Peer => Some(Conversation::between(user, topic)),
        kind => Some(Conversation::named(kind, topic)),
    }
}

/// Returns the stream of a topic.
pub(super) fn topic_stream(user: &str, topic: &str) -> Stream {
    let conversation = topic_conversation(user, topic).map(|conversation| conversation.name);
    let recipient = conversation.is_none().then(|| topic.to_owned());
    Stream {
        key: format!("{KEY_PREFIX}{topic}"),
        scope: Scope {
            conversation,
            recipient,
            sender: None,
        },
        discovered: false,
    }
}

//! Conversations: the channel of a message, or the pair of two peers.

use std::collections::HashMap;

use crate::domain::message::{Conversation, ConversationKind};

/// The kinds of destinations that the operator has set.
#[derive(Debug, Default)]
pub(super) struct ConversationKinds(HashMap<String, ConversationKind>);

impl ConversationKinds {
    pub(super) fn new(kinds: HashMap<String, ConversationKind>) -> Self {
        Self(kinds)
    }

    /// Returns the kind of a destination. `None` if the operator has not set it.
    pub(super) fn of_destination(&self, destination: &str) -> Option<ConversationKind> {
        self.0.get(destination).copied()
    }

    /// Returns the conversation of a message. Its own `message_type` has precedence over the
    /// configuration.
    pub(super) fn conversation(
        &self,
        sender: &str,
        recipient: &str,
        message_type: Option<&str>,
    ) -> Conversation {
        let kind = message_type
            .and_then(kind_of_type)
            .or_else(|| self.of_destination(recipient));
        match kind.unwrap_or(ConversationKind::Unknown) {
            ConversationKind::Peer => Conversation::between(sender, recipient),
            kind => Conversation::named(kind, recipient),
        }
    }
}

/// Returns the kind that a `message_type` names. The contract says `channel_message`;
/// `group_message` was recorded.
fn kind_of_type(message_type: &str) -> Option<ConversationKind> {
    match message_type {
        "peer_message" => Some(ConversationKind::Peer),
        "channel_message" | "group_message" => Some(ConversationKind::Channel),
        _ => None,
    }
}

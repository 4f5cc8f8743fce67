//! Directions: who speaks to whom, and which streams bring all of it.

use super::filter::ResolvedFilter;
use crate::domain::message::ConversationKind;
use crate::domain::stream::Scope;
use crate::store::FoundConversation;

/// Messages from a sender to a recipient in a conversation. `None`: from anybody, to anybody, in any
/// conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Direction {
    sender: Option<String>,
    recipient: Option<String>,
    conversation: Option<String>,
}

impl Direction {
    /// Returns the directions of a conversation, less those that a wanted sender does not speak in.
    /// Between two peers there are two; everywhere else all speak to one recipient.
    pub(super) fn of_conversation(
        conversation: &FoundConversation,
        sender: Option<&str>,
    ) -> Vec<Self> {
        let direction = |sender: Option<&str>, recipient: Option<&str>| Self {
            sender: sender.map(str::to_owned),
            recipient: recipient.map(str::to_owned),
            conversation: Some(conversation.name.clone()),
        };
        let Some((one, other)) = &conversation.latest else {
            return vec![direction(sender, None)];
        };
        if conversation.kind != ConversationKind::Peer {
            return vec![direction(sender, Some(other))];
        }
        let mut both = vec![
            direction(Some(one), Some(other)),
            direction(Some(other), Some(one)),
        ];
        both.dedup();
        let spoken = |direction: &Self| direction.sender.as_deref() == sender;
        if both.iter().any(spoken) {
            both.retain(spoken);
        }
        both
    }

    /// Returns the direction of everything that the filter's sender says. `None` if it has none.
    pub(super) fn of_sender(filter: &ResolvedFilter) -> Option<Self> {
        let sender = filter.filter.sender.clone()?;
        Some(Self {
            sender: Some(sender),
            recipient: None,
            conversation: None,
        })
    }

    /// True if a stream of this scope brings all messages of the direction: the scope leaves out
    /// nobody who may speak in it. A stream of unknown scope does not.
    pub(super) fn is_brought_by(&self, scope: Option<&Scope>) -> bool {
        let is_within =
            |part: &Option<String>, ours: &Option<String>| part.is_none() || part == ours;
        scope.is_some_and(|scope| {
            is_within(&scope.sender, &self.sender)
                && is_within(&scope.recipient, &self.recipient)
                && is_within(&scope.conversation, &self.conversation)
        })
    }
}

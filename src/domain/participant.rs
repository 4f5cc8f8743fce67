//! Participants: the senders and recipients of messages.

use std::borrow::Cow;

use super::message::{Conversation, ConversationKind, Message};

/// A sender or recipient, identified by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Participant<'a> {
    /// A user, who can send and receive.
    User(Cow<'a, str>),
    /// A channel, or a recipient of unknown kind. It only receives.
    Channel(Cow<'a, str>),
}

impl<'a> Participant<'a> {
    /// Returns the sender and the recipient of a message.
    pub fn sender_and_recipient(message: &'a Message) -> [Self; 2] {
        let name = Cow::from(message.recipient.as_str());
        let recipient = match message.conversation.kind {
            ConversationKind::Peer => Self::User(name),
            _ => Self::Channel(name),
        };
        [Self::User(message.sender.as_str().into()), recipient]
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        let (Self::User(name) | Self::Channel(name)) = self;
        name
    }
}

impl Participant<'static> {
    /// Returns the two peers of a conversation, or the one recipient it is named after.
    pub fn from_conversation(conversation: &Conversation) -> Vec<Self> {
        let names = conversation.participant_names().into_iter();
        match conversation.kind {
            ConversationKind::Peer => names.map(|name| Self::User(name.into())).collect(),
            _ => names.map(|name| Self::Channel(name.into())).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn participants_are_recovered_from_escaped_conversation_names() {
        for (one, other) in [("alice", "bob"), ("a/b", "c\\"), ("\\/", "/\\")] {
            let mut participants =
                Participant::from_conversation(&Conversation::between(other, one));
            participants.sort();
            let mut expected = [one, other].map(|name| Participant::User(name.into()));
            expected.sort();
            assert_eq!(participants, expected);
        }
        for kind in [ConversationKind::Channel, ConversationKind::Unknown] {
            let channel = Conversation::named(kind, "a/b\\c");
            assert_eq!(
                Participant::from_conversation(&channel),
                [Participant::Channel("a/b\\c".into())]
            );
        }
    }
}

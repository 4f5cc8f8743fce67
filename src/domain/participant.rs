//! Who appears in messages.

use std::borrow::Cow;

use super::message::{Conversation, ConversationKind, Message};

/// Somebody or something whose name appears.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Party<'a> {
    /// Speaks and is spoken to.
    User(Cow<'a, str>),
    /// Is spoken to: a channel, or what nobody has said the kind of.
    Room(Cow<'a, str>),
}

impl<'a> Party<'a> {
    /// The two of a message.
    pub fn sender_and_recipient(message: &'a Message) -> [Self; 2] {
        let recipient = Cow::from(message.recipient.as_str());
        let addressee = match message.conversation.kind {
            ConversationKind::Peer => Self::User(recipient),
            _ => Self::Room(recipient),
        };
        [Self::User(message.sender.as_str().into()), addressee]
    }

    pub fn name(&self) -> &str {
        let (Self::User(name) | Self::Room(name)) = self;
        name
    }
}

impl Party<'static> {
    /// The two peers of a conversation, or the one whose name it bears.
    pub fn from_conversation(conversation: &Conversation) -> Vec<Self> {
        let names = conversation.participant_names().into_iter();
        match conversation.kind {
            ConversationKind::Peer => names.map(|name| Self::User(name.into())).collect(),
            _ => names.map(|name| Self::Room(name.into())).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_tells_its_parties_whatever_their_names_hold() {
        for (one, other) in [("alice", "bob"), ("a/b", "c\\"), ("\\/", "/\\")] {
            let mut parties = Party::from_conversation(&Conversation::between(other, one));
            parties.sort();
            let mut expected = [one, other].map(|name| Party::User(name.into()));
            expected.sort();
            assert_eq!(parties, expected);
        }
        for kind in [ConversationKind::Channel, ConversationKind::Unknown] {
            let room = Conversation::named(kind, "a/b\\c");
            assert_eq!(
                Party::from_conversation(&room),
                [Party::Room("a/b\\c".into())]
            );
        }
    }
}

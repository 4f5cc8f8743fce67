//! Streams: the series that a provider can be asked for, and which messages each is made of.

use super::message::Message;

/// A stream of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// What the archive calls it: `destination=lobby`. Unique within the account.
    pub key: String,
    pub scope: Scope,
    /// Whether it is followed because it was found, and not because the configuration lists it.
    pub discovered: bool,
}

/// The position of a stream in its account.
///
/// An account numbers its streams from zero, in the order in which it began to follow them. The list only grows, so an
/// index stays valid for as long as the process runs. It means nothing in another process: the archive has its own ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamIndex(usize);

impl StreamIndex {
    pub fn new(index: usize) -> Self {
        Self(index)
    }

    /// Pairs each item of a list that has one entry for each stream with its index.
    pub fn enumerate<T>(items: impl IntoIterator<Item = T>) -> impl Iterator<Item = (Self, T)> {
        items
            .into_iter()
            .enumerate()
            .map(|(index, item)| (Self(index), item))
    }

    /// The index into a list that has one entry for each stream of the account.
    pub fn get(self) -> usize {
        self.0
    }
}

/// Which of an account's messages belong to a stream: those of which every part that is given here is so. At least
/// one is given.
///
/// A key cannot be read back into this, for names may hold whatever separates its parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scope {
    pub sender: Option<String>,
    pub recipient: Option<String>,
    /// The conversation's name.
    pub conversation: Option<String>,
}

impl Scope {
    pub fn matches(&self, message: &Message) -> bool {
        self.matches_names(
            &message.sender,
            &message.recipient,
            &message.conversation.name,
        )
    }

    /// Whether messages of this sender to this recipient in this conversation belong to the stream.
    pub fn matches_names(&self, sender: &str, recipient: &str, conversation: &str) -> bool {
        let is = |wanted: &Option<String>, name: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == name)
        };
        is(&self.sender, sender)
            && is(&self.recipient, recipient)
            && is(&self.conversation, conversation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::message::{Conversation, Encoding, Payload};
    use crate::domain::time::Millis;

    #[test]
    fn a_message_belongs_where_every_part_that_is_given_agrees() {
        let message = Message {
            sender: "alice".into(),
            recipient: "bob".into(),
            sent_at: Millis(0),
            payload: Payload {
                bytes: vec![],
                encoding: Encoding::Utf8,
            },
            conversation: Conversation::between("alice", "bob"),
            provider_id: None,
            message_type: None,
            payload_type: None,
            cipher_suite: None,
            status: None,
            extra: None,
        };
        let scope = |sender: &str, recipient: &str, conversation: &str| {
            let part = |name: &str| (!name.is_empty()).then(|| name.to_owned());
            Scope {
                sender: part(sender),
                recipient: part(recipient),
                conversation: part(conversation),
            }
        };
        for (parts, holds) in [
            (["alice", "", ""], true),
            (["bob", "", ""], false),
            (["", "bob", ""], true),
            (["alice", "bob", ""], true),
            (["alice", "carol", ""], false),
            (["", "", "alice/bob"], true),
            (["", "", "bob"], false),
        ] {
            let [sender, recipient, conversation] = parts;
            assert_eq!(
                scope(sender, recipient, conversation).matches(&message),
                holds,
                "{parts:?}"
            );
        }
    }
}

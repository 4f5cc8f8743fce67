//! Streams: the message series that can be requested from a provider.

use super::message::Message;

/// A stream of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// The stream's key in the archive, such as `destination=lobby`. Unique within the account.
    pub key: String,
    pub scope: Scope,
    /// True if the stream was discovered. False if the configuration lists it.
    pub discovered: bool,
}

/// The position of a stream in its account.
///
/// An account numbers its streams from zero, in the order in which it began to follow them. The
/// list only grows, so an index stays valid while the process runs. Other processes number
/// differently; the archive has its own ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamIndex(usize);

impl StreamIndex {
    /// Creates the index of the stream at this position.
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

    /// Returns the position in a list that has one entry for each stream of the account.
    pub fn get(self) -> usize {
        self.0
    }
}

/// The filter that decides which of an account's messages belong to a stream. A message must match
/// every part that is set; at least one part is set.
///
/// A key cannot be parsed back into a scope, because names may contain the separator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scope {
    pub sender: Option<String>,
    pub recipient: Option<String>,
    /// The conversation's name.
    pub conversation: Option<String>,
}

impl Scope {
    /// True if the message belongs to the stream.
    pub fn matches(&self, message: &Message) -> bool {
        self.matches_names(
            &message.sender,
            &message.recipient,
            &message.conversation.name,
        )
    }

    /// True if messages with this sender, recipient and conversation belong to the stream.
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
    use crate::domain::time::Millis;

    #[test]
    fn a_message_matches_a_scope_if_every_given_part_agrees() {
        let message = Message::text("alice", "bob", Millis(0), "");
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

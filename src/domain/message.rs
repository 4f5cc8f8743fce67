//! Messages in the archive's form, independent of the provider.

use super::format::counted;
use super::time::Millis;

/// One message, ready to be stored.
///
/// Its debug form shows no payload and no name, because it may appear in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// The sender in the provider's exact spelling. Names never contain U+0000 (see
    /// [`name_error`]).
    pub sender: String,
    /// The recipient: a user, a channel, a group or a topic.
    pub recipient: String,
    /// The time at which it was sent.
    pub sent_at: Millis,
    /// The content.
    pub payload: Payload,
    /// The conversation that it belongs to.
    pub conversation: Conversation,
    /// The provider's message id. Senders choose it at Web3MQ; Agora has none. Never empty.
    pub provider_id: Option<String>,
    /// Agora's `message_type`, unchanged.
    pub message_type: Option<String>,
    /// The payload's media type (Web3MQ).
    pub payload_type: Option<String>,
    /// The cipher suite of the payload (Web3MQ).
    pub cipher_suite: Option<String>,
    /// The delivery status (Web3MQ).
    pub status: Option<Delivery>,
    /// All other fields that the provider sent, as the text of a JSON object.
    pub extra: Option<String>,
}

impl Message {
    /// Creates a plain text message between two peers, without any optional field. Meant for tests.
    pub fn text(sender: &str, recipient: &str, sent_at: Millis, text: &str) -> Self {
        Self {
            sender: sender.to_owned(),
            recipient: recipient.to_owned(),
            sent_at,
            payload: Payload {
                bytes: text.into(),
                encoding: Encoding::Utf8,
            },
            conversation: Conversation::between(sender, recipient),
            provider_id: None,
            message_type: None,
            payload_type: None,
            cipher_suite: None,
            status: None,
            extra: None,
        }
    }

    /// Returns the reason why the message cannot be archived, or `None` if every database can hold
    /// it. No provider serves such a message through its adapter.
    pub fn storage_fault(&self) -> Option<&'static str> {
        if self.texts().any(|text| name_error(text).is_some()) {
            return Some("a text contains U+0000, which Postgres cannot store");
        }
        let next_second = self.sent_at.second().plus(1);
        let is_in_a_window = next_second.0.checked_mul(1000).is_some();
        (!is_in_a_window).then_some("its time lies behind the end of every window")
    }

    /// The bytes of all texts of the message. They are what its size in memory depends on.
    pub fn content_bytes(&self) -> u64 {
        let texts: usize = self.texts().map(String::len).sum();
        (texts + self.payload.bytes.len()) as u64
    }

    /// All texts of the message, except the payload.
    fn texts(&self) -> impl Iterator<Item = &String> {
        let names = [&self.sender, &self.recipient, &self.conversation.name];
        let optional = [
            &self.provider_id,
            &self.message_type,
            &self.payload_type,
            &self.cipher_suite,
            &self.extra,
        ];
        names.into_iter().chain(optional.into_iter().flatten())
    }

    /// True if the conversation follows from the names alone: it is named after the recipient or
    /// after the pair of sender and recipient.
    pub fn has_default_conversation(&self) -> bool {
        let Self {
            sender,
            recipient,
            conversation,
            ..
        } = self;
        conversation.name == escaped(recipient)
            || *conversation == Conversation::between(sender, recipient)
    }
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message")
            .field("sent_at", &self.sent_at)
            .field("payload", &self.payload)
            .finish_non_exhaustive()
    }
}

/// The exact content of a message and its encoding.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload {
    pub bytes: Vec<u8>,
    pub encoding: Encoding,
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let size = counted(self.bytes.len() as u64, "byte", "bytes");
        write!(f, "{size}, {}", self.encoding.as_str())
    }
}

/// The relation between a payload's bytes and the text that the provider sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Encoding {
    /// The provider's string in generalised UTF-8. A lone surrogate is encoded in three bytes.
    Utf8 = 0,
    /// The provider sent canonical base64. The bytes are decoded; encoding them gives the same
    /// text.
    Base64 = 1,
    /// The provider should have sent base64 but sent other text. The bytes are that text in
    /// generalised UTF-8.
    Raw = 2,
}

impl Encoding {
    /// Returns the name used in SQL and exports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Utf8 => "utf8",
            Self::Base64 => "base64",
            Self::Raw => "raw",
        }
    }
}

/// The delivery status of a message (Web3MQ). Ordered: a status only moves forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum DeliveryStatus {
    /// The server has received the message.
    Received = 1,
    /// The recipient's client has received the message.
    Delivered = 2,
    /// The recipient has read the message.
    Read = 3,
}

impl DeliveryStatus {
    /// Parses the provider's name of a status. `None` if it is unknown.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "received" => Some(Self::Received),
            "delivered" => Some(Self::Delivered),
            "read" => Some(Self::Read),
            _ => None,
        }
    }
}

/// A delivery status, with the time it was reached if the provider reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Delivery {
    pub status: DeliveryStatus,
    pub at: Option<Millis>,
}

/// The kind of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ConversationKind {
    /// Neither the provider nor the configuration says whether the recipient is a user or a
    /// channel.
    Unknown = 0,
    /// Two users, both directions.
    Peer = 1,
    Channel = 2,
    Group = 3,
    Topic = 4,
}

/// The conversation to which a reader assigns a message: a channel, a group, a topic, or a pair of
/// peers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Conversation {
    pub kind: ConversationKind,
    /// The name, unique within an account. See [`Conversation::named`] and
    /// [`Conversation::between`].
    pub name: String,
}

impl Conversation {
    /// Creates a conversation with one name. `/` and `\` in the name are escaped as `\/` and `\\`,
    /// so it never equals the name of a pair. Agora names contain neither; Web3MQ names do not
    /// either.
    pub fn named(kind: ConversationKind, name: &str) -> Self {
        Self {
            kind,
            name: escaped(name).into_owned(),
        }
    }

    /// Creates the conversation of two peers. Its name holds both names in byte order, separated by
    /// `/`, whoever sent the message.
    pub fn between(one: &str, other: &str) -> Self {
        let (first, second) = if one <= other {
            (one, other)
        } else {
            (other, one)
        };
        Self {
            kind: ConversationKind::Peer,
            name: format!("{}/{}", escaped(first), escaped(second)),
        }
    }

    /// Returns the unescaped names in the conversation's name: two for a pair, otherwise one.
    pub fn participant_names(&self) -> Vec<String> {
        let mut names = vec![String::new()];
        let mut letters = self.name.chars();
        while let Some(letter) = letters.next() {
            let letter = match letter {
                '/' => {
                    names.push(String::new());
                    continue;
                }
                '\\' => letters.next(),
                letter => Some(letter),
            };
            if let Some(name) = names.last_mut() {
                name.extend(letter);
            }
        }
        names
    }
}

fn escaped(name: &str) -> std::borrow::Cow<'_, str> {
    if name.contains(['/', '\\']) {
        name.replace('\\', "\\\\").replace('/', "\\/").into()
    } else {
        name.into()
    }
}

/// Returns the reason why a text cannot be a name, or `None` if it can. The databases store names
/// as text, and Postgres text cannot contain U+0000.
pub fn name_error(name: &str) -> Option<&'static str> {
    name.contains('\0').then_some("a name contains U+0000")
}

/// A message that could not be parsed, or was not asked for: its raw form and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnparsableMessage {
    /// The message's JSON as the provider sent it.
    pub raw: String,
    pub reason: String,
    /// The message itself, if it is sound and was only not asked for. Another stream may bring it.
    pub sound: Option<Box<Message>>,
}

impl UnparsableMessage {
    /// Returns a message that could not be parsed.
    pub fn new(raw: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            raw: raw.into(),
            reason: reason.into(),
            sound: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_of_a_pair_are_one_conversation() {
        assert_eq!(
            Conversation::between("bob", "alice"),
            Conversation::between("alice", "bob")
        );
        assert_eq!(Conversation::between("bob", "alice").name, "alice/bob");
    }

    #[test]
    fn conversations_have_distinct_names() {
        let names = [
            Conversation::between("a/b", "c").name,
            Conversation::between("a", "b/c").name,
            Conversation::named(ConversationKind::Channel, "a/b/c").name,
            Conversation::named(ConversationKind::Channel, "a\\/b/c").name,
        ];
        let distinct: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len(), "{names:?}");
    }

    #[test]
    fn debug_output_contains_no_text_and_no_names() {
        let message = Message::text("alice", "bob", Millis(1), "secret");
        let shown = format!("{message:?}");
        assert!(
            !shown.contains("secret") && !shown.contains("alice"),
            "{shown}"
        );
    }
}

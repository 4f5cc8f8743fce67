//! Messages as the archive keeps them, whichever provider they came from.

use super::time::Millis;

/// One message, ready to be stored.
///
/// Its debug form shows no payload and no name: it may end up in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Who sent it, in the provider's very spelling. Names never hold U+0000 (see [`name_fault`]).
    pub sender: String,
    /// To whom it was addressed: a user, a channel, a group, a topic.
    pub recipient: String,
    pub sent_at: Millis,
    pub payload: Payload,
    pub conversation: Conversation,
    /// The provider's id for it. Chosen by senders at Web3MQ, absent at Agora; never empty.
    pub provider_id: Option<String>,
    /// Agora's `message_type` as it came.
    pub message_type: Option<String>,
    pub payload_type: Option<String>,
    pub cipher_suite: Option<String>,
    pub status: Option<Delivery>,
    /// What the provider said beyond the fields above: the text of a JSON object.
    pub extra: Option<String>,
}

impl Message {
    /// Whether its conversation is that of its recipient, or of the two.
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

/// The exact content of a message, and how its bytes relate to what the provider sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload {
    pub bytes: Vec<u8>,
    pub encoding: Encoding,
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes, {}", self.bytes.len(), self.encoding.as_str())
    }
}

/// How a payload's bytes relate to what the provider sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Encoding {
    /// The provider's string in generalised UTF-8: a lone surrogate is its three bytes.
    Utf8 = 0,
    /// The provider sent canonical base64; these are the decoded bytes, and encoding them gives its very text.
    Base64 = 1,
    /// The provider should have sent base64 and sent something else; this is its text in generalised UTF-8.
    Raw = 2,
}

impl Encoding {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Utf8 => "utf8",
            Self::Base64 => "base64",
            Self::Raw => "raw",
        }
    }
}

/// How far a message has come on its way to the reader (Web3MQ). Ordered: it only ever moves forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Status {
    /// The server has it.
    Received = 1,
    /// The addressee's client has it.
    Delivered = 2,
    /// The addressee has read it.
    Read = 3,
}

impl Status {
    /// Reads the provider's word.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "received" => Some(Self::Received),
            "delivered" => Some(Self::Delivered),
            "read" => Some(Self::Read),
            _ => None,
        }
    }
}

/// A status, and since when, where the provider says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Delivery {
    pub status: Status,
    pub at: Option<Millis>,
}

/// What sort of conversation it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ConversationKind {
    /// The provider did not say whether the recipient is a user or a channel, and neither did the configuration.
    Unknown = 0,
    /// Two users, both directions.
    Peer = 1,
    Channel = 2,
    Group = 3,
    Topic = 4,
}

/// Where a message belongs for a reader: a channel, a group, a topic, or a pair of peers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Conversation {
    pub kind: ConversationKind,
    /// Unique within an account. See [`Conversation::named`] and [`Conversation::between`].
    pub name: String,
}

impl Conversation {
    /// The conversation that goes by one name. `/` and `\` in it are written `\/` and `\\`, so that it can never be
    /// taken for a pair's name; neither is allowed in an Agora name or occurs in a Web3MQ one.
    pub fn named(kind: ConversationKind, name: &str) -> Self {
        Self {
            kind,
            name: escaped(name).into_owned(),
        }
    }

    /// The conversation of two peers: both names in byte order with a `/` between, whoever of them sent.
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

    /// The names that its own is made of: two of a pair, else one.
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

/// Why a text cannot be a name: the databases keep names as text, and Postgres has no text with U+0000 in it.
pub fn name_error(name: &str) -> Option<&'static str> {
    name.contains('\0').then_some("a name holds U+0000")
}

/// A message that could not be understood: kept as it came, with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The JSON of the message as the provider sent it.
    pub raw: String,
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_one_conversation_in_both_directions() {
        assert_eq!(
            Conversation::between("bob", "alice"),
            Conversation::between("alice", "bob")
        );
        assert_eq!(Conversation::between("bob", "alice").name, "alice/bob");
    }

    #[test]
    fn no_two_conversations_share_a_name() {
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
    fn debug_output_shows_no_message_text() {
        let message = Message {
            sender: "alice".into(),
            recipient: "bob".into(),
            sent_at: Millis(1),
            payload: Payload {
                bytes: b"secret".to_vec(),
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
        let shown = format!("{message:?}");
        assert!(
            !shown.contains("secret") && !shown.contains("alice"),
            "{shown}"
        );
    }
}

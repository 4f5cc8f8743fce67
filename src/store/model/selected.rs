//! Messages as readers get them, and marks that tell if some of them have changed.

use std::sync::Arc;

use super::selection::Selection;
use crate::domain::identity::Fingerprint;
use crate::domain::message::{ConversationKind, Encoding};
use crate::domain::time::Millis;

/// A conversation's id in the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConversationId(pub i64);

/// A conversation as the archive files messages in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FiledConversation {
    pub id: ConversationId,
    /// The account's name.
    pub account: String,
    /// `agora` or `web3mq`.
    pub provider: String,
    pub name: String,
    pub kind: ConversationKind,
}

/// A message with the values of the view `archive`. A name that the archive lacks is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectedMessage {
    pub id: i64,
    pub conversation_id: ConversationId,
    /// `None` if the archive lacks the row that the message refers to.
    pub conversation: Option<Arc<FiledConversation>>,
    pub sender_id: i64,
    pub sender: Option<Arc<str>>,
    pub recipient: Option<Arc<str>>,
    pub sent_at: Millis,
    /// The payload as text if it differs from the payload's bytes.
    pub repaired_body: Option<String>,
    /// True if the payload is text.
    pub is_text: bool,
    pub payload: Vec<u8>,
    pub encoding: Encoding,
    pub message_type: Option<Arc<str>>,
    pub payload_type: Option<Arc<str>>,
    pub cipher_suite: Option<Arc<str>>,
    /// 1 received, 2 delivered, 3 read.
    pub status: Option<i64>,
    pub status_at: Option<Millis>,
    pub provider_message_id: Option<String>,
    pub occurrence: i64,
    pub archived_at: Millis,
    /// Further fields of the provider, as the text of a JSON object.
    pub extra: Option<String>,
    /// The identity that the archive stores. [`SelectedMessage::fingerprint`] computes it.
    pub stored_fingerprint: Fingerprint,
}

impl SelectedMessage {
    /// Returns the payload as text; `None` if it is not text.
    pub fn body(&self) -> Option<&str> {
        if !self.is_text {
            return None;
        }
        let repaired = self.repaired_body.as_deref();
        repaired.or_else(|| std::str::from_utf8(&self.payload).ok())
    }

    /// Returns the word for the delivery status.
    pub fn status_word(&self) -> Option<&'static str> {
        match self.status? {
            1 => Some("received"),
            2 => Some("delivered"),
            3 => Some("read"),
            _ => None,
        }
    }

    /// Computes the identity of the message from its values. It differs from the stored one if the
    /// message was changed after it was archived.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_parts(
            self.sent_at,
            self.encoding,
            self.sender.as_deref().unwrap_or_default(),
            self.recipient.as_deref().unwrap_or_default(),
            self.provider_message_id.as_deref(),
            &self.payload,
        )
    }
}

/// A position between two messages of a selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadPosition {
    pub(in crate::store) sent_at: Millis,
    pub(in crate::store) id: i64,
}

impl ReadPosition {
    /// Returns the position before all messages.
    pub const START: Self = Self {
        sent_at: Millis(i64::MIN),
        id: i64::MIN,
    };

    /// Returns the position after a message.
    pub fn after(message: &SelectedMessage) -> Self {
        Self {
            sent_at: message.sent_at,
            id: message.id,
        }
    }
}

/// The index through which messages are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadPath {
    Time,
    /// The sender of the selection.
    Sender,
    /// One of the conversations of the selection.
    Conversation(ConversationId),
}

/// The same query, once for each index that a selection may use.
#[derive(Debug)]
pub(in crate::store) struct PerReadPath {
    pub(in crate::store) by_time: &'static str,
    pub(in crate::store) by_sender: &'static str,
    pub(in crate::store) by_conversation: &'static str,
}

impl PerReadPath {
    /// Returns the statement for a selection: by the conversation, else by the sender, else by time.
    pub(in crate::store) fn of(&self, selection: &Selection) -> &'static str {
        match (&selection.conversation, selection.sender) {
            (Some(_), _) => self.by_conversation,
            (None, Some(_)) => self.by_sender,
            (None, None) => self.by_time,
        }
    }
}

/// The statements on selected messages.
#[derive(Debug)]
pub(in crate::store) struct SelectedStatements {
    pub(in crate::store) first_moment: PerReadPath,
    pub(in crate::store) change_mark: PerReadPath,
    pub(in crate::store) conversations: PerReadPath,
    pub(in crate::store) page: PerReadPath,
}

/// Sums over messages that change with every change of the archive that concerns them.
///
/// Ids are never used again, and a later message has a higher one: the number of messages and the sum
/// of their ids tell if one came or went. Everything else that the archive changes in a message moves
/// one way: a status advances, and after it its time; the type and the kind of conversation become
/// known. A sum of such values grows with each change and never returns to an earlier value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangeMark {
    pub messages: u64,
    pub ids: i128,
    /// The sum of the messages' random slots, in case ids became visible out of order.
    pub slots: i128,
    pub statuses: i128,
    pub status_times: i128,
    pub message_types: u64,
    pub known_kinds: u64,
}

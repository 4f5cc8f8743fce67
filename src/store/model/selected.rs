//! Messages as readers get them, and marks that tell if some of them have changed.

use std::sync::Arc;

use super::account::AccountId;
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
    pub account_id: AccountId,
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

    /// Returns the memory that its long values take, in bytes.
    pub(in crate::store) fn memory_bytes(&self) -> usize {
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let texts = [&self.repaired_body, &self.provider_message_id, &self.extra];
        self.payload.len() + texts.into_iter().map(length).sum::<usize>()
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

/// A message whose names and conversation are not looked up yet.
#[derive(Debug)]
pub(in crate::store) struct MessageRecord {
    /// Its names and its conversation are `None`.
    pub(in crate::store) message: SelectedMessage,
    pub(in crate::store) names: NameIds,
    pub(in crate::store) slot: i64,
}

/// The ids of the names of a message.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct NameIds {
    pub(in crate::store) sender: i64,
    pub(in crate::store) recipient: i64,
    pub(in crate::store) message_type: Option<i64>,
    pub(in crate::store) payload_type: Option<i64>,
    pub(in crate::store) cipher_suite: Option<i64>,
}

impl NameIds {
    /// Returns all of them.
    pub(in crate::store) fn all(&self) -> impl Iterator<Item = i64> {
        let optional = [self.message_type, self.payload_type, self.cipher_suite];
        let required = [self.sender, self.recipient];
        required.into_iter().chain(optional.into_iter().flatten())
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
    pub(in crate::store) messages: PerReadPath,
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

impl ChangeMark {
    /// Adds a message whose conversation was looked up.
    pub(in crate::store) fn include(&mut self, message: &SelectedMessage, record: (NameIds, i64)) {
        let (names, slot) = record;
        let kind = message.conversation.as_ref().map(|found| found.kind);
        let is_kind_known = kind.is_some_and(|kind| kind != ConversationKind::Unknown);
        self.messages += 1;
        self.ids += i128::from(message.id);
        self.slots += i128::from(slot);
        self.statuses += i128::from(message.status.unwrap_or(0));
        self.status_times += i128::from(message.status_at.map_or(0, |at| at.0));
        self.message_types += u64::from(names.message_type.is_some());
        self.known_kinds += u64::from(is_kind_known);
    }

    /// Adds the messages of another mark.
    pub fn add_all(&mut self, other: &Self) {
        self.messages += other.messages;
        self.ids += other.ids;
        self.slots += other.slots;
        self.statuses += other.statuses;
        self.status_times += other.status_times;
        self.message_types += other.message_types;
        self.known_kinds += other.known_kinds;
    }
}

//! The search index, and what it finds.

use crate::domain::time::Millis;

/// The extent of the search index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexExtent {
    /// False if search is off: the index is empty.
    pub is_enabled: bool,
    /// Messages up to this id are in the index, and no others.
    pub indexed_to: i64,
    /// The highest id of a message up to which none is missing.
    pub latest: i64,
}

impl IndexExtent {
    /// Returns an upper bound on the number of messages that are not in the index.
    pub fn missing(&self) -> u64 {
        self.latest
            .saturating_sub(self.indexed_to)
            .try_into()
            .unwrap_or(0)
    }
}

/// A message to add to the search index or to remove from it.
#[derive(Clone, Debug)]
pub(in crate::store) struct IndexEntry {
    pub(in crate::store) id: i64,
    pub(in crate::store) sent_at_ms: i64,
    /// Its words in the form that the database stores. `None`: they are too many for it.
    pub(in crate::store) words: Option<String>,
}

impl IndexEntry {
    /// True if the message has words, or too many of them.
    pub(in crate::store) fn has_words(&self) -> bool {
        self.words.as_deref() != Some("")
    }
}

/// The order of the messages that are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HitOrder {
    /// By the time of sending, the newest first.
    Newest,
    /// Rare words, and those that occur often in the message, count for more.
    Relevance,
}

/// A message as a reader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisplayedMessage {
    pub id: i64,
    /// The account's name.
    pub account: String,
    pub conversation: String,
    pub conversation_id: i64,
    /// The word for the kind of conversation in the views.
    pub conversation_kind: String,
    pub sender: String,
    pub recipient: String,
    pub sent_at: Millis,
    /// `None` if the payload is not text.
    pub body: Option<String>,
}

/// The messages that a query finds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchHits {
    pub messages: Vec<DisplayedMessage>,
    /// True if the query finds more than the limit.
    pub has_more: bool,
}

/// A message that the index finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct IndexHit {
    pub(in crate::store) id: i64,
    pub(in crate::store) sent_at_ms: i64,
    /// False if the index does not know the message's words: its text has to be read.
    pub(in crate::store) is_certain: bool,
}

//! What becomes of a window's messages on their way into the tables: numbers for names, and the difference to what is
//! there already. Pure, and the same for every database.

use std::collections::{HashMap, HashSet};

use super::StoreError;
use crate::domain::body::Body;
use crate::domain::identity::{Fingerprint, IdentifiedMessage};
use crate::domain::message::{ConversationKind, Delivery, DeliveryStatus, Encoding};
use crate::domain::time::Millis;

/// The numbers of the names that a batch mentions.
#[derive(Debug, Default)]
pub(super) struct InternedIds {
    pub(super) names: HashMap<String, i64>,
    /// By account and name: number and kind.
    pub(super) conversations: HashMap<i64, HashMap<String, (i64, u8)>>,
}

impl InternedIds {
    /// The number and the kind of an account's conversation.
    pub(super) fn conversation(&self, account: i64, name: &str) -> Option<(i64, u8)> {
        self.conversations.get(&account)?.get(name).copied()
    }
}

/// What a message is, within its account: recipient, millisecond, hash, occurrence.
pub(super) type MessageKey = (i64, i64, [u8; 16], i64);

/// A message as a row.
#[derive(Clone, Debug)]
pub(super) struct MessageRow<'a> {
    pub(super) key: MessageKey,
    /// Where it lies, or is to lie, among the messages of its recipient and millisecond. See [`home`].
    pub(super) slot: i32,
    pub(super) conversation: i64,
    pub(super) sender: i64,
    pub(super) encoding: i64,
    pub(super) status: Option<Delivery>,
    pub(super) message_type: Option<i64>,
    pub(super) payload_type: Option<i64>,
    pub(super) cipher_suite: Option<i64>,
    pub(super) provider_id: Option<&'a str>,
    pub(super) payload: &'a [u8],
    pub(super) body: Body,
    pub(super) extra: Option<&'a str>,
    /// Whether `conversation` was derived from knowing what the recipient is.
    kind_known: bool,
}

/// What a row could teach the one that is there. A database compares it with what it has, and need not answer with the
/// rows that learn nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UpdateProbe {
    /// How far it has come; 0 where that is not known …
    pub(super) status: i64,
    /// … and since when, in ms; [`NEVER`] where that is not known.
    pub(super) status_at: i64,
    pub(super) message_type: bool,
}

/// Before any moment that a message tells. The statements say the same.
pub(super) const NO_STATUS_TIME_MS: i64 = -i64::MAX;

/// How many of a window's messages are there, and whether one of those might learn something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ExistingMessages {
    pub(super) count: u64,
    pub(super) may_update: bool,
}

/// A row that is there: where it lies, and what can change in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MutableColumns {
    pub(super) slot: i32,
    pub(super) conversation: i64,
    /// Whether the conversation it is filed under is one whose kind is unknown.
    pub(super) kind_unknown: bool,
    pub(super) message_type: Option<i64>,
    pub(super) status: Option<Delivery>,
}

impl MutableColumns {
    /// From the columns of a row.
    pub(super) fn from_columns(
        slot: i32,
        conversation: i64,
        kind_unknown: bool,
        message_type: Option<i64>,
        status: Option<i64>,
        status_at: Option<i64>,
    ) -> Self {
        Self {
            slot,
            conversation,
            kind_unknown,
            message_type,
            status: delivery_from_columns(status, status_at),
        }
    }
}

/// What the columns of a row say about its status.
pub(super) fn delivery_from_columns(status: Option<i64>, at: Option<i64>) -> Option<Delivery> {
    let status = match status {
        Some(1) => Some(DeliveryStatus::Received),
        Some(2) => Some(DeliveryStatus::Delivered),
        Some(3) => Some(DeliveryStatus::Read),
        _ => None,
    };
    status.map(|status| Delivery {
        status,
        at: at.map(Millis),
    })
}

/// All names that the messages mention, each once.
pub(super) fn mentioned_names<'a>(
    messages: impl Iterator<Item = &'a IdentifiedMessage>,
) -> HashSet<&'a str> {
    let mentioned = messages.map(|m| &m.message).flat_map(|m| {
        let words = [&m.message_type, &m.payload_type, &m.cipher_suite];
        [&m.sender, &m.recipient]
            .into_iter()
            .chain(words.into_iter().flatten())
            .map(String::as_str)
    });
    mentioned.collect()
}

impl<'a> MessageRow<'a> {
    pub(super) fn from_message(
        account: i64,
        identified: &'a IdentifiedMessage,
        numbers: &InternedIds,
    ) -> Result<Self, StoreError> {
        let IdentifiedMessage {
            message,
            fingerprint,
            occurrence,
        } = identified;
        let name = |name: &str| {
            numbers
                .names
                .get(name)
                .copied()
                .ok_or_else(|| missing_id("name"))
        };
        let word = |word: &Option<String>| word.as_deref().map(name).transpose();
        let filed = numbers.conversation(account, &message.conversation.name);
        Ok(Self {
            key: (
                name(&message.recipient)?,
                message.sent_at.0,
                fingerprint.0,
                i64::from(*occurrence),
            ),
            slot: preferred_slot(account, *fingerprint, *occurrence),
            conversation: filed.ok_or_else(|| missing_id("conversation"))?.0,
            sender: name(&message.sender)?,
            encoding: message.payload.encoding as i64,
            status: message.status,
            message_type: word(&message.message_type)?,
            payload_type: word(&message.payload_type)?,
            cipher_suite: word(&message.cipher_suite)?,
            provider_id: message.provider_id.as_deref(),
            payload: &message.payload.bytes,
            body: Body::from_message(message),
            extra: message.extra.as_deref(),
            kind_known: message.conversation.kind != ConversationKind::Unknown,
        })
    }

    /// What the row that is there should become, if anything was learned: a status only moves forward, and a kind
    /// that is known replaces one that is not.
    pub(super) fn merged_into(&self, there: MutableColumns) -> Option<MutableColumns> {
        let learns_kind = there.kind_unknown && self.kind_known;
        let now = MutableColumns {
            slot: there.slot,
            conversation: if learns_kind {
                self.conversation
            } else {
                there.conversation
            },
            kind_unknown: there.kind_unknown && !learns_kind,
            message_type: there.message_type.or(self.message_type),
            status: there.status.max(self.status),
        };
        let same = (now.conversation, now.message_type, now.status)
            == (there.conversation, there.message_type, there.status);
        (!same).then_some(now)
    }

    /// Whether it is what nearly every message of Agora is: the first of its kind, plain text, and nothing else said of
    /// it. Such rows leave most columns to their defaults.
    pub(super) fn is_plain(&self) -> bool {
        let Self {
            key,
            encoding,
            status,
            payload_type,
            cipher_suite,
            provider_id,
            body,
            extra,
            ..
        } = self;
        let said = status.is_some()
            || payload_type.is_some()
            || cipher_suite.is_some()
            || provider_id.is_some();
        key.3 == 0
            && *encoding == Encoding::Utf8 as i64
            && *body == Body::ExactText
            && extra.is_none()
            && !said
    }

    /// What a row that is there, filed as this one, could learn from it.
    pub(super) fn update_probe(&self) -> UpdateProbe {
        let status = self.status.map_or(0, |delivery| delivery.status as i64);
        let status_at = self
            .status
            .and_then(|delivery| delivery.at)
            .map_or(NO_STATUS_TIME_MS, |at| at.0);
        UpdateProbe {
            status,
            status_at,
            message_type: self.message_type.is_some(),
        }
    }

    pub(super) fn is_text(&self) -> bool {
        self.body != Body::NotText
    }

    pub(super) fn readable_body(&self) -> Option<&str> {
        match &self.body {
            Body::RepairedText(text) => Some(text),
            Body::NotText | Body::ExactText => None,
        }
    }
}

/// The slot in which a message lies unless another had it first: 32 bits of its hash, with occurrences side by side and
/// accounts far apart. It makes the unique index a narrow one; whether two messages in one slot are the same, only
/// account, hash and occurrence tell. It is part of the archive's format: another formula would not find the messages
/// that are there.
pub(super) fn preferred_slot(account: i64, fingerprint: Fingerprint, occurrence: u32) -> i32 {
    let [a, b, c, d, ..] = fingerprint.0;
    let spread = (account as i32)
        .wrapping_shl(16)
        .wrapping_add(occurrence as i32);
    i32::from_be_bytes([a, b, c, d]).wrapping_add(spread)
}

fn missing_id(what: &str) -> StoreError {
    StoreError::Inconsistent {
        what: "numbers",
        fault: format!("a {what} that was just written has no number"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Archives hold these numbers. Another formula would archive messages twice.
    #[test]
    fn preferred_slots_never_change() {
        let mut hash = [0; 16];
        hash[0] = 0xFE;
        let slot = |account, occurrence| preferred_slot(account, Fingerprint(hash), occurrence);
        assert_eq!(slot(1, 0), -33_488_896);
        assert_eq!(slot(1, 1), -33_488_895);
        assert_eq!(slot(2, 0), -33_423_360);
    }
}

//! Messages as table rows: ids in place of names, and the difference to an existing row. Pure,
//! and the same for every database.

use std::collections::{HashMap, HashSet};

use super::error::StoreError;
use super::model::Origin;
use crate::domain::body::Body;
use crate::domain::identity::{Fingerprint, IdentifiedMessage};
use crate::domain::message::{ConversationKind, Delivery, DeliveryStatus, Encoding};
use crate::domain::time::Millis;

/// The ids of the names and conversations that a batch mentions.
#[derive(Debug, Default)]
pub(super) struct InternedIds {
    pub(super) names: HashMap<String, i64>,
    /// The id and the kind of each conversation, by account and name.
    pub(super) conversations: HashMap<i64, HashMap<String, (i64, u8)>>,
}

impl InternedIds {
    /// Returns the id and the kind of an account's conversation.
    pub(super) fn conversation(&self, account: i64, name: &str) -> Option<(i64, u8)> {
        self.conversations.get(&account)?.get(name).copied()
    }
}

/// The identity of a message within its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct MessageKey {
    /// The id of the recipient's name.
    pub(super) recipient: i64,
    pub(super) sent_at_ms: i64,
    pub(super) hash: [u8; 16],
    pub(super) occurrence: i64,
}

/// A message as a row of the message table.
#[derive(Clone, Debug)]
pub(super) struct MessageRow<'a> {
    /// The message itself.
    pub(super) identified: &'a IdentifiedMessage,
    pub(super) origin: Origin,
    pub(super) key: MessageKey,
    /// The position among the messages of the same recipient and millisecond. See
    /// [`preferred_slot`].
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
    /// True if the kind of `conversation` is known.
    kind_known: bool,
}

/// The values of a row that may advance an existing one. The database compares them with the
/// stored columns, so that it need not return rows that stay the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UpdateProbe {
    /// The code of the delivery status; 0 if it is unknown.
    pub(super) status: i64,
    /// The time of the status in ms; [`NO_STATUS_TIME_MS`] if it is unknown.
    pub(super) status_at: i64,
    /// True if the message type is known.
    pub(super) message_type: bool,
}

/// A time before every status time. The statements contain the same number.
pub(super) const NO_STATUS_TIME_MS: i64 = -i64::MAX;

/// The number of a window's messages that exist, and whether one of them may need an update.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ExistingMessages {
    pub(super) count: u64,
    pub(super) may_update: bool,
}

/// The slot of an existing row, and the columns that can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MutableColumns {
    pub(super) slot: i32,
    pub(super) conversation: i64,
    /// True if the kind of the row's conversation is unknown.
    pub(super) kind_unknown: bool,
    pub(super) message_type: Option<i64>,
    pub(super) status: Option<Delivery>,
}

/// Returns the delivery status that the status columns of a row hold. `None` for an unknown code.
pub(super) fn delivery_from_columns(status: Option<i64>, at: Option<i64>) -> Option<Delivery> {
    let status = match status? {
        1 => DeliveryStatus::Received,
        2 => DeliveryStatus::Delivered,
        3 => DeliveryStatus::Read,
        _ => return None,
    };
    Some(Delivery {
        status,
        at: at.map(Millis),
    })
}

/// Returns all names that the messages mention, without duplicates.
pub(super) fn mentioned_names<'a>(
    messages: impl Iterator<Item = &'a IdentifiedMessage>,
) -> HashSet<&'a str> {
    let mentioned = messages.flat_map(|identified| {
        let message = &identified.message;
        let types = [
            &message.message_type,
            &message.payload_type,
            &message.cipher_suite,
        ];
        let participants = [&message.sender, &message.recipient];
        participants
            .into_iter()
            .chain(types.into_iter().flatten())
            .map(String::as_str)
    });
    mentioned.collect()
}

impl<'a> MessageRow<'a> {
    /// Converts a message of an account. Errors if a name or the conversation has no id in `ids`.
    pub(super) fn from_message(
        account: i64,
        identified: &'a IdentifiedMessage,
        origin: Origin,
        ids: &InternedIds,
    ) -> Result<Self, StoreError> {
        let IdentifiedMessage {
            message,
            fingerprint,
            occurrence,
        } = identified;
        let id_of = |name: &str| {
            ids.names
                .get(name)
                .copied()
                .ok_or_else(|| missing_id("name"))
        };
        let optional_id = |name: &Option<String>| name.as_deref().map(id_of).transpose();
        let conversation = ids.conversation(account, &message.conversation.name);
        let (conversation, _) = conversation.ok_or_else(|| missing_id("conversation"))?;
        let key = MessageKey {
            recipient: id_of(&message.recipient)?,
            sent_at_ms: message.sent_at.0,
            hash: fingerprint.0,
            occurrence: i64::from(*occurrence),
        };
        Ok(Self {
            identified,
            origin,
            key,
            slot: preferred_slot(account, *fingerprint, *occurrence),
            conversation,
            sender: id_of(&message.sender)?,
            encoding: message.payload.encoding as i64,
            status: message.status,
            message_type: optional_id(&message.message_type)?,
            payload_type: optional_id(&message.payload_type)?,
            cipher_suite: optional_id(&message.cipher_suite)?,
            provider_id: message.provider_id.as_deref(),
            payload: &message.payload.bytes,
            body: Body::from_message(message),
            extra: message.extra.as_deref(),
            kind_known: message.conversation.kind != ConversationKind::Unknown,
        })
    }

    /// Returns the columns that the existing row should have, or `None` if it stays the same. A
    /// status only advances, and a known conversation kind replaces an unknown one.
    pub(super) fn merged_into(&self, existing: MutableColumns) -> Option<MutableColumns> {
        let gains_kind = existing.kind_unknown && self.kind_known;
        let conversation = if gains_kind {
            self.conversation
        } else {
            existing.conversation
        };
        let merged = MutableColumns {
            slot: existing.slot,
            conversation,
            kind_unknown: existing.kind_unknown && !gains_kind,
            message_type: existing.message_type.or(self.message_type),
            status: existing.status.max(self.status),
        };
        let is_changed = merged.conversation != existing.conversation
            || merged.message_type != existing.message_type
            || merged.status != existing.status;
        is_changed.then_some(merged)
    }

    /// True if only the common columns are needed: the first occurrence, exact UTF-8 text, and no
    /// optional column but the message type. Nearly all messages of Agora are like this.
    pub(super) fn is_plain(&self) -> bool {
        let has_optional_columns = self.status.is_some()
            || self.payload_type.is_some()
            || self.cipher_suite.is_some()
            || self.provider_id.is_some()
            || self.extra.is_some()
            || self.origin.id.is_some();
        self.key.occurrence == 0
            && self.encoding == Encoding::Utf8 as i64
            && self.body == Body::ExactText
            && !has_optional_columns
    }

    /// Returns the values that may advance an existing row of the same conversation.
    pub(super) fn update_probe(&self) -> UpdateProbe {
        UpdateProbe {
            status: self.status.map_or(0, |delivery| delivery.status as i64),
            status_at: self.status_at_ms().unwrap_or(NO_STATUS_TIME_MS),
            message_type: self.message_type.is_some(),
        }
    }

    /// Returns the code of the delivery status.
    pub(super) fn status_code(&self) -> Option<i16> {
        self.status.map(|delivery| delivery.status as i16)
    }

    /// Returns the time of the delivery status in ms.
    pub(super) fn status_at_ms(&self) -> Option<i64> {
        self.status?.at.map(|at| at.0)
    }

    /// Returns the payload if it is text and displayed as it is.
    pub(super) fn exact_text(&self) -> Option<&'a str> {
        let is_exact = self.body == Body::ExactText;
        is_exact.then(|| std::str::from_utf8(self.payload).ok())?
    }

    /// True if the payload is text.
    pub(super) fn is_text(&self) -> bool {
        self.body != Body::NotText
    }

    /// Returns the repaired text of a payload that is not exact text.
    pub(super) fn readable_body(&self) -> Option<&str> {
        match &self.body {
            Body::RepairedText(text) => Some(text),
            Body::NotText | Body::ExactText => None,
        }
    }
}

impl MutableColumns {
    /// Returns the code of the delivery status.
    pub(super) fn status_code(&self) -> Option<i16> {
        self.status.map(|delivery| delivery.status as i16)
    }

    /// Returns the time of the delivery status in ms.
    pub(super) fn status_at_ms(&self) -> Option<i64> {
        self.status?.at.map(|at| at.0)
    }
}

/// Returns the slot that a message takes unless another message has it: 32 bits of the hash, with
/// the occurrences side by side and the accounts far apart.
///
/// Slots keep the unique index narrow. Two messages in one slot are the same only if account, hash
/// and occurrence match. The formula is part of the archive's format: another one would not find
/// the messages that are archived.
pub(super) fn preferred_slot(account: i64, fingerprint: Fingerprint, occurrence: u32) -> i32 {
    let [a, b, c, d, ..] = fingerprint.0;
    let spread = (account as i32)
        .wrapping_shl(16)
        .wrapping_add(occurrence as i32);
    i32::from_be_bytes([a, b, c, d]).wrapping_add(spread)
}

fn missing_id(what: &str) -> StoreError {
    let fault = format!("a {what} that was just written has no id");
    StoreError::Inconsistent { what: "ids", fault }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::identity::identify;
    use crate::domain::message::Message;

    fn existing(kind_unknown: bool, status: Option<Delivery>) -> MutableColumns {
        let (slot, conversation, message_type) = (5, 1, None);
        MutableColumns {
            slot,
            conversation,
            kind_unknown,
            message_type,
            status,
        }
    }

    fn row(kind_known: bool, status: Option<Delivery>) -> MessageRow<'static> {
        let key = MessageKey {
            recipient: 1,
            sent_at_ms: 2,
            hash: [0; 16],
            occurrence: 0,
        };
        let message = Message::text("alice", "lobby", Millis(2), "");
        let identified = Box::leak(Box::new(identify(vec![message]).remove(0)));
        MessageRow {
            identified,
            origin: Origin {
                id: None,
                archived_at: Millis(0),
            },
            key,
            slot: 5,
            conversation: 9,
            sender: 2,
            encoding: 0,
            status,
            message_type: None,
            payload_type: None,
            cipher_suite: None,
            provider_id: None,
            payload: b"",
            body: Body::ExactText,
            extra: None,
            kind_known,
        }
    }

    #[test]
    fn status_only_advances_and_known_kind_replaces_unknown_one() {
        let delivered = delivery_from_columns(Some(2), Some(10));
        let read = delivery_from_columns(Some(3), None);
        let merged = row(false, read)
            .merged_into(existing(false, delivered))
            .unwrap();
        assert_eq!((merged.status, merged.conversation), (read, 1));
        assert_eq!(
            row(false, delivered).merged_into(existing(false, read)),
            None
        );
        assert_eq!(row(true, None).merged_into(existing(false, read)), None);
        let moved = row(true, None).merged_into(existing(true, read)).unwrap();
        assert_eq!((moved.status, moved.conversation), (read, 9));
        assert!(!moved.kind_unknown);
    }

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

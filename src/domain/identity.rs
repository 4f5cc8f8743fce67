//! Message identity: decides whether two received messages are the same message.
//!
//! A message's key is its recipient, its millisecond, a [`Fingerprint`] over its immutable fields,
//! and an occurrence number among equal messages. Equal messages share a millisecond and therefore
//! a window, so every fetch of the window numbers them alike. Fields that differ between streams or
//! that may be learned later are not part of the key.

use std::collections::HashMap;

use super::message::{Encoding, Message};
use super::time::Millis;

/// A hash over a message's immutable fields: the first 128 bits of BLAKE3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub [u8; 16]);

impl Fingerprint {
    /// Computes the fingerprint of a message.
    pub fn compute(message: &Message) -> Self {
        Self::of_parts(
            message.sent_at,
            message.payload.encoding,
            &message.sender,
            &message.recipient,
            message.provider_id.as_deref(),
            &message.payload.bytes,
        )
    }

    /// Computes the fingerprint of a message from its immutable fields.
    pub fn of_parts(
        sent_at: Millis,
        encoding: Encoding,
        sender: &str,
        recipient: &str,
        provider_id: Option<&str>,
        payload: &[u8],
    ) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"backscroll message 1\0");
        hasher.update(&sent_at.0.to_le_bytes());
        hasher.update(&[encoding as u8]);
        for part in [
            sender.as_bytes(),
            recipient.as_bytes(),
            provider_id.unwrap_or_default().as_bytes(),
            payload,
        ] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let mut short = [0; 16];
        hasher.finalize_xof().fill(&mut short);
        Self(short)
    }

    /// Computes the fingerprint of the raw text of a message that could not be parsed.
    pub fn of_raw(raw: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"backscroll raw message 1\0");
        hasher.update(raw.as_bytes());
        let mut short = [0; 16];
        hasher.finalize_xof().fill(&mut short);
        Self(short)
    }
}

/// A message with its fingerprint and its number among equal messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentifiedMessage {
    pub message: Message,
    pub fingerprint: Fingerprint,
    /// The number among equal messages of the same millisecond, counted from 0.
    pub occurrence: u32,
}

/// The numbers of equal messages at the end of a part of a window: equal messages of its last
/// millisecond may stand in the next part, too, and are counted on there.
#[derive(Clone, Debug, Default)]
pub struct Occurrences {
    last: Option<Millis>,
    equals: HashMap<Fingerprint, u32>,
}

impl Occurrences {
    /// Records the messages of a part: those of its last millisecond.
    pub fn record(&mut self, part: &[IdentifiedMessage]) {
        let newest = part
            .iter()
            .map(|identified| identified.message.sent_at)
            .max();
        if newest > self.last {
            self.equals.clear();
            self.last = newest;
        }
        let at_end = part
            .iter()
            .filter(|identified| Some(identified.message.sent_at) == self.last);
        for identified in at_end {
            let equals = self.equals.entry(identified.fingerprint).or_default();
            *equals = (*equals).max(identified.occurrence + 1);
        }
    }
}

/// Assigns occurrence numbers to a window's messages, in the given order.
///
/// Equal messages with a provider id are one message received twice; the more advanced status is
/// kept. Equal messages without an id are distinct messages.
pub fn identify(messages: Vec<Message>) -> Vec<IdentifiedMessage> {
    identify_after(messages, &Occurrences::default())
}

/// Assigns occurrence numbers to the messages of a part of a window, after those of the parts
/// before it.
pub fn identify_after(messages: Vec<Message>, before: &Occurrences) -> Vec<IdentifiedMessage> {
    let mut seen: HashMap<Fingerprint, (usize, u32)> = HashMap::with_capacity(messages.len());
    let mut identified: Vec<IdentifiedMessage> = Vec::with_capacity(messages.len());
    for message in messages {
        let fingerprint = Fingerprint::compute(&message);
        // Messages with an id are never numbered.
        let earlier = match message.provider_id {
            None => before.equals.get(&fingerprint).copied().unwrap_or_default(),
            Some(_) => 0,
        };
        let (first, equals) = *seen
            .entry(fingerprint)
            .and_modify(|(_, n)| *n += 1)
            .or_insert((identified.len(), earlier));
        if equals > 0 && message.provider_id.is_some() {
            let known = &mut identified[first].message;
            known.status = known.status.max(message.status);
        } else {
            identified.push(IdentifiedMessage {
                message,
                fingerprint,
                occurrence: equals,
            });
        }
    }
    identified
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::message::{Conversation, ConversationKind, Delivery, DeliveryStatus};

    fn message(text: &str) -> Message {
        Message::text("alice", "bob", Millis(5), text)
    }

    #[test]
    fn equal_messages_without_an_id_are_numbered() {
        let numbered = identify(vec![
            message("hi"),
            message("ho"),
            message("hi"),
            message("hi"),
        ]);
        assert_eq!(
            numbered.iter().map(|m| m.occurrence).collect::<Vec<_>>(),
            [0, 0, 1, 2]
        );
        assert_eq!(numbered[0].fingerprint, numbered[3].fingerprint);
    }

    #[test]
    fn equal_messages_are_numbered_through_all_parts_of_a_window() {
        let later = || Message::text("alice", "bob", Millis(6), "hi");
        let all: Vec<Message> = [message("hi"), message("ho"), message("hi"), message("hi")]
            .into_iter()
            .chain([later(), later(), later()])
            .collect();
        let numbers = |messages: &[IdentifiedMessage]| -> Vec<u32> {
            messages.iter().map(|m| m.occurrence).collect()
        };
        let whole = identify(all.clone());
        for size in 1..=all.len() {
            let mut occurrences = Occurrences::default();
            let mut parts = Vec::new();
            for part in all.chunks(size) {
                let part = identify_after(part.to_vec(), &occurrences);
                occurrences.record(&part);
                parts.extend(part);
            }
            assert_eq!(numbers(&parts), numbers(&whole), "in parts of {size}");
        }
    }

    #[test]
    fn equal_messages_with_an_id_are_merged_and_keep_the_most_advanced_status() {
        let with = |status| Message {
            provider_id: Some("id".into()),
            status: Some(Delivery { status, at: None }),
            ..message("hi")
        };
        let numbered = identify(vec![
            with(DeliveryStatus::Delivered),
            with(DeliveryStatus::Read),
            with(DeliveryStatus::Received),
        ]);
        assert_eq!(numbered.len(), 1);
        assert_eq!(
            numbered[0].message.status.unwrap().status,
            DeliveryStatus::Read
        );
    }

    #[test]
    fn moving_text_between_fields_changes_the_fingerprint() {
        let one = Message {
            sender: "ab".into(),
            recipient: "c".into(),
            ..message("d")
        };
        let other = Message {
            sender: "a".into(),
            recipient: "bc".into(),
            ..message("d")
        };
        assert_ne!(Fingerprint::compute(&one), Fingerprint::compute(&other));
    }

    #[test]
    fn fields_learned_later_do_not_change_the_fingerprint() {
        let bare = message("hi");
        let known = Message {
            conversation: Conversation::named(ConversationKind::Channel, "bob"),
            message_type: Some("group_message".into()),
            status: Some(Delivery {
                status: DeliveryStatus::Read,
                at: Some(Millis(9)),
            }),
            extra: Some("{}".into()),
            ..bare.clone()
        };
        assert_eq!(Fingerprint::compute(&bare), Fingerprint::compute(&known));
    }
}

//! Identity: what makes two sightings one message, and two equal messages two.
//!
//! A message's key is its recipient, its millisecond, a [`Fingerprint`] over what never changes in it, and an
//! occurrence number among equals. Equals share a millisecond, so they share a window, so every fetch of the window
//! numbers them alike. Nothing that may be learned later or that differs between streams is part of it.

use std::collections::HashMap;

use super::message::Message;

/// A hash over a message's immutable fields: 128 bits of BLAKE3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub [u8; 16]);

impl Fingerprint {
    pub fn compute(message: &Message) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"backscroll message 1\0");
        hasher.update(&message.sent_at.0.to_le_bytes());
        hasher.update(&[message.payload.encoding as u8]);
        let id = message.provider_id.as_deref().unwrap_or_default();
        for part in [
            message.sender.as_bytes(),
            message.recipient.as_bytes(),
            id.as_bytes(),
            &message.payload.bytes,
        ] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let mut short = [0; 16];
        hasher.finalize_xof().fill(&mut short);
        Self(short)
    }
}

/// A message with its place among equals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentifiedMessage {
    pub message: Message,
    pub fingerprint: Fingerprint,
    /// 0 for the first of its equals within the millisecond, 1 for the second, …
    pub occurrence: u32,
}

/// Numbers the equals among a window's messages, in the order given.
///
/// Equal messages with an id of the provider's are one message seen twice (of two statuses the further one is kept).
/// Equal messages without one are as many messages as there are.
pub fn identify(messages: Vec<Message>) -> Vec<IdentifiedMessage> {
    let mut seen: HashMap<Fingerprint, (usize, u32)> = HashMap::with_capacity(messages.len());
    let mut identified: Vec<IdentifiedMessage> = Vec::with_capacity(messages.len());
    for message in messages {
        let fingerprint = Fingerprint::compute(&message);
        let (first, equals) = *seen
            .entry(fingerprint)
            .and_modify(|(_, n)| *n += 1)
            .or_insert((identified.len(), 0));
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
    use crate::domain::message::{Conversation, Delivery, Encoding, Payload, Status};
    use crate::domain::time::Millis;

    fn message(text: &str) -> Message {
        Message {
            sender: "alice".into(),
            recipient: "bob".into(),
            sent_at: Millis(5),
            payload: Payload {
                bytes: text.into(),
                encoding: Encoding::Utf8,
            },
            conversation: Conversation::between("alice", "bob"),
            provider_id: None,
            message_type: None,
            payload_type: None,
            cipher_suite: None,
            status: None,
            extra: None,
        }
    }

    #[test]
    fn equal_messages_without_an_id_stay_as_many_as_they_are() {
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
    fn equal_messages_with_an_id_are_one_and_its_status_is_the_furthest() {
        let with = |status| Message {
            provider_id: Some("id".into()),
            status: Some(Delivery { status, at: None }),
            ..message("hi")
        };
        let numbered = identify(vec![
            with(Status::Delivered),
            with(Status::Read),
            with(Status::Received),
        ]);
        assert_eq!(numbered.len(), 1);
        assert_eq!(numbered[0].message.status.unwrap().status, Status::Read);
    }

    #[test]
    fn no_field_runs_into_the_next() {
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
    fn what_is_learned_later_is_no_part_of_the_key() {
        let bare = message("hi");
        let known = Message {
            conversation: Conversation::named(
                crate::domain::message::ConversationKind::Channel,
                "bob",
            ),
            message_type: Some("group_message".into()),
            status: Some(Delivery {
                status: Status::Read,
                at: Some(Millis(9)),
            }),
            extra: Some("{}".into()),
            ..bare.clone()
        };
        assert_eq!(Fingerprint::compute(&bare), Fingerprint::compute(&known));
    }
}

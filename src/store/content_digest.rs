//! A digest over everything that an archive keeps of messages, in any order.
//!
//! Two archives that hold the same messages have the same digest, and so has an export of them.

use super::model::{ArchivedMessage, SelectedMessage};
use super::rows::delivery_from_columns;
use crate::domain::identity::Fingerprint;
use crate::domain::message::Delivery;

/// A digest over messages in any order, and their number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContentDigest {
    /// The sum of the hashes of all messages, as 256-bit numbers.
    pub sum: [u8; 32],
    pub messages: u64,
}

impl ContentDigest {
    /// Adds a message as it is stored. Its identity is the one that the archive stores.
    pub(super) fn include(&mut self, archived: &ArchivedMessage) {
        let message = &archived.identified.message;
        let content = MessageContent {
            fingerprint: archived.identified.fingerprint,
            occurrence: archived.identified.occurrence,
            kind: message.conversation.kind as u8,
            account: &archived.account,
            conversation: &message.conversation.name,
            delivery: message.status,
            optional: [
                message.message_type.as_deref(),
                message.payload_type.as_deref(),
                message.cipher_suite.as_deref(),
                message.extra.as_deref(),
            ],
        };
        self.add(content.hash());
    }

    /// Adds a message as a reader gets it. Its identity is computed from its values.
    pub fn include_selected(&mut self, message: &SelectedMessage, fingerprint: Fingerprint) {
        let conversation = message.conversation.as_deref();
        let status_at = message.status_at.map(|at| at.0);
        let content = MessageContent {
            fingerprint,
            // An occurrence beyond 32 bits is never written.
            occurrence: u32::try_from(message.occurrence).unwrap_or(u32::MAX),
            kind: conversation.map_or(0, |conversation| conversation.kind as u8),
            account: conversation.map_or("", |conversation| &conversation.account),
            conversation: conversation.map_or("", |conversation| &conversation.name),
            delivery: delivery_from_columns(message.status, status_at),
            optional: [
                message.message_type.as_deref(),
                message.payload_type.as_deref(),
                message.cipher_suite.as_deref(),
                message.extra.as_deref(),
            ],
        };
        self.add(content.hash());
    }

    /// Adds the messages of another digest.
    pub fn add_all(&mut self, other: &Self) {
        add_hash(&mut self.sum, &other.sum);
        self.messages += other.messages;
    }

    fn add(&mut self, hash: blake3::Hash) {
        add_hash(&mut self.sum, hash.as_bytes());
        self.messages += 1;
    }
}

/// Adds a hash to a sum of hashes, both as 256-bit numbers. The order does not matter, and two
/// equal hashes do not cancel each other out.
pub(super) fn add_hash(sum: &mut [u8; 32], hash: &[u8; 32]) {
    let mut carry = 0;
    for (sum, byte) in sum.iter_mut().zip(hash) {
        let total = u16::from(*sum) + u16::from(*byte) + carry;
        *sum = (total & 0xFF) as u8;
        carry = total >> 8;
    }
}

/// Everything that an archive keeps of a message, except the time of archiving.
struct MessageContent<'a> {
    fingerprint: Fingerprint,
    occurrence: u32,
    kind: u8,
    account: &'a str,
    conversation: &'a str,
    delivery: Option<Delivery>,
    /// Message type, payload type, cipher suite and further fields.
    optional: [Option<&'a str>; 4],
}

impl MessageContent<'_> {
    fn hash(&self) -> blake3::Hash {
        let delivery = self.delivery.map(|d| (d.status as u8, d.at.map(|at| at.0)));
        let delivery = format!("{delivery:?}");
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.fingerprint.0);
        hasher.update(&self.occurrence.to_le_bytes());
        hasher.update(&[self.kind]);
        let required = [self.account, self.conversation, &delivery];
        for text in required.into_iter().map(Some).chain(self.optional) {
            // A missing text differs from an empty one.
            let length = text.map_or(u64::MAX, |text| text.len() as u64);
            hasher.update(&length.to_le_bytes());
            hasher.update(text.map_or(&[], str::as_bytes));
        }
        hasher.finalize()
    }
}

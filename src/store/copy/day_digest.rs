//! The digest of a day, by which two archives are compared.

use crate::store::model::ArchivedMessage;

/// A digest over messages in any order, and their number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DayDigest {
    pub(super) sum: [u8; 32],
    pub(super) messages: u64,
}

impl DayDigest {
    pub(super) fn include(&mut self, message: &ArchivedMessage) {
        add_hash(&mut self.sum, content_hash(message).as_bytes());
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

/// Returns a hash over everything that an archive keeps of a message, except the time of archiving.
fn content_hash(archived: &ArchivedMessage) -> blake3::Hash {
    let message = &archived.identified.message;
    let delivery = message
        .status
        .map(|d| (d.status as u8, d.at.map(|at| at.0)));
    let delivery = format!("{delivery:?}");
    let mut hasher = blake3::Hasher::new();
    hasher.update(&archived.identified.fingerprint.0);
    hasher.update(&archived.identified.occurrence.to_le_bytes());
    hasher.update(&[message.conversation.kind as u8]);
    let required = [&archived.account, &message.conversation.name, &delivery];
    let optional = [
        &message.message_type,
        &message.payload_type,
        &message.cipher_suite,
        &message.extra,
    ];
    let texts = required.into_iter().map(Some);
    for text in texts.chain(optional.into_iter().map(Option::as_ref)) {
        // A missing text differs from an empty one.
        let length = text.map_or(u64::MAX, |text| text.len() as u64);
        hasher.update(&length.to_le_bytes());
        hasher.update(text.map_or(&[], |text| text.as_bytes()));
    }
    hasher.finalize()
}

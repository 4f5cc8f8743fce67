//! The messages of one Web3MQ account, by conversation.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, SigningKey};
use serde::{Deserialize, Serialize};

use crate::domain::time::Millis;
use crate::sandbox::shape::PageOrder;

/// The delivery status of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Web3mqStatus {
    /// The node has received the message.
    Received,
    /// The recipient has received the message.
    Delivered,
    /// The recipient has read the message.
    Read,
}

/// A message as Web3MQ stores it, in the contract's terms.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Web3mqMessage {
    /// The conversation under which it can be requested.
    pub topic: String,
    /// The topic in the row itself: in a chat of two users, the recipient.
    pub row_topic: String,
    /// The user who sent it.
    pub from: String,
    /// The message id, chosen by the sender's client. May be empty.
    pub messageid: String,
    /// The time in milliseconds since 1970.
    pub ms: i64,
    /// The payload exactly as sent: base64, or invalid base64 from a faulty client.
    pub payload_text: String,
    /// The media type, possibly misspelt by a faulty client.
    pub payload_type: String,
    /// The cipher suite.
    pub cipher_suite: String,
    /// The sender's signature.
    pub from_sign: String,
    /// The delivery status. `None` is sent as null, or omitted on odd milliseconds.
    pub status: Option<Web3mqStatus>,
    /// The time of the status in milliseconds since 1970.
    pub status_ms: i64,
    /// The version of the format: always 1.
    pub version: i64,
}

/// Messages in the order of their topic. Messages of one millisecond are in order of arrival.
pub type Web3mqRows = Vec<Arc<Web3mqMessage>>;

/// One user with a key and conversations.
#[derive(Clone, Debug)]
pub struct Web3mqUser {
    user_id: String,
    key: SigningKey,
    topics: BTreeMap<String, Web3mqRows>,
    order: PageOrder,
}

impl Web3mqUser {
    /// Derives the account number `index` of a sandbox with this seed. The result is always the
    /// same.
    pub fn derive(seed: u64, index: usize) -> Self {
        let secret = blake3::derive_key(
            "backscroll sandbox web3mq key",
            format!("{seed}/{index}").as_bytes(),
        );
        let key = SigningKey::from_bytes(&secret);
        let id = blake3::hash(key.verifying_key().as_bytes()).to_hex();
        Self {
            user_id: format!("user:{}", id.get(..56).unwrap_or_default()),
            key,
            topics: BTreeMap::new(),
            order: PageOrder::default(),
        }
    }

    /// Sets the order of the messages that are inserted from now on.
    pub fn set_order(&mut self, order: PageOrder) {
        self.order = order;
    }

    /// Returns the user id: `user:` and 56 hexadecimal digits.
    pub fn user_id(&self) -> &str {
        &self.user_id
    }

    /// Returns the Ed25519 seed that signs requests, in hexadecimal. A configuration calls it
    /// `private_key`.
    pub fn private_key(&self) -> String {
        hex::encode(self.key.to_bytes())
    }

    /// Returns the public key that a request header may carry, in hexadecimal.
    pub fn public_key(&self) -> String {
        hex::encode(self.key.verifying_key().to_bytes())
    }

    /// Signs a request as in the contract.
    pub fn sign(&self, topic: &str, timestamp: i64) -> String {
        use ed25519_dalek::Signer;
        STANDARD.encode(
            self.key
                .sign(format!("{}{topic}{timestamp}", self.user_id).as_bytes())
                .to_bytes(),
        )
    }

    /// True if `signature` is a valid signature in standard base64.
    pub fn verify(&self, topic: &str, timestamp: i64, signature: &str) -> bool {
        let Ok(bytes) = STANDARD.decode(signature) else {
            return false;
        };
        let Ok(signature) = Signature::from_slice(&bytes) else {
            return false;
        };
        let signed = format!("{}{topic}{timestamp}", self.user_id);
        self.key
            .verifying_key()
            .verify_strict(signed.as_bytes(), &signature)
            .is_ok()
    }

    /// Returns all conversations, including those without messages.
    pub fn topics(&self) -> &BTreeMap<String, Web3mqRows> {
        &self.topics
    }

    /// Registers a conversation that may have no messages.
    pub fn add_topic(&mut self, topic: &str) {
        self.topics.entry(topic.to_owned()).or_default();
    }

    /// Inserts a message into its conversation: at the end, or by its time after those of the same
    /// millisecond.
    pub fn insert(&mut self, message: Web3mqMessage) {
        let rows = self.topics.entry(message.topic.clone()).or_default();
        let at = match self.order {
            PageOrder::Time => rows.partition_point(|m| m.ms <= message.ms),
            PageOrder::Arrival => rows.len(),
        };
        rows.insert(at, Arc::new(message));
    }

    /// Removes the matching messages of a conversation. Returns their number.
    pub fn remove(&mut self, topic: &str, gone: impl Fn(&Web3mqMessage) -> bool) -> usize {
        let Some(rows) = self.topics.get_mut(topic) else {
            return 0;
        };
        let before = rows.len();
        rows.retain(|row| !gone(row));
        before - rows.len()
    }

    /// Returns a page, counted from 1 and newest first, and the number of messages in the
    /// conversation.
    pub fn page(&self, topic: &str, page: usize, size: usize) -> (Web3mqRows, usize) {
        let Some(rows) = self.topics.get(topic) else {
            return (Web3mqRows::new(), 0);
        };
        let skip = page.saturating_sub(1).saturating_mul(size);
        (
            rows.iter().rev().skip(skip).take(size).cloned().collect(),
            rows.len(),
        )
    }

    /// Returns a page of a conversation that never ends: behind the oldest message, the newest
    /// follows again.
    pub fn endless_page(&self, topic: &str, page: usize, size: usize) -> (Web3mqRows, usize) {
        let Some(rows) = self.topics.get(topic) else {
            return (Web3mqRows::new(), 0);
        };
        let skip = page.saturating_sub(1).saturating_mul(size);
        let newest_first = rows.iter().rev().cycle();
        let skipped = skip.checked_rem(rows.len()).unwrap_or_default();
        let page = newest_first.skip(skipped).take(size).cloned();
        (page.collect(), rows.len())
    }

    /// Advances every message by one status, from received to delivered to read. Returns the number
    /// of messages that changed.
    pub fn advance_statuses(&mut self, now: Millis) -> usize {
        let mut moved = 0;
        for row in self.topics.values_mut().flatten() {
            let next = match row.status {
                Some(Web3mqStatus::Received) => Web3mqStatus::Delivered,
                Some(Web3mqStatus::Delivered) => Web3mqStatus::Read,
                Some(Web3mqStatus::Read) | None => continue,
            };
            let row = Arc::make_mut(row);
            row.status = Some(next);
            row.status_ms = now.0;
            moved += 1;
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_derived_from_the_seed() {
        let account = Web3mqUser::derive(1, 0);
        assert_eq!(account.user_id(), Web3mqUser::derive(1, 0).user_id());
        assert_ne!(account.user_id(), Web3mqUser::derive(1, 1).user_id());
        assert_ne!(account.user_id(), Web3mqUser::derive(2, 0).user_id());
        assert_eq!(account.user_id().len(), 5 + 56);
    }

    /// The vectors were recorded from the provider's own SDK, with the keys A and B of RFC 8032.
    #[test]
    fn signatures_of_the_real_sdk_are_accepted_and_others_refused() {
        let user = "user:1ac51cff3495beac8f47927ddc719c2de3d08ee3b30f97c7ecd27b77";
        let vectors = [
            (
                "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                "group:dc6dfb6cb100c52499319e79de0429ddf90fb4db",
                1_656_991_509_327,
                "omaQf5dbi7Rj5g0YoSzxyb8P5/Dfflx/zaEn3J7GjqjRxRgZ2poP94w0ht0uCiiTgKv56MqC4V8nJCCt8VMPDg==",
            ),
            (
                "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                "user:850b1e20abfce1e514659650834380f584e21c0b03fac89847fa86c6",
                1_700_000_000_000,
                "WPZKe/mnAkgUbUtvZwsCMQo5QUBdisFnbHoRaeYRPJEUXif85jqVOdWoItkBL6A1PO/WhTpPbGFmRw/OP/7LCA==",
            ),
        ];
        for (seed, topic, timestamp, signature) in vectors {
            let secret: [u8; 32] = hex::decode(seed).unwrap().try_into().unwrap();
            let key = SigningKey::from_bytes(&secret);
            let account = Web3mqUser {
                user_id: user.to_owned(),
                key,
                topics: BTreeMap::new(),
                order: PageOrder::default(),
            };
            assert!(account.verify(topic, timestamp, signature));
            assert_eq!(account.sign(topic, timestamp), signature);
            assert!(!account.verify(topic, timestamp + 1, signature));
            assert!(!account.verify("group:other", timestamp, signature));
            assert!(!account.verify(topic, timestamp, &signature.replace('/', " ")));
            assert!(!account.verify(topic, timestamp, signature.trim_end_matches('=')));
        }
    }
}

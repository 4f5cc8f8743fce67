//! Who we are, to Web3MQ: an ed25519 key that signs every request afresh.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer, SigningKey};

use crate::domain::time::Millis;

/// The session key of an account.
pub struct SessionKey(SigningKey);

impl SessionKey {
    /// From the 32-byte seed (RFC 8032): what Web3MQ's SDKs call the private key, there written as 64 hex digits.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The public key in hex, for the header `web3mq-request-pubkey`.
    pub fn public_hex(&self) -> String {
        hex::encode(self.0.verifying_key().as_bytes())
    }

    /// The signature of a history request: over user, topic and time, written one after the other, in base64
    /// (contract, "signature signing rule").
    pub(super) fn sign(&self, user: &str, topic: &str, at: Millis) -> String {
        STANDARD.encode(
            self.0
                .sign(format!("{user}{topic}{}", at.0).as_bytes())
                .to_bytes(),
        )
    }
}

impl std::fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key([REDACTED])")
    }
}

//! Keys that sign manifests, and the check of a signature.

use std::path::Path;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use super::error::ManifestError;
use crate::domain::digest::Digest;

/// The start of the text that is signed. The last chain value follows.
const SIGNATURE_DOMAIN: &[u8] = b"backscroll manifest 1\0";

/// A key that signs manifests. Its debug output shows the public key only.
pub struct ManifestKey(SigningKey);

impl std::fmt::Debug for ManifestKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ManifestKey({})", self.public_hex())
    }
}

impl ManifestKey {
    /// Reads a key from a file that holds its seed as 64 hex digits.
    pub fn read(path: &Path) -> Result<Self, ManifestError> {
        let text = std::fs::read_to_string(path).map_err(|source| ManifestError::File {
            path: path.into(),
            source,
        })?;
        let mut seed = [0; 32];
        hex::decode_to_slice(text.trim(), &mut seed)
            .map_err(|_| ManifestError::BadKey { path: path.into() })?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    pub(super) fn public_hex(&self) -> String {
        hex::encode(self.0.verifying_key().to_bytes())
    }

    /// Returns the signature over the last chain value, in hex.
    pub(super) fn sign(&self, chain: Digest) -> String {
        hex::encode(self.0.sign(&signed_text(chain)).to_bytes())
    }
}

/// True if `signature` is that of `public_key` over the last chain value, both in hex.
pub(super) fn is_signed(public_key: &str, signature: &str, chain: Digest) -> bool {
    let mut key = [0; 32];
    let mut bytes = [0; 64];
    let is_hex = hex::decode_to_slice(public_key, &mut key).is_ok()
        && hex::decode_to_slice(signature, &mut bytes).is_ok();
    let verifies = |key: VerifyingKey| {
        key.verify_strict(&signed_text(chain), &Signature::from_bytes(&bytes))
            .is_ok()
    };
    is_hex && VerifyingKey::from_bytes(&key).is_ok_and(verifies)
}

fn signed_text(chain: Digest) -> Vec<u8> {
    [SIGNATURE_DOMAIN, &chain.0].concat()
}

//! A fingerprint of an account's credentials: it tells if they have changed, and nothing else.

use blake3::Hasher;

/// The length of the salt in the text of a fingerprint: a 64-bit number in hexadecimal.
const SALT_DIGITS: usize = 16;
/// The bytes of the hash that are kept. They are enough to notice a change, and too few to confirm
/// a guess of the secret: one guess in four billion agrees by accident.
const KEPT_BYTES: usize = 4;

/// The parts of an account's credentials, as an adapter names them.
#[derive(Default)]
pub struct CredentialsParts(Hasher);

impl std::fmt::Debug for CredentialsParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CredentialsParts([REDACTED])")
    }
}

impl CredentialsParts {
    /// Adds a part. Its length goes first, so that no two lists of parts are alike.
    #[must_use]
    pub fn with(mut self, part: &str) -> Self {
        self.0.update(&(part.len() as u64).to_le_bytes());
        self.0.update(part.as_bytes());
        self
    }

    /// Returns a fingerprint with a new salt.
    pub fn fingerprint(self) -> String {
        self.with_salt(&format!("{:016x}", fastrand::u64(..)))
    }

    /// True if a fingerprint is of these credentials.
    pub fn have_fingerprint(self, fingerprint: &str) -> bool {
        let salt = fingerprint.get(..SALT_DIGITS);
        salt.is_some_and(|salt| self.with_salt(salt) == fingerprint)
    }

    fn with_salt(mut self, salt: &str) -> String {
        self.0.update(salt.as_bytes());
        let hash = self.0.finalize();
        format!("{salt}{}", hex::encode(&hash.as_bytes()[..KEPT_BYTES]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(secret: &str) -> CredentialsParts {
        CredentialsParts::default().with("id").with(secret)
    }

    #[test]
    fn fingerprint_tells_changed_credentials_apart() {
        let fingerprint = parts("secret").fingerprint();
        assert!(parts("secret").have_fingerprint(&fingerprint));
        assert!(!parts("Secret").have_fingerprint(&fingerprint));
        let shifted = CredentialsParts::default().with("ids").with("ecret");
        assert!(!shifted.have_fingerprint(&fingerprint));
        assert!(!parts("secret").have_fingerprint(""));
        assert!(!parts("secret").have_fingerprint("ä"));
    }

    #[test]
    fn fingerprint_is_salted_and_short() {
        let fingerprint = parts("secret").fingerprint();
        assert_ne!(fingerprint, parts("secret").fingerprint());
        assert_eq!(fingerprint.len(), 24);
    }
}

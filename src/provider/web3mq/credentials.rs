//! Authentication at Web3MQ: an ed25519 key signs every request anew.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer, SigningKey};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use reqwest::Url;

use crate::domain::time::Millis;
use crate::provider::credentials_fingerprint::CredentialsParts;
use crate::provider::error::ProviderError;
use crate::provider::redaction::register_secret;

/// The characters that the official SDK leaves unescaped in a query. All others are
/// percent-encoded, a space as `%20`.
const UNESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'(')
    .remove(b')')
    .remove(b':')
    .remove(b'$')
    .remove(b',');

/// The session key of an account.
pub struct SessionKey(SigningKey);

impl SessionKey {
    /// Makes a key from the 32-byte seed (RFC 8032). Web3MQ's SDKs call it the private key and
    /// write it as 64 hex digits.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        register_secret(&hex::encode(seed));
        Self(SigningKey::from_bytes(seed))
    }

    /// Returns the public key in hex, for the header `web3mq-request-pubkey`.
    pub fn public_hex(&self) -> String {
        hex::encode(self.0.verifying_key().as_bytes())
    }

    fn sign(&self, text: &str) -> String {
        STANDARD.encode(self.0.sign(text.as_bytes()).to_bytes())
    }
}

impl std::fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionKey([REDACTED])")
    }
}

/// The maker of signed URLs for one user.
#[derive(Debug)]
pub(super) struct RequestSigner {
    base_url: Url,
    user: String,
    /// `None` if this process sends no requests.
    key: Option<SessionKey>,
}

impl RequestSigner {
    pub(super) fn new(base_url: Url, user: String, key: Option<SessionKey>) -> Self {
        Self {
            base_url,
            user,
            key,
        }
    }

    /// The user and the public key, which changes with the private one.
    pub(super) fn credentials(&self) -> CredentialsParts {
        let parts = CredentialsParts::default().with(&self.user);
        match &self.key {
            Some(key) => parts.with(&key.public_hex()),
            None => parts,
        }
    }

    pub(super) fn user(&self) -> &str {
        &self.user
    }

    /// Returns the URL of a page of a topic's history, signed at `at`. Pages are numbered from 1,
    /// newest first.
    pub(super) fn history_url(
        &self,
        topic: &str,
        at: Millis,
        page: u64,
        size: u64,
    ) -> Result<Url, ProviderError> {
        let signature = self.signature(topic, at)?;
        let query = format!(
            "{signature}&topic={}&page={page}&size={size}",
            encode(topic)
        );
        Ok(self.url(&["messages", "history"], &query))
    }

    /// Returns the URL of a page of one of the user's lists, signed at `at`.
    pub(super) fn list_url(
        &self,
        list: &str,
        at: Millis,
        page: u64,
        size: u64,
    ) -> Result<Url, ProviderError> {
        let signature = self.signature("", at)?;
        Ok(self.url(&[list], &format!("{signature}&page={page}&size={size}")))
    }

    /// Returns the parameters that authenticate a request. The signature covers user, topic and
    /// time, one after the other (contract, "signature signing rule").
    fn signature(&self, topic: &str, at: Millis) -> Result<String, ProviderError> {
        let Self { user, key, .. } = self;
        let key = key
            .as_ref()
            .ok_or_else(ProviderError::without_credentials)?;
        let signature = key.sign(&format!("{user}{topic}{}", at.0));
        let (user, signature) = (encode(user), encode(&signature));
        Ok(format!(
            "userid={user}&timestamp={}&web3mq_signature={signature}",
            at.0
        ))
    }

    /// Every path ends in a slash.
    fn url(&self, path: &[&str], query: &str) -> Url {
        let mut url = self.base_url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("api").extend(path).push("");
        }
        url.set_query(Some(query));
        url
    }
}

fn encode(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, UNESCAPED)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE_URL: &str = "https://testnet-us-west-1-1.web3mq.com";
    const SEED_A: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    const SEED_B: &str = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
    const SEED_C: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const U1: &str = "user:1ac51cff3495beac8f47927ddc719c2de3d08ee3b30f97c7ecd27b77";
    const U2: &str = "user:850b1e20abfce1e514659650834380f584e21c0b03fac89847fa86c6";

    fn session_key(seed: &str) -> SessionKey {
        SessionKey::from_seed(&hex::decode(seed).unwrap().try_into().unwrap())
    }

    fn signer(seed: &str, user: &str) -> RequestSigner {
        let base_url = BASE_URL.parse().unwrap();
        RequestSigner::new(base_url, user.to_owned(), Some(session_key(seed)))
    }

    fn url(seed: &str, user: &str, topic: &str, at: i64, page: u64, size: u64) -> String {
        let url = signer(seed, user).history_url(topic, Millis(at), page, size);
        let url = url.unwrap();
        url.as_str().strip_prefix(BASE_URL).unwrap().to_owned()
    }

    /// Vectors V1 to V3: the bytes that the official SDK sends.
    #[test]
    fn history_request_matches_the_official_sdk() {
        assert_eq!(
            url(
                SEED_A,
                U1,
                "group:dc6dfb6cb100c52499319e79de0429ddf90fb4db",
                1_656_991_509_327,
                1,
                20
            ),
            "/api/messages/history/?userid=user:1ac51cff3495beac8f47927ddc719c2de3d08ee3b30f97c7ecd27b77&timestamp=1656991509327&web3mq_signature=omaQf5dbi7Rj5g0YoSzxyb8P5%2FDfflx%2FzaEn3J7GjqjRxRgZ2poP94w0ht0uCiiTgKv56MqC4V8nJCCt8VMPDg%3D%3D&topic=group:dc6dfb6cb100c52499319e79de0429ddf90fb4db&page=1&size=20"
        );
        assert_eq!(
            url(SEED_B, U1, U2, 1_700_000_000_000, 2, 100),
            "/api/messages/history/?userid=user:1ac51cff3495beac8f47927ddc719c2de3d08ee3b30f97c7ecd27b77&timestamp=1700000000000&web3mq_signature=WPZKe%2FmnAkgUbUtvZwsCMQo5QUBdisFnbHoRaeYRPJEUXif85jqVOdWoItkBL6A1PO%2FWhTpPbGFmRw%2FOP%2F7LCA%3D%3D&topic=user:850b1e20abfce1e514659650834380f584e21c0b03fac89847fa86c6&page=2&size=100"
        );
        assert_eq!(
            url(
                SEED_C,
                "user:daeb1886610c47430790cf1f20cba93936d418adba5857e678210c40",
                "SwapChat:im@850b1e20abfce1e514659650834380f584e21c0b03fac89847fa86c6",
                1_795_300_000_124,
                1,
                50
            ),
            "/api/messages/history/?userid=user:daeb1886610c47430790cf1f20cba93936d418adba5857e678210c40&timestamp=1795300000124&web3mq_signature=MTKs1ZVczU1X2sRR%2BYVqzJS8N%2FAdCBOzdE3Gz9GzpasWCbPa6Yt2LxPzOXxMMNXT4EXVQxObEEFsBUrBOaAjAw%3D%3D&topic=SwapChat:im%40850b1e20abfce1e514659650834380f584e21c0b03fac89847fa86c6&page=1&size=50"
        );
    }

    #[test]
    fn list_request_matches_the_official_sdk() {
        let url = signer(SEED_A, U1).list_url("chats", Millis(1_656_991_509_327), 1, 20);
        let url = url.unwrap();
        assert_eq!(
            url.as_str(),
            "https://testnet-us-west-1-1.web3mq.com/api/chats/?userid=user:1ac51cff3495beac8f47927ddc719c2de3d08ee3b30f97c7ecd27b77&timestamp=1656991509327&web3mq_signature=%2Fw5eCji9sfMtNzCC6sGE4KjqeYipaYtChfUikJNUoER5%2FvROa4PIx%2BkgQFMwMQ1%2FTvwL%2FuduuZMjrYmdASaQAQ%3D%3D&page=1&size=20"
        );
    }

    #[test]
    fn public_key_matches_the_test_vectors() {
        assert_eq!(
            session_key(SEED_A).public_hex(),
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        );
        assert!(!format!("{:?}", session_key(SEED_A)).contains("9d61"));
    }
}

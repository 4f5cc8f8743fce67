//! The lines of a manifest. Their field names are part of the file format.

use serde::{Deserialize, Serialize};

use super::error::ManifestError;
use crate::domain::digest::Digest;
use crate::domain::stream::Scope;
use crate::domain::time::Millis;
use crate::domain::window::Window;
use crate::proof::claim::{Claim, ClaimedStream};
use crate::store::{KnownStream, LedgerRow};

/// The version of the file format.
pub(super) const VERSION: u32 = 1;

/// The start of a line's last field.
pub(super) const CHAIN_FIELD: &str = ",\"chain\":\"";

/// The first line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ManifestHeader {
    /// The version of the file format.
    pub(super) backscroll_manifest: u32,
    /// The schema version of the archive.
    pub(super) schema: i64,
    pub(super) created: String,
    pub(super) public_key: String,
}

/// A ledger row.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ManifestRow {
    account: String,
    stream: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation: Option<String>,
    from: String,
    to: String,
    messages: u64,
    digest: String,
}

/// The last line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ManifestEnd {
    pub(super) rows: u64,
    pub(super) chain: String,
    pub(super) signature: String,
}

impl ManifestRow {
    /// Converts a ledger row. Errors if the row has no digest or the stream no scope.
    pub(super) fn from_ledger_row(
        stream: &KnownStream,
        row: &LedgerRow,
    ) -> Result<Self, ManifestError> {
        let without_digest = || ManifestError::WithoutDigest {
            account: stream.account.clone(),
            stream: stream.key.clone(),
        };
        let scope = stream.scope.clone().ok_or_else(without_digest)?;
        Ok(Self {
            account: stream.account.clone(),
            stream: stream.key.clone(),
            sender: scope.sender,
            recipient: scope.recipient,
            conversation: scope.conversation,
            from: row.window.from().to_string(),
            to: row.window.to().to_string(),
            messages: row.messages,
            digest: row.digest.ok_or_else(without_digest)?.to_string(),
        })
    }

    /// Returns the stream and the claim. `None` if a time or the digest is malformed.
    pub(super) fn into_claim(self, line: u64) -> Option<(ClaimedStream, Claim)> {
        let second = |text: &str| text.parse().ok().map(Millis::second);
        let window = Window::new(second(&self.from)?, second(&self.to)?)?;
        let digest = Some(parse_digest(&self.digest)?);
        let (sender, recipient, conversation) = (self.sender, self.recipient, self.conversation);
        let scope = Scope {
            sender,
            recipient,
            conversation,
        };
        let stream = ClaimedStream {
            id: None,
            account: self.account,
            key: self.stream,
            scope,
        };
        let (messages, manifest_line) = (self.messages, Some(line));
        Some((
            stream,
            Claim {
                window,
                messages,
                digest,
                manifest_line,
            },
        ))
    }
}

/// Parses a digest of 64 hex digits.
pub(super) fn parse_digest(text: &str) -> Option<Digest> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes)
        .ok()
        .map(|()| Digest(bytes))
}

/// Returns the chain value of a line that is given without its own.
pub(super) fn next_chain(before: Digest, line: &str) -> Digest {
    Digest(*blake3::hash(&[&before.0, line.as_bytes()].concat()).as_bytes())
}

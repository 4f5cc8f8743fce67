//! The result of a verification, and its text.

use std::fmt;
use std::sync::Arc;

use super::claim::{Claim, ClaimedStream, MeasuredWindow};
use super::limits::MAX_LISTED;
use crate::domain::format::{counted, sanitized};
use crate::store::ArchivedMessage;

/// The fault of a message whose conversation does not follow from its sender and recipient.
pub const MISFILED_FAULT: &str = "is filed under a conversation that is not its own";

/// The result of a verification.
#[derive(Debug, Default)]
pub struct VerifyReport {
    /// The number of messages read.
    pub messages: u64,
    /// The number of claims compared: ledger rows, and lines of the manifest.
    pub windows: u64,
    /// The number of claims without a digest, of which only the count was compared.
    pub without_digest: u64,
    /// The account and the key of each stream that has sealed windows but no recorded scope.
    pub without_scope: Vec<(String, String)>,
    pub mismatches: Findings<Mismatch>,
    pub damaged_messages: Findings<DamagedMessage>,
}

/// The first findings, and the number of all.
#[derive(Debug)]
pub struct Findings<T> {
    pub listed: Vec<T>,
    pub count: u64,
}

/// A window that does not hold what is claimed.
#[derive(Clone, Debug)]
pub struct Mismatch {
    pub stream: Arc<ClaimedStream>,
    pub claim: Claim,
    /// The content of the archive.
    pub measured: MeasuredWindow,
}

/// A message that differs from what was archived.
#[derive(Debug)]
pub struct DamagedMessage {
    pub message: ArchivedMessage,
    pub fault: &'static str,
}

impl VerifyReport {
    /// True if everything could be compared, and everything agrees.
    pub fn agrees(&self) -> bool {
        self.faults() == 0 && self.without_scope.is_empty()
    }

    /// Returns the number of mismatches and damaged messages.
    pub fn faults(&self) -> u64 {
        self.mismatches.count + self.damaged_messages.count
    }
}

impl<T> Default for Findings<T> {
    fn default() -> Self {
        Self {
            listed: Vec::new(),
            count: 0,
        }
    }
}

impl<T> Findings<T> {
    pub(super) fn push(&mut self, finding: T) {
        self.count += 1;
        if self.listed.len() < MAX_LISTED {
            self.listed.push(finding);
        }
    }

    /// Returns the number of findings that are not listed.
    pub fn unlisted(&self) -> u64 {
        self.count - self.listed.len() as u64
    }
}

/// Formats the claim, the content of the archive, and the difference.
impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ClaimedStream { account, key, .. } = &*self.stream;
        let Claim {
            window,
            messages: claimed,
            manifest_line,
            ..
        } = self.claim;
        let MeasuredWindow {
            messages, damaged, ..
        } = self.measured;
        write!(
            f,
            "{account} {} from {} to {}: ",
            sanitized(key),
            window.from(),
            window.to()
        )?;
        let claimed_text = counted(claimed, "message", "messages");
        match manifest_line {
            Some(line) => write!(f, "line {line} of the manifest says {claimed_text}, ")?,
            None => write!(f, "should hold {claimed_text}, ")?,
        }
        write!(f, "holds {messages}: ")?;
        match (messages.checked_sub(claimed), damaged) {
            (Some(0), 0) => f.write_str("same number, other content"),
            (Some(0), damaged) => write!(f, "{damaged} changed"),
            (Some(more), 0) => write!(f, "{more} more"),
            (Some(more), damaged) => write!(f, "{more} more, {damaged} changed"),
            (None, 0) => write!(f, "{} fewer", claimed - messages),
            (None, damaged) => write!(f, "{} fewer, {damaged} changed", claimed - messages),
        }
    }
}

/// Formats the account, the time and the hash of the message, without its content.
impl fmt::Display for DamagedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ArchivedMessage {
            account,
            identified,
            ..
        } = &self.message;
        let at = identified.message.sent_at;
        let hash = hex::encode(identified.fingerprint.0);
        write!(
            f,
            "{account}: the message of {at} with hash {hash} {}",
            self.fault
        )
    }
}

//! The ledger as a whole, and messages in quarantine.

use super::account::StreamId;
use super::message::ArchivedMessage;
use super::window::LedgerRow;
use crate::domain::account::AccountIdentity;
use crate::domain::arrival::ArrivalMark;
use crate::domain::frontier::Frontier;
use crate::domain::stream::Scope;
use crate::domain::time::{Millis, Second};
use crate::domain::window::{Runs, Window};

/// Everything that an archive records of an account, apart from its messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountLedger {
    pub account: String,
    pub provider: String,
    /// `None` if the archive does not know it.
    pub identity: Option<AccountIdentity>,
    /// The account's frontier when it was last saved.
    pub frontier: Frontier,
    pub streams: Vec<StreamLedger>,
}

/// Everything that an archive records of a stream, apart from its messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamLedger {
    pub key: String,
    /// The messages that belong to the stream. `None` if it was last followed before scopes were
    /// recorded.
    pub scope: Option<Scope>,
    pub wanted_from: Second,
    /// The provider's time when the stream was first followed.
    pub followed_at: Second,
    pub active: bool,
    /// True if the stream was discovered rather than configured.
    pub discovered: bool,
    /// The place up to which it is archived, if it is read in order of arrival.
    pub arrival_mark: Option<ArrivalMark>,
    pub windows: Vec<LedgerRow>,
    pub quarantine: Vec<QuarantineEntry>,
}

/// A stream that the archive knows, active or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownStream {
    pub id: StreamId,
    /// The account's name.
    pub account: String,
    pub provider: String,
    pub key: String,
    /// The messages that belong to the stream. `None` if it was last followed before scopes were
    /// recorded.
    pub scope: Option<Scope>,
}

/// A message in quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantineEntry {
    pub id: QuarantineId,
    /// The window in which the message was found.
    pub window: Window,
    pub found_at: Millis,
    pub reason: String,
    /// The provider's original item, or the JSON of a message that was evicted from the archive.
    pub raw: String,
}

/// Identifies a message in quarantine: by the fingerprint of a sound message, which was only not
/// asked for, and else by a hash of its raw text. The default precedes all others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuarantineId(pub(in crate::store) [u8; 16]);

/// A message in quarantine, with its stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantinedMessage {
    pub stream: StreamId,
    /// The stream's key in the archive.
    pub key: String,
    pub entry: QuarantineEntry,
}

/// A message to move from the archive into quarantine, and the reason.
#[derive(Debug)]
pub struct Eviction<'a> {
    pub message: &'a ArchivedMessage,
    pub reason: &'static str,
}

/// The only field in the raw JSON of an evicted message. No provider's item has it.
pub(in crate::store) const EVICTED_FIELD: &str = "set_aside";

impl AccountLedger {
    /// Returns the account, the key and the sealed runs of each stream.
    pub fn runs(&self) -> impl Iterator<Item = (&str, &str, Runs)> {
        self.streams.iter().map(|stream| {
            let runs = stream.windows.iter().map(|row| row.window).collect();
            (self.account.as_str(), stream.key.as_str(), runs)
        })
    }
}

impl QuarantineEntry {
    /// True if the message is in the archive's own form and not in the provider's: it was evicted
    /// from the archive, or the database refused it.
    pub fn is_in_archive_form(&self) -> bool {
        let content = self
            .raw
            .strip_prefix("{\"")
            .and_then(|raw| raw.strip_prefix(EVICTED_FIELD));
        content.is_some_and(|content| content.starts_with("\":"))
    }
}

//! Windows on their way into the archive, and the ledger rows that result.

use super::account::{AccountId, StreamId};
use crate::domain::digest::Digest;
use crate::domain::identity::IdentifiedMessage;
use crate::domain::message::UnparsableMessage;
use crate::domain::stream::Scope;
use crate::domain::time::Millis;
use crate::domain::window::Window;

/// One window to write into the archive.
#[derive(Clone, Debug)]
pub struct Commit {
    pub account: AccountId,
    pub stream: StreamId,
    /// The window that was fetched.
    pub window: Window,
    /// The part of the window that is now complete: it becomes a ledger row. `None` if no part is.
    pub seal: Option<Seal>,
    pub messages: Vec<IdentifiedMessage>,
    pub unreadable: Vec<UnparsableMessage>,
}

/// Messages of one account that come from another archive.
#[derive(Clone, Debug)]
pub struct CopiedMessages {
    pub account: AccountId,
    pub messages: Vec<IdentifiedMessage>,
    /// The origin of each message.
    pub origins: Vec<Origin>,
}

/// The values that a copied message keeps besides its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// `None` if the message gets the next id.
    pub id: Option<i64>,
    pub archived_at: Millis,
}

/// The claim that all messages of a stream in a window are in the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    pub window: Window,
    /// The messages that the claim covers. Other messages that the provider returned are
    /// archived, but not counted for the window.
    pub scope: Scope,
    pub provider_count: Option<u64>,
    /// The number of archived messages of the window that the provider showed earlier, outside of
    /// the range that was fetched now. 0 if all of the window was fetched.
    pub shown_outside: u64,
    /// The reason why the window may be incomplete. `None` if there is no doubt.
    pub doubt: Option<String>,
    /// True if the seal replaces the ledger rows inside the window. Otherwise, and if a row
    /// extends beyond the window, a partly sealed window is left unchanged.
    pub replaces: bool,
}

/// A ledger row: one sealed window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerRow {
    pub window: Window,
    /// The number of the stream's messages that the archive holds in the window, whichever stream
    /// brought them. Messages in quarantine are not counted.
    pub messages: u64,
    /// The digest over these messages. `None` if the row was sealed before digests existed.
    pub digest: Option<Digest>,
    /// The number of messages that the stream's provider showed when it was last asked.
    pub provider_count: Option<u64>,
    /// The number of the archived messages that the stream's provider did not show then: another
    /// stream brought them, or the provider has removed them.
    pub not_shown: u64,
    /// The reason why the window may be incomplete. `None` if there is no doubt.
    pub doubt: Option<String>,
    /// The time of the first doubt.
    pub doubted_at: Option<Millis>,
    pub sealed_at: Millis,
}

/// The digest to add to a ledger row that has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DigestUpdate {
    pub stream: StreamId,
    pub window: Window,
    pub messages: u64,
    pub digest: Digest,
}

/// The number of messages that a commit changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteCounts {
    /// Messages that were not in the archive before.
    pub new: u64,
    /// Existing messages that changed: a later status, or a conversation kind that became known.
    pub changed: u64,
}

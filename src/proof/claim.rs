//! Claims about windows, and their comparison with the archive.

use crate::domain::digest::Digest;
use crate::domain::stream::Scope;
use crate::domain::window::Window;
use crate::store::{LedgerRow, StreamId};

/// A stream about which something is claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedStream {
    /// The stream's id in the archive. `None` if a manifest makes the claim.
    pub id: Option<StreamId>,
    pub account: String,
    pub key: String,
    pub scope: Scope,
}

/// The claim of a ledger row, or of a line of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    pub window: Window,
    pub messages: u64,
    /// `None` if the row was sealed before digests existed.
    pub digest: Option<Digest>,
    /// The line of the manifest. `None` if the ledger makes the claim.
    pub manifest_line: Option<u64>,
}

/// The messages that the archive holds of a stream in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MeasuredWindow {
    pub messages: u64,
    pub digest: Digest,
    /// The number of messages that differ from what was archived.
    pub damaged: u64,
}

impl Claim {
    pub(crate) fn from_ledger_row(row: &LedgerRow) -> Self {
        let LedgerRow {
            window,
            messages,
            digest,
            ..
        } = *row;
        Self {
            window,
            messages,
            digest,
            manifest_line: None,
        }
    }

    /// True if the archive holds the claimed messages, undamaged. A claim without a digest is
    /// compared by its count.
    pub(super) fn matches(&self, measured: &MeasuredWindow) -> bool {
        measured.damaged == 0
            && self.messages == measured.messages
            && self.digest.is_none_or(|digest| digest == measured.digest)
    }
}

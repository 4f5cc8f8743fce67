//! The plan of one account.

use std::path::PathBuf;

use crate::provider::{Provider, ProviderError};
use crate::store::DiskSpace;
use crate::sync::forecast::preview::Preview;

/// The size of a message on disk.
#[derive(Clone, Copy, Debug)]
pub(super) struct MessageSize {
    pub(super) bytes: f64,
    /// True if the size was measured in this archive.
    pub(super) is_measured: bool,
}

/// The plan of an account, or the error that prevented it.
pub(super) struct AccountPlan<'a> {
    pub(super) provider: &'a dyn Provider,
    /// The size of a message of this account.
    pub(super) message_size: MessageSize,
    /// True if ranges are counted at a reduced rate: another process may use the same limit.
    pub(super) is_slowed: bool,
    pub(super) preview: Result<Preview, ProviderError>,
}

impl MessageSize {
    pub(super) fn total_bytes(self, messages: u64) -> u64 {
        (messages as f64 * self.bytes) as u64
    }
}

/// The room that is left for the archive.
#[derive(Clone, Debug)]
pub(super) struct Room {
    pub(super) folder: PathBuf,
    pub(super) space: DiskSpace,
}

impl AccountPlan<'_> {
    /// Returns the requests per second; `None` without a limit.
    pub(super) fn rate(&self) -> Option<f64> {
        self.provider.gate().rate_limiter().requests_per_second()
    }

    /// Returns the bytes that the missing messages take; 0 if they are not known.
    pub(super) fn disk_bytes(&self) -> u64 {
        let messages = self
            .preview
            .as_ref()
            .map_or(0, |preview| preview.outlook.messages);
        self.message_size.total_bytes(messages)
    }

    pub(super) fn name(&self) -> &str {
        &self.provider.account().name
    }
}

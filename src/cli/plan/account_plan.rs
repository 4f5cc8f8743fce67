//! The plan of one account.

use crate::provider::{Provider, ProviderError};
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
    /// True if another process uses the same rate limit.
    pub(super) is_in_use: bool,
    pub(super) preview: Result<Preview, ProviderError>,
}

impl MessageSize {
    pub(super) fn total_bytes(self, messages: u64) -> u64 {
        (messages as f64 * self.bytes) as u64
    }
}

impl AccountPlan<'_> {
    /// Returns the requests per second; `None` without a limit.
    pub(super) fn rate(&self) -> Option<f64> {
        self.provider.gate().rate_limiter().requests_per_second()
    }

    pub(super) fn name(&self) -> &str {
        &self.provider.account().name
    }
}

//! The horizon, the edge behind which a provider's history cannot be fetched any more, and the
//! wanted history.

use std::time::Duration;

use super::limits::{EXPIRING_SHARE, RETENTION_MARGIN};
use crate::domain::time::{Millis, Second};
use crate::provider::Provider;
use crate::store::WantedHistory;

/// Returns the time from which on history can be fetched. `None` if the provider keeps everything.
pub(super) fn horizon(provider: &dyn Provider) -> Option<Second> {
    let retention = provider.account().retention?;
    Some(
        provider
            .now()
            .second()
            .minus(fetchable_retention(retention)),
    )
}

/// Returns the history that is wanted of an account's streams, by its configuration and the
/// provider's time.
pub(super) fn wanted_history(provider: &dyn Provider) -> WantedHistory {
    let account = provider.account();
    WantedHistory {
        since: account.since.map(Millis::second),
        reach: account.retention.map(fetchable_retention),
        now: provider.now().second(),
    }
}

/// Returns the part of the retention that is safe to plan with.
///
/// A request must be answered before the messages expire, or the pages of a window never add up. So
/// nothing is requested that the provider is about to drop.
pub(super) fn fetchable_retention(retention: Duration) -> Duration {
    retention.saturating_sub(RETENTION_MARGIN.min(retention / EXPIRING_SHARE))
}

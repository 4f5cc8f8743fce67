//! The blocks of time in which this process sends requests for an account, recorded in the archive.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;

use crate::domain::clock::Clock;
use crate::domain::quota::{BlockRequest, ReservedBlock};
use crate::provider::{Provider, QuotaRecord};
use crate::store::Archive;

/// Shares the rate limit of an account with all processes that use this archive.
pub async fn share_quota(
    provider: &dyn Provider,
    archive: &Arc<dyn Archive>,
    clock: &Arc<dyn Clock>,
) {
    let record = quota_record(&provider.account().name, archive.clone(), clock);
    let limiter = provider.gate().rate_limiter();
    limiter.share_through(record).await;
}

/// Returns the record of an account's blocks in this archive.
pub fn quota_record(
    account: &str,
    archive: Arc<dyn Archive>,
    clock: &Arc<dyn Clock>,
) -> Arc<dyn QuotaRecord> {
    Arc::new(ArchivedQuota {
        archive,
        clock: clock.clone(),
        account: account.to_owned(),
        has_waited: AtomicBool::new(false),
    })
}

/// The record of one account's blocks.
struct ArchivedQuota {
    archive: Arc<dyn Archive>,
    clock: Arc<dyn Clock>,
    account: String,
    /// True if a block of another process was waited for. It is logged once.
    has_waited: AtomicBool,
}

impl fmt::Debug for ArchivedQuota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArchivedQuota")
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl QuotaRecord for ArchivedQuota {
    async fn reserve(&self, request: BlockRequest) -> Option<ReservedBlock> {
        let (account, now) = (&self.account, self.clock.now());
        let block = match self.archive.reserve_block(account, request, now).await {
            Ok(block) => block,
            Err(error) => {
                tracing::debug!(account, %error, "requests are sent without a record of them");
                return None;
            }
        };
        let is_kept_waiting = !block.begins_in.is_zero() && !block.continues(&request);
        if is_kept_waiting && !self.has_waited.swap(true, Ordering::Relaxed) {
            tracing::info!(
                account,
                "another process may send requests for this account, or did a moment ago; taking turns"
            );
        }
        Some(block)
    }
}

//! The share of commands that ask the providers and do not sync.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use super::open_archive::{open, open_to_read};
use crate::config::DatabaseUrl;
use crate::domain::clock::Clock;
use crate::domain::quota::{BlockRequest, ReservedBlock};
use crate::provider::{Provider, QuotaRecord};
use crate::store::{Archive, IfMissing, StoreError};
use crate::sync::quota::quota_record;

/// The turns of some providers with all processes that use an archive.
pub(super) struct SharedQuotas(Arc<RecordArchive>);

impl SharedQuotas {
    /// Makes these providers take turns with all processes that use the archive. If there is none
    /// yet, they do so once another process has created it. Nothing is shared if this user may only
    /// read it.
    pub(super) async fn of(
        url: &DatabaseUrl,
        providers: &[Arc<dyn Provider>],
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let archive = Arc::new(RecordArchive {
            url: url.clone(),
            opened: OnceCell::new(),
        });
        for provider in providers {
            let limiter = provider.gate().rate_limiter();
            if !limiter.can_be_shared() {
                continue;
            }
            let record = LateRecord {
                archive: archive.clone(),
                account: provider.account().name.clone(),
                clock: clock.clone(),
                record: OnceCell::new(),
            };
            limiter.share_through(Arc::new(record)).await;
            archive.open().await;
        }
        Self(archive)
    }

    /// True if the providers take turns with other processes.
    pub(super) fn is_active(&self) -> bool {
        matches!(self.0.opened.get(), Some(Some(_)))
    }

    /// Closes the archive.
    pub(super) async fn close(self) {
        if let Some(Some(archive)) = self.0.opened.get() {
            archive.close().await;
        }
    }
}

/// The archive that holds the record, opened as soon as it exists.
struct RecordArchive {
    url: DatabaseUrl,
    /// `None` within: this user may not write it.
    opened: OnceCell<Option<Arc<dyn Archive>>>,
}

impl RecordArchive {
    /// Returns the archive, if it exists and may be written.
    async fn open(&self) -> Option<Arc<dyn Archive>> {
        let opened = self.opened.get_or_try_init(|| async {
            let url = self.url.clone();
            // The compiler cannot tell that the future is `Send`, which a record's has to be.
            let opening = move || Handle::current().block_on(try_open(&url));
            spawn_blocking(opening)
                .await
                .ok()
                .and_then(Result::ok)
                .ok_or(())
        });
        opened.await.ok()?.clone()
    }
}

/// Errors while another process is creating the archive, or has not begun.
async fn try_open(url: &DatabaseUrl) -> Result<Option<Arc<dyn Archive>>, StoreError> {
    // To open it for writing would create its tables.
    open_to_read(url).await?.close().await;
    match open(url, IfMissing::Refuse).await {
        Ok(archive) => Ok(Some(archive)),
        Err(error) if error.is_transient() => Err(error),
        Err(error) => {
            tracing::info!(%error, "the rate limit is not shared with other processes");
            Ok(None)
        }
    }
}

/// The record of an account's blocks in an archive that may not exist yet.
struct LateRecord {
    archive: Arc<RecordArchive>,
    account: String,
    clock: Arc<dyn Clock>,
    record: OnceCell<Arc<dyn QuotaRecord>>,
}

impl fmt::Debug for LateRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LateRecord")
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl QuotaRecord for LateRecord {
    async fn reserve(&self, request: BlockRequest) -> Option<ReservedBlock> {
        let archive = self.archive.open().await?;
        let record = quota_record(&self.account, archive, &self.clock);
        let record = self.record.get_or_init(|| async { record }).await;
        record.reserve(request).await
    }
}

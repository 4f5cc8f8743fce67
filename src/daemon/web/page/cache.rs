//! The cache of the page's data: one read of the archive for all requests within a few seconds.

use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::snapshot::PageSnapshot;
use crate::daemon::web::limits::{MIN_PAGE_LIFETIME, PAGE_LIFETIME_FACTOR};
use crate::daemon::web::sources::StatusSources;
use crate::store::StoreError;

/// The cached data, and the end of its lifetime.
#[derive(Debug, Default)]
pub(crate) struct PageCache(Mutex<Option<(Arc<PageSnapshot>, Instant)>>);

impl PageCache {
    /// Returns the cached data, or reads it. Concurrent requests wait for one read and share it.
    /// Errors if the archive cannot be read.
    pub(super) async fn snapshot(
        &self,
        sources: &StatusSources,
    ) -> Result<Arc<PageSnapshot>, StoreError> {
        let mut cached = self.0.lock().await;
        if let Some((snapshot, expires_at)) = &*cached
            && Instant::now() < *expires_at
        {
            return Ok(snapshot.clone());
        }
        // The old data are dropped before the read: holding both would double the memory.
        *cached = None;
        let begun = Instant::now();
        let snapshot = Arc::new(PageSnapshot::read(sources).await?);
        let lifetime = MIN_PAGE_LIFETIME.max(begun.elapsed() * PAGE_LIFETIME_FACTOR);
        *cached = Some((snapshot.clone(), Instant::now() + lifetime));
        Ok(snapshot)
    }
}

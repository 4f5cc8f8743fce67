//! The search index follows the commits, beside the passes.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::limits::{INDEX_ERROR_RETRY, INDEX_POLL, INDEX_REST_FACTOR};
use crate::store::{IndexExtent, SearchIndex, StoreError};

/// Keeps the search index complete until `stop` is cancelled, or empties it if search is off.
pub async fn run_indexer(store: &dyn SearchIndex, is_enabled: bool, stop: &CancellationToken) {
    let mut indexer = Indexer::new(store, is_enabled);
    let mut has_failed = false;
    while !stop.is_cancelled() {
        let wait = match indexer.step().await {
            Ok(Some(wait)) => {
                has_failed = false;
                wait
            }
            Ok(None) => return,
            Err(error) => {
                if !has_failed {
                    let hint = error.hint();
                    tracing::warn!(%error, hint, "the search index cannot be extended; trying again");
                }
                has_failed = true;
                INDEX_ERROR_RETRY
            }
        };
        // It does not matter which of the two ended the wait.
        let _ = timeout(wait, stop.cancelled()).await;
    }
}

/// Adds all messages of the archive to the search index, or empties it if search is off. It may be
/// stopped, and continues at the next call.
pub async fn complete_index(
    store: &dyn SearchIndex,
    is_enabled: bool,
    stop: &CancellationToken,
) -> Result<(), StoreError> {
    store.enable_index(is_enabled).await?;
    let mut reported = Instant::now();
    while is_enabled && !stop.is_cancelled() {
        let extent = store.extend_index().await?;
        let missing = extent.missing();
        if missing == 0 {
            break;
        }
        if reported.elapsed() >= INDEX_POLL {
            tracing::info!(missing, "building the search index");
            reported = Instant::now();
        }
    }
    Ok(())
}

/// Extends the index batch by batch.
struct Indexer<'a> {
    store: &'a dyn SearchIndex,
    is_enabled: bool,
    /// The extent after the last batch. `None` until the index is turned on or off.
    extent: Option<IndexExtent>,
}

impl<'a> Indexer<'a> {
    fn new(store: &'a dyn SearchIndex, is_enabled: bool) -> Self {
        Self {
            store,
            is_enabled,
            extent: None,
        }
    }

    /// Adds a batch of messages. Returns the wait before the next one; `None` if search is off.
    ///
    /// A batch and a commit wait for each other. While messages are being archived, the index
    /// therefore rests for longer than it works, and falls behind. It catches up afterwards.
    async fn step(&mut self) -> Result<Option<Duration>, StoreError> {
        if self.extent.is_none() {
            self.store.enable_index(self.is_enabled).await?;
        }
        if !self.is_enabled {
            return Ok(None);
        }
        let begun = Instant::now();
        let extent = self.store.extend_index().await?;
        let before = self.extent.replace(extent);
        if !extent.is_enabled {
            // Another process of the archive has turned it off.
            return Ok(None);
        }
        let is_archiving = before.is_some_and(|before| before.latest < extent.latest);
        Ok(Some(match extent.missing() {
            0 => INDEX_POLL,
            _ if is_archiving => begun.elapsed() * INDEX_REST_FACTOR,
            _ => Duration::ZERO,
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;

    use super::*;
    use crate::domain::lock::lock;

    /// An archive whose index grows by 10 ids a batch, each in a second, while `commits` more
    /// messages arrive.
    struct GrowingArchive {
        extent: Mutex<IndexExtent>,
        commits: i64,
    }

    #[async_trait]
    impl SearchIndex for GrowingArchive {
        async fn index_extent(&self) -> Result<IndexExtent, StoreError> {
            Ok(*lock(&self.extent))
        }

        async fn enable_index(&self, is_enabled: bool) -> Result<(), StoreError> {
            lock(&self.extent).is_enabled = is_enabled;
            Ok(())
        }

        async fn extend_index(&self) -> Result<IndexExtent, StoreError> {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let mut extent = lock(&self.extent);
            extent.latest += self.commits;
            extent.indexed_to = extent.latest.min(extent.indexed_to + 10);
            Ok(*extent)
        }
    }

    fn archive(latest: i64, commits: i64) -> GrowingArchive {
        let extent = IndexExtent {
            is_enabled: false,
            indexed_to: 0,
            latest,
        };
        GrowingArchive {
            extent: Mutex::new(extent),
            commits,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn index_rests_only_while_messages_are_archived() {
        for (commits, waits) in [
            (0, [Duration::ZERO, Duration::ZERO, INDEX_POLL]),
            (
                1,
                [
                    Duration::ZERO,
                    INDEX_REST_FACTOR * Duration::from_secs(1),
                    INDEX_POLL,
                ],
            ),
        ] {
            let archive = archive(27, commits);
            let mut indexer = Indexer::new(&archive, true);
            for wait in waits {
                assert_eq!(indexer.step().await.unwrap(), Some(wait), "{commits}");
            }
        }
        let off = archive(27, 0);
        assert_eq!(Indexer::new(&off, false).step().await.unwrap(), None);
        assert_eq!(lock(&off.extent).indexed_to, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn index_is_completed_before_a_command_ends() {
        let archive = archive(95, 0);
        let stop = CancellationToken::new();
        complete_index(&archive, true, &stop).await.unwrap();
        assert_eq!(archive.index_extent().await.unwrap().missing(), 0);
    }
}

//! The cache of archive values for `/metrics`. It limits the share of database time that scrapes
//! use.

use std::sync::Arc;

use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, timeout};

use crate::daemon::web::limits::{METRICS_REST_FACTOR, MIN_METRICS_INTERVAL, SCRAPE_WAIT};
use crate::domain::alarm::Alarm;
use crate::domain::clock::Clock;
use crate::store::{AccountSummary, Archive, RequestRate, StoreError};
use crate::sync::forecast::request_rates;

/// The values read from the archive.
#[derive(Clone, Debug)]
pub(crate) struct ArchiveFigures {
    pub(crate) accounts: Vec<AccountSummary>,
    pub(crate) rates: Vec<RequestRate>,
    /// The active alarms.
    pub(crate) alarms: Vec<Alarm>,
    /// The size of the archive on disk, in bytes.
    pub(crate) bytes: u64,
    pub(crate) taken_at: Instant,
}

impl ArchiveFigures {
    /// Returns the summary of an account; `None` if the archive does not have it yet.
    pub(crate) fn account(&self, name: &str) -> Option<&AccountSummary> {
        self.accounts.iter().find(|summary| summary.account == name)
    }
}

/// The result of the latest reads.
#[derive(Clone, Debug, Default)]
pub(crate) struct MetricsSnapshot {
    /// The values of the last successful read.
    pub(crate) archive: Option<Arc<ArchiveFigures>>,
    /// True if the latest read succeeded; `None` before the first.
    pub(crate) is_up: Option<bool>,
    /// Earliest time of the next read.
    next_read_at: Option<Instant>,
}

impl MetricsSnapshot {
    fn is_due(&self) -> bool {
        self.next_read_at.is_none_or(|due| due <= Instant::now())
    }
}

/// Reads the archive, one read at a time, and keeps the values.
pub(crate) struct MetricsCache {
    store: Arc<dyn Archive>,
    clock: Arc<dyn Clock>,
    latest: watch::Sender<MetricsSnapshot>,
    read_lock: Arc<Mutex<()>>,
}

impl std::fmt::Debug for MetricsCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MetricsCache")
            .field("latest", &*self.latest.borrow())
            .finish_non_exhaustive()
    }
}

impl MetricsCache {
    pub(crate) fn new(store: Arc<dyn Archive>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            clock,
            latest: watch::Sender::default(),
            read_lock: Arc::default(),
        }
    }

    /// Returns the latest values. If a read is due, starts it and waits up to `SCRAPE_WAIT` for its
    /// result. A slower read continues in the background, for a later scrape.
    pub(crate) async fn latest(&self) -> MetricsSnapshot {
        let mut latest = self.latest.subscribe();
        if !latest.borrow_and_update().is_due() {
            return latest.borrow().clone();
        }
        self.start_read();
        if timeout(SCRAPE_WAIT, latest.changed()).await.is_err() {
            return MetricsSnapshot {
                is_up: Some(false),
                ..latest.borrow().clone()
            };
        }
        latest.borrow().clone()
    }

    /// Starts a read in the background, unless one is running.
    fn start_read(&self) {
        let Ok(read_lock) = self.read_lock.clone().try_lock_owned() else {
            return;
        };
        let (store, clock) = (self.store.clone(), self.clock.clone());
        let latest = self.latest.clone();
        tokio::spawn(async move {
            let begun = Instant::now();
            let read = read_archive(&*store, &*clock).await;
            latest.send_modify(|latest| latest.record(read, begun));
            drop(read_lock);
        });
    }
}

impl MetricsSnapshot {
    fn record(&mut self, read: Result<ArchiveFigures, StoreError>, begun: Instant) {
        let rest = begun.elapsed() * METRICS_REST_FACTOR;
        self.next_read_at = Some(Instant::now() + rest.max(MIN_METRICS_INTERVAL));
        self.is_up = Some(read.is_ok());
        match read {
            Ok(archive) => self.archive = Some(Arc::new(archive)),
            Err(error) => tracing::debug!(%error, "the archive could not be read"),
        }
    }
}

async fn read_archive(
    store: &dyn Archive,
    clock: &dyn Clock,
) -> Result<ArchiveFigures, StoreError> {
    let (taken_at, now) = (Instant::now(), clock.now());
    let accounts = store.account_summaries().await?;
    let rates = request_rates(store, now).await?;
    let alarms = store.active_alarms().await?;
    Ok(ArchiveFigures {
        accounts,
        rates,
        alarms,
        bytes: store.size_bytes().await?,
        taken_at,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::domain::clock::SystemClock;
    use crate::store::{IfMissing, SqliteStore};

    async fn metrics_cache(folder: &Path) -> MetricsCache {
        let store = SqliteStore::open(&folder.join("archive.db"), IfMissing::Create)
            .await
            .unwrap();
        MetricsCache::new(Arc::new(store), Arc::new(SystemClock))
    }

    fn taken_at(snapshot: &MetricsSnapshot) -> Instant {
        snapshot.archive.as_ref().unwrap().taken_at
    }

    #[tokio::test]
    async fn concurrent_and_prompt_scrapes_share_a_snapshot() {
        let dir = tempfile::TempDir::new().unwrap();
        let cache = metrics_cache(dir.path()).await;
        let scrapes = futures_util::future::join_all((0..50).map(|_| cache.latest())).await;
        assert!(
            scrapes
                .iter()
                .all(|snapshot| taken_at(snapshot) == taken_at(&scrapes[0]))
        );
        assert_eq!(taken_at(&cache.latest().await), taken_at(&scrapes[0]));
    }

    #[tokio::test]
    async fn a_failed_read_serves_the_last_snapshot() {
        let dir = tempfile::TempDir::new().unwrap();
        let cache = metrics_cache(dir.path()).await;
        let before = cache.latest().await;
        assert_eq!(before.is_up, Some(true));
        cache.store.close().await;
        cache
            .latest
            .send_modify(|snapshot| snapshot.next_read_at = None);
        let after = cache.latest().await;
        assert_eq!(
            (after.is_up, taken_at(&after)),
            (Some(false), taken_at(&before))
        );
    }

    #[tokio::test]
    async fn an_unresponsive_archive_is_down_after_the_scrape_wait() {
        let dir = tempfile::TempDir::new().unwrap();
        let cache = metrics_cache(dir.path()).await;
        let before = cache.latest().await;
        cache
            .latest
            .send_modify(|snapshot| snapshot.next_read_at = None);
        let _running_read = cache.read_lock.clone().lock_owned().await;
        tokio::time::pause();
        let scrapes = Instant::now();
        let after = cache.latest().await;
        assert_eq!(
            (after.is_up, taken_at(&after), scrapes.elapsed().as_secs()),
            (Some(false), taken_at(&before), 4)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_read_is_followed_by_a_long_cooldown() {
        let begun = Instant::now();
        tokio::time::advance(Duration::from_secs(2)).await;
        let mut snapshot = MetricsSnapshot::default();
        assert!(snapshot.is_due());
        snapshot.record(
            Err(StoreError::Inconsistent {
                what: "read",
                fault: String::new(),
            }),
            begun,
        );
        tokio::time::advance(Duration::from_secs(39)).await;
        assert!(!snapshot.is_due());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(snapshot.is_due());
    }
}

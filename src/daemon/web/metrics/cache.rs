//! Looks at the archive: however often anybody asks, they take up only a small share of the database's time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, timeout};

use crate::domain::alarm::Alarm;
use crate::domain::clock::Clock;
use crate::store::{AccountSummary, Archive, RequestRate, StoreError};
use crate::sync::forecast::request_rates;

/// The least time from one look to the next.
const MIN_READ_INTERVAL: Duration = Duration::from_secs(5);
/// A look that takes long is followed by so many times as long a rest.
const COOLDOWN_FACTOR: u32 = 20;
/// How long whoever asks waits for a look under way. A scrape that is waited for is given up after ten seconds.
const SCRAPE_WAIT: Duration = Duration::from_secs(4);

/// What was seen.
#[derive(Clone, Debug)]
pub(super) struct ArchiveFigures {
    pub(super) figures: Vec<AccountSummary>,
    pub(super) paces: Vec<RequestRate>,
    /// Those that stand.
    pub(super) alarms: Vec<Alarm>,
    /// What the archive takes on disk.
    pub(super) bytes: u64,
    pub(super) taken_at: Instant,
}

/// The last look, and how it went.
#[derive(Clone, Debug, Default)]
pub(super) struct MetricsSnapshot {
    /// The last that came to something.
    pub(super) archive: Option<Arc<ArchiveFigures>>,
    /// Whether the last of all did; nothing before the first.
    pub(super) is_up: Option<bool>,
    /// When the next may be taken.
    next_read_at: Option<Instant>,
}

impl MetricsSnapshot {
    fn is_due(&self) -> bool {
        self.next_read_at.is_none_or(|due| due <= Instant::now())
    }
}

/// Takes one look at a time.
pub(in super::super) struct MetricsCache {
    store: Arc<dyn Archive>,
    clock: Arc<dyn Clock>,
    latest: watch::Sender<MetricsSnapshot>,
    read_lock: Arc<Mutex<()>>,
}

impl std::fmt::Debug for MetricsCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Looks")
            .field("seen", &*self.latest.borrow())
            .finish_non_exhaustive()
    }
}

impl MetricsCache {
    pub(in super::super) fn new(store: Arc<dyn Archive>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            clock,
            latest: watch::Sender::default(),
            read_lock: Arc::default(),
        }
    }

    /// The latest there is. Where another look is due it is taken now, and waited for, for as long as can be borne; what a
    /// look under way then brings is there for whoever asks next.
    pub(super) async fn latest(&self) -> MetricsSnapshot {
        let mut seen = self.latest.subscribe();
        if seen.borrow_and_update().is_due() {
            if let Ok(turn) = self.read_lock.clone().try_lock_owned() {
                let (store, clock, seen) =
                    (self.store.clone(), self.clock.clone(), self.latest.clone());
                tokio::spawn(async move {
                    let (begun, look) = (Instant::now(), read_snapshot(&*store, &*clock).await);
                    seen.send_modify(|seen| seen.record(look, begun));
                    drop(turn);
                });
            }
            if timeout(SCRAPE_WAIT, seen.changed()).await.is_err() {
                return MetricsSnapshot {
                    is_up: Some(false),
                    ..seen.borrow().clone()
                };
            }
        }
        seen.borrow().clone()
    }
}

impl MetricsSnapshot {
    fn record(&mut self, look: Result<ArchiveFigures, StoreError>, begun: Instant) {
        self.next_read_at =
            Some(Instant::now() + MIN_READ_INTERVAL.max(begun.elapsed() * COOLDOWN_FACTOR));
        self.is_up = Some(look.is_ok());
        match look {
            Ok(look) => self.archive = Some(Arc::new(look)),
            Err(error) => tracing::debug!(%error, "the archive cannot be looked at"),
        }
    }
}

async fn read_snapshot(
    store: &dyn Archive,
    clock: &dyn Clock,
) -> Result<ArchiveFigures, StoreError> {
    let (at, now) = (Instant::now(), clock.now());
    let figures = store.account_summaries().await?;
    let paces = request_rates(store, now).await?;
    let mut alarms = store.alarms(now).await?;
    alarms.retain(Alarm::is_active);
    Ok(ArchiveFigures {
        figures,
        paces,
        alarms,
        bytes: store.size_bytes().await?,
        taken_at: at,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::domain::clock::SystemClock;
    use crate::store::{IfMissing, SqliteStore};

    async fn metrics_cache(folder: &Path) -> MetricsCache {
        let store = SqliteStore::open(&folder.join("archive.db"), IfMissing::Create)
            .await
            .unwrap();
        MetricsCache::new(Arc::new(store), Arc::new(SystemClock))
    }

    fn taken_at(seen: &MetricsSnapshot) -> Instant {
        seen.archive.as_ref().unwrap().taken_at
    }

    #[tokio::test]
    async fn those_who_ask_at_once_and_soon_after_share_a_look() {
        let dir = tempfile::TempDir::new().unwrap();
        let looks = metrics_cache(dir.path()).await;
        let asked = futures_util::future::join_all((0..50).map(|_| looks.latest())).await;
        assert!(
            asked
                .iter()
                .all(|seen| taken_at(seen) == taken_at(&asked[0]))
        );
        assert_eq!(taken_at(&looks.latest().await), taken_at(&asked[0]));
    }

    #[tokio::test]
    async fn where_the_archive_cannot_be_looked_at_the_last_look_is_what_there_is() {
        let dir = tempfile::TempDir::new().unwrap();
        let looks = metrics_cache(dir.path()).await;
        let before = looks.latest().await;
        assert_eq!(before.is_up, Some(true));
        looks.store.close().await;
        looks.latest.send_modify(|seen| seen.next_read_at = None);
        let after = looks.latest().await;
        assert_eq!(
            (after.is_up, taken_at(&after)),
            (Some(false), taken_at(&before))
        );
    }

    #[tokio::test]
    async fn an_archive_that_does_not_answer_is_not_waited_for_and_not_well() {
        let dir = tempfile::TempDir::new().unwrap();
        let looks = metrics_cache(dir.path()).await;
        let before = looks.latest().await;
        looks.latest.send_modify(|seen| seen.next_read_at = None);
        let _under_way = looks.read_lock.clone().lock_owned().await;
        tokio::time::pause();
        let asked = Instant::now();
        let after = looks.latest().await;
        assert_eq!(
            (after.is_up, taken_at(&after), asked.elapsed().as_secs()),
            (Some(false), taken_at(&before), 4)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_takes_long_is_followed_by_a_long_rest() {
        let begun = Instant::now();
        tokio::time::advance(Duration::from_secs(2)).await;
        let mut seen = MetricsSnapshot::default();
        assert!(seen.is_due());
        seen.record(
            Err(StoreError::Inconsistent {
                what: "look",
                fault: String::new(),
            }),
            begun,
        );
        tokio::time::advance(Duration::from_secs(39)).await;
        assert!(!seen.is_due());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(seen.is_due());
    }
}

//! Looks at the archive: however often anybody asks, they take up only a small share of the database's time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, timeout};

use crate::domain::alarm::Alarm;
use crate::domain::clock::Clock;
use crate::store::{Figures, Pace, Store, StoreError};
use crate::sync::forecast::paces;

/// The least time from one look to the next.
const REST: Duration = Duration::from_secs(5);
/// A look that takes long is followed by so many times as long a rest.
const SHARE: u32 = 20;
/// How long whoever asks waits for a look under way. A scrape that is waited for is given up after ten seconds.
const PATIENCE: Duration = Duration::from_secs(4);

/// What was seen.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) figures: Vec<Figures>,
    pub(super) paces: Vec<Pace>,
    /// Those that stand.
    pub(super) alarms: Vec<Alarm>,
    /// What the archive takes on disk.
    pub(super) bytes: u64,
    pub(super) at: Instant,
}

/// The last look, and how it went.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// The last that came to something.
    pub(super) look: Option<Arc<Look>>,
    /// Whether the last of all did; nothing before the first.
    pub(super) is_well: Option<bool>,
    /// When the next may be taken.
    due: Option<Instant>,
}

impl Seen {
    fn is_due(&self) -> bool {
        self.due.is_none_or(|due| due <= Instant::now())
    }
}

/// Takes one look at a time.
pub(in super::super) struct Looks {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    seen: watch::Sender<Seen>,
    turn: Arc<Mutex<()>>,
}

impl std::fmt::Debug for Looks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Looks")
            .field("seen", &*self.seen.borrow())
            .finish_non_exhaustive()
    }
}

impl Looks {
    pub(in super::super) fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            clock,
            seen: watch::Sender::default(),
            turn: Arc::default(),
        }
    }

    /// The latest there is. Where another look is due it is taken now, and waited for, for as long as can be borne; what a
    /// look under way then brings is there for whoever asks next.
    pub(super) async fn latest(&self) -> Seen {
        let mut seen = self.seen.subscribe();
        if seen.borrow_and_update().is_due() {
            if let Ok(turn) = self.turn.clone().try_lock_owned() {
                let (store, clock, seen) =
                    (self.store.clone(), self.clock.clone(), self.seen.clone());
                tokio::spawn(async move {
                    let (begun, look) = (Instant::now(), look(&*store, &*clock).await);
                    seen.send_modify(|seen| seen.note(look, begun));
                    drop(turn);
                });
            }
            if timeout(PATIENCE, seen.changed()).await.is_err() {
                return Seen {
                    is_well: Some(false),
                    ..seen.borrow().clone()
                };
            }
        }
        seen.borrow().clone()
    }
}

impl Seen {
    fn note(&mut self, look: Result<Look, StoreError>, begun: Instant) {
        self.due = Some(Instant::now() + REST.max(begun.elapsed() * SHARE));
        self.is_well = Some(look.is_ok());
        match look {
            Ok(look) => self.look = Some(Arc::new(look)),
            Err(error) => tracing::debug!(%error, "the archive cannot be looked at"),
        }
    }
}

async fn look(store: &dyn Store, clock: &dyn Clock) -> Result<Look, StoreError> {
    let (at, now) = (Instant::now(), clock.now());
    let figures = store.figures().await?;
    let paces = paces(store, now).await?;
    let mut alarms = store.alarms(now).await?;
    alarms.retain(Alarm::is_standing);
    Ok(Look {
        figures,
        paces,
        alarms,
        bytes: store.bytes().await?,
        at,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::domain::clock::SystemClock;
    use crate::store::{Missing, SqliteStore};

    async fn archive(folder: &Path) -> Looks {
        let store = SqliteStore::open(&folder.join("archive.db"), Missing::Create)
            .await
            .unwrap();
        Looks::new(Arc::new(store), Arc::new(SystemClock))
    }

    fn at(seen: &Seen) -> Instant {
        seen.look.as_ref().unwrap().at
    }

    #[tokio::test]
    async fn those_who_ask_at_once_and_soon_after_share_a_look() {
        let dir = tempfile::TempDir::new().unwrap();
        let looks = archive(dir.path()).await;
        let asked = futures_util::future::join_all((0..50).map(|_| looks.latest())).await;
        assert!(asked.iter().all(|seen| at(seen) == at(&asked[0])));
        assert_eq!(at(&looks.latest().await), at(&asked[0]));
    }

    #[tokio::test]
    async fn where_the_archive_cannot_be_looked_at_the_last_look_is_what_there_is() {
        let dir = tempfile::TempDir::new().unwrap();
        let looks = archive(dir.path()).await;
        let before = looks.latest().await;
        assert_eq!(before.is_well, Some(true));
        looks.store.close().await;
        looks.seen.send_modify(|seen| seen.due = None);
        let after = looks.latest().await;
        assert_eq!((after.is_well, at(&after)), (Some(false), at(&before)));
    }

    #[tokio::test]
    async fn an_archive_that_does_not_answer_is_not_waited_for_and_not_well() {
        let dir = tempfile::TempDir::new().unwrap();
        let looks = archive(dir.path()).await;
        let before = looks.latest().await;
        looks.seen.send_modify(|seen| seen.due = None);
        let _under_way = looks.turn.clone().lock_owned().await;
        tokio::time::pause();
        let asked = Instant::now();
        let after = looks.latest().await;
        assert_eq!(
            (after.is_well, at(&after), asked.elapsed().as_secs()),
            (Some(false), at(&before), 4)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_takes_long_is_followed_by_a_long_rest() {
        let begun = Instant::now();
        tokio::time::advance(Duration::from_secs(2)).await;
        let mut seen = Seen::default();
        assert!(seen.is_due());
        seen.note(
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

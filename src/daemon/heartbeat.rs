//! The heartbeat of an account: proof that its driver makes progress.
//!
//! Progress is a finished request (successful or not), a committed window, or an intended wait: for
//! a tick, or for another process to release the account. The allowed time without progress follows
//! from the account's own settings, so a slow provider does not look like a stall.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::limits::HEARTBEAT_INTERVAL;
use crate::domain::lock::lock;
use crate::provider::ProviderError;
use crate::store::StoreError;
use crate::sync::progress::AccountProgress;
use crate::sync::{AccountSync, PassReport};

/// The state of an account's driver, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum DriverState {
    /// The first pass is running.
    #[default]
    Starting,
    /// All wanted history that can be fetched is sealed.
    UpToDate,
    /// Some of it is missing.
    CatchingUp,
    /// Another process works on the account.
    Standby,
    /// The last pass failed at the provider or at the archive, with this error.
    Failing(String),
}

impl DriverState {
    /// Returns the state after a pass with this outcome.
    fn from_outcome(outcome: &Result<PassReport, StoreError>, before: &Self) -> Self {
        let report = match outcome {
            Ok(report) => report,
            Err(StoreError::InUse { .. }) => return Self::Standby,
            Err(error) => return Self::Failing(error.to_string()),
        };
        match (&report.failure, before) {
            // The earlier error names the reason of the pause; "paused" alone does not.
            (Some(ProviderError::Paused { .. }), Self::Failing(_)) => before.clone(),
            (Some(failure), _) => Self::Failing(failure.to_string()),
            (None, _) if report.missing_seconds == Some(0) => Self::UpToDate,
            (None, _) => Self::CatchingUp,
        }
    }
}

/// The heartbeat of one account.
pub(super) struct Heartbeat {
    name: String,
    /// Counts the requests and windows of the account.
    progress: Arc<AccountProgress>,
    /// The number of heartbeats from intended waits and finished passes.
    beats: AtomicU64,
    state: Mutex<DriverState>,
}

impl Heartbeat {
    /// Creates the heartbeat of an account that has not started yet.
    pub(super) fn new(account: &AccountSync) -> Self {
        Self {
            name: account.name().to_owned(),
            progress: account.progress().clone(),
            beats: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Records one heartbeat.
    pub(super) fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// Awaits a future that may intentionally take long, with regular heartbeats.
    pub(super) async fn beat_during<T>(&self, wait: impl Future<Output = T>) -> T {
        let mut wait = std::pin::pin!(wait);
        loop {
            self.beat();
            tokio::select! {
                outcome = &mut wait => return outcome,
                () = sleep(HEARTBEAT_INTERVAL) => {}
            }
        }
    }

    /// Records the outcome of a pass.
    pub(super) fn record_outcome(&self, outcome: &Result<PassReport, StoreError>) {
        let mut state = lock(&self.state);
        *state = DriverState::from_outcome(outcome, &state);
        self.beat();
    }

    /// Returns the current state.
    pub(super) fn state(&self) -> DriverState {
        lock(&self.state).clone()
    }
}

/// A source of progress that can be monitored for stalls.
pub(super) trait Liveness {
    /// A counter that grows with all progress.
    fn progress_ticks(&self) -> u64;

    /// The longest allowed time between two changes of the counter.
    fn stall_timeout(&self) -> Duration;
}

impl Liveness for Heartbeat {
    fn progress_ticks(&self) -> u64 {
        self.progress.activity_count() + self.beats.load(Ordering::Relaxed)
    }

    fn stall_timeout(&self) -> Duration {
        self.progress.max_inactivity()
    }
}

/// Finds the monitored sources that make no progress.
#[derive(Debug)]
pub(super) struct StallDetector {
    /// For each source, its counter at the last change, and the time of that change.
    last_progress: Vec<(u64, Instant)>,
}

impl StallDetector {
    /// Creates a detector for this number of sources.
    pub(super) fn new(sources: usize) -> Self {
        Self {
            last_progress: vec![(0, Instant::now()); sources],
        }
    }

    /// Returns the position of each stalled source and the time since its last progress. Every call
    /// must pass all sources in the same order.
    pub(super) fn find_stalled<'a, A: Liveness + 'a>(
        &mut self,
        sources: impl IntoIterator<Item = &'a A>,
    ) -> Vec<(usize, Duration)> {
        let now = Instant::now();
        let mut stalled = Vec::new();
        let sources = sources.into_iter().zip(&mut self.last_progress);
        for (position, (source, (ticks, changed_at))) in sources.enumerate() {
            let earlier = std::mem::replace(ticks, source.progress_ticks());
            if earlier != *ticks {
                *changed_at = now;
            }
            if *changed_at + source.stall_timeout() < now {
                stalled.push((position, now - *changed_at));
            }
        }
        stalled
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::domain::clock::{Clock, SystemClock};
    use crate::provider::Gate;
    use crate::provider::testing::IdleProvider;
    use crate::store::{IfMissing, SqliteStore};
    use crate::sync::Engine;

    /// A worker whose progress is simulated.
    #[derive(Default)]
    struct Worker {
        ticks: AtomicU64,
        stall_timeout: Duration,
    }

    impl Worker {
        fn with_stall_timeout(seconds: u64) -> Self {
            Self {
                stall_timeout: Duration::from_secs(seconds),
                ..Self::default()
            }
        }

        fn make_progress(&self) {
            self.ticks.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Liveness for Worker {
        fn progress_ticks(&self) -> u64 {
            self.ticks.load(Ordering::Relaxed)
        }

        fn stall_timeout(&self) -> Duration {
            self.stall_timeout
        }
    }

    /// Returns a provider that receives no requests.
    fn provider() -> IdleProvider {
        let gate = Gate::new(0.01, Arc::new(SystemClock));
        IdleProvider::new("shop", gate.with_request_timeout(Duration::from_secs(20)))
    }

    #[tokio::test]
    async fn an_intended_wait_is_alive_and_a_hanging_one_is_not() {
        let dir = tempfile::TempDir::new().unwrap();
        let store = SqliteStore::open(&dir.path().join("archive.db"), IfMissing::Create)
            .await
            .unwrap();
        tokio::time::pause();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let mut engine = Engine::new(vec![Arc::new(provider())], Arc::new(store), &clock);
        let heartbeat = Heartbeat::new(engine.accounts().next().unwrap());
        let mut detector = StallDetector::new(1);
        let checks = async {
            for _ in 0..1000 {
                sleep(Duration::from_mins(1)).await;
                assert_eq!(detector.find_stalled([&heartbeat]), []);
            }
        };
        tokio::select! {
            () = heartbeat.beat_during(std::future::pending()) => {}
            () = checks => {}
        }
        // 20 s for an answer, 100 s for a turn at one request per 100 s, and three minutes for the
        // archive.
        assert!(
            (300..=302).contains(&heartbeat.stall_timeout().as_secs()),
            "{:?}",
            heartbeat.stall_timeout()
        );
        advance(heartbeat.stall_timeout()).await;
        assert_eq!(detector.find_stalled([&heartbeat]), []);
        advance(Duration::from_secs(1)).await;
        assert_eq!(detector.find_stalled([&heartbeat]).len(), 1);
        heartbeat.beat();
        assert_eq!(detector.find_stalled([&heartbeat]), []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_worker_is_found_among_working_ones() {
        let workers = [
            Worker::with_stall_timeout(60),
            Worker::with_stall_timeout(60),
        ];
        let mut detector = StallDetector::new(workers.len());
        for _ in 0..6 {
            advance(Duration::from_secs(10)).await;
            workers[1].make_progress();
            assert_eq!(detector.find_stalled(&workers), []);
        }
        advance(Duration::from_secs(1)).await;
        workers[1].make_progress();
        assert_eq!(
            detector.find_stalled(&workers),
            [(0, Duration::from_secs(61))]
        );
        workers[0].make_progress();
        assert_eq!(detector.find_stalled(&workers), [], "it was only slow");
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_stall_timeout_is_respected() {
        let slow = [Worker::with_stall_timeout(600)];
        let mut detector = StallDetector::new(1);
        for _ in 0..4 {
            advance(Duration::from_secs(599)).await;
            assert_eq!(detector.find_stalled(&slow), []);
            slow[0].make_progress();
        }
        detector.find_stalled(&slow);
        advance(Duration::from_secs(601)).await;
        assert_eq!(detector.find_stalled(&slow).len(), 1);
    }
}

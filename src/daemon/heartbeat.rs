//! Whether an account's drive is alive, by what it gets done.
//!
//! A sign of life is a request that has come to its end, well or not, a window that was committed, or a moment of a wait
//! that is meant: for a tick, for another process to let go of the account. How long may pass from one sign to the next
//! follows from the account's own settings: a slow provider takes its time, and is no reason for anything.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::provider::ProviderError;
use crate::store::StoreError;
use crate::sync::progress::AccountProgress;
use crate::sync::{AccountSync, PassReport};

/// How often a wait that is meant gives a sign.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(5);

/// What an account's drive does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum DriverState {
    /// Its first pass is under way.
    #[default]
    Starting,
    /// Everything that it wants and that can be had is sealed.
    UpToDate,
    /// Some of it is not.
    CatchingUp,
    /// Another process works on the account.
    Standby,
    /// Its last pass has failed, at the provider or at the archive.
    Failing(String),
}

impl DriverState {
    /// By what came of a pass.
    fn from_outcome(outcome: &Result<PassReport, StoreError>, before: &Self) -> Self {
        match (outcome, before) {
            // What the penalty is for says more than how long it lasts.
            (
                Ok(PassReport {
                    failure: Some(ProviderError::Paused { .. }),
                    ..
                }),
                Self::Failing(_),
            ) => before.clone(),
            (
                Ok(PassReport {
                    failure: Some(failure),
                    ..
                }),
                _,
            ) => Self::Failing(failure.to_string()),
            (
                Ok(PassReport {
                    missing_seconds: Some(0),
                    ..
                }),
                _,
            ) => Self::UpToDate,
            (Ok(_), _) => Self::CatchingUp,
            (Err(StoreError::InUse { .. }), _) => Self::Standby,
            (Err(error), _) => Self::Failing(error.to_string()),
        }
    }
}

/// The signs of life of one account.
pub(super) struct Heartbeat {
    name: String,
    /// Those that the account's work gives.
    progress: Arc<AccountProgress>,
    /// Those of its waits.
    beats: AtomicU64,
    state: Mutex<DriverState>,
}

impl Heartbeat {
    pub(super) fn new(account: &AccountSync) -> Self {
        let (name, progress) = (account.name().to_owned(), account.progress().clone());
        Self {
            name,
            progress,
            beats: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits, as is meant, for something that may take long.
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

    /// A pass has come to this.
    pub(super) fn record_outcome(&self, outcome: &Result<PassReport, StoreError>) {
        let mut doing = self.lock_state();
        *doing = DriverState::from_outcome(outcome, &doing);
        self.beat();
    }

    pub(super) fn state(&self) -> DriverState {
        self.lock_state().clone()
    }

    /// A state is plain data that no panic can leave half-written.
    fn lock_state(&self) -> MutexGuard<'_, DriverState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever gives signs of life.
pub(super) trait Liveness {
    /// How many there have been so far.
    fn progress_ticks(&self) -> u64;

    /// How long may pass from one to the next.
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

/// Looks at those whose pulse is felt, now and then.
#[derive(Debug)]
pub(super) struct StallDetector {
    /// How many signs each had given when the last one was noticed, and when that was.
    last_progress: Vec<(u64, Instant)>,
}

impl StallDetector {
    pub(super) fn new(watched: usize) -> Self {
        Self {
            last_progress: vec![(0, Instant::now()); watched],
        }
    }

    /// Which of them have been silent for too long, by position, and for how long. All must be given every time, in the
    /// same order.
    pub(super) fn find_stalled<'a, A: Liveness + 'a>(
        &mut self,
        watched: impl IntoIterator<Item = &'a A>,
    ) -> Vec<(usize, Duration)> {
        let now = Instant::now();
        let mut silent = Vec::new();
        for (position, (alive, (signs, at))) in
            watched.into_iter().zip(&mut self.last_progress).enumerate()
        {
            let known = std::mem::replace(signs, alive.progress_ticks());
            if known != *signs {
                *at = now;
            }
            if *at + alive.stall_timeout() < now {
                silent.push((position, now - *at));
            }
        }
        silent
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

    /// Works for as long as somebody counts for it.
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

    /// An account that is never asked for anything.
    fn provider() -> IdleProvider {
        let gate = Gate::new(0.01, Arc::new(SystemClock));
        IdleProvider::new("shop", gate.with_request_timeout(Duration::from_secs(20)))
    }

    #[tokio::test]
    async fn an_account_whose_wait_is_meant_is_alive_and_one_that_hangs_is_not() {
        let dir = tempfile::TempDir::new().unwrap();
        let store = SqliteStore::open(&dir.path().join("archive.db"), IfMissing::Create)
            .await
            .unwrap();
        tokio::time::pause();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let mut engine = Engine::new(vec![Arc::new(provider())], Arc::new(store), &clock);
        let pulse = Heartbeat::new(engine.accounts().next().unwrap());
        let mut watch = StallDetector::new(1);
        let looks = async {
            for _ in 0..1000 {
                sleep(Duration::from_mins(1)).await;
                assert_eq!(watch.find_stalled([&pulse]), []);
            }
        };
        tokio::select! {
            () = pulse.beat_during(std::future::pending()) => {}
            () = looks => {}
        }
        // An answer may take 20 s, a turn at one request in 100 s as long, the archive three minutes.
        assert!(
            (300..=302).contains(&pulse.stall_timeout().as_secs()),
            "{:?}",
            pulse.stall_timeout()
        );
        advance(pulse.stall_timeout()).await;
        assert_eq!(watch.find_stalled([&pulse]), []);
        advance(Duration::from_secs(1)).await;
        assert_eq!(watch.find_stalled([&pulse]).len(), 1);
        pulse.beat();
        assert_eq!(watch.find_stalled([&pulse]), []);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_stuck_is_noticed_among_others_that_work() {
        let workers = [
            Worker::with_stall_timeout(60),
            Worker::with_stall_timeout(60),
        ];
        let mut watch = StallDetector::new(workers.len());
        for _ in 0..6 {
            advance(Duration::from_secs(10)).await;
            workers[1].make_progress();
            assert_eq!(watch.find_stalled(&workers), []);
        }
        advance(Duration::from_secs(1)).await;
        workers[1].make_progress();
        assert_eq!(watch.find_stalled(&workers), [(0, Duration::from_secs(61))]);
        workers[0].make_progress();
        assert_eq!(watch.find_stalled(&workers), [], "it was only slow");
    }

    #[tokio::test(start_paused = true)]
    async fn one_whose_answers_may_take_long_is_given_long() {
        let slow = [Worker::with_stall_timeout(600)];
        let mut watch = StallDetector::new(1);
        for _ in 0..4 {
            advance(Duration::from_secs(599)).await;
            assert_eq!(watch.find_stalled(&slow), []);
            slow[0].make_progress();
        }
        watch.find_stalled(&slow);
        advance(Duration::from_secs(601)).await;
        assert_eq!(watch.find_stalled(&slow).len(), 1);
    }
}

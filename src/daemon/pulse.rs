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
use crate::sync::progress::Course;
use crate::sync::{AccountSync, PassReport};

/// How often a wait that is meant gives a sign.
const BEAT: Duration = Duration::from_secs(5);

/// What an account's drive does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Doing {
    /// Its first pass is under way.
    #[default]
    Begins,
    /// Everything that it wants and that can be had is sealed.
    IsWhole,
    /// Some of it is not.
    IsBehind,
    /// Another process works on the account.
    StandsBy,
    /// Its last pass has failed, at the provider or at the archive.
    Fails(String),
}

impl Doing {
    /// By what came of a pass.
    fn after(outcome: &Result<PassReport, StoreError>, before: &Self) -> Self {
        match (outcome, before) {
            // What the penalty is for says more than how long it lasts.
            (
                Ok(PassReport {
                    failure: Some(ProviderError::Blocked { .. }),
                    ..
                }),
                Self::Fails(_),
            ) => before.clone(),
            (
                Ok(PassReport {
                    failure: Some(failure),
                    ..
                }),
                _,
            ) => Self::Fails(failure.to_string()),
            (
                Ok(PassReport {
                    missing_seconds: 0, ..
                }),
                _,
            ) => Self::IsWhole,
            (Ok(_), _) => Self::IsBehind,
            (Err(StoreError::Held { .. }), _) => Self::StandsBy,
            (Err(error), _) => Self::Fails(error.to_string()),
        }
    }
}

/// The signs of life of one account.
pub(super) struct Pulse {
    name: String,
    /// Those that the account's work gives.
    course: Arc<Course>,
    /// Those of its waits.
    beats: AtomicU64,
    doing: Mutex<Doing>,
}

impl Pulse {
    pub(super) fn new(account: &AccountSync) -> Self {
        let (name, course) = (account.name().to_owned(), account.course().clone());
        Self {
            name,
            course,
            beats: AtomicU64::new(0),
            doing: Mutex::default(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits, as is meant, for something that may take long.
    pub(super) async fn through<T>(&self, wait: impl Future<Output = T>) -> T {
        let mut wait = std::pin::pin!(wait);
        loop {
            self.beat();
            tokio::select! {
                outcome = &mut wait => return outcome,
                () = sleep(BEAT) => {}
            }
        }
    }

    /// A pass has come to this.
    pub(super) fn note(&self, outcome: &Result<PassReport, StoreError>) {
        let mut doing = self.doing_now();
        *doing = Doing::after(outcome, &doing);
        self.beat();
    }

    pub(super) fn doing(&self) -> Doing {
        self.doing_now().clone()
    }

    /// A state is plain data that no panic can leave half-written.
    fn doing_now(&self) -> MutexGuard<'_, Doing> {
        self.doing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever gives signs of life.
pub(super) trait Alive {
    /// How many there have been so far.
    fn signs(&self) -> u64;

    /// How long may pass from one to the next.
    fn patience(&self) -> Duration;
}

impl Alive for Pulse {
    fn signs(&self) -> u64 {
        self.course.signs() + self.beats.load(Ordering::Relaxed)
    }

    fn patience(&self) -> Duration {
        self.course.silence()
    }
}

/// Looks at those whose pulse is felt, now and then.
#[derive(Debug)]
pub(super) struct Watch {
    /// How many signs each had given when the last one was noticed, and when that was.
    seen: Vec<(u64, Instant)>,
}

impl Watch {
    pub(super) fn over(watched: usize) -> Self {
        Self {
            seen: vec![(0, Instant::now()); watched],
        }
    }

    /// Which of them have been silent for too long, by position, and for how long. All must be given every time, in the
    /// same order.
    pub(super) fn look<'a, A: Alive + 'a>(
        &mut self,
        watched: impl IntoIterator<Item = &'a A>,
    ) -> Vec<(usize, Duration)> {
        let now = Instant::now();
        let mut silent = Vec::new();
        for (position, (alive, (signs, at))) in watched.into_iter().zip(&mut self.seen).enumerate()
        {
            let known = std::mem::replace(signs, alive.signs());
            if known != *signs {
                *at = now;
            }
            if *at + alive.patience() < now {
                silent.push((position, now - *at));
            }
        }
        silent
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tokio::time::advance;

    use super::*;
    use crate::domain::clock::{Clock, SystemClock};
    use crate::provider::Account;
    use crate::provider::agora::{Agora, Credentials};
    use crate::provider::http::Http;
    use crate::store::{Missing, SqliteStore};
    use crate::sync::Engine;

    /// Works for as long as somebody counts for it.
    #[derive(Default)]
    struct Worker {
        signs: AtomicU64,
        patience: Duration,
    }

    impl Worker {
        fn patient_for(seconds: u64) -> Self {
            Self {
                patience: Duration::from_secs(seconds),
                ..Self::default()
            }
        }

        fn works(&self) {
            self.signs.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Alive for Worker {
        fn signs(&self) -> u64 {
            self.signs.load(Ordering::Relaxed)
        }

        fn patience(&self) -> Duration {
            self.patience
        }
    }

    /// An account that is never asked for anything.
    fn provider() -> Agora {
        let base = "https://agora.invalid/".parse().unwrap();
        let account = Account {
            name: "shop".to_owned(),
            provider: "agora",
            settle: Duration::ZERO,
            retention: None,
            since: None,
            refresh_for: None,
            discovers: false,
        };
        let http = Http::new("shop", &base, 0.01, Arc::new(SystemClock))
            .unwrap()
            .with_timeout(Duration::from_secs(20));
        let credentials = Credentials::Basic {
            customer_id: String::new(),
            customer_secret: "".into(),
        };
        Agora::new(
            account,
            http,
            &base,
            "app",
            credentials,
            vec![],
            HashMap::new(),
        )
    }

    #[tokio::test]
    async fn an_account_whose_wait_is_meant_is_alive_and_one_that_hangs_is_not() {
        let dir = tempfile::TempDir::new().unwrap();
        let store = SqliteStore::open(&dir.path().join("archive.db"), Missing::Create)
            .await
            .unwrap();
        tokio::time::pause();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let mut engine = Engine::new(vec![Arc::new(provider())], Arc::new(store), &clock);
        let pulse = Pulse::new(engine.accounts().next().unwrap());
        let mut watch = Watch::over(1);
        let looks = async {
            for _ in 0..1000 {
                sleep(Duration::from_mins(1)).await;
                assert_eq!(watch.look([&pulse]), []);
            }
        };
        tokio::select! {
            () = pulse.through(std::future::pending()) => {}
            () = looks => {}
        }
        // An answer may take 20 s, a turn at one request in 100 s as long, the archive three minutes.
        assert!(
            (300..=302).contains(&pulse.patience().as_secs()),
            "{:?}",
            pulse.patience()
        );
        advance(pulse.patience()).await;
        assert_eq!(watch.look([&pulse]), []);
        advance(Duration::from_secs(1)).await;
        assert_eq!(watch.look([&pulse]).len(), 1);
        pulse.beat();
        assert_eq!(watch.look([&pulse]), []);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_stuck_is_noticed_among_others_that_work() {
        let workers = [Worker::patient_for(60), Worker::patient_for(60)];
        let mut watch = Watch::over(workers.len());
        for _ in 0..6 {
            advance(Duration::from_secs(10)).await;
            workers[1].works();
            assert_eq!(watch.look(&workers), []);
        }
        advance(Duration::from_secs(1)).await;
        workers[1].works();
        assert_eq!(watch.look(&workers), [(0, Duration::from_secs(61))]);
        workers[0].works();
        assert_eq!(watch.look(&workers), [], "it was only slow");
    }

    #[tokio::test(start_paused = true)]
    async fn one_whose_answers_may_take_long_is_given_long() {
        let slow = [Worker::patient_for(600)];
        let mut watch = Watch::over(1);
        for _ in 0..4 {
            advance(Duration::from_secs(599)).await;
            assert_eq!(watch.look(&slow), []);
            slow[0].works();
        }
        watch.look(&slow);
        advance(Duration::from_secs(601)).await;
        assert_eq!(watch.look(&slow).len(), 1);
    }
}

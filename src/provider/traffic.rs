//! The requests of an account: their outcomes, and their recent rate.

use crate::domain::lock::lock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use tokio::time::Instant;

use super::limits::RATE_WINDOW;

/// The outcome of a request. It does not say whether the answer could be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestOutcome {
    /// 2xx.
    Answered,
    /// Another final status: most of 4xx.
    Refused,
    /// 401 or 403.
    Unauthorized,
    /// 429; also 401 and 403 with `Retry-After`.
    Throttled,
    /// 408 or 5xx.
    Failed,
    /// No answer, or none that could be read to its end in time.
    Unreachable,
    /// An answer that is never accepted: a redirect, or a body that is too large.
    Malformed,
}

impl RequestOutcome {
    pub const ALL: [Self; 7] = [
        Self::Answered,
        Self::Refused,
        Self::Unauthorized,
        Self::Throttled,
        Self::Failed,
        Self::Unreachable,
        Self::Malformed,
    ];

    /// The outcome's label in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::Unauthorized => "unauthorized",
            Self::Throttled => "throttled",
            Self::Failed => "failed",
            Self::Unreachable => "unreachable",
            Self::Malformed => "malformed",
        }
    }
}

/// The requests of an account since this process started.
#[derive(Debug)]
pub struct Traffic {
    requests_sent: AtomicU64,
    completed: [AtomicU64; RequestOutcome::ALL.len()],
    used: AtomicU64,
    recent: Mutex<DecayedCount>,
}

/// A number of requests that decays exponentially with time.
#[derive(Debug)]
struct DecayedCount {
    count: f64,
    updated_at: Instant,
}

impl DecayedCount {
    fn at(&self, now: Instant) -> f64 {
        let age = now.saturating_duration_since(self.updated_at);
        self.count * (-age.div_duration_f64(RATE_WINDOW)).exp()
    }
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            requests_sent: AtomicU64::new(0),
            completed: Default::default(),
            used: AtomicU64::new(0),
            recent: Mutex::new(DecayedCount {
                count: 0.0,
                updated_at: Instant::now(),
            }),
        }
    }
}

impl Traffic {
    /// The number of requests sent, answered or not.
    pub fn requests_sent(&self) -> u64 {
        self.requests_sent.load(Ordering::Relaxed)
    }

    /// The number of requests with this outcome. Cancelled requests have none.
    pub fn completed(&self, outcome: RequestOutcome) -> u64 {
        self.completed[outcome as usize].load(Ordering::Relaxed)
    }

    /// The number of requests with any outcome.
    pub fn all_completed(&self) -> u64 {
        RequestOutcome::ALL
            .into_iter()
            .map(|outcome| self.completed(outcome))
            .sum()
    }

    /// The recent rate, averaged over about a minute.
    pub fn requests_per_second(&self) -> f64 {
        self.recent().at(Instant::now()) / RATE_WINDOW.as_secs_f64()
    }

    /// Records that a request is sent.
    pub fn record_sent(&self) {
        self.requests_sent.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        let mut recent = self.recent();
        *recent = DecayedCount {
            count: recent.at(now) + 1.0,
            updated_at: now,
        };
    }

    /// The number of answers that could be used.
    pub fn used_answers(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Records that an answer could be used.
    pub fn record_used_answer(&self) {
        self.used.fetch_add(1, Ordering::Relaxed);
    }

    /// Records the outcome of a request.
    pub fn record_outcome(&self, outcome: RequestOutcome) {
        self.completed[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn recent(&self) -> MutexGuard<'_, DecayedCount> {
        // Plain numbers, which no panic can leave half-written.
        lock(&self.recent)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn request_rate_averages_the_last_minutes() {
        let traffic = Traffic::default();
        for _ in 0..3000 {
            traffic.record_sent();
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        assert!(
            (9.8..10.1).contains(&traffic.requests_per_second()),
            "{}",
            traffic.requests_per_second()
        );
        tokio::time::advance(RATE_WINDOW * 5).await;
        assert!(
            traffic.requests_per_second() < 0.1,
            "{}",
            traffic.requests_per_second()
        );
        assert_eq!(traffic.requests_sent(), 3000);
    }

    #[test]
    fn every_outcome_has_a_counter_and_a_name() {
        let traffic = Traffic::default();
        for (times, outcome) in RequestOutcome::ALL.into_iter().enumerate() {
            (0..times).for_each(|_| traffic.record_outcome(outcome));
        }
        let counted: Vec<u64> = RequestOutcome::ALL
            .iter()
            .map(|outcome| traffic.completed(*outcome))
            .collect();
        assert_eq!(counted, [0, 1, 2, 3, 4, 5, 6]);
        let names: std::collections::BTreeSet<_> = RequestOutcome::ALL
            .iter()
            .map(|outcome| outcome.name())
            .collect();
        assert_eq!(names.len(), RequestOutcome::ALL.len());
    }
}

//! What became of an account's requests, and how much of its quota they have lately taken.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What became of a request. That an answer was of no use is another matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// 2xx.
    Answered,
    /// Another status that says no: most of 4xx.
    Refused,
    /// 401 or 403.
    Unauthorized,
    /// 429.
    Throttled,
    /// 408 or 5xx.
    Failed,
    /// No answer, or none that could be read to its end in time.
    Unreachable,
    /// An answer that is never taken: a redirect, or too large a body.
    Malformed,
}

impl Outcome {
    pub const ALL: [Self; 7] = [
        Self::Answered,
        Self::Refused,
        Self::Unauthorized,
        Self::Throttled,
        Self::Failed,
        Self::Unreachable,
        Self::Malformed,
    ];

    /// What metrics call it.
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

/// Over how long use is averaged: half of it was within the last forty seconds.
const RATE_WINDOW: Duration = Duration::from_mins(1);

/// An account's requests since this process began.
#[derive(Debug)]
pub struct Traffic {
    requests_sent: AtomicU64,
    completed: [AtomicU64; Outcome::ALL.len()],
    recent: Mutex<DecayedCount>,
}

#[derive(Debug)]
struct DecayedCount {
    /// Requests, each the less, the longer ago it was.
    weight: f64,
    /// When they were weighed.
    updated_at: Instant,
}

impl DecayedCount {
    fn weight(&self, now: Instant) -> f64 {
        self.weight
            * (-now
                .saturating_duration_since(self.updated_at)
                .div_duration_f64(RATE_WINDOW))
            .exp()
    }
}

impl Default for Traffic {
    fn default() -> Self {
        let recent = Mutex::new(DecayedCount {
            weight: 0.0,
            updated_at: Instant::now(),
        });
        Self {
            requests_sent: AtomicU64::new(0),
            completed: Default::default(),
            recent,
        }
    }
}

impl Traffic {
    /// How many were sent, answered or not.
    pub fn requests_sent(&self) -> u64 {
        self.requests_sent.load(Ordering::Relaxed)
    }

    /// How many have ended so. Those that were broken off have no outcome.
    pub fn completed(&self, outcome: Outcome) -> u64 {
        self.completed[outcome as usize].load(Ordering::Relaxed)
    }

    /// How many have ended, in whatever way.
    pub fn all_completed(&self) -> u64 {
        Outcome::ALL
            .into_iter()
            .map(|outcome| self.completed(outcome))
            .sum()
    }

    /// Requests a second, of late.
    pub fn rate(&self) -> f64 {
        self.recent().weight(Instant::now()) / RATE_WINDOW.as_secs_f64()
    }

    pub(super) fn record_sent(&self) {
        self.requests_sent.fetch_add(1, Ordering::Relaxed);
        let (mut recent, now) = (self.recent(), Instant::now());
        *recent = DecayedCount {
            weight: recent.weight(now) + 1.0,
            updated_at: now,
        };
    }

    pub(super) fn record_outcome(&self, outcome: Outcome) {
        self.completed[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Plain numbers, which no panic can leave half-written.
    fn recent(&self) -> MutexGuard<'_, DecayedCount> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn request_rate_averages_the_last_minutes() {
        let traffic = Traffic::default();
        for _ in 0..3000 {
            traffic.record_sent();
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        assert!((9.8..10.1).contains(&traffic.rate()), "{}", traffic.rate());
        tokio::time::advance(RATE_WINDOW * 5).await;
        assert!(traffic.rate() < 0.1, "{}", traffic.rate());
        assert_eq!(traffic.requests_sent(), 3000);
    }

    #[test]
    fn every_outcome_has_a_counter_and_a_name() {
        let traffic = Traffic::default();
        for (times, outcome) in Outcome::ALL.into_iter().enumerate() {
            (0..times).for_each(|_| traffic.record_outcome(outcome));
        }
        let counted: Vec<u64> = Outcome::ALL
            .iter()
            .map(|outcome| traffic.completed(*outcome))
            .collect();
        assert_eq!(counted, [0, 1, 2, 3, 4, 5, 6]);
        let names: std::collections::BTreeSet<_> =
            Outcome::ALL.iter().map(|outcome| outcome.name()).collect();
        assert_eq!(names.len(), Outcome::ALL.len());
    }
}

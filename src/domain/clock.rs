//! The one place that reads the wall clock.
//!
//! Everything else takes time as an argument or asks a [`Clock`], so that a test can stand at any moment it likes.
//! Durations and deadlines are `tokio::time`'s business, which tests can pause.

use super::time::Millis;

/// Where "now" comes from. Always UTC, to the millisecond.
pub trait Clock: Send + Sync + std::fmt::Debug {
    fn now(&self) -> Millis;
}

/// The machine's clock. It may be wrong: what is asked of a provider is timed by the provider's own clock
/// (see [`crate::provider::clock::ProviderClock`]).
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one reader of the wall clock"
    )]
    fn now(&self) -> Millis {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        // A machine whose clock stands before 1970 is as wrong as one whose clock stands at 1970.
        Millis(since_epoch.map_or(0, |d| d.as_millis().try_into().unwrap_or(i64::MAX)))
    }
}

/// A clock that tokio's timer drives: it starts at a given moment and runs with `tokio::time`, so that a test that
/// pauses or advances that timer moves this clock as well.
#[derive(Clone, Copy, Debug)]
pub struct TimerClock {
    base: Millis,
    started: tokio::time::Instant,
}

impl TimerClock {
    /// A clock that shows `base` now.
    #[must_use]
    pub fn starting_at(base: Millis) -> Self {
        Self {
            base,
            started: tokio::time::Instant::now(),
        }
    }
}

impl Clock for TimerClock {
    fn now(&self) -> Millis {
        Millis(self.base.0 + i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX))
    }
}

//! The only reader of the system clock.
//!
//! All other code takes the time as an argument or asks a [`Clock`], so tests can choose any
//! moment. Durations and deadlines use `tokio::time`, which tests can pause.

use super::time::Millis;

/// A source of the current time, in UTC and milliseconds.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Returns the current time.
    fn now(&self) -> Millis;
}

/// The machine's clock. It may be wrong: requests to a provider are timed by the provider's own
/// clock, which the `provider` module keeps.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one reader of the wall clock"
    )]
    fn now(&self) -> Millis {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        // A clock before 1970 is reported as 1970. Both are equally wrong.
        Millis(since_epoch.map_or(0, |d| d.as_millis().try_into().unwrap_or(i64::MAX)))
    }
}

/// A clock driven by tokio's timer. It starts at a given moment and advances with `tokio::time`, so
/// pausing or advancing that timer also moves this clock.
#[derive(Clone, Copy, Debug)]
pub struct TimerClock {
    base: Millis,
    started: tokio::time::Instant,
}

impl TimerClock {
    /// Creates a clock that shows `base` now.
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

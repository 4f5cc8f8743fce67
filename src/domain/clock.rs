//! The only reader of the system clock.
//!
//! All other code takes the time as an argument or asks a [`Clock`], so tests can choose any
//! moment. Durations and deadlines use `tokio::time`, which tests can pause.

use std::fmt;

use super::format::duration;
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

/// The machine's clock minus a provider's, in milliseconds: positive if the machine is ahead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MachineSkew(pub i64);

impl MachineSkew {
    /// The largest difference that means nothing: a provider names whole seconds.
    const NEGLIGIBLE_MS: u64 = 1000;

    /// Returns the skew between two readings at the same moment. Less than two seconds are none.
    pub fn between(machine: Millis, provider: Millis) -> Self {
        let skew = Self(machine.0.saturating_sub(provider.0));
        if skew.is_negligible() {
            Self::default()
        } else {
            skew
        }
    }

    /// True if both clocks agree.
    pub fn is_negligible(self) -> bool {
        self.0.unsigned_abs() <= Self::NEGLIGIBLE_MS
    }

    /// Returns the provider's time when the machine's clock shows `machine`.
    pub fn provider_time(self, machine: Millis) -> Millis {
        Millis(machine.0.saturating_sub(self.0))
    }
}

/// A clause: `this machine's clock is 1h ahead of the provider's`.
impl fmt::Display for MachineSkew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = if self.0 < 0 { "behind" } else { "ahead of" };
        let by = duration(self.0.unsigned_abs() / 1000);
        write!(f, "this machine's clock is {by} {side} the provider's")
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

//! How long to wait before trying again.

use std::time::Duration;

/// Exponential back-off with full jitter, and a bound on the tries.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// The longest wait before the second try.
    pub first: Duration,
    /// The longest wait before any try.
    pub most: Duration,
    /// How often a thing is tried in all.
    pub max_attempts: u32,
}

impl Backoff {
    /// The wait after the given number of failed tries (1 after the first), or nothing where no further try is due.
    /// `chance` in `[0, 1)` spreads clients that failed together; the wait is at least half of what it could be, for
    /// a try at once would meet the same trouble.
    pub fn after(&self, failures: u32, chance: f64) -> Option<Duration> {
        if failures >= self.max_attempts {
            return None;
        }
        let doubled = self
            .first
            .saturating_mul(1 << failures.saturating_sub(1).min(20));
        Some(
            doubled
                .min(self.most)
                .mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_then_end() {
        let backoff = Backoff {
            first: Duration::from_secs(1),
            most: Duration::from_secs(5),
            max_attempts: 5,
        };
        let waits: Vec<_> = (1..=6)
            .map(|n| backoff.after(n, 1.0).map(|d| d.as_secs()))
            .collect();
        assert_eq!(waits, [Some(1), Some(2), Some(4), Some(5), None, None]);
        assert_eq!(backoff.after(1, 0.0), Some(Duration::from_millis(500)));
    }
}

//! Retry delays: exponential backoff with jitter.

use std::time::Duration;

/// Exponential backoff with jitter and a maximum number of attempts.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// The maximum delay before the second attempt.
    pub initial: Duration,
    /// The maximum delay before any attempt.
    pub max: Duration,
    /// The maximum number of attempts, the first included.
    pub max_attempts: u32,
}

impl Backoff {
    /// Returns the delay after the given number of failures (1 after the first). `None` if no
    /// further attempt is due.
    ///
    /// `chance` in `[0, 1)` spreads clients that failed together. The delay is at least half of its
    /// maximum, because an immediate attempt would probably meet the same error.
    pub fn delay_after(&self, failures: u32, chance: f64) -> Option<Duration> {
        if failures >= self.max_attempts {
            return None;
        }
        let doublings = failures.saturating_sub(1).min(20);
        let max_delay = self.initial.saturating_mul(1 << doublings).min(self.max);
        let jitter = 0.5 + chance.clamp(0.0, 1.0) / 2.0;
        Some(max_delay.mul_f64(jitter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_maximum_and_end_after_the_last_attempt() {
        let backoff = Backoff {
            initial: Duration::from_secs(1),
            max: Duration::from_secs(5),
            max_attempts: 5,
        };
        let delays: Vec<_> = (1..=6)
            .map(|n| backoff.delay_after(n, 1.0).map(|d| d.as_secs()))
            .collect();
        assert_eq!(delays, [Some(1), Some(2), Some(4), Some(5), None, None]);
        assert_eq!(
            backoff.delay_after(1, 0.0),
            Some(Duration::from_millis(500))
        );
    }
}

//! The schedule of an account's requests: when the next may be sent, by those that were.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::limits::rate::{LATENESS_DECAY, MAX_TIMER_LATENESS, PERIOD_MARGIN, TIMER_RESOLUTION};

/// A rate limit, as the provider counts it.
#[derive(Clone, Copy, Debug)]
pub(super) struct RateLimit {
    /// The time between two requests; `None` if it is shorter than the timer can wait.
    spacing: Option<Duration>,
    /// The number of requests that the provider counts together …
    burst: usize,
    /// … and the time over which it counts them.
    period: Duration,
}

impl RateLimit {
    /// The highest rate at which requests are sent.
    pub(super) fn requests_per_second(self) -> f64 {
        self.burst as f64 / self.period.as_secs_f64()
    }

    /// `rate` must be positive and finite.
    pub(super) fn per_second(rate: f64) -> Self {
        let spacing = Duration::from_secs_f64((1.0 + PERIOD_MARGIN) / rate.max(1e-6));
        let burst = (rate.floor() as usize).max(1);
        let period = spacing.mul_f64(burst as f64);
        Self {
            spacing: Some(spacing).filter(|spacing| *spacing >= TIMER_RESOLUTION),
            burst,
            period,
        }
    }
}

/// The requests that were sent.
#[derive(Debug, Default)]
pub(super) struct SendLog {
    /// The times of the last requests, newest last: as many as the provider counts together.
    recent: VecDeque<Instant>,
    /// The time of the next request by the spacing. It follows the schedule and not the actual
    /// times: the timer is always a little late, and each request would lose that little.
    next_due: Option<Instant>,
    /// The recent lateness of the timer, beyond its resolution. On a busy machine a request may be
    /// as late on its way while the next is not, so the spacing grows by it.
    timer_lateness: Duration,
}

impl SendLog {
    /// Records a request that is sent now. `slot` is the time it had waited for.
    pub(super) fn record(&mut self, now: Instant, slot: Option<Instant>, limit: RateLimit) {
        let lateness = match slot {
            Some(slot) => {
                let late = now.saturating_duration_since(slot);
                late.saturating_sub(2 * TIMER_RESOLUTION)
            }
            None => Duration::ZERO,
        };
        let decayed = self.timer_lateness.mul_f64(LATENESS_DECAY);
        self.timer_lateness = lateness.max(decayed).min(MAX_TIMER_LATENESS);
        if self.recent.len() == limit.burst {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        self.next_due = limit.spacing.map(|spacing| {
            // A late request does not let the next one follow at once.
            let earliest = now - spacing.min(limit.period) / 2;
            let base = self.next_due.unwrap_or(now).max(earliest);
            base + spacing + self.timer_lateness / limit.burst as u32
        });
    }

    /// The time of the next request by the spacing and by the period; `None` if there is none to
    /// wait for.
    pub(super) fn next_slot(&self, limit: RateLimit) -> Option<Instant> {
        let is_full = self.recent.len() == limit.burst;
        let oldest = self.recent.front().filter(|_| is_full);
        let after_period = oldest.map(|&oldest| oldest + limit.period + self.timer_lateness);
        self.next_due.max(after_period)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_timer_does_not_lower_the_average_rate() {
        let spacing = Duration::from_millis(100);
        let limit = RateLimit {
            spacing: Some(spacing),
            burst: 10,
            period: spacing * 10,
        };
        let (start, late) = (Instant::now(), Duration::from_millis(3));
        let mut log = SendLog::default();
        let mut now = start;
        for _ in 0..1000 {
            log.record(now, None, limit);
            now = log.next_due.unwrap() + late;
        }
        assert_eq!(now - start, spacing * 1000 + late);
        // Unused slots are not made up for.
        let much_later = now + Duration::from_mins(1);
        log.record(much_later, None, limit);
        assert!(log.next_due.unwrap() >= much_later + spacing / 2);
    }

    #[test]
    fn late_timer_widens_request_spacing() {
        let spacing = Duration::from_millis(100);
        let limit = RateLimit {
            spacing: Some(spacing),
            burst: 10,
            period: spacing * 10,
        };
        let (now, late) = (Instant::now(), Duration::from_millis(52));
        let mut log = SendLog::default();
        log.record(now + late, Some(now), limit);
        assert_eq!(log.timer_lateness, Duration::from_millis(50));
        assert!(log.next_due.unwrap() >= now + late + Duration::from_millis(105));
        for n in 1..500 {
            log.record(now + spacing * n, Some(now + spacing * n), limit);
        }
        assert!(log.timer_lateness < Duration::from_millis(1), "it decays");
    }
}

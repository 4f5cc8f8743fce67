//! The schedule of an account's requests: when the next may be sent, by those that were.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::limits::rate::{LATENESS_DECAY, MAX_TIMER_LATENESS, PERIOD_MARGIN, TIMER_RESOLUTION};
use super::sent_time::SentTime;

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

    /// The time over which the provider counts requests.
    pub(super) fn period(self) -> Duration {
        self.period
    }

    /// The time between two requests.
    pub(super) fn average_spacing(self) -> Duration {
        self.period / self.burst as u32
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
    recent: VecDeque<SentTime>,
    /// The time of the next request by the spacing. It follows the schedule and not the actual
    /// times: the timer is always a little late, and each request would lose that little.
    next_due: Option<Instant>,
    /// The recent lateness of the timer, beyond its resolution. On a busy machine a request may be
    /// as late on its way while the next is not, so the spacing grows by it.
    timer_lateness: Duration,
}

impl SendLog {
    /// Records a request that is sent now. `lateness` is the time by which the timer has woken it too
    /// late.
    pub(super) fn record(
        &mut self,
        sent: &SentTime,
        now: Instant,
        lateness: Duration,
        limit: RateLimit,
    ) {
        let lateness = lateness.saturating_sub(2 * TIMER_RESOLUTION);
        let decayed = self.timer_lateness.mul_f64(LATENESS_DECAY);
        self.timer_lateness = lateness.max(decayed).min(MAX_TIMER_LATENESS);
        if self.recent.len() == limit.burst {
            self.recent.pop_front();
        }
        self.recent.push_back(sent.clone());
        self.next_due = limit.spacing.map(|spacing| {
            // A late request does not let the next one follow at once.
            let earliest = now - spacing.min(limit.period) / 2;
            let base = self.next_due.unwrap_or(now).max(earliest);
            base + spacing + self.timer_lateness / limit.burst as u32
        });
    }

    /// The time of the next request by the spacing and by the period; `None` if there is none to
    /// wait for.
    pub(super) fn next_slot(&mut self, now: Instant, limit: RateLimit) -> Option<Instant> {
        if self.recent.len() < limit.burst {
            return self.next_due;
        }
        // A request that is not sent yet is as good as the newest one, and holds up no other.
        for _ in 1..self.recent.len() {
            match self.recent.pop_front_if(|oldest| oldest.is_opening()) {
                Some(unsent) => self.recent.push_back(unsent),
                None => break,
            }
        }
        let oldest = self.recent.front();
        let after_period =
            oldest.map(|oldest| oldest.or_now(now) + limit.period + self.timer_lateness);
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
            log.record(&SentTime::at(now), now, Duration::ZERO, limit);
            now = log.next_due.unwrap() + late;
        }
        assert_eq!(now - start, spacing * 1000 + late);
        // Unused slots are not made up for.
        let much_later = now + Duration::from_mins(1);
        log.record(&SentTime::at(much_later), much_later, Duration::ZERO, limit);
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
        let sent = now + late;
        log.record(&SentTime::at(sent), sent, late, limit);
        assert_eq!(log.timer_lateness, Duration::from_millis(50));
        assert!(log.next_due.unwrap() >= now + late + Duration::from_millis(105));
        for n in 1..500 {
            let due = now + spacing * n;
            log.record(&SentTime::at(due), due, Duration::ZERO, limit);
        }
        assert!(log.timer_lateness < Duration::from_millis(1), "it decays");
    }

    #[test]
    fn request_counts_from_the_opening_of_its_connection() {
        let limit = RateLimit::per_second(2.0);
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut log = SendLog::default();
        let (slow, fast) = (SentTime::at(at(0)), SentTime::at(at(508)));
        let opening = slow.begin_opening();
        log.record(&slow, at(0), Duration::ZERO, limit);
        log.record(&fast, at(508), Duration::ZERO, limit);
        assert_eq!(
            log.next_slot(at(600), limit),
            Some(at(508) + limit.period),
            "the request that waits for its connection holds up no other"
        );
        drop(opening);
        log.record(&SentTime::at(at(1523)), at(1523), Duration::ZERO, limit);
        let opened = slow.or_now(at(9999));
        assert!(opened >= start && opened < at(9999));
        assert!(log.next_slot(at(1600), limit) >= Some(opened + limit.period));
    }
}

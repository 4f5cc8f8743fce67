//! The provider's clock, read off the `Date` header of its answers.
//!
//! A machine whose clock is wrong must neither lose the tail of a history nor sign with a stale timestamp, nor seal
//! what has not happened yet. So provider-now is the timer of this machine, which never jumps, plus an offset that
//! every answer narrows down.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::clock::Clock;
use crate::domain::time::Millis;

/// `Date` names whole seconds: the provider's clock stood somewhere in the second it names.
const DATE_STEP_MS: i64 = 1000;
/// How far unique timestamps may run ahead of the clock: no account makes so many requests that they need more.
const MOST_AHEAD_MS: i64 = 10_000;

/// An estimate of the provider's clock. Until a first answer has been seen it is the machine's own.
#[derive(Debug)]
pub struct ProviderClock {
    machine: Arc<dyn Clock>,
    anchor: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Provider time minus the timer's, in ms: between these two, as far as the answers tell.
    bounds: Option<(i64, i64)>,
    /// The last signature timestamp given out.
    last_unique: i64,
}

impl ProviderClock {
    pub fn new(machine: Arc<dyn Clock>) -> Self {
        Self { machine, anchor: Instant::now(), state: Mutex::default() }
    }

    /// Takes note of an answer with this `Date` header to a request that was sent and answered at these instants.
    pub fn observe(&self, date: &str, sent: Instant, answered: Instant) {
        let Some(date) = parse_http_date(date) else { return };
        let low = date.0 - self.timer(answered);
        let high = date.0 + DATE_STEP_MS - self.timer(sent);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.bounds = Some(match state.bounds {
            Some((l, h)) if l.max(low) <= h.min(high) => (l.max(low), h.min(high)),
            // The first answer, or one that contradicts the earlier ones: a clock was set, or this machine slept.
            _ => (low, high),
        });
    }

    /// Provider-now. Where the answers leave room, the machine's clock chooses within it.
    pub fn now(&self) -> Millis {
        self.at(Instant::now())
    }

    /// What the provider's clock showed at the given instant, by what is known now.
    pub fn at(&self, instant: Instant) -> Millis {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let machine_offset = self.machine.now().0 - self.timer(Instant::now());
        let offset = state.bounds.map_or(machine_offset, |(low, high)| machine_offset.clamp(low, high.max(low)));
        Millis(self.timer(instant) + offset)
    }

    /// Provider-now, but never twice the same: each signed request has a timestamp of its own, so that no two look
    /// like a replay.
    pub fn unique_now(&self) -> Millis {
        let now = self.now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // One that lies far ahead was given out by a clock that has been corrected since: it holds nobody back.
        let ahead = state.last_unique - now.0 > MOST_AHEAD_MS;
        state.last_unique = if ahead { now.0 } else { now.0.max(state.last_unique + 1) };
        Millis(state.last_unique)
    }

    /// How far the machine's clock is from the provider's, once answers tell that it is off at all.
    pub fn skew(&self) -> Option<Duration> {
        let now = self.now();
        let machine = self.machine.now();
        let skew = now.since(machine).max(machine.since(now));
        (skew > Duration::from_secs(1)).then_some(skew)
    }

    fn timer(&self, instant: Instant) -> i64 {
        i64::try_from(instant.saturating_duration_since(self.anchor).as_millis()).unwrap_or(i64::MAX / 2)
    }
}

/// Reads the `Date` or `Retry-After` form of RFC 9110 (`Sun, 06 Nov 1994 08:49:37 GMT`).
pub fn parse_http_date(text: &str) -> Option<Millis> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok().map(|t| Millis(t.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::TimerClock;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const DATE_MS: i64 = 784_111_777_000;

    #[tokio::test(start_paused = true)]
    async fn a_machine_a_day_off_is_corrected_by_the_first_answer() {
        for wrong_by in [-86_400_000, 86_400_000] {
            let clock = ProviderClock::new(Arc::new(TimerClock::starting_at(Millis(DATE_MS + wrong_by))));
            assert_eq!(clock.now(), Millis(DATE_MS + wrong_by));
            clock.observe(DATE, Instant::now(), Instant::now());
            assert!((DATE_MS..=DATE_MS + 1000).contains(&clock.now().0), "{:?}", clock.now());
            assert!(clock.skew().is_some());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_right_machine_is_believed_to_the_millisecond() {
        let clock = ProviderClock::new(Arc::new(TimerClock::starting_at(Millis(DATE_MS + 432))));
        clock.observe(DATE, Instant::now(), Instant::now());
        assert_eq!(clock.now(), Millis(DATE_MS + 432));
        assert_eq!(clock.skew(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_contradicts_the_earlier_ones_starts_anew() {
        let clock = ProviderClock::new(Arc::new(TimerClock::starting_at(Millis(DATE_MS))));
        clock.observe(DATE, Instant::now(), Instant::now());
        clock.observe("Sun, 06 Nov 1994 09:49:37 GMT", Instant::now(), Instant::now());
        assert!(clock.now() >= Millis(DATE_MS + 3_600_000));
    }

    #[tokio::test(start_paused = true)]
    async fn no_two_timestamps_are_alike() {
        let clock = ProviderClock::new(Arc::new(TimerClock::starting_at(Millis(DATE_MS))));
        assert!(clock.unique_now() < clock.unique_now());
    }

    #[tokio::test(start_paused = true)]
    async fn a_timestamp_of_a_clock_that_was_ahead_does_not_stick() {
        let clock = ProviderClock::new(Arc::new(TimerClock::starting_at(Millis(DATE_MS + 86_400_000))));
        assert_eq!(clock.unique_now(), Millis(DATE_MS + 86_400_000));
        clock.observe(DATE, Instant::now(), Instant::now());
        let first = clock.unique_now();
        assert!((DATE_MS..=DATE_MS + 1000).contains(&first.0) && first < clock.unique_now());
    }
}

//! The provider's clock, read off the `Date` header of its answers.
//!
//! A machine whose clock is wrong must neither lose the tail of a history nor sign with a stale timestamp, nor seal
//! what has not happened yet. So provider-now is the timer of this machine, which never jumps, plus an offset that
//! every answer narrows down.
//!
//! An answer may lie: a cache serves an old one, a node's clock runs ahead for an hour. A clock that goes back does no
//! harm; but what is sealed up to a moment that has not come is not looked at again. So a leap ahead is believed at
//! once only where this machine's clock bears it out, and otherwise when it has lasted.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::clock::Clock;
use crate::domain::time::Millis;

/// `Date` names whole seconds: the provider's clock stood somewhere in the second it names.
const DATE_STEP_MS: i64 = 1000;
/// How long a leap ahead must have lasted that this machine's clock knows nothing of.
const LASTING: Duration = Duration::from_mins(1);
/// How far unique timestamps may run ahead of the clock: no account makes so many requests that they need more.
const MOST_AHEAD_MS: i64 = 10_000;

/// Between these two, in ms.
type Bounds = (i64, i64);

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
    bounds: Option<Bounds>,
    /// What this machine's clock showed then, minus the timer's, in ms.
    machine: i64,
    /// A leap ahead that is not believed yet, and since when it is told of.
    leap: Option<(Bounds, Instant)>,
    /// The last signature timestamp given out.
    last_unique: i64,
}

impl ProviderClock {
    pub fn new(machine: Arc<dyn Clock>) -> Self {
        Self {
            machine,
            anchor: Instant::now(),
            state: Mutex::default(),
        }
    }

    /// Takes note of an answer with this `Date` header to a request that was sent and answered at these instants.
    pub fn observe(&self, date: &str, sent: Instant, answered: Instant) {
        let Some(date) = parse_http_date(date) else {
            return;
        };
        let low = date.0 - self.timer(answered);
        let high = date.0 + DATE_STEP_MS - self.timer(sent);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let machine = self.machine_offset();
        let told = (low, high);
        state.bounds = Some(match state.bounds {
            Some(known) if meet(known, told).is_some() => meet(known, told).unwrap_or(told),
            // It contradicts the earlier ones: a clock was set, or this machine slept.
            Some(known)
                if known.1 < low && !bears_out(machine, machine - state.machine, known, told) =>
            {
                match state
                    .leap
                    .and_then(|(leap, since)| Some((meet(leap, told)?, since)))
                {
                    Some((leap, since)) if answered - since >= LASTING => leap,
                    Some(leap) => {
                        state.leap = Some(leap);
                        return;
                    }
                    None => {
                        let ahead_s = (low - known.1) / 1000;
                        tracing::warn!(
                            ahead_s,
                            "the provider's clock leapt ahead; not believed unless it lasts"
                        );
                        state.leap = Some((told, answered));
                        return;
                    }
                }
            }
            // The first answer, a step back, or a leap of which this machine knows.
            _ => told,
        });
        state.machine = machine;
        state.leap = None;
    }

    /// The machine's clock minus the timer's, in ms.
    fn machine_offset(&self) -> i64 {
        self.machine.now().0 - self.timer(Instant::now())
    }

    /// Provider-now. Where the answers leave room, the machine's clock chooses within it.
    pub fn now(&self) -> Millis {
        self.at(Instant::now())
    }

    /// What the provider's clock showed at the given instant, by what is known now.
    pub fn at(&self, instant: Instant) -> Millis {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let machine_offset = self.machine_offset();
        let offset = state.bounds.map_or(machine_offset, |(low, high)| {
            machine_offset.clamp(low, high.max(low))
        });
        Millis(self.timer(instant) + offset)
    }

    /// Provider-now, but never twice the same: each signed request has a timestamp of its own, so that no two look
    /// like a replay.
    pub fn unique_now(&self) -> Millis {
        let now = self.now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // One that lies far ahead was given out by a clock that has been corrected since: it holds nobody back.
        let ahead = state.last_unique - now.0 > MOST_AHEAD_MS;
        state.last_unique = if ahead {
            now.0
        } else {
            now.0.max(state.last_unique + 1)
        };
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
        i64::try_from(instant.saturating_duration_since(self.anchor).as_millis())
            .unwrap_or(i64::MAX / 2)
    }
}

/// What lies within both.
fn meet(one: Bounds, other: Bounds) -> Option<Bounds> {
    let both = (one.0.max(other.0), one.1.min(other.1));
    (both.0 <= both.1).then_some(both)
}

/// Whether the machine's clock shows what is told, or has leapt from what was known to what is told.
fn bears_out(machine: i64, leapt: i64, known: Bounds, told: Bounds) -> bool {
    let near = (told.0 - DATE_STEP_MS, told.1 + DATE_STEP_MS);
    let shifted = (known.0 + leapt, known.1 + leapt);
    meet(near, (machine, machine)).is_some() || meet(near, shifted).is_some()
}

/// Reads the `Date` or `Retry-After` form of RFC 9110 (`Sun, 06 Nov 1994 08:49:37 GMT`).
pub fn parse_http_date(text: &str) -> Option<Millis> {
    jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(text)
        .ok()
        .map(|t| Millis(t.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;
    use crate::domain::clock::TimerClock;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const DATE_MS: i64 = 784_111_777_000;

    #[tokio::test(start_paused = true)]
    async fn a_machine_a_day_off_is_corrected_by_the_first_answer() {
        for wrong_by in [-86_400_000, 86_400_000] {
            let clock = ProviderClock::new(Arc::new(TimerClock::starting_at(Millis(
                DATE_MS + wrong_by,
            ))));
            assert_eq!(clock.now(), Millis(DATE_MS + wrong_by));
            clock.observe(DATE, Instant::now(), Instant::now());
            assert!(
                (DATE_MS..=DATE_MS + 1000).contains(&clock.now().0),
                "{:?}",
                clock.now()
            );
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

    /// A machine's clock that is set by hand.
    #[derive(Debug, Default)]
    struct Set(AtomicI64);

    impl Clock for Set {
        fn now(&self) -> Millis {
            Millis(self.0.load(Ordering::Relaxed))
        }
    }

    const AN_HOUR_LATER: &str = "Sun, 06 Nov 1994 09:49:37 GMT";
    const HOUR_MS: i64 = 3_600_000;

    fn told(clock: &ProviderClock, date: &str) -> i64 {
        clock.observe(date, Instant::now(), Instant::now());
        clock.now().0 - DATE_MS
    }

    #[tokio::test(start_paused = true)]
    async fn a_leap_ahead_is_believed_once_it_has_lasted() {
        let clock = ProviderClock::new(Arc::new(TimerClock::starting_at(Millis(DATE_MS))));
        assert!(told(&clock, DATE) <= 1000);
        assert!(
            told(&clock, AN_HOUR_LATER) <= 1000,
            "one answer may be wrong"
        );
        assert!(told(&clock, DATE) <= 1000);
        assert!(told(&clock, AN_HOUR_LATER) <= 1000, "it has to begin anew");
        tokio::time::advance(LASTING).await;
        assert!(told(&clock, "Sun, 06 Nov 1994 09:50:37 GMT") >= HOUR_MS + 60_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_back_is_believed_at_once() {
        let clock =
            ProviderClock::new(Arc::new(TimerClock::starting_at(Millis(DATE_MS + HOUR_MS))));
        assert!(told(&clock, AN_HOUR_LATER) >= HOUR_MS);
        assert!(told(&clock, DATE) <= 1000);
        assert!(
            told(&clock, AN_HOUR_LATER) >= HOUR_MS,
            "this machine bears it out"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_machine_that_slept_goes_by_the_provider_at_once() {
        // Its clock is a day off, but it goes on while it sleeps, and the timer does not.
        let day = 24 * HOUR_MS;
        let machine = Arc::new(Set(AtomicI64::new(DATE_MS - day)));
        let clock = ProviderClock::new(machine.clone());
        assert!(told(&clock, DATE) <= 1000);
        machine.0.store(DATE_MS - day + HOUR_MS, Ordering::Relaxed);
        assert!(told(&clock, AN_HOUR_LATER) >= HOUR_MS);
    }

    #[tokio::test(start_paused = true)]
    async fn a_machine_whose_clock_is_set_changes_nothing() {
        let machine = Arc::new(Set(AtomicI64::new(DATE_MS)));
        let clock = ProviderClock::new(machine.clone());
        assert!(told(&clock, DATE) <= 1000);
        for wrong_by in [HOUR_MS, -HOUR_MS] {
            machine.0.store(DATE_MS + wrong_by, Ordering::Relaxed);
            assert!((0..=1000).contains(&told(&clock, DATE)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_two_timestamps_are_alike() {
        let clock = ProviderClock::new(Arc::new(TimerClock::starting_at(Millis(DATE_MS))));
        assert!(clock.unique_now() < clock.unique_now());
    }

    #[tokio::test(start_paused = true)]
    async fn a_timestamp_of_a_clock_that_was_ahead_does_not_stick() {
        let clock = ProviderClock::new(Arc::new(TimerClock::starting_at(Millis(
            DATE_MS + 86_400_000,
        ))));
        assert_eq!(clock.unique_now(), Millis(DATE_MS + 86_400_000));
        clock.observe(DATE, Instant::now(), Instant::now());
        let first = clock.unique_now();
        assert!((DATE_MS..=DATE_MS + 1000).contains(&first.0) && first < clock.unique_now());
    }
}

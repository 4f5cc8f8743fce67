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
const DATE_RESOLUTION_MS: i64 = 1000;
/// How long a leap ahead must have lasted that this machine's clock knows nothing of.
const MIN_JUMP_DURATION: Duration = Duration::from_mins(1);
/// How far unique timestamps may run ahead of the clock: no account makes so many requests that they need more.
const MAX_TIMESTAMP_LEAD_MS: i64 = 10_000;

/// Between these two, in ms.
type OffsetRange = (i64, i64);

/// An estimate of the provider's clock. Until a first answer has been seen it is the machine's own.
#[derive(Debug)]
pub struct ProviderClock {
    machine: Arc<dyn Clock>,
    anchor: Instant,
    state: Mutex<ClockState>,
}

#[derive(Debug, Default)]
struct ClockState {
    /// Provider time minus the timer's, in ms: between these two, as far as the answers tell.
    offset_range: Option<OffsetRange>,
    /// What this machine's clock showed then, minus the timer's, in ms.
    machine_offset_ms: i64,
    /// A leap ahead that is not believed yet, and since when it is told of.
    pending_jump: Option<(OffsetRange, Instant)>,
    /// The last signature timestamp given out.
    last_timestamp_ms: i64,
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
        let low = date.0 - self.timer_ms(answered);
        let high = date.0 + DATE_RESOLUTION_MS - self.timer_ms(sent);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let machine = self.machine_offset_ms();
        let told = (low, high);
        state.offset_range = Some(match state.offset_range {
            Some(known) if intersect(known, told).is_some() => {
                intersect(known, told).unwrap_or(told)
            }
            // It contradicts the earlier ones: a clock was set, or this machine slept.
            Some(known)
                if known.1 < low
                    && !confirmed_by_machine(
                        machine,
                        machine - state.machine_offset_ms,
                        known,
                        told,
                    ) =>
            {
                match state
                    .pending_jump
                    .and_then(|(leap, since)| Some((intersect(leap, told)?, since)))
                {
                    Some((leap, since)) if answered - since >= MIN_JUMP_DURATION => leap,
                    Some(leap) => {
                        state.pending_jump = Some(leap);
                        return;
                    }
                    None => {
                        let ahead_s = (low - known.1) / 1000;
                        tracing::warn!(
                            ahead_s,
                            "the provider's clock leapt ahead; not believed unless it lasts"
                        );
                        state.pending_jump = Some((told, answered));
                        return;
                    }
                }
            }
            // The first answer, a step back, or a leap of which this machine knows.
            _ => told,
        });
        state.machine_offset_ms = machine;
        state.pending_jump = None;
    }

    /// The machine's clock minus the timer's, in ms.
    fn machine_offset_ms(&self) -> i64 {
        self.machine.now().0 - self.timer_ms(Instant::now())
    }

    /// Provider-now. Where the answers leave room, the machine's clock chooses within it.
    pub fn now(&self) -> Millis {
        self.at(Instant::now())
    }

    /// What the provider's clock showed at the given instant, by what is known now.
    pub fn at(&self, instant: Instant) -> Millis {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let machine_offset = self.machine_offset_ms();
        let offset = state.offset_range.map_or(machine_offset, |(low, high)| {
            machine_offset.clamp(low, high.max(low))
        });
        Millis(self.timer_ms(instant) + offset)
    }

    /// Provider-now, but never twice the same: each signed request has a timestamp of its own, so that no two look
    /// like a replay.
    pub fn unique_timestamp(&self) -> Millis {
        let now = self.now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // One that lies far ahead was given out by a clock that has been corrected since: it holds nobody back.
        let ahead = state.last_timestamp_ms - now.0 > MAX_TIMESTAMP_LEAD_MS;
        state.last_timestamp_ms = if ahead {
            now.0
        } else {
            now.0.max(state.last_timestamp_ms + 1)
        };
        Millis(state.last_timestamp_ms)
    }

    /// How far the machine's clock is from the provider's, once answers tell that it is off at all.
    pub fn skew(&self) -> Option<Duration> {
        let now = self.now();
        let machine = self.machine.now();
        let skew = now.since(machine).max(machine.since(now));
        (skew > Duration::from_secs(1)).then_some(skew)
    }

    fn timer_ms(&self, instant: Instant) -> i64 {
        i64::try_from(instant.saturating_duration_since(self.anchor).as_millis())
            .unwrap_or(i64::MAX / 2)
    }
}

/// What lies within both.
fn intersect(one: OffsetRange, other: OffsetRange) -> Option<OffsetRange> {
    let both = (one.0.max(other.0), one.1.min(other.1));
    (both.0 <= both.1).then_some(both)
}

/// Whether the machine's clock shows what is told, or has leapt from what was known to what is told.
fn confirmed_by_machine(machine: i64, leapt: i64, known: OffsetRange, told: OffsetRange) -> bool {
    let near = (told.0 - DATE_RESOLUTION_MS, told.1 + DATE_RESOLUTION_MS);
    let shifted = (known.0 + leapt, known.1 + leapt);
    intersect(near, (machine, machine)).is_some() || intersect(near, shifted).is_some()
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
    async fn first_answer_corrects_a_machine_a_day_off() {
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
    async fn correct_machine_clock_keeps_its_milliseconds() {
        let clock = ProviderClock::new(Arc::new(TimerClock::starting_at(Millis(DATE_MS + 432))));
        clock.observe(DATE, Instant::now(), Instant::now());
        assert_eq!(clock.now(), Millis(DATE_MS + 432));
        assert_eq!(clock.skew(), None);
    }

    /// A machine's clock that is set by hand.
    #[derive(Debug, Default)]
    struct SettableClock(AtomicI64);

    impl Clock for SettableClock {
        fn now(&self) -> Millis {
            Millis(self.0.load(Ordering::Relaxed))
        }
    }

    const AN_HOUR_LATER: &str = "Sun, 06 Nov 1994 09:49:37 GMT";
    const HOUR_MS: i64 = 3_600_000;

    fn offset_after(clock: &ProviderClock, date: &str) -> i64 {
        clock.observe(date, Instant::now(), Instant::now());
        clock.now().0 - DATE_MS
    }

    #[tokio::test(start_paused = true)]
    async fn forward_jump_is_accepted_after_it_has_lasted() {
        let clock = ProviderClock::new(Arc::new(TimerClock::starting_at(Millis(DATE_MS))));
        assert!(offset_after(&clock, DATE) <= 1000);
        assert!(
            offset_after(&clock, AN_HOUR_LATER) <= 1000,
            "one answer may be wrong"
        );
        assert!(offset_after(&clock, DATE) <= 1000);
        assert!(
            offset_after(&clock, AN_HOUR_LATER) <= 1000,
            "it has to begin anew"
        );
        tokio::time::advance(MIN_JUMP_DURATION).await;
        assert!(offset_after(&clock, "Sun, 06 Nov 1994 09:50:37 GMT") >= HOUR_MS + 60_000);
    }

    #[tokio::test(start_paused = true)]
    async fn backward_step_is_accepted_at_once() {
        let clock =
            ProviderClock::new(Arc::new(TimerClock::starting_at(Millis(DATE_MS + HOUR_MS))));
        assert!(offset_after(&clock, AN_HOUR_LATER) >= HOUR_MS);
        assert!(offset_after(&clock, DATE) <= 1000);
        assert!(
            offset_after(&clock, AN_HOUR_LATER) >= HOUR_MS,
            "this machine bears it out"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn forward_jump_after_sleep_is_accepted_at_once() {
        // Its clock is a day off, but it goes on while it sleeps, and the timer does not.
        let day = 24 * HOUR_MS;
        let machine = Arc::new(SettableClock(AtomicI64::new(DATE_MS - day)));
        let clock = ProviderClock::new(machine.clone());
        assert!(offset_after(&clock, DATE) <= 1000);
        machine.0.store(DATE_MS - day + HOUR_MS, Ordering::Relaxed);
        assert!(offset_after(&clock, AN_HOUR_LATER) >= HOUR_MS);
    }

    #[tokio::test(start_paused = true)]
    async fn setting_the_machine_clock_leaves_provider_time_unchanged() {
        let machine = Arc::new(SettableClock(AtomicI64::new(DATE_MS)));
        let clock = ProviderClock::new(machine.clone());
        assert!(offset_after(&clock, DATE) <= 1000);
        for wrong_by in [HOUR_MS, -HOUR_MS] {
            machine.0.store(DATE_MS + wrong_by, Ordering::Relaxed);
            assert!((0..=1000).contains(&offset_after(&clock, DATE)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn timestamps_are_unique() {
        let clock = ProviderClock::new(Arc::new(TimerClock::starting_at(Millis(DATE_MS))));
        assert!(clock.unique_timestamp() < clock.unique_timestamp());
    }

    #[tokio::test(start_paused = true)]
    async fn timestamps_follow_the_clock_back_after_a_correction() {
        let clock = ProviderClock::new(Arc::new(TimerClock::starting_at(Millis(
            DATE_MS + 86_400_000,
        ))));
        assert_eq!(clock.unique_timestamp(), Millis(DATE_MS + 86_400_000));
        clock.observe(DATE, Instant::now(), Instant::now());
        let first = clock.unique_timestamp();
        assert!((DATE_MS..=DATE_MS + 1000).contains(&first.0) && first < clock.unique_timestamp());
    }
}

//! The provider's clock, read from the `Date` header of its answers.
//!
//! A machine whose clock is wrong must not lose the tail of a history, sign with a stale timestamp,
//! or seal a time that has not come yet. So provider time is this machine's timer, which never
//! jumps, plus an offset that every answer narrows down.
//!
//! An answer may be wrong: a cache serves an old one, a node's clock runs ahead for an hour. A
//! clock that goes back does no harm; but windows that are sealed too early are not read again. So
//! a forward jump is accepted at once only if this machine's clock confirms it, and otherwise after
//! it has lasted.

use std::sync::{Arc, Mutex, MutexGuard};

use tokio::time::Instant;

use super::limits::clock::{MAX_TIMESTAMP_LEAD_MS, MIN_JUMP_DURATION};
use crate::domain::clock::{Clock, MachineSkew};
use crate::domain::lock::lock;
use crate::domain::time::Millis;

/// `Date` names whole seconds: the provider's clock showed a time within the second that it names.
const DATE_RESOLUTION_MS: i64 = 1000;

/// An estimate of the provider's clock. Until the first answer it is the machine's own.
#[derive(Debug)]
pub struct ProviderClock {
    machine: Arc<dyn Clock>,
    /// The zero of the timer.
    anchor: Instant,
    state: Mutex<ClockState>,
}

#[derive(Debug, Default)]
struct ClockState {
    /// The offset of provider time from the timer, as far as the answers show it.
    offset: Option<OffsetRange>,
    /// The offset of the machine's clock from the timer at the last accepted answer, in
    /// milliseconds.
    machine_offset_ms: i64,
    /// A forward jump that is not accepted yet.
    pending_jump: Option<PendingJump>,
    /// The last unique timestamp, in milliseconds.
    last_timestamp_ms: i64,
}

/// An offset between these two, both included, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct OffsetRange {
    min: i64,
    max: i64,
}

#[derive(Clone, Copy, Debug)]
struct PendingJump {
    offset: OffsetRange,
    /// The time of the first answer that showed it.
    since: Instant,
}

impl OffsetRange {
    fn exactly(offset: i64) -> Self {
        Self {
            min: offset,
            max: offset,
        }
    }

    /// Returns the offsets within both ranges; `None` if there are none.
    fn intersect(self, other: Self) -> Option<Self> {
        let both = Self {
            min: self.min.max(other.min),
            max: self.max.min(other.max),
        };
        (both.min <= both.max).then_some(both)
    }

    fn shifted(self, by: i64) -> Self {
        Self {
            min: self.min + by,
            max: self.max + by,
        }
    }

    fn widened(self, by: i64) -> Self {
        Self {
            min: self.min - by,
            max: self.max + by,
        }
    }
}

impl ProviderClock {
    /// Makes a clock that knows no answer yet.
    pub fn new(machine: Arc<dyn Clock>) -> Self {
        Self {
            machine,
            anchor: Instant::now(),
            state: Mutex::default(),
        }
    }

    /// Records the `Date` header of an answer to a request that was sent and answered at these
    /// times.
    pub fn observe(&self, date: &str, sent: Instant, answered: Instant) {
        let Some(date) = parse_http_date(date) else {
            return;
        };
        let observed = OffsetRange {
            min: date.0 - self.timer_ms(answered),
            max: date.0 + DATE_RESOLUTION_MS - self.timer_ms(sent),
        };
        let mut state = self.lock_state();
        let machine_ms = self.machine_offset_ms();
        let accepted = match state.offset {
            None => observed,
            Some(known) => match known.intersect(observed) {
                Some(narrowed) => narrowed,
                // It contradicts the earlier answers: a clock was set, or this machine slept.
                None if known.max < observed.min => {
                    let machine_jump_ms = machine_ms - state.machine_offset_ms;
                    let is_confirmed = is_near(observed, OffsetRange::exactly(machine_ms))
                        || is_near(observed, known.shifted(machine_jump_ms));
                    let accepted = if is_confirmed {
                        Some(observed)
                    } else {
                        state.accept_lasting_jump(known, observed, answered)
                    };
                    let Some(accepted) = accepted else { return };
                    accepted
                }
                None => observed,
            },
        };
        state.offset = Some(accepted);
        state.machine_offset_ms = machine_ms;
        state.pending_jump = None;
    }

    /// Provider time. Within the range that the answers allow, it follows the machine's clock.
    pub fn now(&self) -> Millis {
        if self.lock_state().offset.is_none() {
            return self.machine.now();
        }
        self.time_at(Instant::now())
    }

    /// Provider time at the given instant, as it is known now.
    pub fn time_at(&self, instant: Instant) -> Millis {
        let state = self.lock_state();
        let machine_ms = self.machine_offset_ms();
        let offset_ms = match state.offset {
            Some(known) => machine_ms.clamp(known.min, known.max.max(known.min)),
            None => machine_ms,
        };
        Millis(self.timer_ms(instant) + offset_ms)
    }

    /// Provider time, but never the same twice: each signed request gets its own timestamp, so that
    /// no two look like a replay.
    pub fn unique_timestamp(&self) -> Millis {
        let now_ms = self.now().0;
        let mut state = self.lock_state();
        // A timestamp far ahead was made by a clock that has been corrected since.
        let is_stale = state.last_timestamp_ms - now_ms > MAX_TIMESTAMP_LEAD_MS;
        let next_ms = if is_stale {
            now_ms
        } else {
            now_ms.max(state.last_timestamp_ms + 1)
        };
        state.last_timestamp_ms = next_ms;
        Millis(next_ms)
    }

    /// The machine's clock minus the provider's; none before the first answer.
    pub fn skew(&self) -> MachineSkew {
        MachineSkew::between(self.machine.now(), self.now())
    }

    /// The machine's clock minus the timer.
    fn machine_offset_ms(&self) -> i64 {
        self.machine.now().0 - self.timer_ms(Instant::now())
    }

    fn timer_ms(&self, instant: Instant) -> i64 {
        let elapsed = instant.saturating_duration_since(self.anchor);
        i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX / 2)
    }

    fn lock_state(&self) -> MutexGuard<'_, ClockState> {
        // Plain numbers, which no panic can leave half-written.
        lock(&self.state)
    }
}

impl ClockState {
    /// Records an unconfirmed forward jump. Returns its offset once it has lasted for
    /// [`MIN_JUMP_DURATION`].
    fn accept_lasting_jump(
        &mut self,
        known: OffsetRange,
        observed: OffsetRange,
        answered: Instant,
    ) -> Option<OffsetRange> {
        let continued = self.pending_jump.and_then(|jump| {
            let offset = jump.offset.intersect(observed)?;
            Some(PendingJump {
                offset,
                since: jump.since,
            })
        });
        let Some(jump) = continued else {
            let ahead_s = (observed.min - known.max) / 1000;
            tracing::warn!(
                ahead_s,
                "the provider's clock jumped ahead; not accepted unless it lasts"
            );
            self.pending_jump = Some(PendingJump {
                offset: observed,
                since: answered,
            });
            return None;
        };
        if answered - jump.since >= MIN_JUMP_DURATION {
            return Some(jump.offset);
        }
        self.pending_jump = Some(jump);
        None
    }
}

/// True if both ranges overlap, allowing for the resolution of `Date`.
fn is_near(observed: OffsetRange, expected: OffsetRange) -> bool {
    observed
        .widened(DATE_RESOLUTION_MS)
        .intersect(expected)
        .is_some()
}

/// Parses the time of a `Date` or `Retry-After` header (RFC 9110): `Sun, 06 Nov 1994 08:49:37 GMT`.
pub fn parse_http_date(text: &str) -> Option<Millis> {
    let timestamp = jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(text)
        .ok()?;
    Some(Millis(timestamp.as_millisecond()))
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
            let error_ms = clock.skew().0 - wrong_by;
            assert!(error_ms.abs() <= 1000, "{:?}", clock.skew());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn correct_machine_clock_keeps_its_milliseconds() {
        let clock = ProviderClock::new(Arc::new(TimerClock::starting_at(Millis(DATE_MS + 432))));
        clock.observe(DATE, Instant::now(), Instant::now());
        assert_eq!(clock.now(), Millis(DATE_MS + 432));
        assert!(clock.skew().is_negligible());
    }

    /// A machine's clock that the test sets.
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
            "the jump must last from the beginning again"
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
            "this machine's clock confirms it"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn forward_jump_after_sleep_is_accepted_at_once() {
        // Its clock is a day off. The clock runs on while the machine sleeps; the timer does not.
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

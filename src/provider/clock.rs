//! The provider's clock, read from the `Date` header of its answers.
//!
//! A machine whose clock is wrong must not lose the tail of a history, sign with a stale timestamp,
//! or seal a time that has not come yet. So provider time is this machine's timer, which never
//! jumps, plus an offset that every answer narrows down.
//!
//! An answer may be wrong: a cache serves an old one, a node's clock runs ahead for an hour. A
//! clock that goes back does no harm; but windows that are sealed too early are not read again. So
//! a forward jump is accepted at once only if this machine's clock confirms it, and otherwise after
//! it has lasted. The first `Date` has no other to compare with: it is accepted at once if it agrees
//! with this machine's clock within the settle age, and otherwise after it has lasted.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

use super::limits::clock::{
    MAX_TIMESTAMP_LEAD_MS, MIN_FIRST_DATE_DURATION, MIN_FIRST_DATE_TOLERANCE, MIN_JUMP_DURATION,
};
use crate::domain::clock::{Clock, MachineSkew};
use crate::domain::lock::lock;
use crate::domain::time::Millis;

/// `Date` names whole seconds: the provider's clock showed a time within the second that it names.
const DATE_RESOLUTION_MS: i64 = 1000;

/// An estimate of the provider's clock. Until an answer is believed it is the machine's own.
#[derive(Debug)]
pub struct ProviderClock {
    machine: Arc<dyn Clock>,
    /// The difference from the machine's clock up to which a first `Date` is believed at once.
    first_tolerance: Duration,
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
    /// A forward jump, or a first `Date` that contradicts the machine's clock: not accepted yet.
    pending: Option<PendingOffset>,
    /// True if requests are signed by a first `Date` in doubt: those signed by the machine's clock
    /// were refused.
    signs_by_pending: bool,
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
struct PendingOffset {
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
            first_tolerance: MIN_FIRST_DATE_TOLERANCE,
            anchor: Instant::now(),
            state: Mutex::default(),
        }
    }

    /// Replaces the difference from the machine's clock up to which a first `Date` is believed at
    /// once. It is never less than [`MIN_FIRST_DATE_TOLERANCE`].
    #[must_use]
    pub(super) fn with_first_tolerance(self, tolerance: Duration) -> Self {
        Self {
            first_tolerance: tolerance.max(MIN_FIRST_DATE_TOLERANCE),
            ..self
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
        let machine = OffsetRange::exactly(machine_ms);
        let accepted = match state.offset {
            None if is_within(observed, machine, self.first_tolerance) => Some(observed),
            None => state.accept_lasting(observed, answered, MIN_FIRST_DATE_DURATION),
            Some(known) => match known.intersect(observed) {
                // It contradicts the earlier answers: a clock was set, or this machine slept.
                None if known.max < observed.min => {
                    let machine_jump_ms = machine_ms - state.machine_offset_ms;
                    let is_confirmed = is_near(observed, machine)
                        || is_near(observed, known.shifted(machine_jump_ms));
                    if is_confirmed {
                        Some(observed)
                    } else {
                        state.accept_jump(known, observed, answered)
                    }
                }
                None => Some(observed),
                narrowed => narrowed,
            },
        };
        let Some(accepted) = accepted else { return };
        state.offset = Some(accepted);
        state.machine_offset_ms = machine_ms;
        state.pending = None;
    }

    /// The machine's clock minus the first `Date` headers, while they contradict each other and
    /// neither is believed; `None` if the provider's time is known.
    pub fn doubt(&self) -> Option<MachineSkew> {
        let state = self.lock_state();
        let pending = state.pending.filter(|_| state.offset.is_none())?;
        Some(MachineSkew(self.machine_offset_ms() - pending.offset.min))
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

    /// Provider time minus the timer, in milliseconds.
    pub fn offset_ms(&self) -> i64 {
        let now = Instant::now();
        self.time_at(now).0 - self.timer_ms(now)
    }

    /// The clock that requests are signed by, minus the timer, in milliseconds.
    pub fn signing_offset_ms(&self) -> i64 {
        let pending = {
            let state = self.lock_state();
            let is_used = state.offset.is_none() && state.signs_by_pending;
            state.pending.filter(|_| is_used)
        };
        pending.map_or_else(|| self.offset_ms(), |pending| pending.offset.min)
    }

    /// Records that a request was refused that was signed with this offset. While the first `Date`
    /// is in doubt, the other clock signs the next one: the provider itself knows which is right.
    pub fn record_refused_signature(&self, signed_by_ms: i64) {
        let is_first = self.signing_offset_ms().abs_diff(signed_by_ms) <= 1;
        let mut state = self.lock_state();
        if is_first && state.offset.is_none() && state.pending.is_some() {
            state.signs_by_pending = !state.signs_by_pending;
        }
    }

    /// The time to sign a request with, but never the same twice: each signed request gets its own
    /// timestamp, so that no two look like a replay.
    pub fn unique_timestamp(&self) -> Millis {
        let now_ms = self.timer_ms(Instant::now()) + self.signing_offset_ms();
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
        let known = MachineSkew::between(self.machine.now(), self.now());
        self.doubt().unwrap_or(known)
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
    /// Records an unconfirmed forward jump. Returns its offset once it has lasted.
    fn accept_jump(
        &mut self,
        known: OffsetRange,
        observed: OffsetRange,
        answered: Instant,
    ) -> Option<OffsetRange> {
        let is_new = self.pending_offset(observed).is_none();
        if is_new {
            let ahead_s = (observed.min - known.max) / 1000;
            tracing::warn!(
                ahead_s,
                "the provider's clock jumped ahead; not accepted unless it lasts"
            );
        }
        self.accept_lasting(observed, answered, MIN_JUMP_DURATION)
    }

    /// Records an offset that is not believed yet. Returns it once it has lasted.
    fn accept_lasting(
        &mut self,
        observed: OffsetRange,
        answered: Instant,
        min_duration: Duration,
    ) -> Option<OffsetRange> {
        let pending = self.pending_offset(observed).unwrap_or(PendingOffset {
            offset: observed,
            since: answered,
        });
        self.pending = Some(pending);
        (answered - pending.since >= min_duration).then_some(pending.offset)
    }

    /// Returns the pending offset that an answer agrees with, narrowed by it.
    fn pending_offset(&self, observed: OffsetRange) -> Option<PendingOffset> {
        let pending = self.pending?;
        let offset = pending.offset.intersect(observed)?;
        Some(PendingOffset { offset, ..pending })
    }
}

/// True if an observed offset is within `tolerance` of the expected one.
fn is_within(observed: OffsetRange, expected: OffsetRange, tolerance: Duration) -> bool {
    let tolerance_ms = i64::try_from(tolerance.as_millis()).unwrap_or(i64::MAX / 4);
    observed.widened(tolerance_ms).intersect(expected).is_some()
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
mod tests;

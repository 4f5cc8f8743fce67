//! How long Agora takes to make a handle ready: the first read waits as long as handles have lately taken, since a
//! read that comes too early costs a request and at least two seconds.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A guess that no measurement has touched yet.
const FIRST_GUESS: Duration = Duration::from_millis(400);
const MIN_WAIT: Duration = Duration::from_millis(5);
const MAX_WAIT: Duration = Duration::from_secs(20);
/// After a read that came too early.
const EARLY_GROWTH: f64 = 1.4;
/// As long as none has come in time.
const UNMEASURED_GROWTH: f64 = 2.0;
/// After a read that came in time: down by little, so that reads that come too early stay rare.
const IN_TIME_DECAY: f64 = 0.999;
/// As long as none has come too early the guess may be far off: one read at a time, the scout, waits only so much of it.
const PROBE_FRACTION: f64 = 0.5;

/// The account's estimate.
#[derive(Debug)]
pub(super) struct HandleReadiness(Mutex<ReadinessEstimate>);

#[derive(Clone, Copy, Debug)]
struct ReadinessEstimate {
    wait: Duration,
    /// Whether a read has ever come too early, and whether one has ever come in time.
    was_early: bool,
    was_in_time: bool,
    /// The wait that a scout is trying.
    probe: Option<Duration>,
    /// The longest of the waits that came too early lately: no read since has been in time with less.
    too_short: Option<Duration>,
}

impl HandleReadiness {
    pub(super) fn new() -> Self {
        Self(Mutex::new(ReadinessEstimate {
            wait: FIRST_GUESS,
            was_early: false,
            was_in_time: false,
            probe: None,
            too_short: None,
        }))
    }

    /// How long to wait after making a handle.
    pub(super) fn next_wait(&self) -> Duration {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.was_early || known.probe.is_some() || known.wait <= MIN_WAIT {
            return known.wait;
        }
        let shorter = known.wait.mul_f64(PROBE_FRACTION).max(MIN_WAIT);
        known.probe = Some(shorter);
        shorter
    }

    /// The wait that was begun, or a longer one if it has turned out meanwhile that it is too short.
    pub(super) fn extended_wait(&self, begun: Duration) -> Duration {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.too_short.is_some_and(|too_short| begun <= too_short) {
            begun.max(known.wait)
        } else {
            begun
        }
    }

    /// A read `waited` so long, and the handle was ready or not. Many reads are under way at once and learn the
    /// same thing, so what counts is the wait that each tried, not how many tried it.
    pub(super) fn observe(&self, waited: Duration, ready: bool) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.was_early |= !ready;
        known.was_in_time |= ready;
        // Whoever waited as long as the scout has seen what it was sent to see.
        known.probe = known.probe.filter(|scout| waited < *scout);
        known.too_short = if ready {
            known.too_short.filter(|too_short| *too_short < waited)
        } else {
            known.too_short.max(Some(waited))
        };
        known.wait = if ready {
            known.wait.min(waited.mul_f64(IN_TIME_DECAY).max(MIN_WAIT))
        } else {
            known
                .wait
                .max(waited.mul_f64(if known.was_in_time {
                    EARLY_GROWTH
                } else {
                    UNMEASURED_GROWTH
                }))
                .min(MAX_WAIT)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_falls_quickly_when_handles_are_ready_at_once() {
        let readiness = HandleReadiness::new();
        let waited: Duration = std::iter::repeat_with(|| {
            let wait = readiness.next_wait();
            readiness.observe(wait, true);
            wait
        })
        .take(8)
        .sum();
        assert!(waited < FIRST_GUESS.mul_f64(1.1), "{waited:?}");
        assert_eq!(readiness.next_wait(), MIN_WAIT);
    }

    #[test]
    fn only_one_read_at_a_time_is_a_probe() {
        let readiness = HandleReadiness::new();
        assert_eq!(readiness.next_wait(), FIRST_GUESS / 2);
        assert_eq!(readiness.next_wait(), FIRST_GUESS);
        readiness.observe(FIRST_GUESS / 2, false);
        assert_eq!(
            readiness.next_wait(),
            FIRST_GUESS,
            "what came too early is not tried again"
        );
    }

    #[test]
    fn waiting_reads_extend_their_wait_after_an_early_read() {
        let readiness = HandleReadiness::new();
        let (scout, other) = (readiness.next_wait(), readiness.next_wait());
        readiness.observe(scout, false);
        assert_eq!(
            readiness.extended_wait(other),
            other,
            "it waits longer than what came too early"
        );
        readiness.observe(other, false);
        let longer = readiness.extended_wait(other);
        assert!(longer > other);
        readiness.observe(longer, true);
        assert_eq!(readiness.extended_wait(longer), longer);
    }

    #[test]
    fn wait_settles_just_above_the_preparation_time() {
        for takes in [50u64, 300, 2500] {
            let readiness = HandleReadiness::new();
            let mut early = 0;
            for round in 0..600 {
                let waited = readiness.next_wait();
                // A whole window's reads learn from the same wait.
                for _ in 0..10 {
                    readiness.observe(waited, waited >= Duration::from_millis(takes));
                }
                early += u32::from(round >= 300 && waited < Duration::from_millis(takes));
            }
            let wait = readiness.next_wait().as_millis() as u64;
            assert!(
                (takes * 9 / 10..=takes * 3 / 2).contains(&wait),
                "{takes}: {wait}"
            );
            assert!(early <= 20, "{takes}: {early} of 300 rounds came too early");
        }
    }
}

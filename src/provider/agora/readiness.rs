//! How long Agora takes to make a handle ready: the first read waits as long as handles have lately taken, since a
//! read that comes too early costs a request and at least two seconds.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A guess that no measurement has touched yet.
const FIRST_GUESS: Duration = Duration::from_millis(400);
const LEAST: Duration = Duration::from_millis(5);
const MOST: Duration = Duration::from_secs(20);
/// After a read that came too early.
const GROW: f64 = 1.4;
/// As long as none has come in time.
const LEAP: f64 = 2.0;
/// After a read that came in time: down by little, so that reads that come too early stay rare.
const SHRINK: f64 = 0.999;
/// As long as none has come too early the guess may be far off: one read at a time, the scout, waits only so much of it.
const SCOUT: f64 = 0.5;

/// The account's estimate.
#[derive(Debug)]
pub(super) struct Readiness(Mutex<Estimate>);

#[derive(Clone, Copy, Debug)]
struct Estimate {
    wait: Duration,
    /// Whether a read has ever come too early, and whether one has ever come in time.
    is_tried: bool,
    is_known: bool,
    /// The wait that a scout is trying.
    scout: Option<Duration>,
    /// The longest of the waits that came too early lately: no read since has been in time with less.
    too_short: Option<Duration>,
}

impl Readiness {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Estimate {
            wait: FIRST_GUESS,
            is_tried: false,
            is_known: false,
            scout: None,
            too_short: None,
        }))
    }

    /// How long to wait after making a handle.
    pub(super) fn wait(&self) -> Duration {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_tried || known.scout.is_some() || known.wait <= LEAST {
            return known.wait;
        }
        let shorter = known.wait.mul_f64(SCOUT).max(LEAST);
        known.scout = Some(shorter);
        shorter
    }

    /// The wait that was begun, or a longer one if it has turned out meanwhile that it is too short.
    pub(super) fn longer(&self, begun: Duration) -> Duration {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.too_short.is_some_and(|too_short| begun <= too_short) {
            begun.max(known.wait)
        } else {
            begun
        }
    }

    /// A read `waited` so long, and the handle was ready or not. Many reads are under way at once and learn the
    /// same thing, so what counts is the wait that each tried, not how many tried it.
    pub(super) fn learn(&self, waited: Duration, ready: bool) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.is_tried |= !ready;
        known.is_known |= ready;
        // Whoever waited as long as the scout has seen what it was sent to see.
        known.scout = known.scout.filter(|scout| waited < *scout);
        known.too_short = if ready {
            known.too_short.filter(|too_short| *too_short < waited)
        } else {
            known.too_short.max(Some(waited))
        };
        known.wait = if ready {
            known.wait.min(waited.mul_f64(SHRINK).max(LEAST))
        } else {
            known
                .wait
                .max(waited.mul_f64(if known.is_known { GROW } else { LEAP }))
                .min(MOST)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_that_are_ready_at_once_are_found_out_by_few_reads() {
        let readiness = Readiness::new();
        let waited: Duration = std::iter::repeat_with(|| {
            let wait = readiness.wait();
            readiness.learn(wait, true);
            wait
        })
        .take(8)
        .sum();
        assert!(waited < FIRST_GUESS.mul_f64(1.1), "{waited:?}");
        assert_eq!(readiness.wait(), LEAST);
    }

    #[test]
    fn only_one_read_at_a_time_is_a_scout() {
        let readiness = Readiness::new();
        assert_eq!(readiness.wait(), FIRST_GUESS / 2);
        assert_eq!(readiness.wait(), FIRST_GUESS);
        readiness.learn(FIRST_GUESS / 2, false);
        assert_eq!(
            readiness.wait(),
            FIRST_GUESS,
            "what came too early is not tried again"
        );
    }

    #[test]
    fn who_waits_already_learns_from_who_came_too_early() {
        let readiness = Readiness::new();
        let (scout, other) = (readiness.wait(), readiness.wait());
        readiness.learn(scout, false);
        assert_eq!(
            readiness.longer(other),
            other,
            "it waits longer than what came too early"
        );
        readiness.learn(other, false);
        let longer = readiness.longer(other);
        assert!(longer > other);
        readiness.learn(longer, true);
        assert_eq!(readiness.longer(longer), longer);
    }

    #[test]
    fn the_guess_settles_just_above_what_handles_take() {
        for takes in [50u64, 300, 2500] {
            let readiness = Readiness::new();
            let mut early = 0;
            for round in 0..600 {
                let waited = readiness.wait();
                // A whole window's reads learn from the same wait.
                for _ in 0..10 {
                    readiness.learn(waited, waited >= Duration::from_millis(takes));
                }
                early += u32::from(round >= 300 && waited < Duration::from_millis(takes));
            }
            let wait = readiness.wait().as_millis() as u64;
            assert!(
                (takes * 9 / 10..=takes * 3 / 2).contains(&wait),
                "{takes}: {wait}"
            );
            assert!(early <= 20, "{takes}: {early} of 300 rounds came too early");
        }
    }
}

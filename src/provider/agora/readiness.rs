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
/// After a read that came in time: down by little, so that reads that come too early stay rare.
const SHRINK: f64 = 0.995;
/// The same as long as none has come too early: the first guess may be far off.
const SHRINK_AT_FIRST: f64 = 0.85;

/// The account's estimate.
#[derive(Debug)]
pub(super) struct Readiness(Mutex<Estimate>);

#[derive(Clone, Copy, Debug)]
struct Estimate {
    wait: Duration,
    /// Whether a read has ever come too early.
    is_tried: bool,
}

impl Readiness {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Estimate { wait: FIRST_GUESS, is_tried: false }))
    }

    /// How long to wait after making a handle.
    pub(super) fn wait(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).wait
    }

    /// A read `waited` so long, and the handle was ready or not. Many reads are under way at once and learn the
    /// same thing, so what counts is the wait that each tried, not how many tried it.
    pub(super) fn learn(&self, waited: Duration, ready: bool) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.is_tried |= !ready;
        known.wait = if ready {
            let shrink = if known.is_tried { SHRINK } else { SHRINK_AT_FIRST };
            known.wait.min(waited.mul_f64(shrink).max(LEAST))
        } else {
            known.wait.max(waited.mul_f64(GROW)).min(MOST)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert!((takes * 9 / 10..=takes * 3 / 2).contains(&wait), "{takes}: {wait}");
            assert!(early <= 20, "{takes}: {early} of 300 rounds came too early");
        }
    }
}

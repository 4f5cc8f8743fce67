//! The wait between making a handle and reading it, learned from how long handles have lately
//! taken. A read that comes too early costs a request and at least two seconds.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use crate::domain::lock::lock;
use crate::provider::limits::agora::readiness::{
    EARLY_GROWTH, FIRST_GUESS, IN_TIME_DECAY, MAX_WAIT, MIN_WAIT, PROBE_FRACTION, UNMEASURED_GROWTH,
};

/// The account's estimate of how long a handle takes.
#[derive(Debug)]
pub(super) struct HandleReadiness(Mutex<ReadinessEstimate>);

#[derive(Clone, Copy, Debug)]
struct ReadinessEstimate {
    wait: Duration,
    /// True if a read has ever come too early.
    was_early: bool,
    /// True if a read has ever come in time.
    was_in_time: bool,
    /// The shorter wait that a probe is trying.
    probe: Option<Duration>,
    /// The longest recent wait that was too short: no read since has come in time with less.
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

    /// Returns the wait after making a handle. While no read has come too early, the estimate may
    /// be far too long: then one read at a time is a probe with a shorter wait.
    pub(super) fn next_wait(&self) -> Duration {
        let mut estimate = self.lock();
        if estimate.was_early || estimate.probe.is_some() || estimate.wait <= MIN_WAIT {
            return estimate.wait;
        }
        let shorter = estimate.wait.mul_f64(PROBE_FRACTION).max(MIN_WAIT);
        estimate.probe = Some(shorter);
        shorter
    }

    /// Returns the wait that was begun, or a longer one if other reads have shown meanwhile that it
    /// is too short.
    pub(super) fn extended_wait(&self, begun: Duration) -> Duration {
        let estimate = self.lock();
        let is_too_short = estimate
            .too_short
            .is_some_and(|too_short| begun <= too_short);
        if is_too_short {
            begun.max(estimate.wait)
        } else {
            begun
        }
    }

    /// Records a read after a wait, and whether the handle was ready. Many reads are in flight at
    /// once and show the same thing. So an update depends on the wait that was tried, and not on
    /// the number of reads that tried it.
    pub(super) fn observe(&self, waited: Duration, is_ready: bool) {
        let mut estimate = self.lock();
        // A read that waited as long as the probe has shown what the probe was to show.
        estimate.probe = estimate.probe.filter(|probe| waited < *probe);
        if is_ready {
            estimate.was_in_time = true;
            estimate.too_short = estimate.too_short.filter(|too_short| *too_short < waited);
            estimate.wait = estimate
                .wait
                .min(waited.mul_f64(IN_TIME_DECAY).max(MIN_WAIT));
        } else {
            estimate.was_early = true;
            estimate.too_short = estimate.too_short.max(Some(waited));
            let growth = if estimate.was_in_time {
                EARLY_GROWTH
            } else {
                UNMEASURED_GROWTH
            };
            estimate.wait = estimate.wait.max(waited.mul_f64(growth)).min(MAX_WAIT);
        }
    }

    fn lock(&self) -> MutexGuard<'_, ReadinessEstimate> {
        // Plain values, which no panic can leave half-written.
        lock(&self.0)
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
            "a wait that was too short is not tried again"
        );
    }

    #[test]
    fn waiting_reads_extend_their_wait_after_an_early_read() {
        let readiness = HandleReadiness::new();
        let (probe, other) = (readiness.next_wait(), readiness.next_wait());
        readiness.observe(probe, false);
        assert_eq!(
            readiness.extended_wait(other),
            other,
            "its wait is longer than the one that was too short"
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

//! What Agora takes the bounds of a range to mean, found out by asking.
//!
//! The documents do not say whether a bound itself lies in the range, or whether it stands for a moment or for its
//! whole second. Reading is made safe by a margin; counting is not, for what a count includes cannot be seen. So a
//! few messages are looked at, ranges among them are counted, and every meaning that would have given another count
//! is ruled out.

use crate::domain::time::{Millis, Second};
use crate::domain::window::Window;

/// By how much the edge of what is counted lies behind the second that a bound names: not at all, behind the moment
/// itself, or behind its whole second.
const SHIFTS_MS: [i64; 3] = [0, 1, 1000];

/// One meaning of the two bounds: how far behind each the edge lies, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct BoundSemantics {
    start_shift_ms: i64,
    end_shift_ms: i64,
}

/// The meanings that nothing speaks against.
#[derive(Clone, Debug)]
pub(super) struct BoundInference {
    candidates: Vec<BoundSemantics>,
    /// How often it was tried to rule some out.
    attempts: u32,
}

/// So often it is tried. Where messages are few, or all on the same side of every bound, nothing can be learned.
const MAX_ATTEMPTS: u32 = 8;

impl BoundInference {
    pub(super) fn new() -> Self {
        let all = SHIFTS_MS.into_iter().flat_map(|start| {
            SHIFTS_MS.map(|end| BoundSemantics {
                start_shift_ms: start,
                end_shift_ms: end,
            })
        });
        Self {
            candidates: all.collect(),
            attempts: 0,
        }
    }

    /// From which moment on, and up to which, messages count for this range, by the best of what is known.
    pub(super) fn counted_span(&self, range: Window) -> (Millis, Millis) {
        let shifted = |second: Second, shift| Millis(second.start().0.saturating_add(shift));
        let BoundSemantics {
            start_shift_ms: start,
            end_shift_ms: end,
        } = self.candidates.first().copied().unwrap_or(BoundSemantics {
            start_shift_ms: 0,
            end_shift_ms: 0,
        });
        (shifted(range.from(), start), shifted(range.to(), end))
    }

    /// Whether so many of these messages, in order of time, may be what counts for a range.
    pub(super) fn is_consistent_with(&self, times: &[Millis], range: Window, count: u64) -> bool {
        self.candidates
            .iter()
            .any(|meaning| meaning.count(times, range) == count)
    }

    /// Whether it is worth while to look for another question.
    pub(super) fn is_undecided(&self) -> bool {
        self.candidates.len() > 1 && self.attempts < MAX_ATTEMPTS
    }

    /// Notes that there was an attempt.
    pub(super) fn record_attempt(&mut self) {
        self.attempts += 1;
    }

    /// The range whose count tells most, given the times of all messages from `known.from()` up to, not including,
    /// the start of `known.to()`. Nothing where all meanings come to the same.
    pub(super) fn next_probe(&self, times: &[Millis], known: Window) -> Option<Window> {
        let mut seconds: Vec<Second> = times
            .iter()
            .flat_map(|at| [at.second(), at.second().plus(1)])
            .chain([known.from()])
            .collect();
        seconds.sort_unstable();
        seconds.dedup();
        // The edge may lie a whole second behind the bound, and what is there must be known, too.
        seconds.retain(|second| known.from() <= *second && second.plus(1) <= known.to());
        let ranges = seconds
            .iter()
            .flat_map(|&from| seconds.iter().filter_map(move |&to| Window::new(from, to)));
        let telling = ranges
            .map(|range| (self.distinct_counts(times, range), range))
            .filter(|(outcomes, _)| *outcomes > 1);
        telling
            .max_by_key(|(outcomes, _)| *outcomes)
            .map(|(_, range)| range)
    }

    fn distinct_counts(&self, times: &[Millis], range: Window) -> usize {
        let mut counts: Vec<u64> = self
            .candidates
            .iter()
            .map(|meaning| meaning.count(times, range))
            .collect();
        counts.sort_unstable();
        counts.dedup();
        counts.len()
    }

    /// Rules out what does not fit the provider's count. False where nothing fits: the history has moved in between,
    /// and all is open again.
    pub(super) fn observe(&mut self, times: &[Millis], range: Window, count: u64) -> bool {
        self.candidates
            .retain(|meaning| meaning.count(times, range) == count);
        let fits = !self.candidates.is_empty();
        if !fits {
            *self = Self {
                attempts: self.attempts,
                ..Self::new()
            };
        }
        fits
    }
}

impl BoundSemantics {
    /// How many of these messages, in order of time, count for the range.
    fn count(self, times: &[Millis], range: Window) -> u64 {
        let before = |second: Second, shift| {
            times.partition_point(|at| at.0 < second.start().0.saturating_add(shift))
        };
        before(range.to(), self.end_shift_ms)
            .saturating_sub(before(range.from(), self.start_shift_ms)) as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn learn(truth: BoundSemantics, times: &[Millis], known: Window) -> (BoundInference, usize) {
        let mut bounds = BoundInference::new();
        let mut questions = 0;
        while let Some(range) = bounds.next_probe(times, known) {
            questions += 1;
            bounds.observe(times, range, truth.count(times, range));
            assert!(questions < 9, "each question rules something out");
        }
        (bounds, questions)
    }

    fn meanings() -> impl Iterator<Item = BoundSemantics> {
        BoundInference::new().candidates.into_iter()
    }

    proptest! {
        #[test]
        fn what_is_left_of_the_meanings_counts_everything_alike(
            mut times in prop::collection::vec(0i64..12_000, 0..60), on_seconds in any::<bool>(), truth in 0usize..9,
        ) {
            times.sort_unstable();
            let moment = |at: i64| Millis(if on_seconds { at / 1000 * 1000 } else { at });
            let times: Vec<Millis> = times.into_iter().map(moment).collect();
            let known = Window::new(Second(0), Second(12)).unwrap();
            let truth = meanings().nth(truth).unwrap();
            let (bounds, questions) = learn(truth, &times, known);
            prop_assert!(bounds.candidates.contains(&truth) && questions <= 4);
            for from in 0..11 {
                for to in from + 1..12 {
                    let range = Window::new(Second(from), Second(to)).unwrap();
                    prop_assert_eq!(bounds.candidates[0].count(&times, range), truth.count(&times, range));
                }
            }
        }
    }

    #[test]
    fn changed_history_resets_the_inference() {
        let times = [Millis(500), Millis(1500), Millis(2500)];
        let mut bounds = BoundInference::new();
        assert!(!bounds.observe(&times, Window::new(Second(0), Second(2)).unwrap(), 17));
        assert_eq!(bounds.candidates.len(), 9);
    }
}

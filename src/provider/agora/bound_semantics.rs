//! The meaning of a range's bounds at Agora, found out by elimination.
//!
//! The documents do not say whether a bound itself lies in the range, or whether it stands for a
//! moment or for its whole second. Reading is made safe by a margin. Counting is not: a count does
//! not show which messages it includes. So a few messages are read, ranges among them are counted,
//! and every meaning is eliminated that would have given another count.

use crate::domain::time::{Millis, Second};
use crate::domain::window::Window;
use crate::provider::limits::agora::MAX_BOUND_PROBES;

/// The possible distances from the second that a bound names to the edge of what is counted, in
/// milliseconds: none, past the moment itself, or past its whole second.
const SHIFTS_MS: [i64; 3] = [0, 1, 1000];

/// One possible meaning of the two bounds: how far after each the edge of the count lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct BoundSemantics {
    start_shift_ms: i64,
    end_shift_ms: i64,
}

/// The meanings that no count has contradicted.
#[derive(Clone, Debug)]
pub(super) struct BoundInference {
    candidates: Vec<BoundSemantics>,
    /// The number of attempts to eliminate some.
    attempts: u32,
}

impl BoundInference {
    /// Starts with all meanings.
    pub(super) fn new() -> Self {
        let candidates = SHIFTS_MS.into_iter().flat_map(|start_shift_ms| {
            SHIFTS_MS.map(|end_shift_ms| BoundSemantics {
                start_shift_ms,
                end_shift_ms,
            })
        });
        Self {
            candidates: candidates.collect(),
            attempts: 0,
        }
    }

    /// Returns the first moment that is counted for this range, and the first after it, by the
    /// likeliest meaning.
    pub(super) fn counted_span(&self, range: Window) -> (Millis, Millis) {
        let unshifted = BoundSemantics {
            start_shift_ms: 0,
            end_shift_ms: 0,
        };
        let likeliest = self.candidates.first().copied().unwrap_or(unshifted);
        let from = shifted(range.from(), likeliest.start_shift_ms);
        let to = shifted(range.to(), likeliest.end_shift_ms);
        (from, to)
    }

    /// True if `count` of these messages, in order of time, can be the count of a range by some
    /// remaining meaning.
    pub(super) fn is_consistent_with(&self, times: &[Millis], range: Window, count: u64) -> bool {
        self.candidates
            .iter()
            .any(|meaning| meaning.count(times, range) == count)
    }

    /// True if another attempt to eliminate meanings is worth its requests.
    pub(super) fn is_undecided(&self) -> bool {
        self.candidates.len() > 1 && self.attempts < MAX_BOUND_PROBES
    }

    pub(super) fn record_attempt(&mut self) {
        self.attempts += 1;
    }

    /// Returns the range whose count eliminates the most meanings; `None` if all give the same.
    /// `times` are those of all messages from `known.from()` up to, not including, the start of
    /// `known.to()`.
    pub(super) fn next_probe(&self, times: &[Millis], known: Window) -> Option<Window> {
        let around_messages = times
            .iter()
            .flat_map(|at| [at.second(), at.second().plus(1)]);
        let mut seconds: Vec<Second> = around_messages.chain([known.from()]).collect();
        seconds.sort_unstable();
        seconds.dedup();
        // The edge may lie a whole second after the bound, and the messages there must be known
        // too.
        seconds.retain(|second| known.from() <= *second && second.plus(1) <= known.to());
        let ranges = seconds
            .iter()
            .flat_map(|&from| seconds.iter().filter_map(move |&to| Window::new(from, to)));
        let probes = ranges.map(|range| (self.distinct_counts(times, range), range));
        let (_, range) = probes
            .filter(|(counts, _)| *counts > 1)
            .max_by_key(|(counts, _)| *counts)?;
        Some(range)
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

    /// Eliminates the meanings that contradict the provider's count. Returns false if none is left:
    /// the history has changed in between, and all meanings are possible again.
    pub(super) fn observe(&mut self, times: &[Millis], range: Window, count: u64) -> bool {
        self.candidates
            .retain(|meaning| meaning.count(times, range) == count);
        let is_consistent = !self.candidates.is_empty();
        if !is_consistent {
            *self = Self {
                attempts: self.attempts,
                ..Self::new()
            };
        }
        is_consistent
    }
}

impl BoundSemantics {
    /// Returns the number of these messages, in order of time, that count for the range.
    fn count(self, times: &[Millis], range: Window) -> u64 {
        let before = |edge: Millis| times.partition_point(|at| *at < edge);
        let before_start = before(shifted(range.from(), self.start_shift_ms));
        let before_end = before(shifted(range.to(), self.end_shift_ms));
        before_end.saturating_sub(before_start) as u64
    }
}

fn shifted(second: Second, shift_ms: i64) -> Millis {
    Millis(second.start().0.saturating_add(shift_ms))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn learn(truth: BoundSemantics, times: &[Millis], known: Window) -> (BoundInference, usize) {
        let mut bounds = BoundInference::new();
        let mut probes = 0;
        while let Some(range) = bounds.next_probe(times, known) {
            probes += 1;
            bounds.observe(times, range, truth.count(times, range));
            assert!(probes < 9, "each probe eliminates a meaning");
        }
        (bounds, probes)
    }

    fn meanings() -> impl Iterator<Item = BoundSemantics> {
        BoundInference::new().candidates.into_iter()
    }

    proptest! {
        #[test]
        fn remaining_meanings_count_every_range_alike(
            mut times in prop::collection::vec(0i64..12_000, 0..60), on_seconds in any::<bool>(), truth in 0usize..9,
        ) {
            times.sort_unstable();
            let moment = |at: i64| Millis(if on_seconds { at / 1000 * 1000 } else { at });
            let times: Vec<Millis> = times.into_iter().map(moment).collect();
            let known = Window::new(Second(0), Second(12)).unwrap();
            let truth = meanings().nth(truth).unwrap();
            let (bounds, probes) = learn(truth, &times, known);
            prop_assert!(bounds.candidates.contains(&truth) && probes <= 4);
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

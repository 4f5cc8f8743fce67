//! The usual time from a request to the beginning of its answer.
//!
//! Nobody but the provider knows when a request reaches it: some time before its answer. An answer
//! that comes much later than usual shows that the request may have been late as well (a lost
//! packet, a busy machine), and could then fall into the same second as later ones. Only unusual
//! lateness counts: if each request counted from its answer, the whole rate would never be used.

use std::time::Duration;

/// The smoothed time of a round trip and its mean deviation, as TCP estimates them (RFC 6298).
#[derive(Debug, Default)]
pub(super) struct RoundTrip {
    /// `None` before the first answer.
    estimate: Option<Estimate>,
}

#[derive(Clone, Copy, Debug)]
struct Estimate {
    usual: Duration,
    deviation: Duration,
}

impl RoundTrip {
    /// Records a round trip. Returns the time by which it took longer than usual, if that is unusual.
    /// Of the first one, nothing is known: it counts as a whole.
    pub(super) fn record(&mut self, took: Duration) -> Option<Duration> {
        let Some(Estimate { usual, deviation }) = self.estimate else {
            self.estimate = Some(Estimate {
                usual: took,
                deviation: took / 2,
            });
            return Some(took);
        };
        self.estimate = Some(Estimate {
            usual: (usual * 7 + took) / 8,
            deviation: (deviation * 3 + took.abs_diff(usual)) / 4,
        });
        let excess = took.saturating_sub(usual);
        (excess > deviation * 4).then_some(excess)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn only_unusual_lateness_counts() {
        let mut round_trip = RoundTrip::default();
        assert_eq!(round_trip.record(80 * MS), Some(80 * MS), "the first");
        for n in 0..100 {
            let took = MS * (20 + n * 7 % 15);
            assert_eq!(round_trip.record(took), None, "{n}: usual jitter");
        }
        let late = round_trip.record(250 * MS).unwrap();
        assert!((200 * MS..240 * MS).contains(&late), "{late:?}");
    }

    #[test]
    fn slow_answers_among_fast_ones_are_usual_after_a_while() {
        let mut round_trip = RoundTrip::default();
        let late = (0..1000).filter(|n| {
            let took = if n % 3 == 0 { 900 * MS } else { 30 * MS };
            round_trip.record(took).is_some()
        });
        assert!(late.count() <= 2);
    }
}

//! Distribution of generated messages over time and accounts.

use std::time::Duration;

use crate::domain::time::Millis;

/// A time range to fill with messages, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct FillRange {
    pub(super) start: i64,
    pub(super) length: i64,
}

impl FillRange {
    /// Returns the range of this length that ends at `now`.
    pub(super) fn ending_at(now: Millis, length: Duration) -> Self {
        let start = now.minus(length).0;
        Self {
            start,
            length: now.0.saturating_sub(start),
        }
    }

    /// Returns `count` times in the range, in order: evenly spread, or with bursts and pauses like
    /// human conversation.
    pub(super) fn sample_times(
        self,
        rng: &mut fastrand::Rng,
        count: usize,
        even: bool,
    ) -> Vec<i64> {
        let mut elapsed: i128 = 0;
        let steps: Vec<i128> = (0..count)
            .map(|_| {
                elapsed += if even {
                    1
                } else {
                    i128::from(random_pause(rng))
                };
                elapsed
            })
            .collect();
        // Scaled so that the last time is just before the end.
        let whole = elapsed + 1;
        let scale = |step: i128| {
            i64::try_from(step * i128::from(self.length) / whole).unwrap_or(self.length)
        };
        steps
            .into_iter()
            .map(|step| self.start + scale(step))
            .collect()
    }

    /// Returns a multiple of `unit` milliseconds near the middle of the range, `n` units further
    /// on.
    pub(super) fn round_multiple(self, unit: i64, n: i64) -> i64 {
        let at = (self.start + self.length / 2).div_euclid(unit) * unit + n * unit;
        if (self.start..self.start + self.length).contains(&at) {
            at
        } else {
            self.start
        }
    }
}

/// Returns a random pause until the next message, in no particular unit: mostly short, sometimes
/// longer, rarely very long.
fn random_pause(rng: &mut fastrand::Rng) -> u32 {
    match rng.u16(0..1000) {
        0..=599 => rng.u32(0..6),
        600..=979 => rng.u32(20..200),
        980..=998 => rng.u32(1000..5000),
        _ => rng.u32(50_000..100_000),
    }
}

/// Returns the share of part number `index` when `total` items are split into `parts` parts.
pub(super) fn share_of(total: usize, parts: usize, index: usize) -> usize {
    total
        .checked_div(parts)
        .map_or(0, |each| each + usize::from(index < total - each * parts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Day;

    const DAY: FillRange = FillRange {
        start: 1_700_000_000_000,
        length: Day::MILLIS,
    };

    #[test]
    fn times_are_sorted_and_inside_the_range() {
        for even in [true, false] {
            let times = DAY.sample_times(&mut fastrand::Rng::with_seed(3), 5000, even);
            assert_eq!(times.len(), 5000);
            assert!(times.is_sorted());
            assert!(times[0] >= DAY.start && times[4999] < DAY.start + DAY.length);
        }
    }

    #[test]
    fn uneven_times_contain_bursts_and_pauses() {
        let times = DAY.sample_times(&mut fastrand::Rng::with_seed(3), 5000, false);
        let gaps: Vec<i64> = times.windows(2).map(|w| w[1] - w[0]).collect();
        let average = DAY.length / 5000;
        assert!(
            gaps.iter().filter(|&&gap| gap < average / 10).count() > 2000,
            "bursts"
        );
        assert!(gaps.iter().any(|&gap| gap > 200 * average), "silences");
    }

    #[test]
    fn shares_add_up_to_the_total() {
        assert_eq!(
            (0..3).map(|i| share_of(10, 3, i)).collect::<Vec<_>>(),
            [4, 3, 3]
        );
        assert_eq!(share_of(10, 0, 0), 0);
    }
}

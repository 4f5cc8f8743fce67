//! Generated histories. They depend only on the seed, the time and the options.

mod agora;
mod text;
mod web3mq;

use std::time::Duration;

pub(super) use self::agora::{agora_projects, app_id, random_agora_message};
pub(super) use self::web3mq::{
    group_id, random_web3mq_message, text_message, user_id, web3mq_accounts,
};
use crate::domain::time::Millis;

/// A time range to fill with messages, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct FillRange {
    start: i64,
    length: i64,
}

impl FillRange {
    fn ending_at(now: Millis, length: Duration) -> Self {
        let start = now.minus(length).0;
        Self {
            start,
            length: now.0.saturating_sub(start),
        }
    }

    /// Returns `count` times in the range, in order: evenly spread, or with bursts and pauses like
    /// human conversation.
    fn sample_times(self, rng: &mut fastrand::Rng, count: usize, even: bool) -> Vec<i64> {
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
    fn round_multiple(self, unit: i64, n: i64) -> i64 {
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
fn share_of(total: usize, parts: usize, index: usize) -> usize {
    total
        .checked_div(parts)
        .map_or(0, |each| each + usize::from(index < total - each * parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: FillRange = FillRange {
        start: 1_700_000_000_000,
        length: 86_400_000,
    };

    #[test]
    fn moments_lie_in_the_stretch_in_order() {
        for even in [true, false] {
            let moments = DAY.sample_times(&mut fastrand::Rng::with_seed(3), 5000, even);
            assert_eq!(moments.len(), 5000);
            assert!(moments.is_sorted());
            assert!(moments[0] >= DAY.start && moments[4999] < DAY.start + DAY.length);
        }
    }

    #[test]
    fn people_write_in_bursts_and_fall_silent() {
        let moments = DAY.sample_times(&mut fastrand::Rng::with_seed(3), 5000, false);
        let gaps: Vec<i64> = moments.windows(2).map(|w| w[1] - w[0]).collect();
        let average = DAY.length / 5000;
        assert!(
            gaps.iter().filter(|&&gap| gap < average / 10).count() > 2000,
            "bursts"
        );
        assert!(gaps.iter().any(|&gap| gap > 200 * average), "silences");
    }

    #[test]
    fn shares_add_up() {
        assert_eq!(
            (0..3).map(|i| share_of(10, 3, i)).collect::<Vec<_>>(),
            [4, 3, 3]
        );
        assert_eq!(share_of(10, 0, 0), 0);
    }
}

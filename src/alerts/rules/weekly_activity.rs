//! Detects that a stream has fallen silent, by its weekly activity pattern. Pure.
//!
//! The length of a silence alone means nothing: nights and weekends are silent, and some streams
//! are rarely used. A silence is measured by the activity that would be usual during it. Each hour
//! counts as the share of the other weeks in which the stream was active in the same hour: an
//! office's night counts as nothing, its Monday morning as nearly an hour each. A stream is silent
//! if the silence counts as a minimum number of hours, and as several times as much as any silence
//! of the last weeks, each measured by the other weeks.
//!
//! The weekends of a stream younger than two weeks are not known. It is silent only if the silence
//! is longer than a weekend, and several times as long as any earlier one.

use std::collections::HashSet;

use crate::alerts::limits::{
    LOOKBACK_H, MIN_ACTIVE_HOURS, MIN_ACTIVE_SPAN_H, MIN_MISSED_HOURS, MIN_WEEKS, SILENCE_FACTOR,
    WEEK_H, WEEKEND_H,
};

/// True if a usually active stream has stopped. `active`: the hours since 1970 with messages,
/// ascending, within the lookback; they are complete up to the start of hour `to`.
pub fn is_silent(active: &[i64], to: i64) -> bool {
    let (Some(&first), Some(&last)) = (active.first(), active.last()) else {
        return false;
    };
    if active.len() < MIN_ACTIVE_HOURS || to - last <= 1 {
        return false;
    }
    if (last + 1 - first) / WEEK_H < MIN_WEEKS {
        return is_young_stream_silent(active, first, last, to);
    }
    let activity = WeeklyActivity {
        active: active.iter().copied().collect(),
        first,
        last,
    };
    let missed = activity.expected_active_hours(last + 1, to);
    let is_longer_than_usual = |(from, to): (i64, i64)| {
        missed >= SILENCE_FACTOR * activity.expected_active_hours(from, to)
    };
    missed >= MIN_MISSED_HOURS && earlier_silences(active).all(is_longer_than_usual)
}

/// Like [`is_silent`], for a stream whose weekends are not known yet.
fn is_young_stream_silent(active: &[i64], first: i64, last: i64, to: i64) -> bool {
    let silence_h = to - last - 1;
    let earlier_h = earlier_silences(active).map(|(from, to)| to - from);
    let longest_h = earlier_h.max().unwrap_or(0);
    last - first >= MIN_ACTIVE_SPAN_H
        && silence_h > WEEKEND_H
        && silence_h as f64 >= SILENCE_FACTOR * longest_h as f64
}

/// Returns the half-open ranges of hours without activity between active hours.
fn earlier_silences(active: &[i64]) -> impl Iterator<Item = (i64, i64)> {
    active
        .windows(2)
        .filter(|pair| pair[1] - pair[0] > 1)
        .map(|pair| (pair[0] + 1, pair[1]))
}

/// The weekly activity of a stream.
struct WeeklyActivity {
    active: HashSet<i64>,
    first: i64,
    last: i64,
}

impl WeeklyActivity {
    /// Returns the number of usually active hours in a range, by the same hours of the other weeks.
    fn expected_active_hours(&self, from: i64, to: i64) -> f64 {
        (from..to).map(|hour| self.activity_share(hour)).sum()
    }

    /// Returns the share of the other weeks in which the stream was active in the same hour.
    fn activity_share(&self, hour: i64) -> f64 {
        let weeks = LOOKBACK_H / WEEK_H + (hour - self.last).max(0) / WEEK_H + 1;
        let same = (-weeks..=weeks)
            .filter(|week| *week != 0)
            .map(|week| hour + week * WEEK_H);
        let known: Vec<i64> = same
            .filter(|hour| (self.first..=self.last).contains(hour))
            .collect();
        if known.is_empty() {
            return 0.0;
        }
        let active = known.iter().filter(|hour| self.active.contains(hour));
        active.count() as f64 / known.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A Monday at midnight, in hours since 1970, which began on a Thursday.
    const MONDAY: i64 = 96 + 2900 * WEEK_H;

    /// Returns the active hours of this many weeks from the first Monday on.
    fn active_hours(weeks: i64, is_active: impl Fn(i64) -> bool) -> Vec<i64> {
        (0..weeks * WEEK_H)
            .filter(|hour| is_active(*hour))
            .map(|hour| MONDAY + hour)
            .collect()
    }

    /// Returns the number of silent hours after which the silence is detected.
    fn hours_until_silent(active: &[i64]) -> Option<i64> {
        let last = active[active.len() - 1];
        (0..LOOKBACK_H).find(|silence| is_silent(active, last + 1 + silence))
    }

    fn is_office_hour(hour: i64) -> bool {
        hour % WEEK_H < 120 && (9..17).contains(&(hour % 24))
    }

    #[test]
    fn an_always_active_stream_is_silent_after_six_hours() {
        assert_eq!(hours_until_silent(&active_hours(4, |_| true)), Some(6));
    }

    #[test]
    fn nights_and_weekends_are_not_silence() {
        let weeks = active_hours(4, is_office_hour);
        // The last active hour is Friday 16:00 to 17:00; the silence is detected on Monday
        // afternoon.
        assert_eq!(hours_until_silent(&weeks), Some(7 + 48 + 9 + 6));
        let to_tuesday: Vec<i64> = weeks
            .iter()
            .copied()
            .filter(|hour| *hour < MONDAY + 3 * WEEK_H + 34)
            .collect();
        assert_eq!(
            hours_until_silent(&to_tuesday),
            Some(6),
            "in the middle of the day"
        );
    }

    #[test]
    fn a_recent_holiday_lengthens_the_allowed_silence() {
        let with_a_holiday = active_hours(4, |hour| is_office_hour(hour) && hour / 24 != 9);
        assert!(
            hours_until_silent(&with_a_holiday).unwrap() > 7 + 48 + 2 * 24,
            "{:?}",
            hours_until_silent(&with_a_holiday)
        );
    }

    #[test]
    fn a_bursty_stream_is_allowed_long_pauses() {
        // Bursts of three hours at random times.
        let mut dice = fastrand::Rng::with_seed(7);
        let starts: Vec<i64> = (0..4 * WEEK_H).filter(|_| dice.u32(0..30) == 0).collect();
        let bursts = active_hours(4, |hour| {
            starts
                .iter()
                .any(|start| (*start..start + 3).contains(&hour))
        });
        let longest = bursts
            .windows(2)
            .map(|pair| pair[1] - pair[0])
            .max()
            .unwrap();
        assert!(
            hours_until_silent(&bursts).is_none_or(|silence| silence > 2 * longest),
            "{:?} after {longest}",
            hours_until_silent(&bursts)
        );
    }

    #[test]
    fn a_mondays_only_stream_is_silent_on_the_next_monday() {
        let mondays = active_hours(4, |hour| hour % WEEK_H < 24 && hour % 24 >= 8);
        assert_eq!(hours_until_silent(&mondays), Some(6 * 24 + 8 + 6));
    }

    #[test]
    fn a_young_stream_is_allowed_a_weekend() {
        let days = active_hours(1, |hour| is_office_hour(hour) || hour == 135);
        let silence = hours_until_silent(&days).unwrap();
        assert!(silence > WEEKEND_H, "{silence}");
        assert_eq!(
            hours_until_silent(&active_hours(1, |hour| hour < 100)),
            None,
            "of a few days nothing is known"
        );
    }

    #[test]
    fn a_rarely_active_stream_is_never_silent() {
        assert_eq!(
            hours_until_silent(&active_hours(4, |hour| hour % WEEK_H == 9)),
            None
        );
        assert!(!is_silent(&[], MONDAY));
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 24,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        /// A detected silence lasts until there is a new message, or until all activity is outside
        /// the lookback.
        #[test]
        fn silence_lasts_until_new_messages(
            hours in prop::collection::btree_set(0..LOOKBACK_H, 1..300),
            more in 0..400_i64,
        ) {
            let active: Vec<i64> = hours.into_iter().map(|hour| MONDAY + hour).collect();
            if let Some(silence) = hours_until_silent(&active) {
                prop_assert!(is_silent(&active, active[active.len() - 1] + 1 + silence + more));
            }
        }

        /// A stream that repeats its week is never silent.
        #[test]
        fn a_repeating_week_is_never_silent(
            week in prop::collection::btree_set(0..WEEK_H, 6..168),
            at in 0..WEEK_H,
        ) {
            let usual = active_hours(4, |hour| week.contains(&(hour % WEEK_H)));
            // Any moment of the last week.
            let to = MONDAY + 3 * WEEK_H + at;
            let known: Vec<i64> = usual.into_iter().filter(|hour| *hour < to).collect();
            prop_assert!(!is_silent(&known, to), "{:?}", week);
        }

        /// With random activity in every hour, half a year has at most one false alarm.
        #[test]
        fn random_activity_is_hardly_ever_silent(seed in any::<u64>(), share in 0.05..1.0_f64) {
            let mut dice = fastrand::Rng::with_seed(seed);
            let mut all = active_hours(26, |_| true);
            all.retain(|_| dice.f64() < share);
            let known_from = MONDAY + 4 * WEEK_H;
            let mut false_alarms = 0;
            for (at, pair) in all.windows(2).enumerate() {
                let (last, next) = (pair[0], pair[1]);
                if last < known_from || next - last <= 1 {
                    continue;
                }
                let from = all.partition_point(|hour| *hour < last - LOOKBACK_H);
                false_alarms += u32::from(is_silent(&all[from..=at], next));
            }
            prop_assert!(false_alarms <= 1, "{} of {}", false_alarms, share);
        }
    }
}

//! Whether a stream has fallen silent, by its own rhythm. Pure.
//!
//! A silence says nothing by its length: nights and weekends are silent, and some streams speak once in a while. It says
//! something by what would usually have come in it. So every hour counts for as much as the stream was active in the same
//! hour of the weeks before: an office's night counts for nothing, its Monday morning for nearly an hour each. A silence
//! is out of rhythm once it counts for more than is usual, and for several times as much as any silence of the last weeks
//! did, each measured by the other weeks.
//!
//! Of a stream that is younger than two weeks its weekends are not known: only a silence that is longer than a weekend,
//! and several times as long as any other, is out of rhythm.

use std::collections::HashSet;

/// How far back a stream's rhythm is looked at, in hours: four weeks.
pub const LOOKBACK_H: i64 = 4 * WEEK_H;
const WEEK_H: i64 = 168;
/// Weeks before the silence by which a rhythm can be told.
const MIN_WEEKS: i64 = 2;
/// A silence that counts for less is none.
const MIN_MISSED_HOURS: f64 = 6.0;
/// How many times as much it must count for as the longest of those before.
const SILENCE_FACTOR: f64 = 3.0;
/// Of a young stream: a silence that is no longer is a weekend, in hours …
const WEEKEND_H: i64 = 72;
/// … and one that has not been active for so long has no rhythm at all.
const MIN_ACTIVE_SPAN_H: i64 = 120;
/// A stream that was active in fewer hours did not always bring messages.
const MIN_ACTIVE_HOURS: usize = 12;

/// Whether a stream has stopped bringing messages though it always did. `active` are the hours since 1970 in which it
/// brought any, in order, as far as they are looked back at; all of it is known up to the beginning of the hour `to`.
pub fn is_silent(active: &[i64], to: i64) -> bool {
    let (Some(&first), Some(&last)) = (active.first(), active.last()) else {
        return false;
    };
    if active.len() < MIN_ACTIVE_HOURS || to - last <= 1 {
        return false;
    }
    let gaps = || {
        active
            .windows(2)
            .filter(|pair| pair[1] - pair[0] > 1)
            .map(|pair| (pair[0] + 1, pair[1]))
    };
    if (last + 1 - first) / WEEK_H < MIN_WEEKS {
        let longest = gaps().map(|(from, to)| to - from).max().unwrap_or(0);
        let silence = to - last - 1;
        return last - first >= MIN_ACTIVE_SPAN_H
            && silence > WEEKEND_H
            && silence as f64 >= SILENCE_FACTOR * longest as f64;
    }
    let week = WeeklyActivity {
        active: active.iter().copied().collect(),
        first,
        last,
    };
    let missed = week.expected_active_hours(last + 1, to);
    missed >= MIN_MISSED_HOURS
        && gaps().all(|(from, to)| missed >= SILENCE_FACTOR * week.expected_active_hours(from, to))
}

/// What is known of a stream's weeks.
struct WeeklyActivity {
    active: HashSet<i64>,
    first: i64,
    last: i64,
}

impl WeeklyActivity {
    /// In how many hours of a range the stream would have been active, by the same hours of the other weeks.
    fn expected_active_hours(&self, from: i64, to: i64) -> f64 {
        (from..to).map(|hour| self.activity_share(hour)).sum()
    }

    /// How often it was active in the same hour of the other weeks.
    fn activity_share(&self, hour: i64) -> f64 {
        let weeks = LOOKBACK_H / WEEK_H + (hour - self.last).max(0) / WEEK_H + 1;
        let same = (-weeks..=weeks)
            .filter(|week| *week != 0)
            .map(|week| hour + week * WEEK_H);
        let known: Vec<i64> = same
            .filter(|hour| (self.first..=self.last).contains(hour))
            .collect();
        let active = known
            .iter()
            .filter(|hour| self.active.contains(hour))
            .count();
        if known.is_empty() {
            0.0
        } else {
            active as f64 / known.len() as f64
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A Monday at midnight, in hours since 1970: the first day of 1970 was a Thursday.
    const MONDAY: i64 = 96 + 2900 * WEEK_H;

    /// The hours of so many weeks from the first Monday on in which it is active.
    fn active_hours(weeks: i64, is_active: impl Fn(i64) -> bool) -> Vec<i64> {
        (0..weeks * WEEK_H)
            .filter(|hour| is_active(*hour))
            .map(|hour| MONDAY + hour)
            .collect()
    }

    /// After how many hours of silence it is noticed.
    fn hours_until_silent(active: &[i64]) -> Option<i64> {
        let last = active[active.len() - 1];
        (0..LOOKBACK_H).find(|silence| is_silent(active, last + 1 + silence))
    }

    fn is_office_hour(hour: i64) -> bool {
        hour % WEEK_H < 120 && (9..17).contains(&(hour % 24))
    }

    #[test]
    fn a_stream_that_never_rests_is_missed_within_hours() {
        assert_eq!(hours_until_silent(&active_hours(4, |_| true)), Some(6));
    }

    #[test]
    fn nights_and_weekends_are_no_silence() {
        let weeks = active_hours(4, is_office_hour);
        // Its last hour was on Friday from four to five; it is missed on Monday afternoon.
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
    fn a_holiday_of_the_last_weeks_makes_it_more_patient() {
        let with_a_holiday = active_hours(4, |hour| is_office_hour(hour) && hour / 24 != 9);
        assert!(
            hours_until_silent(&with_a_holiday).unwrap() > 7 + 48 + 2 * 24,
            "{:?}",
            hours_until_silent(&with_a_holiday)
        );
    }

    #[test]
    fn a_bursty_stream_has_its_pauses() {
        // A burst of three hours now and then, at no particular time.
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
    fn what_speaks_on_mondays_only_is_missed_on_monday() {
        let mondays = active_hours(4, |hour| hour % WEEK_H < 24 && hour % 24 >= 8);
        assert_eq!(hours_until_silent(&mondays), Some(6 * 24 + 8 + 6));
    }

    #[test]
    fn of_a_young_stream_a_weekend_is_not_known() {
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
    fn a_stream_that_is_hardly_active_did_not_always_bring_messages() {
        assert_eq!(
            hours_until_silent(&active_hours(4, |hour| hour % WEEK_H == 9)),
            None
        );
        assert!(!is_silent(&[], MONDAY));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever its rhythm: once it is silent it stays so until something comes, or all that is known is forgotten.
        #[test]
        fn a_longer_silence_is_a_silence_still(hours in prop::collection::btree_set(0..LOOKBACK_H, 1..300), more in 0..400_i64) {
            let active: Vec<i64> = hours.into_iter().map(|hour| MONDAY + hour).collect();
            if let Some(silence) = hours_until_silent(&active) {
                prop_assert!(is_silent(&active, active[active.len() - 1] + 1 + silence + more));
            }
        }

        /// A stream that goes on as it did, whatever that is week by week, is never silent.
        #[test]
        fn who_keeps_its_week_is_never_silent(week in prop::collection::btree_set(0..WEEK_H, 6..168), at in 0..WEEK_H) {
            let usual = active_hours(4, |hour| week.contains(&(hour % WEEK_H)));
            // Up to some moment of the last week.
            let to = MONDAY + 3 * WEEK_H + at;
            let known: Vec<i64> = usual.into_iter().filter(|hour| *hour < to).collect();
            prop_assert!(!is_silent(&known, to), "{:?}", week);
        }

        /// Within half a year. Where every hour is a throw of the dice, hardly any silence is taken for an end.
        #[test]
        fn chance_is_no_silence(seed in any::<u64>(), share in 0.05..1.0_f64) {
            let mut dice = fastrand::Rng::with_seed(seed);
            let all: Vec<i64> = active_hours(26, |_| true).into_iter().filter(|_| dice.f64() < share).collect();
            let false_alarms = all.windows(2).enumerate().skip_while(|(_, pair)| pair[0] < MONDAY + 4 * WEEK_H);
            let false_alarms = false_alarms.filter(|(at, pair)| {
                pair[1] - pair[0] > 1 && {
                    let from = all.partition_point(|hour| *hour < pair[0] - LOOKBACK_H);
                    is_silent(&all[from..=*at], pair[1])
                }
            });
            let count = false_alarms.count();
            prop_assert!(count <= 1, "{} of {}", count, share);
        }
    }
}

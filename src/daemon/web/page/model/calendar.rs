//! The days of a stream: their state and number of messages. Pure.

use super::health::AssessedStream;
use crate::domain::time::Day;
use crate::domain::window::Window;
use crate::store::LedgerDay;

/// The worst state within a day, in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum DayState {
    /// No part of the day is wanted, or the day is in the future.
    NotWanted,
    Sealed,
    Suspect,
    Gap,
    Lost,
}

impl DayState {
    /// The states that the legend explains.
    pub(crate) const ALL: [Self; 4] = [Self::Sealed, Self::Suspect, Self::Gap, Self::Lost];

    /// The displayed word, which is also the CSS class.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NotWanted => "none",
            Self::Sealed => "sealed",
            Self::Suspect => "suspect",
            Self::Gap => "gap",
            Self::Lost => "lost",
        }
    }

    /// The sign that expresses the state without colour.
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Self::NotWanted => "",
            Self::Sealed => "✓",
            Self::Suspect => "?",
            Self::Gap => "○",
            Self::Lost => "✕",
        }
    }
}

/// One day of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamDay {
    pub(crate) day: Day,
    pub(crate) state: DayState,
    pub(crate) messages: u64,
    /// True if some messages are an even share of a ledger row that covers several days.
    pub(crate) is_estimated: bool,
    /// The missing and the lost seconds of the day.
    pub(crate) gap_s: u64,
    pub(crate) lost_s: u64,
}

/// Returns the first day of a day's month, and the number of days in the month.
pub(crate) fn month_of(day: Day) -> (Day, usize) {
    let Some(date) = day.date() else {
        return (day, 1);
    };
    let first = Day::from_date(date.first_of_month()).unwrap_or(day);
    let length = usize::try_from(date.days_in_month()).unwrap_or(1);
    (first, length)
}

/// Returns `count` days from `first` on, from the sealed parts of a stream. The messages of a
/// ledger row that covers several days are distributed evenly.
pub(crate) fn stream_days(
    first: Day,
    count: usize,
    stream: &AssessedStream<'_>,
    ledger_days: &[LedgerDay],
) -> Vec<StreamDay> {
    let mut days: Vec<StreamDay> = (0..count as i64)
        .map(|n| empty_day(first.plus(n)))
        .collect();
    let mut sealed_s = vec![0; count];
    for ledger_day in ledger_days {
        for (day, sealed_s) in days.iter_mut().zip(&mut sealed_s) {
            *sealed_s += add_sealed(day, ledger_day);
        }
    }
    for (day, sealed_s) in days.iter_mut().zip(sealed_s) {
        assess_day(day, sealed_s, stream);
    }
    days
}

/// Adds the part of a sealed range that is on this day. Returns its sealed seconds.
fn add_sealed(day: &mut StreamDay, sealed: &LedgerDay) -> u64 {
    let begins = Day::containing(sealed.window.from());
    let ends = Day::containing(sealed.window.to().plus(-1));
    if day.day < begins || ends < day.day {
        return 0;
    }
    if sealed.is_suspect {
        day.state = DayState::Suspect;
    }
    if begins == ends {
        day.messages += sealed.messages;
        return sealed.seconds;
    }
    let part = sealed.window.intersect(Window::of_day(day.day));
    let seconds = part.map_or(0, Window::seconds);
    day.messages += proportion(sealed.messages, seconds, sealed.window.seconds());
    day.is_estimated = true;
    seconds
}

fn empty_day(day: Day) -> StreamDay {
    StreamDay {
        day,
        state: DayState::NotWanted,
        messages: 0,
        is_estimated: false,
        gap_s: 0,
        lost_s: 0,
    }
}

/// Returns the part of `all` that corresponds to `seconds` of `whole`.
fn proportion(all: u64, seconds: u64, whole: u64) -> u64 {
    let part = u128::from(all) * u128::from(seconds) / u128::from(whole.max(1));
    u64::try_from(part).unwrap_or(all)
}

/// Sets the state of a day from its sealed seconds. Unsealed parts are missing after the horizon
/// and lost before it.
fn assess_day(day: &mut StreamDay, sealed_s: u64, stream: &AssessedStream<'_>) {
    let status = stream.status;
    let seconds_in = |range: &Window| {
        let part = range.intersect(Window::of_day(day.day));
        part.map_or(0, Window::seconds)
    };
    let wanted = Window::new(status.wanted_from, status.frontier.settled_to);
    let wanted_s = wanted.as_ref().map_or(0, seconds_in);
    let missing_s: u64 = status.missing.iter().map(seconds_in).sum();
    let expired = status.frontier.horizon.and_then(|horizon| {
        Window::new(status.wanted_from, horizon.min(status.frontier.settled_to))
    });
    let expired_s = expired.as_ref().map_or(0, seconds_in);
    let unsealed_s = wanted_s.saturating_sub(sealed_s);
    let lost_s = match stream.lost_s {
        0 => 0,
        _ => unsealed_s.saturating_sub(missing_s).min(expired_s),
    };
    let gap_s = stream.gaps.iter().map(seconds_in).sum();
    day.state = if lost_s > 0 {
        DayState::Lost
    } else if gap_s > 0 {
        DayState::Gap
    } else if day.state == DayState::Suspect {
        DayState::Suspect
    } else if sealed_s > 0 {
        DayState::Sealed
    } else {
        DayState::NotWanted
    };
    day.gap_s = gap_s;
    day.lost_s = lost_s;
}

#[cfg(test)]
mod tests {
    use super::super::health::tests::{NOW, stream};
    use super::*;
    use crate::domain::frontier::Frontier;
    use crate::domain::time::Second;
    use crate::store::StreamStatus;

    const TODAY: Day = Day(NOW.0 / Day::SECONDS);

    fn ledger_day(from: i64, to: i64, seconds: u64, messages: u64, is_suspect: bool) -> LedgerDay {
        LedgerDay {
            window: Window::new(Second(from), Second(to)).unwrap(),
            seconds,
            messages,
            is_suspect,
        }
    }

    #[test]
    fn a_day_has_the_worst_state_within_it() {
        let start = |days: i64| TODAY.plus(-days).start().0;
        let horizon = start(3) + 3600;
        let hole = Window::new(Second(start(1)), Second(start(1) + 60)).unwrap();
        let status = StreamStatus {
            wanted_from: Second(start(5)),
            frontier: Frontier {
                horizon: Some(Second(horizon)),
                ..stream(1).frontier
            },
            missing: vec![hole],
            lost_seconds: 86_410,
            ..stream(1)
        };
        let ledger_days = [
            // The fifth day before is unsealed; of the fourth, all but ten seconds are sealed.
            ledger_day(start(4) + 10, start(3), 86_390, 100, false),
            ledger_day(start(3), start(2) + 43_200, 129_600, 300, false),
            ledger_day(start(2) + 43_200, start(1), 43_200, 1, true),
            ledger_day(start(1) + 60, start(0), 86_340, 7, false),
            ledger_day(start(0), status.frontier.settled_to.0, 1, 8, false),
        ];
        let found = stream_days(
            TODAY.plus(-6),
            8,
            &AssessedStream::new(&status, NOW),
            &ledger_days,
        );
        let days: Vec<_> = found
            .iter()
            .map(|day| (day.state, day.messages, day.gap_s, day.lost_s))
            .collect();
        assert_eq!(
            days,
            [
                (DayState::NotWanted, 0, 0, 0),
                (DayState::Lost, 0, 0, 86_400),
                (DayState::Lost, 100, 0, 10),
                (DayState::Sealed, 200, 0, 0),
                (DayState::Suspect, 101, 0, 0),
                (DayState::Gap, 7, 60, 0),
                (DayState::Sealed, 8, 0, 0),
                (DayState::NotWanted, 0, 0, 0),
            ]
        );
        let spread = found
            .iter()
            .filter(|day| day.is_estimated)
            .map(|day| day.day.0 - TODAY.0);
        assert_eq!(spread.collect::<Vec<_>>(), [-3, -2], "a row lies in both");
    }

    #[test]
    fn a_month_has_its_calendar_length() {
        let day = Day::from_date(jiff::civil::date(2028, 2, 14)).unwrap();
        let (first, count) = month_of(day);
        assert_eq!(
            (first.date(), count),
            (Some(jiff::civil::date(2028, 2, 1)), 29)
        );
    }
}

//! A stream's days: what of each is sealed, in doubt, missing or lost, and how many messages it has. Pure.

use super::health::AssessedStream;
use crate::domain::time::Day;
use crate::domain::window::Window;
use crate::store::LedgerDay;

/// What stands first on a day's list of worries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum DayState {
    /// Nothing of it is wanted, or it is still to come.
    NotWanted,
    Sealed,
    Suspect,
    Gap,
    Lost,
}

impl DayState {
    pub(crate) const ALL: [Self; 4] = [Self::Sealed, Self::Suspect, Self::Gap, Self::Lost];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NotWanted => "none",
            Self::Sealed => "sealed",
            Self::Suspect => "suspect",
            Self::Gap => "gap",
            Self::Lost => "lost",
        }
    }

    /// The sign that says it without colour.
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

/// A day of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamDay {
    pub(crate) day: Day,
    pub(crate) state: DayState,
    pub(crate) messages: u64,
    /// Whether some of them are an even share of a ledger row that lies in several days.
    pub(crate) is_estimated: bool,
    /// How many of its seconds are missing, and how many are lost.
    pub(crate) gap_s: u64,
    pub(crate) lost_s: u64,
}

/// So many days from `first` on, of a stream of which `stretches` are sealed. The messages of ledger rows that lie in
/// several days are spread over them evenly.
pub(crate) fn stream_days(
    first: Day,
    count: usize,
    stream: &AssessedStream<'_>,
    stretches: &[LedgerDay],
) -> Vec<StreamDay> {
    let mut days: Vec<StreamDay> = (0..count as i64)
        .map(|n| empty_day(first.plus(n)))
        .collect();
    let mut sealed = vec![0; count];
    for stretch in stretches {
        let (begins, ends) = (
            Day::containing(stretch.window.from()),
            Day::containing(stretch.window.to().plus(-1)),
        );
        for (day, sealed) in days
            .iter_mut()
            .zip(&mut sealed)
            .filter(|(day, _)| begins <= day.day && day.day <= ends)
        {
            let part = stretch
                .window
                .intersect(Window::of_day(day.day))
                .map_or(0, Window::seconds);
            let within = if begins == ends {
                stretch.seconds
            } else {
                part
            };
            *sealed += within;
            let whole = if begins == ends {
                within
            } else {
                stretch.window.seconds()
            };
            day.messages += proportion(stretch.messages, within, whole);
            day.is_estimated |= begins != ends;
            if stretch.is_suspect {
                day.state = DayState::Suspect;
            }
        }
    }
    for (day, sealed) in days.iter_mut().zip(sealed) {
        assess_day(day, sealed, stream);
    }
    days
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

/// Of `all`, what falls to so many seconds of `whole`.
fn proportion(all: u64, seconds: u64, whole: u64) -> u64 {
    let part = u128::from(all) * u128::from(seconds) / u128::from(whole.max(1));
    u64::try_from(part).unwrap_or(all)
}

/// What of a day of which so many seconds are sealed is not: beyond the horizon it is missing, behind it lost.
fn assess_day(day: &mut StreamDay, sealed: u64, stream: &AssessedStream<'_>) {
    let status = stream.status;
    let seconds_in = |ranges: &[Window]| {
        let inside = ranges
            .iter()
            .filter_map(|range| range.intersect(Window::of_day(day.day)));
        inside.map(Window::seconds).sum::<u64>()
    };
    let wanted = Window::new(status.wanted_from, status.frontier.settled_to)
        .map_or(0, |wanted| seconds_in(&[wanted]));
    let behind = status.frontier.horizon.and_then(|horizon| {
        Window::new(status.wanted_from, horizon.min(status.frontier.settled_to))
    });
    let behind = behind.map_or(0, |behind| seconds_in(&[behind]));
    let lost = wanted
        .saturating_sub(sealed)
        .saturating_sub(seconds_in(&status.missing))
        .min(behind);
    let lost = if stream.lost_s > 0 { lost } else { 0 };
    let gap = seconds_in(&stream.gaps);
    (day.gap_s, day.lost_s) = (gap, lost);
    day.state = match day.state {
        _ if lost > 0 => DayState::Lost,
        _ if gap > 0 => DayState::Gap,
        DayState::Suspect => DayState::Suspect,
        _ if sealed > 0 => DayState::Sealed,
        _ => DayState::NotWanted,
    };
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
    fn a_day_says_the_worst_of_what_it_holds() {
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
        let stretches = [
            // Nothing of the fifth day before, all but ten seconds of the fourth.
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
            &stretches,
        );
        let told: Vec<_> = found
            .iter()
            .map(|day| (day.state, day.messages, day.gap_s, day.lost_s))
            .collect();
        assert_eq!(
            told,
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
}

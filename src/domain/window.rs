//! Windows: half-open time ranges on whole seconds. Planning, fetching, commits and the ledger work
//! in windows.

use std::fmt;
use std::time::Duration;

use super::time::{Day, Millis, Second};

/// The half-open time range `[from, to)` on whole seconds. Never empty.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    from: Second,
    to: Second,
}

impl Window {
    /// Returns `[from, to)`, or `None` if it contains no second.
    #[must_use]
    pub fn new(from: Second, to: Second) -> Option<Self> {
        (from < to).then_some(Self { from, to })
    }

    /// Returns the window that starts at `from` and lasts `seconds`, at least one.
    #[must_use]
    pub fn with_length(from: Second, seconds: u64) -> Self {
        let last = i64::MAX - 1;
        let from = Second(from.0.min(last));
        Self {
            from,
            to: from.plus(i64::try_from(seconds.max(1)).unwrap_or(last)),
        }
    }

    /// Returns the window of a calendar day in UTC.
    #[must_use]
    pub fn of_day(day: Day) -> Self {
        Self::with_length(day.start(), Day::SECONDS.unsigned_abs())
    }

    /// Returns the start, which belongs to the window.
    pub fn from(self) -> Second {
        self.from
    }

    /// Returns the end, which does not belong to the window.
    pub fn to(self) -> Second {
        self.to
    }

    /// Returns the window's length in seconds, at least one.
    pub fn seconds(self) -> u64 {
        self.from.0.abs_diff(self.to.0)
    }

    /// True if a message sent at this time belongs to the window.
    pub fn contains(self, at: Millis) -> bool {
        self.from.start() <= at && at < self.to.start()
    }

    /// Returns the intersection with `other`. `None` if they do not overlap.
    #[must_use]
    pub fn intersect(self, other: Self) -> Option<Self> {
        Self::new(self.from.max(other.from), self.to.min(other.to))
    }

    /// Returns the shortest window that contains both.
    #[must_use]
    pub fn hull(self, other: Self) -> Self {
        Self {
            from: self.from.min(other.from),
            to: self.to.max(other.to),
        }
    }

    /// Returns the part before `end`. `None` if there is none.
    #[must_use]
    pub fn up_to(self, end: Second) -> Option<Self> {
        Self::new(self.from, self.to.min(end))
    }

    /// Returns the part from `start` on. `None` if there is none.
    #[must_use]
    pub fn starting_at(self, start: Second) -> Option<Self> {
        Self::new(self.from.max(start), self.to)
    }

    /// Returns the window extended by `margin` at both ends. Requests to a provider use it, because
    /// a provider's bounds may be inclusive or exclusive.
    #[must_use]
    pub fn padded(self, margin: Duration) -> Self {
        let margin = i64::try_from(margin.as_secs()).unwrap_or(i64::MAX);
        Self {
            from: self.from.plus(-margin),
            to: self.to.plus(margin),
        }
    }

    /// Splits the window at the given points. Points outside the window, repeated or out of order
    /// are ignored. The pieces always cover the window exactly.
    #[must_use]
    pub fn split_at(self, cuts: &[Second]) -> Vec<Self> {
        let mut rest = self;
        let mut pieces = Vec::with_capacity(cuts.len() + 1);
        for &cut in cuts {
            if let (Some(piece), Some(after)) = (rest.up_to(cut), rest.starting_at(cut))
                && piece != rest
            {
                pieces.push(piece);
                rest = after;
            }
        }
        pieces.push(rest);
        pieces
    }

    /// Returns the points that split the window into `pieces` parts of equal length. Returns fewer
    /// points if the window has fewer seconds.
    #[must_use]
    pub fn even_split_points(self, pieces: u64) -> Vec<Second> {
        let pieces = pieces.clamp(1, self.seconds());
        (1..pieces)
            .map(|i| {
                let offset = u128::from(self.seconds()) * u128::from(i) / u128::from(pieces);
                self.from.plus(i64::try_from(offset).unwrap_or(i64::MAX))
            })
            .collect()
    }
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.from, self.to)
    }
}

/// A set of seconds stored as ordered, separate runs: the sealed part of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runs(Vec<Window>);

impl Runs {
    /// Adds a window. Adjacent runs are merged.
    pub fn insert(&mut self, window: Window) {
        let first = self.0.partition_point(|run| run.to < window.from);
        let last = self.0.partition_point(|run| run.from <= window.to);
        let merged = self.0[first..last].iter().fold(window, |sum, run| Window {
            from: sum.from.min(run.from),
            to: sum.to.max(run.to),
        });
        self.0.splice(first..last, [merged]);
    }

    /// Returns the parts of `wanted` that are not in the set, in order.
    pub fn gaps_in(&self, wanted: Window) -> Vec<Window> {
        let mut missing = Vec::new();
        let mut from = wanted.from;
        for run in &self.0[self.0.partition_point(|run| run.to <= wanted.from)..] {
            if run.from >= wanted.to {
                break;
            }
            missing.extend(Window::new(from, run.from));
            from = run.to;
        }
        missing.extend(Window::new(from, wanted.to));
        missing
    }

    /// Returns the end of the run that contains `start`, or `start` itself if no run does.
    pub fn watermark(&self, start: Second) -> Second {
        let covering = self
            .0
            .iter()
            .find(|run| run.from <= start && start < run.to);
        covering.map_or(start, |run| run.to)
    }

    /// Iterates over the runs in order.
    pub fn iter(&self) -> impl Iterator<Item = Window> + '_ {
        self.0.iter().copied()
    }
}

impl FromIterator<Window> for Runs {
    fn from_iter<I: IntoIterator<Item = Window>>(windows: I) -> Self {
        let mut runs = Self::default();
        windows.into_iter().for_each(|w| runs.insert(w));
        runs
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn window(from: i64, to: i64) -> Window {
        Window::new(Second(from), Second(to)).unwrap()
    }

    fn windows() -> impl Strategy<Value = Window> {
        (-20i64..60, 1i64..20).prop_map(|(from, len)| window(from, from + len))
    }

    fn seconds(windows: impl IntoIterator<Item = Window>) -> BTreeSet<i64> {
        windows.into_iter().flat_map(|w| w.from.0..w.to.0).collect()
    }

    #[test]
    fn a_window_excludes_its_end() {
        let w = window(10, 20);
        assert!(w.contains(Millis(10_000)) && w.contains(Millis(19_999)));
        assert!(!w.contains(Millis(9_999)) && !w.contains(Millis(20_000)));
        assert_eq!(Window::new(Second(5), Second(5)), None);
    }

    #[test]
    fn a_window_is_split_into_seconds_at_most() {
        assert_eq!(window(0, 3).even_split_points(100), [Second(1), Second(2)]);
        assert_eq!(window(0, 1).even_split_points(2), []);
    }

    proptest! {
        #[test]
        fn split_pieces_cover_the_window(
            w in windows(),
            cuts in prop::collection::vec(-30i64..90, 0..8),
        ) {
            let pieces = w.split_at(&cuts.into_iter().map(Second).collect::<Vec<_>>());
            prop_assert_eq!(pieces.first().unwrap().from, w.from);
            prop_assert_eq!(pieces.last().unwrap().to, w.to);
            prop_assert!(pieces.windows(2).all(|p| p[0].to == p[1].from));
        }

        #[test]
        fn even_split_points_give_the_requested_pieces(w in windows(), pieces in 1u64..30) {
            let cut = w.split_at(&w.even_split_points(pieces));
            prop_assert_eq!(cut.len() as u64, pieces.min(w.seconds()));
            let lengths: BTreeSet<u64> = cut.iter().map(|piece| piece.seconds()).collect();
            let (short, long) = (lengths.first().unwrap(), lengths.last().unwrap());
            prop_assert!(long - short <= 1);
        }

        #[test]
        fn runs_behave_as_a_set_of_seconds(
            sealed in prop::collection::vec(windows(), 0..12),
            wanted in windows(),
        ) {
            let runs: Runs = sealed.iter().copied().collect();
            let set = seconds(sealed);
            prop_assert_eq!(&seconds(runs.iter()), &set);
            let are_apart = runs.0.windows(2).all(|r| r[0].to < r[1].from);
            prop_assert!(are_apart, "adjacent runs are merged");
            let missing = seconds(runs.gaps_in(wanted));
            prop_assert_eq!(missing, &seconds([wanted]) - &set);
        }

        #[test]
        fn the_watermark_is_the_first_unsealed_second(
            sealed in prop::collection::vec(windows(), 0..12),
            start in -20i64..60,
        ) {
            let set = seconds(sealed.iter().copied());
            let expected = (start..200).find(|s| !set.contains(s)).unwrap();
            let runs: Runs = sealed.into_iter().collect();
            prop_assert_eq!(runs.watermark(Second(start)), Second(expected));
        }
    }
}

//! The search for the position of a time in a topic's history.
//!
//! Web3MQ numbers pages from the newest message back, so page numbers shift with every new message.
//! A message's position counted from the oldest does not: `total − 1 − (rows before it, newest
//! first)`. This is the index of positions whose times were seen, and the search between them.
//!
//! A message whose time cannot be read belongs with the next one that has a time, or with the last
//! one before it if none follows. So every position belongs to exactly one window, whichever pages
//! were read.

use std::collections::BTreeSet;

use crate::domain::time::{Millis, Second};
use crate::provider::limits::web3mq::MAX_MARKS;

/// The known positions of a topic, counted from the oldest message, with the times seen there.
#[derive(Debug, Default)]
pub(super) struct PositionIndex {
    /// The number of messages when the topic was last read.
    total: u64,
    /// In order of position, and so, as far as the provider keeps order, of time.
    marks: Vec<(u64, Millis)>,
    /// The positions that were read, and whose messages have no time that can be read.
    undated: BTreeSet<u64>,
}

/// The next step of a search for the position of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SearchStep {
    /// The number of messages sent before the time.
    Found(u64),
    /// It is not known yet: read the message in this position.
    Probe(u64),
    /// No message of the topic has a time that can be read.
    Undated,
}

impl PositionIndex {
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Sets the number of messages. If it has fallen, positions have shifted: all known ones are
    /// dropped, and false is returned.
    pub(super) fn set_total(&mut self, total: u64) -> bool {
        let is_steady = total >= self.total;
        if !is_steady {
            self.clear();
        }
        self.total = total;
        is_steady
    }

    /// The time of the newest message that was seen.
    pub(super) fn newest(&self) -> Option<Millis> {
        self.marks.last().map(|mark| mark.1)
    }

    fn clear(&mut self) {
        self.marks.clear();
        self.undated.clear();
    }

    /// Records the times seen in consecutive positions from `first` on, oldest first: those of the
    /// two ends, and those on both sides of each time of interest. A position without a time is
    /// recorded as such.
    pub(super) fn record_times(
        &mut self,
        first: u64,
        times: &[Option<Millis>],
        interest: &[Millis],
    ) {
        if self.marks.len() + self.undated.len() > MAX_MARKS {
            self.clear();
        }
        let mut dated = Vec::with_capacity(times.len());
        for (position, time) in (first..).zip(times) {
            match time {
                Some(time) => dated.push((position, *time)),
                None => {
                    self.undated.insert(position);
                }
            }
        }
        let Some(last) = dated.len().checked_sub(1) else {
            return;
        };
        let mut indices = vec![0, last];
        for wanted in interest {
            let after = dated.partition_point(|(_, time)| time < wanted);
            indices.extend(after.checked_sub(1));
            indices.extend((after <= last).then_some(after));
        }
        for index in indices {
            let (position, time) = dated[index];
            self.insert_mark(position, time);
        }
    }

    fn insert_mark(&mut self, position: u64, time: Millis) {
        match self.marks.binary_search_by_key(&position, |mark| mark.0) {
            Ok(index) => self.marks[index].1 = time,
            Err(index) => self.marks.insert(index, (position, time)),
        }
    }

    /// Returns the number of messages sent before `time`, or the position to read next. `probes` is
    /// the number of reads of this search so far: every third halves the rest, so that no lopsided
    /// history takes many.
    pub(super) fn find(&self, time: Millis, probes: u32) -> SearchStep {
        if time <= Second::EPOCH.start() {
            return SearchStep::Found(0);
        }
        let next = self.marks.partition_point(|mark| mark.1 < time);
        let low = next.checked_sub(1).map(|index| self.marks[index]);
        let high = self.marks.get(next).copied();
        // The first position that may be the answer, and the first that is known not to be before
        // the time.
        let first = low.map_or(0, |(position, _)| position + 1);
        let end = high.map_or(self.total, |(position, _)| position);
        let is_unread = |position: &u64| !self.undated.contains(position);
        if !(first..end).any(|position| is_unread(&position)) {
            return match (low, high) {
                (_, Some(_)) => SearchStep::Found(first.min(self.total)),
                (None, None) if self.total > 0 => SearchStep::Undated,
                (_, None) => SearchStep::Found(self.total),
            };
        }
        let guess = match (low, high) {
            (_, None) => end - 1,
            (None, Some(_)) => 0,
            (Some(_), Some(_)) if probes % 3 == 2 => first + (end - first) / 2,
            (Some((_, before)), Some((_, after))) => {
                first + interpolate(end - first, before, time, after)
            }
        };
        let guess = guess.clamp(first, end - 1);
        let unread_after = (guess..end).find(is_unread);
        let unread_before = || (first..guess).rev().find(is_unread);
        SearchStep::Probe(unread_after.or_else(unread_before).unwrap_or(guess))
    }
}

/// Returns the part of `count` that lies before `time`, if messages are spread evenly between two
/// times.
fn interpolate(count: u64, before: Millis, time: Millis, after: Millis) -> u64 {
    let span = u128::from(after.0.abs_diff(before.0)).max(1);
    let elapsed = u128::from(time.0.abs_diff(before.0));
    u64::try_from(u128::from(count) * elapsed / span).unwrap_or(count)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Searches a history through pages of `size`; returns the position and the number of pages
    /// read.
    fn search(history: &[i64], size: usize, moment: i64) -> (u64, u32) {
        let history: Vec<Option<i64>> = history.iter().copied().map(Some).collect();
        let (position, probes) = search_dated(&history, size, moment);
        (position.expect("a message with a time"), probes)
    }

    /// The same for a history in which some messages have no time. `None` if none has one.
    fn search_dated(history: &[Option<i64>], size: usize, moment: i64) -> (Option<u64>, u32) {
        let mut positions = PositionIndex::default();
        positions.set_total(history.len() as u64);
        let mut probes = 0;
        loop {
            match positions.find(Millis(moment), probes) {
                SearchStep::Found(position) => return (Some(position), probes),
                SearchStep::Undated => return (None, probes),
                SearchStep::Probe(position) => {
                    let first = position as usize / size * size;
                    let page = &history[first..(first + size).min(history.len())];
                    let times: Vec<_> = page.iter().map(|time| time.map(Millis)).collect();
                    positions.record_times(first as u64, &times, &[Millis(moment)]);
                    probes += 1;
                    assert!(probes < 100, "the search does not end");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn every_time_is_found(mut history in prop::collection::vec(0i64..5000, 0..800), size in 1usize..60, moment in -5i64..5005) {
            history.sort_unstable();
            let (position, _) = search(&history, size, moment);
            prop_assert_eq!(position, history.partition_point(|&t| t < moment) as u64);
        }

        #[test]
        fn message_without_a_time_belongs_with_the_next_one(
            mut history in prop::collection::vec((1i64..500, any::<bool>()), 1..80),
            size in 1usize..20,
            moment in 1i64..505,
        ) {
            history.sort_by_key(|(time, _)| *time);
            let history: Vec<Option<i64>> =
                history.into_iter().map(|(time, is_dated)| is_dated.then_some(time)).collect();
            let is_before = |time: &Option<i64>| time.is_some_and(|time| time < moment);
            let is_after = |time: &Option<i64>| time.is_some_and(|time| time >= moment);
            let expected = if history.iter().any(is_after) {
                Some(history.iter().rposition(is_before).map_or(0, |position| position + 1))
            } else {
                history.iter().any(is_before).then_some(history.len())
            };
            let (position, _) = search_dated(&history, size, moment);
            prop_assert_eq!(position, expected.map(|position| position as u64));
        }
    }

    #[test]
    fn search_takes_few_probes_even_in_lopsided_histories() {
        let even: Vec<i64> = (0..1_000_000).map(|i| i * 10).collect();
        assert!(search(&even, 100, 7_654_321).1 <= 4);
        let lopsided: Vec<i64> = (0..1_000_000)
            .map(|i: i64| if i < 999_000 { i / 1000 } else { i * i })
            .collect();
        assert!(
            search(&lopsided, 100, 999_500 * 999_500).1 <= 40,
            "{:?}",
            search(&lopsided, 100, 999_500 * 999_500)
        );
    }

    #[test]
    fn smaller_total_discards_all_positions() {
        let mut positions = PositionIndex::default();
        assert!(positions.set_total(10));
        positions.record_times(0, &[Some(Millis(1)), Some(Millis(2))], &[]);
        assert!(positions.set_total(11) && positions.newest().is_some());
        assert!(!positions.set_total(9) && positions.newest().is_none());
    }
}

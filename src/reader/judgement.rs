//! The state of every part of one stream's history that is not sealed without a doubt.
//!
//! The rules and the reasons are those of the views `gaps` and `coverage`.

use serde::Serialize;

use crate::domain::time::{Hour, Second};
use crate::domain::window::{Runs, Window};
use crate::store::StreamCoverage;

/// The state of a range that is not known to be complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RangeState {
    /// The provider deleted the range before it was fetched.
    Lost,
    /// The range is wanted and not sealed.
    Gap,
    /// The range is sealed, and the provider contradicted itself.
    Suspect,
    /// Nobody has asked for the range to be archived yet, or the provider had deleted it before.
    Unarchived,
}

impl RangeState {
    /// Returns the word in tables and files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Gap => "gap",
            Self::Suspect => "suspect",
            Self::Unarchived => "unarchived",
        }
    }
}

/// A part of a stream's history that is not known to be complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JudgedRange {
    pub(super) state: RangeState,
    pub(super) window: Window,
    pub(super) reason: String,
}

/// Returns the parts of `asked` in which the stream is not known to be complete, in order. `is_open`:
/// the reader asked for no end, so that the latest history need not be final.
pub(super) fn judge(stream: &StreamCoverage, asked: Window, is_open: bool) -> Vec<JudgedRange> {
    let mut covered = stream.sealed.clone();
    let mut ranges = Vec::new();
    for (window, doubt) in &stream.suspect {
        covered.insert(*window);
        ranges.extend(window.intersect(asked).map(|window| JudgedRange {
            state: RangeState::Suspect,
            window,
            reason: doubt.clone(),
        }));
    }
    for hole in covered.gaps_in(asked) {
        for window in hole.split_at(&limits(stream)) {
            let (state, reason) = judge_hole(stream, window, is_open);
            ranges.push(JudgedRange {
                state,
                window,
                reason,
            });
        }
    }
    ranges.sort_by_key(|range| range.window);
    let mut ranges = join_neighbours(ranges);
    join_start(&mut ranges, asked);
    ranges
}

/// The times at which the state of an unsealed range may change, in order.
fn limits(stream: &StreamCoverage) -> Vec<Second> {
    let frontier = stream.frontier;
    let mut limits = vec![
        stream.wanted_from,
        fetchable_from(stream),
        frontier.settled_to,
        frontier.wanted_to,
    ];
    limits.extend(frontier.horizon);
    limits.sort_unstable();
    limits
}

/// The start of the history that could be fetched when the stream was first followed, and an hour
/// more: the first fetch takes its time.
fn fetchable_from(stream: &StreamCoverage) -> Second {
    let retention = stream.frontier.retention.unwrap_or_default();
    stream.followed_at.minus(retention).plus(Hour::SECONDS)
}

/// Judges a range that is not sealed and contains no limit but at its start.
fn judge_hole(stream: &StreamCoverage, hole: Window, is_open: bool) -> (RangeState, String) {
    use RangeState::{Gap, Lost, Unarchived};
    let (at, frontier) = (hole.from(), stream.frontier);
    let is_first = stream.first_sealed.is_none_or(|first| at < first);
    let is_started = frontier.settled_to > stream.wanted_from;
    let text = |text: &str| text.to_owned();
    if !stream.is_active {
        (Unarchived, text("the stream is no longer followed"))
    } else if at < stream.wanted_from {
        (Unarchived, text("older than the history that is wanted"))
    } else if is_open && is_started && at >= frontier.settled_to {
        (Unarchived, text("too young to be final"))
    } else if is_started && at >= frontier.wanted_to {
        (Unarchived, text("newer than the latest pass"))
    } else if frontier.horizon.is_some_and(|horizon| at < horizon) {
        if is_first && at < fetchable_from(stream) {
            (
                Unarchived,
                text("expired before the stream was first followed"),
            )
        } else {
            let reason = "behind the provider's retention edge before it was fetched";
            (Lost, text(reason))
        }
    } else if is_started && at >= frontier.settled_to {
        (Gap, text("fetched, but too young to be final"))
    } else {
        let error = stream.error.clone();
        (Gap, error.unwrap_or_else(|| text("not fetched yet")))
    }
}

/// Joins adjacent ranges of the same state and reason.
fn join_neighbours(ranges: Vec<JudgedRange>) -> Vec<JudgedRange> {
    let mut joined: Vec<JudgedRange> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match joined.last_mut() {
            Some(last)
                if last.window.to() == range.window.from()
                    && last.state == range.state
                    && last.reason == range.reason =>
            {
                last.window = last.window.hull(range.window);
            }
            _ => joined.push(range),
        }
    }
    joined
}

/// Joins the ranges at the start that are not archived. Their end is where the archive begins, and the
/// last of them says why.
fn join_start(ranges: &mut Vec<JudgedRange>, asked: Window) {
    let mut start = asked.from();
    let is_unarchived = |range: &&JudgedRange| {
        let is_next = range.window.from() == start && range.state == RangeState::Unarchived;
        start = range.window.to();
        is_next
    };
    let count = ranges.iter().take_while(is_unarchived).count();
    if count > 1 {
        ranges[count - 1].window = ranges[count - 1].window.hull(ranges[0].window);
        ranges.drain(..count - 1);
    }
}

/// Returns the parts of the ranges that lie in `among`.
pub(super) fn parts_in<'a>(
    ranges: &'a [JudgedRange],
    among: &'a [Window],
) -> impl Iterator<Item = JudgedRange> + 'a {
    ranges.iter().flat_map(move |range| {
        let parts = among.iter().filter_map(|part| part.intersect(range.window));
        parts.map(|window| JudgedRange {
            window,
            ..range.clone()
        })
    })
}

/// Returns the parts of `asked` that none of the streams has sealed without a doubt.
pub(super) fn not_sealed_by_any<'a>(
    streams: impl IntoIterator<Item = &'a StreamCoverage>,
    asked: Window,
) -> Vec<Window> {
    let sealed = streams.into_iter().flat_map(|stream| stream.sealed.iter());
    sealed.collect::<Runs>().gaps_in(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_before_the_archive_is_one_range() {
        let window = |from, to| Window::new(Second(from), Second(to)).unwrap();
        let range = |from, to, state, reason: &str| JudgedRange {
            state,
            window: window(from, to),
            reason: reason.to_owned(),
        };
        let mut ranges = vec![
            range(i64::MIN, 10, RangeState::Unarchived, "not wanted"),
            range(10, 11, RangeState::Unarchived, "expired"),
            range(11, 20, RangeState::Lost, "lost"),
            range(90, i64::MAX, RangeState::Unarchived, "young"),
        ];
        let rest = ranges[2..].to_vec();
        join_start(&mut ranges, window(i64::MIN, i64::MAX));
        assert_eq!(
            ranges[0],
            range(i64::MIN, 11, RangeState::Unarchived, "expired")
        );
        assert_eq!(ranges[1..], rest);
        let mut none = vec![];
        join_start(&mut none, window(0, 1));
        assert!(none.is_empty());
    }
}

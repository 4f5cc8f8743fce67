//! The rows of several pages, put together by their positions in the topic.

use std::collections::BTreeMap;

use super::answers::TopicPage;
use super::message::{ParsedRow, time_of};
use crate::domain::message::Message;
use crate::domain::time::Millis;
use crate::domain::window::Window;

/// The positions `[from, to)` of a window's messages, counted from the oldest message of the topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PositionRange {
    pub(super) from: u64,
    pub(super) to: u64,
}

impl PositionRange {
    pub(super) fn len(self) -> u64 {
        self.to - self.from
    }

    /// Extends the range by a neighbour at each end. The neighbours show that no message of the
    /// window lies beyond it.
    pub(super) fn with_neighbours(self, total: u64) -> Self {
        Self {
            from: self.from.saturating_sub(1),
            to: (self.to + 1).min(total),
        }
    }

    /// Returns the part of at most `rows` positions from `offset` on.
    pub(super) fn part(self, offset: u64, rows: u64) -> Self {
        let from = self.from.saturating_add(offset).min(self.to);
        let to = from.saturating_add(rows.max(1)).min(self.to);
        Self { from, to }
    }
}

/// The rows of a page in their positions, oldest first.
#[derive(Debug)]
pub(super) struct PageView {
    /// The position of the first row.
    pub(super) first: u64,
    pub(super) rows: Vec<ParsedRow>,
    /// The number of messages in the topic.
    pub(super) total: u64,
    /// True if the provider itself reported the total.
    pub(super) is_total_reported: bool,
}

impl PageView {
    /// Puts the rows of page `number` in their positions. Without a reported total, it is
    /// `known_total` or more.
    pub(super) fn new(page: TopicPage, number: u64, page_size: u64, known_total: u64) -> Self {
        let newer = (number - 1) * page_size;
        let count = page.rows.len() as u64;
        let reported = page.total.filter(|&total| total >= newer + count);
        let total = reported.unwrap_or(known_total.max(newer + count));
        let mut rows = page.rows;
        rows.reverse();
        let first = total - newer - count;
        Self {
            first,
            rows,
            total,
            is_total_reported: reported.is_some(),
        }
    }

    /// The times of the rows. `None` for a row without a time that can be read.
    pub(super) fn times(&self) -> Vec<Option<Millis>> {
        self.rows.iter().map(time_of).collect()
    }

    /// Returns the window's rows if the page shows all of them and their neighbours.
    pub(super) fn into_window_rows(
        self,
        window: Window,
        range: PositionRange,
    ) -> Option<WindowRows> {
        let total = self.total;
        if !self.contains(range.with_neighbours(total)) {
            return None;
        }
        let mut assembly = PageAssembly::default();
        assembly.insert_page(self);
        match assembly.into_result(window, (range, range), total) {
            ReadResult::Complete(rows) => Some(rows),
            ReadResult::OutOfOrder | ReadResult::Shifted | ReadResult::Elsewhere => None,
        }
    }

    fn contains(&self, range: PositionRange) -> bool {
        self.first <= range.from && range.to <= self.first + self.rows.len() as u64
    }
}

/// The rows of a window, oldest first.
#[derive(Debug, Default)]
pub(super) struct WindowRows {
    pub(super) rows: Vec<ParsedRow>,
    /// The messages in other positions on the same pages.
    pub(super) others: Vec<Message>,
}

/// The result of reading a window.
#[derive(Debug)]
pub(super) enum ReadResult {
    Complete(WindowRows),
    /// The rows in the window's positions are not in order of time: more of its messages may lie
    /// elsewhere.
    OutOfOrder,
    /// The history changed meanwhile: the known positions are no longer valid.
    Shifted,
    /// The part does not begin at the time at which the one before it ended.
    Elsewhere,
}

/// The rows of several pages by position.
#[derive(Debug, Default)]
pub(super) struct PageAssembly(BTreeMap<u64, ParsedRow>);

impl PageAssembly {
    /// Inserts the rows of a page. Returns false if a position already held another message.
    pub(super) fn insert_page(&mut self, view: PageView) -> bool {
        (view.first..).zip(view.rows).all(|(position, row)| {
            let is_consistent = self
                .0
                .get(&position)
                .is_none_or(|known| is_same_message(known, &row));
            self.0.insert(position, row);
            is_consistent
        })
    }

    /// True if the messages before a position are no later than a time, and those from it on no
    /// earlier.
    pub(super) fn is_passed_at(&self, position: u64, time: Millis) -> bool {
        let before = position
            .checked_sub(1)
            .and_then(|before| self.time_at(before));
        let after = self.time_at(position);
        before.is_none_or(|before| before <= time) && after.is_none_or(|after| time <= after)
    }

    /// Returns the first and the last position of `wanted` without a row.
    pub(super) fn missing(&self, wanted: PositionRange) -> Option<(u64, u64)> {
        let positions = wanted.from..wanted.to;
        let mut missing = positions.filter(|position| !self.0.contains_key(position));
        let first = missing.next()?;
        Some((first, missing.next_back().unwrap_or(first)))
    }

    /// Returns the rows of a part of the window, which may be all of it. They are complete if all
    /// positions hold a row, in order of time, and the window's neighbours lie outside of it.
    pub(super) fn into_result(
        mut self,
        window: Window,
        (whole, range): (PositionRange, PositionRange),
        total: u64,
    ) -> ReadResult {
        if self.missing(range.with_neighbours(total)).is_some() {
            return ReadResult::Shifted;
        }
        let mut inside = (range.from..range.to).filter_map(|position| self.time_at(position));
        let before = range
            .from
            .checked_sub(1)
            .and_then(|position| self.time_at(position));
        let after = self.time_at(range.to);
        let is_ordered = inside.all(|at| window.contains(at))
            && (range.from > whole.from || before.is_none_or(|at| at < window.from().start()))
            && (range.to < whole.to || after.is_none_or(|at| at >= window.to().start()));
        if !is_ordered {
            return ReadResult::OutOfOrder;
        }
        let positions = range.from..range.to;
        let rows = positions.filter_map(|position| self.0.remove(&position));
        let rows = rows.collect();
        let others = self.0.into_values().flatten().collect();
        ReadResult::Complete(WindowRows { rows, others })
    }

    /// Returns the row in a position.
    pub(super) fn row(&self, position: u64) -> Option<&ParsedRow> {
        self.0.get(&position)
    }

    /// Returns all rows before a position, oldest first.
    pub(super) fn into_rows_before(self, end: u64) -> Vec<(u64, ParsedRow)> {
        self.0.into_iter().take_while(|(at, _)| *at < end).collect()
    }

    fn time_at(&self, position: u64) -> Option<Millis> {
        time_of(self.0.get(&position)?)
    }
}

/// True if two rows are the same message, whose status may have changed in between.
fn is_same_message(one: &ParsedRow, other: &ParsedRow) -> bool {
    match (one, other) {
        (Ok(one), Ok(other)) => {
            one.sent_at == other.sent_at
                && one.sender == other.sender
                && one.provider_id == other.provider_id
                && one.payload == other.payload
        }
        (one, other) => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::message::UnparsableMessage;
    use crate::domain::time::Second;

    /// Rows without a time that can be read fit into any window.
    fn raw_page(texts: &[&str], total: Option<u64>) -> TopicPage {
        let row = |text: &&str| Err(UnparsableMessage::new(*text, ""));
        TopicPage {
            total,
            rows: texts.iter().map(row).collect(),
        }
    }

    fn window() -> Window {
        Window::new(Second(0), Second(10)).unwrap()
    }

    #[test]
    fn rows_stand_in_positions_counted_from_the_oldest_message() {
        let view = PageView::new(raw_page(&["newer", "older"], Some(7)), 2, 2, 0);
        assert_eq!(
            (view.first, view.total, view.is_total_reported),
            (3, 7, true)
        );
        assert_eq!(view.rows[0].as_ref().unwrap_err().raw, "older");
        let view = PageView::new(raw_page(&["only"], None), 1, 2, 5);
        assert_eq!(
            (view.first, view.total, view.is_total_reported),
            (4, 5, false)
        );
    }

    #[test]
    fn window_is_complete_only_with_its_neighbours() {
        let view = || PageView::new(raw_page(&["d", "c", "b", "a"], Some(4)), 1, 4, 0);
        let range = |from, to| PositionRange { from, to };
        assert_eq!(
            view()
                .into_window_rows(window(), range(1, 3))
                .unwrap()
                .rows
                .len(),
            2
        );
        assert_eq!(
            view()
                .into_window_rows(window(), range(0, 4))
                .unwrap()
                .rows
                .len(),
            4
        );
        let newest_page = PageView::new(raw_page(&["d", "c"], Some(4)), 1, 2, 0);
        assert!(
            newest_page
                .into_window_rows(window(), range(2, 4))
                .is_none()
        );
    }

    #[test]
    fn another_message_in_a_known_position_is_noticed() {
        let mut assembly = PageAssembly::default();
        let page = |texts: &[&str]| PageView::new(raw_page(texts, Some(2)), 1, 2, 0);
        assert!(assembly.insert_page(page(&["b", "a"])));
        assert!(assembly.insert_page(page(&["b", "a"])));
        assert!(!assembly.insert_page(page(&["c", "b"])));
    }
}

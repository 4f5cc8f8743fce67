//! Ranges of which the provider holds more or fewer messages than is known, found by bisection.
//!
//! The ledger tells what is known: each row records the provider's count when it was last fetched.
//! One count over many rows tells whether all of them are still right. If not, halves are counted,
//! down to a range that costs less to fetch than to count on. Each cut is one count, always from
//! the first of the rows: the differences of such counts add up, whatever the provider takes the
//! bounds of a range to mean.
//!
//! Two changes within one range that cancel out, one message removed and another added, are not
//! seen by a count.

use std::ops::Range;
use std::sync::Arc;

use super::run_part::{CountMark, PartCut, RunPart, is_shown_as_archived, known_count, middle};
use crate::domain::stream::{Stream, StreamIndex};
use crate::domain::time::{Millis, Second};
use crate::domain::window::Window;
use crate::provider::{Provider, RangeCount};
use crate::store::{AccountId, Archive, LedgerRow, StoreError, StreamId};
use crate::sync::error::SyncError;
use crate::sync::limits::{MAX_CUTS, MAX_REFETCH_MESSAGES};
use crate::sync::plan::job::{Refetch, RefetchList};
use crate::sync::session::Session;

/// A range of a ledger row that is to be refetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RowDifference {
    pub(super) row: LedgerRow,
    /// The range, within the row.
    pub(super) range: Window,
    /// The number of archived messages of the row outside of the range.
    pub(super) outside: u64,
    /// The times of the archived messages in the range, in order.
    pub(super) times: Vec<Millis>,
    /// The provider's count minus the known count.
    pub(super) excess: i64,
}

impl RowDifference {
    /// Adds the range to those that are to be refetched.
    pub(super) fn add_to(self, stream: StreamIndex, list: &mut RefetchList) {
        let Self {
            row,
            range,
            outside,
            times,
            ..
        } = self;
        let refetch = Refetch {
            row: row.window,
            outside,
            sealed_at: row.sealed_at,
            is_doubted: false,
        };
        list.add(stream, range, refetch, times);
    }
}

/// A stream at its provider and in the archive.
#[derive(Clone, Copy)]
pub(super) struct StreamComparison<'a> {
    provider: &'a dyn Provider,
    archive: &'a dyn Archive,
    account: AccountId,
    index: StreamIndex,
    id: StreamId,
    /// The range that can be compared and fetched.
    within: Window,
}

impl<'a> StreamComparison<'a> {
    /// Compares a stream within a range: the one that the provider can be asked about.
    pub(super) fn new(session: &'a Session, index: StreamIndex, within: Window) -> Self {
        Self {
            provider: &*session.provider,
            archive: &*session.archive,
            account: session.account,
            index,
            id: session.stream(index).id,
            within,
        }
    }

    fn stream(&self) -> Arc<Stream> {
        self.provider.stream(self.index)
    }

    /// Compares the sealed rows with the provider's counts. Suspect rows are left out: nothing
    /// certain is known of them.
    pub(super) async fn differences(&self) -> Result<Vec<RowDifference>, SyncError> {
        let mut certain = Vec::new();
        let rows = self.archive.ledger_rows(self.id, self.within, u64::MAX);
        for row in rows.await? {
            if row.doubt.is_none() {
                certain.extend(self.part_within(row).await?);
            }
        }
        let mut found = Vec::new();
        for run in certain.chunk_by(|row, next| row.window.to() == next.window.from()) {
            found.extend(self.differences_of_run(run).await?);
        }
        found.sort_by_key(|difference| difference.range);
        let mut merged = Vec::new();
        for of_row in found.chunk_by(|one, next| one.row.window == next.row.window) {
            merged.extend(self.merge_ranges(of_row).await?);
        }
        Ok(merged)
    }

    /// Bisects a run of adjacent rows.
    async fn differences_of_run(&self, run: &[LedgerRow]) -> Result<Vec<RowDifference>, SyncError> {
        let mut found = Vec::new();
        let mut parts: Vec<RunPart> = self.compare(run).await?.into_iter().collect();
        let mut cuts = 0..MAX_CUTS;
        while let Some(part) = parts.pop()
            && cuts.next().is_some()
        {
            match self.cut_part(run, &part).await? {
                Some(cut) => parts.extend(self.halves(run, part, cut).await?),
                None => found.extend(self.differences_of_part(run, &part).await?),
            }
        }
        Ok(found)
    }

    /// Merges the ranges of one row: while a range is refetched, the rest of its row must not
    /// change.
    async fn merge_ranges(
        &self,
        of_row: &[RowDifference],
    ) -> Result<Option<RowDifference>, StoreError> {
        let (Some(first), Some(last)) = (of_row.first(), of_row.last()) else {
            return Ok(None);
        };
        if of_row.len() == 1 {
            return Ok(Some(first.clone()));
        }
        let excess = of_row.iter().map(|difference| difference.excess).sum();
        self.difference(first.row.clone(), first.range.hull(last.range), excess)
            .await
            .map(Some)
    }

    /// Returns the part of a row that can be compared, with its known count: the number of archived
    /// messages, of which the provider should show each. `None` if the provider has shown messages
    /// that are not archived: they may lie in any part.
    async fn part_within(&self, row: LedgerRow) -> Result<Option<LedgerRow>, StoreError> {
        let Some(part) = row.window.intersect(self.within) else {
            return Ok(None);
        };
        if part == row.window {
            return Ok(Some(row));
        }
        if row.not_shown == 0 && !is_shown_as_archived(&row) {
            return Ok(None);
        }
        let (from, to) = (part.from().start(), part.to().start());
        let scope = &self.stream().scope;
        let messages = self
            .archive
            .count_messages(self.account, scope, from, to)
            .await?;
        Ok(Some(LedgerRow {
            window: part,
            messages,
            provider_count: Some(messages),
            ..row
        }))
    }

    /// Counts a run of adjacent rows. `None` if the provider's count is the known one.
    async fn compare(&self, run: &[LedgerRow]) -> Result<Option<RunPart>, SyncError> {
        let (Some(first), Some(last)) = (run.first(), run.last()) else {
            return Ok(None);
        };
        let start = first.window.from();
        let from = CountMark {
            at: start,
            counted_to: start.start(),
            excess: 0,
        };
        let known = run.iter().map(known_count).sum();
        let to = self.mark(run, last.window.to(), known).await?;
        let part = RunPart {
            rows: 0..run.len(),
            from,
            to,
        };
        Ok((part.excess() != 0).then_some(part))
    }

    /// Counts a run up to a second, where `known` messages are known.
    async fn mark(
        &self,
        run: &[LedgerRow],
        at: Second,
        known: u64,
    ) -> Result<CountMark, SyncError> {
        let start = run.first().map_or(at, |row| row.window.from());
        let Some(range) = Window::new(start, at) else {
            return Ok(CountMark {
                at,
                counted_to: at.start(),
                excess: 0,
            });
        };
        let RangeCount { messages, from, to } = self.provider.count(self.index, range).await?;
        // The seconds that the provider left out at the start and counted beyond the end.
        let before = self.count_archived(start.start(), from).await?;
        let beyond = self.count_archived(at.start(), to).await?;
        let excess = messages as i64 - (known + beyond) as i64 + before as i64;
        Ok(CountMark {
            at,
            counted_to: to,
            excess,
        })
    }

    /// Counts the archived messages between two times that are close together.
    async fn count_archived(&self, from: Millis, to: Millis) -> Result<u64, StoreError> {
        if from >= to {
            return Ok(0);
        }
        let scope = &self.stream().scope;
        Ok(self
            .archive
            .message_times(self.account, scope, from, to)
            .await?
            .len() as u64)
    }

    /// Returns the point where to cut a part: between rows, or else at the median message of the
    /// row. `None` if the part is to be refetched.
    async fn cut_part(
        &self,
        run: &[LedgerRow],
        part: &RunPart,
    ) -> Result<Option<PartCut>, StoreError> {
        let Range { start, end } = part.rows;
        let known_before = |row: usize| run.iter().take(row).map(known_count).sum::<u64>();
        if end - start > 1 {
            let middle = start + middle(run.get(start..end).unwrap_or_default());
            let at = run.get(middle).map(|row| row.window.from());
            let rows = [start..middle, middle..end];
            return Ok(at.map(|at| PartCut {
                at,
                known: known_before(middle),
                rows,
            }));
        }
        // If the archive holds other messages than the provider shows, it does not tell what to
        // expect of a half.
        let is_divisible =
            |row: &&LedgerRow| is_shown_as_archived(row) && row.messages > MAX_REFETCH_MESSAGES;
        let Some(row) = run.get(start).filter(is_divisible) else {
            return Ok(None);
        };
        let times = self.times(row.window).await?;
        let before = |second: Second| times.partition_point(|at| *at < second.start());
        let (first, last) = (before(part.from.at), before(part.to.at));
        if (last - first) as u64 <= MAX_REFETCH_MESSAGES {
            return Ok(None);
        }
        let median = times.get(first + (last - first) / 2).map(|at| at.second());
        Ok(median.filter(|at| part.from.at < *at).map(|at| PartCut {
            at,
            known: known_before(start) + before(at) as u64,
            rows: [start..end, start..end],
        }))
    }

    /// Returns the halves of a part in which the count differs.
    async fn halves(
        &self,
        run: &[LedgerRow],
        part: RunPart,
        cut: PartCut,
    ) -> Result<Vec<RunPart>, SyncError> {
        let mark = self.mark(run, cut.at, cut.known).await?;
        let [first, second] = cut.rows;
        let first = RunPart {
            rows: first,
            from: part.from,
            to: mark,
        };
        let second = RunPart {
            rows: second,
            from: mark,
            to: part.to,
        };
        Ok([first, second]
            .into_iter()
            .filter(|half| half.excess() != 0)
            .collect())
    }

    /// Returns what of the ledger is to be refetched for a part. If the provider counts on beyond
    /// the part, the first second of the next row is included.
    async fn differences_of_part(
        &self,
        run: &[LedgerRow],
        part: &RunPart,
    ) -> Result<Vec<RowDifference>, StoreError> {
        let Some(range) = part.range() else {
            return Ok(vec![]);
        };
        let counted_to = part.to.counted_to.second();
        let is_whole_second = counted_to.start() == part.to.counted_to;
        let end = if is_whole_second {
            counted_to
        } else {
            counted_to.plus(1)
        };
        let end = run.last().map_or(end, |row| end.min(row.window.to()));
        let range = Window::new(range.from(), range.to().max(end)).unwrap_or(range);
        let mut found = Vec::new();
        for row in self.archive.ledger_rows(self.id, range, 2).await? {
            if let Some(range) = row.window.intersect(range).filter(|_| row.doubt.is_none()) {
                found.push(self.difference(row, range, part.excess()).await?);
            }
        }
        Ok(found)
    }

    /// Returns a range of a row that is to be refetched. If the archive holds other messages than the
    /// provider shows, that is the whole row, as far as it can be fetched: the provider's count of
    /// its parts is not known.
    pub(super) async fn difference(
        &self,
        row: LedgerRow,
        range: Window,
        excess: i64,
    ) -> Result<RowDifference, StoreError> {
        let whole = row.window.intersect(self.within).unwrap_or(row.window);
        let range = if is_shown_as_archived(&row) {
            range
        } else {
            whole
        };
        let times = self.times(range).await?;
        let mut outside = 0;
        if range != row.window {
            outside = self
                .times(row.window)
                .await?
                .len()
                .saturating_sub(times.len()) as u64;
        }
        Ok(RowDifference {
            row,
            range,
            outside,
            times,
            excess,
        })
    }

    /// Returns the times of the archived messages in a range, in order.
    async fn times(&self, range: Window) -> Result<Vec<Millis>, StoreError> {
        let (from, to) = (range.from().start(), range.to().start());
        self.archive
            .message_times(self.account, &self.stream().scope, from, to)
            .await
    }
}

//! Where the provider holds more or fewer messages than is known of it, found by counting.
//!
//! What is known stands in the ledger: each row says how many messages the provider had in it when it was last read.
//! One count over many rows tells whether all of them are still so; where it is not, halves are counted, down to a
//! stretch that costs less to read than to count on. Each cut is one count, from the first of the rows up to it: the
//! differences of such counts add up.
//!
//! Two changes within one range that cancel out, a message gone and another come, are not seen by a count.

use std::ops::Range;
use std::sync::Arc;

use crate::domain::stream::{Stream, StreamIndex};
use crate::domain::time::{Millis, Second};
use crate::domain::window::Window;
use crate::provider::{Provider, ProviderError, RangeCount};
use crate::store::{AccountId, Archive, LedgerRow, StoreError, StreamId};

/// So many messages are sooner read than narrowed down any further.
const MAX_REFETCH_MESSAGES: u64 = 150;

/// A stretch of a ledger row that is to be read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowDifference {
    /// The row.
    pub row: LedgerRow,
    /// The stretch, within the row.
    pub range: Window,
    /// How many messages of the row the archive holds outside of the stretch.
    pub outside: u64,
    /// When the messages were sent that the archive holds of the stretch, in order.
    pub times: Vec<Millis>,
    /// By how many messages the provider's count exceeds what is known; negative where it falls short.
    pub excess: i64,
}

/// Why a stream could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    #[error(transparent)]
    Provider(#[from] ProviderError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A stream at its provider and in the archive.
#[derive(Clone, Copy)]
pub struct StreamComparison<'a> {
    pub provider: &'a dyn Provider,
    pub store: &'a dyn Archive,
    pub account: AccountId,
    /// Its position at the provider.
    pub position: StreamIndex,
    /// Its number in the archive.
    pub id: StreamId,
}

/// A second up to which was counted, from the start of a run of rows on. Always counted from there, parts of the run
/// add up, whatever the provider takes bounds to mean.
#[derive(Clone, Copy)]
struct CountMark {
    at: Second,
    /// Up to where the provider counted in truth.
    to: Millis,
    /// By how many messages the count exceeds what is known.
    excess: i64,
}

/// Some rows of a run, or a stretch of one.
struct RunPart {
    rows: Range<usize>,
    from: CountMark,
    to: CountMark,
}

/// Where a part is cut in two.
struct PartCut {
    at: Second,
    /// What is known of the run up to there.
    known: u64,
    /// The rows of the two halves.
    rows: [Range<usize>; 2],
}

impl RunPart {
    fn excess(&self) -> i64 {
        self.to.excess - self.from.excess
    }

    fn stretch(&self) -> Option<Window> {
        Window::new(self.from.at, self.to.at)
    }
}

impl StreamComparison<'_> {
    fn stream(&self) -> Arc<Stream> {
        self.provider.stream(self.position)
    }

    /// Compares what is sealed within a range, apart from what is in doubt: of that nothing is known for sure.
    pub async fn differences(&self, within: Window) -> Result<Vec<RowDifference>, CompareError> {
        let mut certain = Vec::new();
        for row in self.store.ledger_rows(self.id, within, u64::MAX).await? {
            if row.doubt.is_none() {
                certain.extend(self.part_within(row, within).await?);
            }
        }
        let mut found = Vec::new();
        for run in certain.chunk_by(|row, next| row.window.to() == next.window.from()) {
            let mut parts: Vec<RunPart> = self.compare(run).await?.into_iter().collect();
            while let Some(part) = parts.pop() {
                match self.cut_part(run, &part).await? {
                    Some(cut) => parts.extend(self.halves(run, part, cut).await?),
                    None => found.extend(self.differences_of_part(run, &part).await?),
                }
            }
        }
        found.sort_by_key(|difference: &RowDifference| difference.range);
        let mut merged = Vec::new();
        for of_row in found.chunk_by(|one, next| one.row.window == next.row.window) {
            merged.extend(self.merge_ranges(of_row).await?);
        }
        Ok(merged)
    }

    /// The stretches of one row as one: while a stretch is read, what lies outside of it must hold still.
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

    /// What is known of the part of a row that lies within a range; nothing where that is costly to tell. It is what
    /// the archive holds, unless that is not what the provider had.
    async fn part_within(
        &self,
        row: LedgerRow,
        within: Window,
    ) -> Result<Option<LedgerRow>, StoreError> {
        let part = row.window.intersect(within);
        match part {
            Some(part) if part == row.window => Ok(Some(row)),
            Some(part) if known_count(&row) == row.messages => {
                let (from, to) = (part.from().start(), part.to().start());
                let messages = self
                    .store
                    .count(self.account, &self.stream().scope, from, to)
                    .await?;
                let part = |messages| LedgerRow {
                    window: part,
                    messages,
                    provider_count: Some(messages),
                    ..row
                };
                Ok(messages.map(part))
            }
            _ => Ok(None),
        }
    }

    /// Counts an unbroken run of rows; nothing where it is as it is known to be.
    async fn compare(&self, run: &[LedgerRow]) -> Result<Option<RunPart>, CompareError> {
        let (Some(first), Some(last)) = (run.first(), run.last()) else {
            return Ok(None);
        };
        let start = first.window.from();
        let from = CountMark {
            at: start,
            to: start.start(),
            excess: 0,
        };
        let to = self
            .mark(run, last.window.to(), run.iter().map(known_count).sum())
            .await?;
        let part = RunPart {
            rows: 0..run.len(),
            from,
            to,
        };
        Ok((part.excess() != 0).then_some(part))
    }

    /// Counts a run up to a second.
    async fn mark(
        &self,
        run: &[LedgerRow],
        at: Second,
        known: u64,
    ) -> Result<CountMark, CompareError> {
        let start = run.first().map_or(at, |row| row.window.from());
        let Some(range) = Window::new(start, at) else {
            return Ok(CountMark {
                at,
                to: at.start(),
                excess: 0,
            });
        };
        let RangeCount { messages, from, to } = self.provider.count(self.position, range).await?;
        let before = self.count_archived(start.start(), from).await?;
        let behind = self.count_archived(at.start(), to).await?;
        Ok(CountMark {
            at,
            to,
            excess: messages as i64 - (known + behind) as i64 + before as i64,
        })
    }

    /// How many messages the archive holds between two moments that are close together.
    async fn count_archived(&self, from: Millis, to: Millis) -> Result<u64, StoreError> {
        if from >= to {
            return Ok(0);
        }
        Ok(self
            .store
            .message_times(self.account, &self.stream().scope, from, to)
            .await?
            .len() as u64)
    }

    /// Where to cut a part; nothing where it is to be read.
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
            return Ok(at.map(|at| PartCut {
                at,
                known: known_before(middle),
                rows: [start..middle, middle..end],
            }));
        }
        // Where the archive has kept what the provider has not, the archive does not tell what to expect of a half.
        let Some(row) = run
            .get(start)
            .filter(|row| known_count(row) == row.messages && row.messages > MAX_REFETCH_MESSAGES)
        else {
            return Ok(None);
        };
        let times = self.times(row.window).await?;
        let before = |second: Second| times.partition_point(|at| *at < second.start());
        let (first, last) = (before(part.from.at), before(part.to.at));
        let at = times.get(first + (last - first) / 2).map(|at| at.second());
        let at = at.filter(|at| part.from.at < *at && (last - first) as u64 > MAX_REFETCH_MESSAGES);
        let cut = |at| PartCut {
            at,
            known: known_before(start) + before(at) as u64,
            rows: [start..end, start..end],
        };
        Ok(at.map(cut))
    }

    /// The halves of a part in which something differs.
    async fn halves(
        &self,
        run: &[LedgerRow],
        part: RunPart,
        cut: PartCut,
    ) -> Result<Vec<RunPart>, CompareError> {
        let mark = self.mark(run, cut.at, cut.known).await?;
        let [first, second] = cut.rows;
        let halves = [
            RunPart {
                rows: first,
                from: part.from,
                to: mark,
            },
            RunPart {
                rows: second,
                from: mark,
                to: part.to,
            },
        ];
        Ok(halves
            .into_iter()
            .filter(|half| half.excess() != 0)
            .collect())
    }

    /// What of a row is to be read. Where the provider counts on beyond the stretch, the next row's first second is
    /// part of it.
    async fn differences_of_part(
        &self,
        run: &[LedgerRow],
        part: &RunPart,
    ) -> Result<Vec<RowDifference>, StoreError> {
        let Some(stretch) = part.stretch() else {
            return Ok(vec![]);
        };
        let end =
            Second(part.to.to.0.div_euclid(1000) + i64::from(part.to.to.0.rem_euclid(1000) > 0));
        let end = run.last().map_or(end, |row| end.min(row.window.to()));
        let read = Window::new(stretch.from(), stretch.to().max(end)).unwrap_or(stretch);
        let mut found = Vec::new();
        for row in self.store.ledger_rows(self.id, read, 2).await? {
            if let Some(range) = row.window.intersect(read).filter(|_| row.doubt.is_none()) {
                found.push(self.difference(row, range, part.excess()).await?);
            }
        }
        Ok(found)
    }

    /// A stretch of a row, to be read again. Of a row of which the archive has kept what the provider has not, all is
    /// read: the provider's count of its parts is not known.
    pub(super) async fn difference(
        &self,
        row: LedgerRow,
        range: Window,
        excess: i64,
    ) -> Result<RowDifference, StoreError> {
        let range = if known_count(&row) == row.messages {
            range
        } else {
            row.window
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

    async fn times(&self, range: Window) -> Result<Vec<Millis>, StoreError> {
        self.store
            .message_times(
                self.account,
                &self.stream().scope,
                range.from().start(),
                range.to().start(),
            )
            .await
    }
}

impl std::fmt::Debug for StreamComparison<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Counting")
            .field("position", &self.position)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// How many messages the provider had in a row when it was last read.
fn known_count(row: &LedgerRow) -> u64 {
    row.provider_count.unwrap_or(row.messages)
}

/// Where rows are halved by what they hold: behind how many of them. There are at least two.
fn middle(rows: &[LedgerRow]) -> usize {
    let half = rows.iter().map(known_count).sum::<u64>() / 2;
    let mut sum = 0;
    let before = rows.iter().take_while(|row| {
        sum += known_count(row);
        sum <= half
    });
    before.count().clamp(1, rows.len() - 1)
}

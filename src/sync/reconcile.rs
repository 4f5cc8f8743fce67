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

use crate::domain::stream::Stream;
use crate::domain::time::{Millis, Second};
use crate::domain::window::Window;
use crate::provider::{Counted, Provider, ProviderError};
use crate::store::{AccountId, Sealed, Store, StoreError, StreamId};

/// So many messages are sooner read than narrowed down any further.
const FEW: u64 = 150;

/// A stretch of a ledger row that is to be read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The row.
    pub row: Sealed,
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
pub enum Obstacle {
    #[error(transparent)]
    Provider(#[from] ProviderError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A stream at its provider and in the archive.
#[derive(Clone, Copy)]
pub struct Counting<'a> {
    pub provider: &'a dyn Provider,
    pub store: &'a dyn Store,
    pub account: AccountId,
    /// Its position at the provider.
    pub position: usize,
    /// Its number in the archive.
    pub id: StreamId,
}

/// A second up to which was counted, from the start of a run of rows on. Always counted from there, parts of the run
/// add up, whatever the provider takes bounds to mean.
#[derive(Clone, Copy)]
struct Mark {
    at: Second,
    /// Up to where the provider counted in truth.
    to: Millis,
    /// By how many messages the count exceeds what is known.
    excess: i64,
}

/// Some rows of a run, or a stretch of one.
struct Part {
    rows: Range<usize>,
    from: Mark,
    to: Mark,
}

/// Where a part is cut in two.
struct Cut {
    at: Second,
    /// What is known of the run up to there.
    known: u64,
    /// The rows of the two halves.
    rows: [Range<usize>; 2],
}

impl Part {
    fn excess(&self) -> i64 {
        self.to.excess - self.from.excess
    }

    fn stretch(&self) -> Option<Window> {
        Window::new(self.from.at, self.to.at)
    }
}

impl Counting<'_> {
    fn stream(&self) -> Arc<Stream> {
        self.provider.stream(self.position)
    }

    /// Compares what is sealed within a range, apart from what is in doubt: of that nothing is known for sure.
    pub async fn differences(&self, within: Window) -> Result<Vec<Difference>, Obstacle> {
        let mut certain = Vec::new();
        for row in self.store.ledger_rows(self.id, within, u64::MAX).await? {
            if row.doubt.is_none() {
                certain.extend(self.part_within(row, within).await?);
            }
        }
        let mut found = Vec::new();
        for run in certain.chunk_by(|row, next| row.window.to() == next.window.from()) {
            let mut parts: Vec<Part> = self.compare(run).await?.into_iter().collect();
            while let Some(part) = parts.pop() {
                match self.cut(run, &part).await? {
                    Some(cut) => parts.extend(self.halves(run, part, cut).await?),
                    None => found.extend(self.found(run, &part).await?),
                }
            }
        }
        found.sort_by_key(|difference: &Difference| difference.range);
        let mut merged = Vec::new();
        for of_row in found.chunk_by(|one, next| one.row.window == next.row.window) {
            merged.extend(self.merged(of_row).await?);
        }
        Ok(merged)
    }

    /// The stretches of one row as one: while a stretch is read, what lies outside of it must hold still.
    async fn merged(&self, of_row: &[Difference]) -> Result<Option<Difference>, StoreError> {
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
    async fn part_within(&self, row: Sealed, within: Window) -> Result<Option<Sealed>, StoreError> {
        let part = row.window.intersect(within);
        match part {
            Some(part) if part == row.window => Ok(Some(row)),
            Some(part) if known(&row) == row.messages => {
                let (from, to) = (part.from().start(), part.to().start());
                let messages = self
                    .store
                    .count(self.account, &self.stream().scope, from, to)
                    .await?;
                let part = |messages| Sealed {
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
    async fn compare(&self, run: &[Sealed]) -> Result<Option<Part>, Obstacle> {
        let (Some(first), Some(last)) = (run.first(), run.last()) else {
            return Ok(None);
        };
        let start = first.window.from();
        let from = Mark {
            at: start,
            to: start.start(),
            excess: 0,
        };
        let to = self
            .mark(run, last.window.to(), run.iter().map(known).sum())
            .await?;
        let part = Part {
            rows: 0..run.len(),
            from,
            to,
        };
        Ok((part.excess() != 0).then_some(part))
    }

    /// Counts a run up to a second.
    async fn mark(&self, run: &[Sealed], at: Second, known: u64) -> Result<Mark, Obstacle> {
        let start = run.first().map_or(at, |row| row.window.from());
        let Some(range) = Window::new(start, at) else {
            return Ok(Mark {
                at,
                to: at.start(),
                excess: 0,
            });
        };
        let Counted { messages, from, to } = self.provider.count(self.position, range).await?;
        let before = self.archived(start.start(), from).await?;
        let behind = self.archived(at.start(), to).await?;
        Ok(Mark {
            at,
            to,
            excess: messages as i64 - (known + behind) as i64 + before as i64,
        })
    }

    /// How many messages the archive holds between two moments that are close together.
    async fn archived(&self, from: Millis, to: Millis) -> Result<u64, StoreError> {
        if from >= to {
            return Ok(0);
        }
        Ok(self
            .store
            .times(self.account, &self.stream().scope, from, to)
            .await?
            .len() as u64)
    }

    /// Where to cut a part; nothing where it is to be read.
    async fn cut(&self, run: &[Sealed], part: &Part) -> Result<Option<Cut>, StoreError> {
        let Range { start, end } = part.rows;
        let known_before = |row: usize| run.iter().take(row).map(known).sum::<u64>();
        if end - start > 1 {
            let middle = start + middle(run.get(start..end).unwrap_or_default());
            let at = run.get(middle).map(|row| row.window.from());
            return Ok(at.map(|at| Cut {
                at,
                known: known_before(middle),
                rows: [start..middle, middle..end],
            }));
        }
        // Where the archive has kept what the provider has not, the archive does not tell what to expect of a half.
        let Some(row) = run
            .get(start)
            .filter(|row| known(row) == row.messages && row.messages > FEW)
        else {
            return Ok(None);
        };
        let times = self.times(row.window).await?;
        let before = |second: Second| times.partition_point(|at| *at < second.start());
        let (first, last) = (before(part.from.at), before(part.to.at));
        let at = times.get(first + (last - first) / 2).map(|at| at.second());
        let at = at.filter(|at| part.from.at < *at && (last - first) as u64 > FEW);
        let cut = |at| Cut {
            at,
            known: known_before(start) + before(at) as u64,
            rows: [start..end, start..end],
        };
        Ok(at.map(cut))
    }

    /// The halves of a part in which something differs.
    async fn halves(&self, run: &[Sealed], part: Part, cut: Cut) -> Result<Vec<Part>, Obstacle> {
        let mark = self.mark(run, cut.at, cut.known).await?;
        let [first, second] = cut.rows;
        let halves = [
            Part {
                rows: first,
                from: part.from,
                to: mark,
            },
            Part {
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
    async fn found(&self, run: &[Sealed], part: &Part) -> Result<Vec<Difference>, StoreError> {
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
        row: Sealed,
        range: Window,
        excess: i64,
    ) -> Result<Difference, StoreError> {
        let range = if known(&row) == row.messages {
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
        Ok(Difference {
            row,
            range,
            outside,
            times,
            excess,
        })
    }

    async fn times(&self, range: Window) -> Result<Vec<Millis>, StoreError> {
        self.store
            .times(
                self.account,
                &self.stream().scope,
                range.from().start(),
                range.to().start(),
            )
            .await
    }
}

impl std::fmt::Debug for Counting<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Counting")
            .field("position", &self.position)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// How many messages the provider had in a row when it was last read.
fn known(row: &Sealed) -> u64 {
    row.provider_count.unwrap_or(row.messages)
}

/// Where rows are halved by what they hold: behind how many of them. There are at least two.
fn middle(rows: &[Sealed]) -> usize {
    let half = rows.iter().map(known).sum::<u64>() / 2;
    let mut sum = 0;
    let before = rows.iter().take_while(|row| {
        sum += known(row);
        sum <= half
    });
    before.count().clamp(1, rows.len() - 1)
}

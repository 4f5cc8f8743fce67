//! Where the provider holds more or fewer messages than is known of it, found by counting.
//!
//! What is known stands in the ledger: each row says how many messages the provider had in it when it was last read.
//! One count over many rows tells whether all of them are still so; where it is not, halves are counted, down to a
//! stretch that costs less to read than to count on. Only ever one half is asked for: counts of ranges that touch add
//! up, so the other follows.
//!
//! Two changes within one range that cancel out, a message gone and another come, are not seen by a count.

use crate::domain::stream::Scope;
use crate::domain::time::{Millis, Second};
use crate::domain::window::Window;
use crate::provider::{Provider, ProviderError};
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

/// Rows or a stretch of one row, with what was found of them.
struct Part<'a> {
    rows: &'a [Sealed],
    /// The stretch, where it is less than the one row that is left.
    stretch: Option<Window>,
    /// Up to where was counted: a provider may take bounds for something else than we do.
    to: Millis,
    excess: i64,
}

impl Counting<'_> {
    fn scope(&self) -> &Scope {
        &self.provider.streams()[self.position].scope
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
                match self.halves(&part).await? {
                    Some(halves) => parts.extend(halves.into_iter().filter(|half| half.excess != 0)),
                    None => found.extend(self.found(&part).await?),
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
        let (Some(first), Some(last)) = (of_row.first(), of_row.last()) else { return Ok(None) };
        if of_row.len() == 1 {
            return Ok(Some(first.clone()));
        }
        let excess = of_row.iter().map(|difference| difference.excess).sum();
        self.difference(first.row.clone(), first.range.hull(last.range), excess).await.map(Some)
    }

    /// What is known of the part of a row that lies within a range; nothing where that is costly to tell. It is what
    /// the archive holds, unless that is not what the provider had.
    async fn part_within(&self, row: Sealed, within: Window) -> Result<Option<Sealed>, StoreError> {
        let part = row.window.intersect(within);
        match part {
            Some(part) if part == row.window => Ok(Some(row)),
            Some(part) if known(&row) == row.messages => {
                let (from, to) = (part.from().start(), part.to().start());
                let messages = self.store.count(self.account, self.scope(), from, to).await?;
                let part = |messages| Sealed { window: part, messages, provider_count: Some(messages), ..row };
                Ok(messages.map(part))
            }
            _ => Ok(None),
        }
    }

    /// Counts an unbroken run of rows; nothing where it is as it is known to be.
    async fn compare<'a>(&self, run: &'a [Sealed]) -> Result<Option<Part<'a>>, Obstacle> {
        let Some(range) = span(run) else { return Ok(None) };
        let counted = self.provider.count(self.position, range).await?;
        let known = run.iter().map(known).sum::<u64>() as i64 + self.shift(range, counted.from, counted.to).await?;
        let excess = counted.messages as i64 - known;
        let part = Part { rows: run, stretch: None, to: counted.to, excess };
        Ok((excess != 0).then_some(part))
    }

    /// How many messages more the archive holds between the moments than between the bounds that they go with.
    async fn shift(&self, range: Window, from: Millis, to: Millis) -> Result<i64, StoreError> {
        let (start, end) = (range.from().start(), range.to().start());
        let mut shift = 0;
        for (edge, bound, sign) in [(from, start, -1), (to, end, 1)] {
            if bound < edge {
                shift += sign * self.store.times(self.account, self.scope(), bound, edge).await?.len() as i64;
            }
        }
        Ok(shift)
    }

    /// The two halves of a part, the first of them counted; nothing where the part is to be read.
    async fn halves<'a>(&self, part: &Part<'a>) -> Result<Option<[Part<'a>; 2]>, Obstacle> {
        if let [_, _, ..] = part.rows {
            let (first, second) = part.rows.split_at(middle(part.rows));
            let Some(range) = span(first) else { return Ok(None) };
            let known = first.iter().map(known).sum();
            return Ok(Some(self.halve(part, range, known, [first, second], [None, None]).await?));
        }
        let Some((row, stretch)) = part.rows.first().map(|row| (row, part.stretch.unwrap_or(row.window))) else {
            return Ok(None);
        };
        // Where the archive has kept what the provider has not, the archive does not tell what to expect of a half.
        if known(row) != row.messages || row.messages <= FEW {
            return Ok(None);
        }
        let times = self.times(stretch).await?;
        let middle = times.get(times.len() / 2).map(|at| at.second());
        let cut = middle.and_then(|at| Some((stretch.before(at)?, stretch.starting(at)?)));
        match cut {
            Some((first, second)) if times.len() as u64 > FEW && first != stretch => {
                let known = times.partition_point(|at| *at < first.to().start()) as u64;
                Ok(Some(self.halve(part, first, known, [part.rows; 2], [Some(first), Some(second)]).await?))
            }
            _ => Ok(None),
        }
    }

    /// Counts the first half; the second follows.
    async fn halve<'a>(
        &self,
        part: &Part<'a>,
        first: Window,
        known: u64,
        rows: [&'a [Sealed]; 2],
        stretches: [Option<Window>; 2],
    ) -> Result<[Part<'a>; 2], Obstacle> {
        let counted = self.provider.count(self.position, first).await?;
        let known = known as i64 + self.shift(first, counted.from, counted.to).await?;
        let excess = counted.messages as i64 - known;
        let ([rows, other_rows], [stretch, other_stretch]) = (rows, stretches);
        let first = Part { rows, stretch, to: counted.to, excess };
        let rest = part.excess - excess;
        Ok([first, Part { rows: other_rows, stretch: other_stretch, to: part.to, excess: rest }])
    }

    /// What of a row is to be read. Where the provider counts on beyond the stretch, the next row's first second is
    /// part of it.
    async fn found(&self, part: &Part<'_>) -> Result<Vec<Difference>, StoreError> {
        let Some(row) = part.rows.first() else { return Ok(vec![]) };
        let stretch = part.stretch.unwrap_or(row.window);
        let end = Second(part.to.0.div_euclid(1000) + i64::from(part.to.0.rem_euclid(1000) > 0));
        let read = Window::new(stretch.from(), stretch.to().max(end)).unwrap_or(stretch);
        let mut found = Vec::new();
        for row in self.store.ledger_rows(self.id, read, 2).await? {
            if let Some(range) = row.window.intersect(read).filter(|_| row.doubt.is_none()) {
                found.push(self.difference(row, range, part.excess).await?);
            }
        }
        Ok(found)
    }

    /// A stretch of a row, to be read again. Of a row of which the archive has kept what the provider has not, all is
    /// read: the provider's count of its parts is not known.
    pub(super) async fn difference(&self, row: Sealed, range: Window, excess: i64) -> Result<Difference, StoreError> {
        let range = if known(&row) == row.messages { range } else { row.window };
        let times = self.times(range).await?;
        let outside = match range == row.window {
            true => 0,
            false => self.times(row.window).await?.len().saturating_sub(times.len()) as u64,
        };
        Ok(Difference { row, range, outside, times, excess })
    }

    async fn times(&self, range: Window) -> Result<Vec<Millis>, StoreError> {
        self.store.times(self.account, self.scope(), range.from().start(), range.to().start()).await
    }
}

impl std::fmt::Debug for Counting<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Counting").field("position", &self.position).field("id", &self.id).finish_non_exhaustive()
    }
}

/// How many messages the provider had in a row when it was last read.
fn known(row: &Sealed) -> u64 {
    row.provider_count.unwrap_or(row.messages)
}

/// The range of an unbroken run of rows.
fn span(run: &[Sealed]) -> Option<Window> {
    Window::new(run.first()?.window.from(), run.last()?.window.to())
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

//! One topic's history: pages looked at, positions known, ranges found and read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::Web3mq;
use super::answers::{ParsedRow, TopicPage};
use super::positions::{PositionIndex, SearchStep};
use crate::domain::stream::Stream;
use crate::domain::time::Millis;
use crate::domain::window::Window;
use crate::provider::error::ProviderError;

/// What the key of a stream begins with; the rest is the topic's name.
pub(super) const KEY_PREFIX: &str = "topic=";
/// Pages of one window under way at once.
const PAGES_AT_ONCE: usize = 16;
/// How many pages one search may look at: far more than any takes, and an end to those that a provider leads astray.
const MAX_PROBES: u32 = 64;

/// A topic, and what is known of it.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) stream: Arc<Stream>,
    pub(super) name: String,
    known: Mutex<TopicState>,
}

#[derive(Debug, Default)]
struct TopicState {
    positions: PositionIndex,
    /// When the oldest of what is known was asked for, or last confirmed.
    since: Option<Instant>,
    /// Where the provider does not say how many messages there are: the newest one, when they were counted.
    newest: Option<ParsedRow>,
}

/// The rows of a page in their positions, oldest first.
#[derive(Debug)]
pub(super) struct View {
    /// The position of the first row, counted from the oldest message of the topic.
    pub(super) first: u64,
    pub(super) rows: Vec<ParsedRow>,
    pub(super) total: u64,
    /// Whether the provider itself said the total.
    told: bool,
}

/// The positions `[from, to)` of a window's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PositionRange {
    pub(super) from: u64,
    pub(super) to: u64,
}

/// What came of reading a window.
#[derive(Debug)]
pub(super) enum Reading {
    Complete(Vec<ParsedRow>),
    /// All that lies in the window's positions, but not in order of time: there may be more of it elsewhere.
    OutOfOrder(Vec<ParsedRow>),
    /// The history moved meanwhile: what was learned of positions no longer holds.
    Moved,
}

impl View {
    /// The times of the rows. One that could not be read counts as sent with the row before it.
    fn times(&self) -> Vec<Millis> {
        let known = self
            .rows
            .iter()
            .find_map(|row| row.as_ref().ok())
            .map_or(Millis(0), |sent| sent.at);
        let fill = |last: &mut Millis, row: &ParsedRow| {
            *last = row.as_ref().map_or(*last, |sent| sent.at);
            Some(*last)
        };
        self.rows.iter().scan(known, fill).collect()
    }

    fn holds(&self, span: PositionRange) -> bool {
        self.first <= span.from && span.to <= self.first + self.rows.len() as u64
    }
}

impl PositionRange {
    pub(super) fn len(self) -> u64 {
        self.to - self.from
    }

    /// With a neighbour at each end, which shows that nothing of the window lies beyond it.
    fn with_neighbours(self, total: u64) -> Self {
        Self {
            from: self.from.saturating_sub(1),
            to: (self.to + 1).min(total),
        }
    }
}

impl Topic {
    /// The topic of a stream whose key names one.
    pub(super) fn of(stream: &Stream) -> Option<Self> {
        let name = stream.key.strip_prefix(KEY_PREFIX)?.to_owned();
        Some(Self {
            stream: Arc::new(stream.clone()),
            name,
            known: Mutex::default(),
        })
    }

    /// Forgets what was learned or confirmed longer ago than this.
    pub(super) async fn forget_older(&self, age: Duration) {
        let mut known = self.known.lock().await;
        if known.since.is_some_and(|since| since.elapsed() >= age) {
            *known = TopicState::default();
        }
    }

    pub(super) async fn forget(&self) {
        *self.known.lock().await = TopicState::default();
    }

    /// Makes sure that nothing came or went since what is known was learned, unless that was this short a time ago.
    pub(super) async fn confirm(
        &self,
        account: &Web3mq,
        age: Duration,
    ) -> Result<(), ProviderError> {
        let mut known = self.known.lock().await;
        if known.since.is_some_and(|since| since.elapsed() >= age) {
            self.read_newest_page(account, &mut known, &[]).await?;
        }
        Ok(())
    }

    /// Finds where the window lies, looking at as many pages as it takes; the last of them is handed out, too, since
    /// it often holds all of a short window. The instant is the one at which this held at the latest.
    pub(super) async fn locate(
        &self,
        account: &Web3mq,
        window: Window,
    ) -> Result<(PositionRange, Option<View>, Instant), ProviderError> {
        let (start, end) = (window.from().start(), window.to().start());
        let mut known = self.known.lock().await;
        let begun = Instant::now();
        // What is newer than all that was seen can only be seen by looking.
        let mut seen = None;
        if known.positions.newest().is_none_or(|newest| newest < end) {
            seen = Some(
                self.read_newest_page(account, &mut known, &[start, end])
                    .await?,
            );
        }
        let to = self
            .find(account, &mut known, end, &[start, end], &mut seen)
            .await?;
        let from = self
            .find(account, &mut known, start, &[start, end], &mut seen)
            .await?;
        Ok((
            PositionRange {
                from: from.min(to),
                to,
            },
            seen,
            known.since.unwrap_or(begun),
        ))
    }

    /// The times at the given positions, each looked at unless it is known.
    pub(super) async fn times_at(
        &self,
        account: &Web3mq,
        positions: &[u64],
    ) -> Result<Vec<Millis>, ProviderError> {
        let asked = Instant::now();
        let total = self.known.lock().await.positions.total();
        let looks = stream::iter(positions.iter().copied())
            .map(|position| self.read_page_at(account, position, total));
        let views: Vec<View> = looks.buffered(PAGES_AT_ONCE).try_collect().await?;
        let mut known = self.known.lock().await;
        let mut found = Vec::with_capacity(positions.len());
        for (view, &position) in views.iter().zip(positions) {
            let times = view.times();
            let index = position.saturating_sub(view.first) as usize;
            let Some(&time) = times.get(index.min(times.len().saturating_sub(1))) else {
                continue;
            };
            record_page(&mut known, view, &[time.second().start()], asked);
            found.push(time);
        }
        Ok(found)
    }

    async fn find(
        &self,
        account: &Web3mq,
        known: &mut TopicState,
        moment: Millis,
        interest: &[Millis],
        seen: &mut Option<View>,
    ) -> Result<u64, ProviderError> {
        for probes in 0..MAX_PROBES {
            match known.positions.find(moment, probes) {
                SearchStep::Found(position) => return Ok(position),
                SearchStep::Probe(position) => {
                    let asked = Instant::now();
                    let view = self
                        .read_page_at(account, position, known.positions.total())
                        .await?;
                    record_page(known, &view, interest, asked);
                    *seen = Some(view);
                }
            }
        }
        *known = TopicState::default();
        Err(ProviderError::HistoryChanged { tries: MAX_PROBES })
    }

    /// The page with the message in this position, given how many there are.
    async fn read_page_at(
        &self,
        account: &Web3mq,
        position: u64,
        total: u64,
    ) -> Result<View, ProviderError> {
        let size = account.page_size();
        let page = total.saturating_sub(position + 1) / size + 1;
        let read = account.page(&self.name, page, size).await?;
        Ok(view(read, page, size, total))
    }

    /// The first page, which also tells how many messages there are.
    async fn read_newest_page(
        &self,
        account: &Web3mq,
        known: &mut TopicState,
        interest: &[Millis],
    ) -> Result<View, ProviderError> {
        let size = account.page_size();
        let asked = Instant::now();
        let page = account.page(&self.name, 1, size).await?;
        let rows = page.rows.len() as u64;
        let total = match page.total.filter(|&total| total >= rows) {
            Some(total) => {
                if 0 < rows && rows < size.min(total) {
                    // The provider serves smaller pages than were asked for.
                    account.shrink_pages(rows);
                }
                if total == known.positions.total() {
                    // Nothing came and nothing went: what was known of positions is known as of now.
                    known.since = known.since.map(|_| asked);
                } else {
                    // What came need not have come last.
                    *known = TopicState::default();
                }
                total
            }
            None if known.newest.is_some() && known.newest.as_ref() == page.rows.first() => {
                // Nothing came last, which is all that can be told.
                let total = known.positions.total();
                *known = TopicState {
                    newest: known.newest.take(),
                    ..TopicState::default()
                };
                total
            }
            None => {
                *known = TopicState {
                    newest: page.rows.first().cloned(),
                    ..TopicState::default()
                };
                self.count(account, rows, size).await?
            }
        };
        let view = view(page, 1, size, total);
        record_page(known, &view, interest, asked);
        Ok(view)
    }

    /// Counts the messages of a topic whose total the provider does not tell: the last page that holds any is found
    /// by doubling and halving. `rows` is what the first page held.
    async fn count(&self, account: &Web3mq, rows: u64, asked: u64) -> Result<u64, ProviderError> {
        if rows == 0 {
            return Ok(0);
        }
        let size = rows.min(asked);
        let (mut last, mut held, mut beyond) = (1, rows, None);
        while beyond.is_none_or(|beyond| beyond - last > 1) {
            let page = beyond.map_or(last * 2, |beyond: u64| last + (beyond - last) / 2);
            match account.page(&self.name, page, size).await?.rows.len() as u64 {
                0 => beyond = Some(page),
                n => (last, held) = (page, n),
            }
        }
        if last > 1 && size < asked {
            account.shrink_pages(size);
        }
        Ok((last - 1) * size + held)
    }

    /// Reads the rows of a window that was located, oldest first, and makes sure that they are all of it.
    pub(super) async fn read(
        &self,
        account: &Web3mq,
        window: Window,
        span: PositionRange,
    ) -> Result<Reading, ProviderError> {
        let mut shelf = Shelf::default();
        let mut total = self.known.lock().await.positions.total();
        // Messages that arrive meanwhile push the last rows to a further page; more than a few rounds of that is no
        // longer a chat.
        for _ in 0..4 {
            let wanted = span.with_neighbours(total);
            let Some((oldest, newest)) = shelf.missing(wanted) else {
                break;
            };
            let size = account.page_size();
            let pages = (total - 1 - newest) / size + 1..=(total - 1 - oldest) / size + 1;
            let reads = stream::iter(pages).map(async |page| {
                account
                    .page(&self.name, page, size)
                    .await
                    .map(|read| view(read, page, size, total))
            });
            let views: Vec<View> = reads.buffered(PAGES_AT_ONCE).try_collect().await?;
            for view in views {
                if view.total < total && view.told {
                    return Ok(Reading::Moved);
                }
                total = total.max(view.total);
                if !shelf.put(view) {
                    return Ok(Reading::Moved);
                }
            }
        }
        if self.moved_untold(account).await? {
            return Ok(Reading::Moved);
        }
        Ok(shelf.take(window, span, total))
    }

    /// Whether, at a provider that tells no totals, the newest message is another than when they were counted.
    async fn moved_untold(&self, account: &Web3mq) -> Result<bool, ProviderError> {
        let Some(newest) = self.known.lock().await.newest.clone() else {
            return Ok(false);
        };
        let page = account.page(&self.name, 1, account.page_size()).await?;
        Ok(page.rows.first() != Some(&newest))
    }
}

/// Takes note of what a page shows that was asked for at this instant.
fn record_page(known: &mut TopicState, view: &View, interest: &[Millis], asked: Instant) {
    if !known.positions.set_total(view.total) {
        known.since = None;
    }
    known.since.get_or_insert(asked);
    known
        .positions
        .record_times(view.first, &view.times(), interest);
}

/// Puts a page's rows in their positions. Where the provider does not tell the total, it is what it was.
fn view(page: TopicPage, number: u64, size: u64, known_total: u64) -> View {
    let before = (number - 1) * size;
    let count = page.rows.len() as u64;
    let told = page.total.filter(|&total| total >= before + count);
    let total = told.unwrap_or(known_total.max(before + count));
    let mut rows = page.rows;
    rows.reverse();
    View {
        first: total - before - count,
        rows,
        total,
        told: told.is_some(),
    }
}

/// The rows of several pages in their positions.
#[derive(Debug, Default)]
struct Shelf(BTreeMap<u64, ParsedRow>);

impl Shelf {
    /// Puts a page on the shelf. False where another row is in one of its places already.
    fn put(&mut self, view: View) -> bool {
        (view.first..).zip(view.rows).all(|(position, row)| {
            let before = self
                .0
                .get(&position)
                .is_none_or(|known| is_same_message(known, &row));
            self.0.insert(position, row);
            before
        })
    }

    /// The first and the last position of `wanted` in which no row is yet.
    fn missing(&self, wanted: PositionRange) -> Option<(u64, u64)> {
        let mut missing =
            (wanted.from..wanted.to).filter(|position| !self.0.contains_key(position));
        let first = missing.next()?;
        Some((first, missing.next_back().unwrap_or(first)))
    }

    /// The rows of the window, if they are all there, in order, and their neighbours show that there are no more.
    fn take(mut self, window: Window, span: PositionRange, total: u64) -> Reading {
        if self.missing(span.with_neighbours(total)).is_some() {
            return Reading::Moved;
        }
        let time = |position: &u64| {
            self.0
                .get(position)
                .and_then(|row| row.as_ref().ok())
                .map(|sent| sent.at)
        };
        let mut inside = (span.from..span.to).filter_map(|position| time(&position));
        let before = span
            .from
            .checked_sub(1)
            .and_then(|position| time(&position));
        let ordered = inside.all(|at| window.contains(at))
            && before.is_none_or(|at| at < window.from().start())
            && time(&span.to).is_none_or(|at| at >= window.to().start());
        let rows = (span.from..span.to)
            .filter_map(|position| self.0.remove(&position))
            .collect();
        if ordered {
            Reading::Complete(rows)
        } else {
            Reading::OutOfOrder(rows)
        }
    }
}

/// Whether two sightings are of one message, whose status may have moved on in between.
fn is_same_message(one: &ParsedRow, other: &ParsedRow) -> bool {
    match (one, other) {
        (Ok(one), Ok(other)) => {
            (&one.from, one.at, &one.id, &one.payload)
                == (&other.from, other.at, &other.id, &other.payload)
        }
        (one, other) => one == other,
    }
}

impl View {
    /// The window's rows, if the page shows all of them and their neighbours.
    pub(super) fn whole(self, window: Window, span: PositionRange) -> Option<Vec<ParsedRow>> {
        if !self.holds(span.with_neighbours(self.total)) {
            return None;
        }
        let total = self.total;
        let mut shelf = Shelf::default();
        shelf.put(self);
        match shelf.take(window, span, total) {
            Reading::Complete(rows) => Some(rows),
            Reading::OutOfOrder(_) | Reading::Moved => None,
        }
    }
}

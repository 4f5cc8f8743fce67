//! Topics whose pages are not in order of time. They are read in order of arrival: by position, from
//! the oldest message to the newest, each message once.
//!
//! Senders set the times of their messages. A node that keeps a topic in the order in which messages
//! arrived may show any of them on any page, and no search for a time finds all messages of a window.
//! Such a topic gives itself away: one of its pages is out of order. From then on its windows are
//! labels. A window is covered once all positions are read, and what was read is archived wherever
//! its time lies.
//!
//! A topic that was read in order of arrival once stays so. Reading by position is complete in either
//! order, and costs no more requests for what is new. To go back, all pages would have to be read, and
//! in order of time; one more message of a sender whose clock is wrong would undo it.
//!
//! The archive keeps the place up to which all is archived, with the last message there. Where that
//! stands earlier by now, older messages have expired. Where it stands later or nowhere, messages
//! came in between: then the whole topic is read once more.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::OwnedMutexGuard;

use super::api::Web3mqApi;
use super::mark_search::{find_unread, fingerprint, is_last_of};
use super::message::{ParsedRow, time_of};
use super::page_assembly::{PageAssembly, PositionRange};
use super::row_reader::RowReader;
use super::topic::Topic;
use crate::domain::arrival::ArrivalMark;
use crate::domain::time::{Millis, Second};
use crate::domain::window::Window;
use crate::provider::error::ProviderError;
use crate::provider::limits::web3mq::{MAX_COUNTED_UNREAD, MAX_READ_ATTEMPTS, MESSAGES_PER_WINDOW};
use crate::provider::survey::{
    ArrivalPart, FetchedWindow, RangeCount, ReadRoom, Survey, WindowRequest,
};

/// The reader of one user's topics that are not in order of time.
#[derive(Debug)]
pub(super) struct ArrivalReader {
    api: Arc<Web3mqApi>,
    rows: RowReader,
}

/// A part of a topic that was read.
struct ReadPart {
    /// Its positions.
    range: PositionRange,
    /// Its rows by position, and those on the pages before it.
    rows: Vec<(u64, ParsedRow)>,
    /// True if it reaches up to the newest message.
    is_last: bool,
    requested_at: Millis,
}

impl ArrivalReader {
    pub(super) fn new(api: Arc<Web3mqApi>) -> Self {
        Self {
            rows: RowReader::new(api.clone()),
            api,
        }
    }

    /// Returns the unread messages if the newest page shows them all, or else their number up to
    /// that of a window.
    pub(super) async fn survey(
        &self,
        topic: &Topic,
        window: Window,
        target: u64,
    ) -> Result<Survey, ProviderError> {
        let (turn, mark) = topic.next_turn().await;
        let one_window = |unread: u64| Survey::OneWindow(Some(unread.min(target)));
        let known_unread = topic.total().await.saturating_sub(mark.position);
        if known_unread > self.api.page_size() {
            return Ok(one_window(known_unread));
        }
        let newest = topic.read_newest(&self.api).await?;
        let from = find_unread(&self.api, topic, mark, &newest).await?;
        if from < newest.first {
            return Ok(one_window(newest.total - from));
        }
        let part = ReadPart {
            range: PositionRange {
                from,
                to: newest.total,
            },
            requested_at: self.api.gate().clock().time_at(topic.valid_since().await),
            rows: (newest.first..).zip(newest.rows).collect(),
            is_last: true,
        };
        Ok(Survey::Complete(part.into_window(window, mark, turn)))
    }

    /// Reads the oldest unread messages, as many as there is room for.
    pub(super) async fn read(
        &self,
        topic: &Topic,
        window: Window,
        request: WindowRequest,
    ) -> Result<FetchedWindow, ProviderError> {
        let (turn, mark) = topic.next_turn().await;
        let room = request.room;
        let rows = room.messages.min(room.bytes / self.api.row_bytes());
        let expected = request.expected.unwrap_or(MESSAGES_PER_WINDOW);
        let rows = rows.min(expected).clamp(1, MESSAGES_PER_WINDOW);
        let mut from = mark.position;
        for attempt in 1..=MAX_READ_ATTEMPTS {
            if attempt > 1 || topic.total().await <= from {
                let newest = topic.read_newest(&self.api).await?;
                from = find_unread(&self.api, topic, mark, &newest).await?;
            }
            let to = topic.total().await.min(from + rows);
            let range = PositionRange { from, to };
            if let Some(part) = self.read_part(topic, range, mark).await? {
                return Ok(part.into_window(window, mark, turn));
            }
            topic.forget().await;
        }
        Err(ProviderError::HistoryChanged {
            attempts: MAX_READ_ATTEMPTS,
        })
    }

    /// Reads a part, with the message before it. `None` if the positions have shifted.
    async fn read_part(
        &self,
        topic: &Topic,
        range: PositionRange,
        mark: ArrivalMark,
    ) -> Result<Option<ReadPart>, ProviderError> {
        let requested_at = self.api.gate().clock().time_at(topic.valid_since().await);
        let wanted = PositionRange {
            from: range.from.saturating_sub(1),
            to: range.to,
        };
        let Some((assembly, total)) = self.rows.assemble(topic, |_| wanted).await? else {
            return Ok(None);
        };
        let is_behind_mark = range
            .from
            .checked_sub(1)
            .is_none_or(|before| is_last_of(mark, assembly.row(before)));
        if assembly.missing(wanted).is_some() || !is_behind_mark {
            return Ok(None);
        }
        Ok(Some(ReadPart {
            range,
            rows: assembly.into_rows_before(range.to),
            is_last: range.to >= total,
            requested_at,
        }))
    }

    /// Reads the messages around the positions at which a window's times are found: most of its
    /// messages, if most clocks are right.
    pub(super) async fn read_around(
        &self,
        topic: &Topic,
        window: Window,
        room: ReadRoom,
    ) -> Result<FetchedWindow, ProviderError> {
        let asked = self.api.gate().clock().now();
        let total = topic.read_newest(&self.api).await?.total;
        let margin = self.api.page_size();
        let from = self
            .position_of(topic, window.from().start(), total)
            .await?;
        let to = self.position_of(topic, window.to().start(), total).await?;
        let range = PositionRange {
            from: from.saturating_sub(margin),
            to: total.min(to.max(from).saturating_add(margin)),
        };
        let range = range.part(0, room.messages.min(room.bytes / self.api.row_bytes()));
        let (assembly, _) = self.assemble(topic, range).await?;
        let rows = assembly.into_rows_before(range.to);
        let rows = rows.into_iter().map(|(_, row)| row);
        Ok(FetchedWindow::from_items(rows, asked))
    }

    /// Reads the whole topic, and returns the messages whose time lies in a window.
    pub(super) async fn read_everywhere(
        &self,
        topic: &Topic,
        window: Window,
        room: ReadRoom,
    ) -> Result<FetchedWindow, ProviderError> {
        let asked = self.api.gate().clock().now();
        let total = topic.read_newest(&self.api).await?.total;
        let mut rows: Vec<ParsedRow> = Vec::new();
        for from in (0..total).step_by(MESSAGES_PER_WINDOW as usize) {
            let range = PositionRange { from, to: total }.part(0, MESSAGES_PER_WINDOW);
            let (assembly, _) = self.assemble(topic, range).await?;
            let part = assembly.into_rows_before(range.to).into_iter();
            let is_inside = |row: &ParsedRow| time_of(row).is_some_and(|at| window.contains(at));
            let part = part.filter(|(at, _)| *at >= from).map(|(_, row)| row);
            rows.extend(part.filter(is_inside));
            let messages = rows.len() as u64;
            if messages > room.messages {
                return Err(ProviderError::TooManyMessages { window, messages });
            }
        }
        Ok(FetchedWindow::from_counted(rows, asked))
    }

    async fn assemble(
        &self,
        topic: &Topic,
        range: PositionRange,
    ) -> Result<(PageAssembly, u64), ProviderError> {
        for _ in 0..MAX_READ_ATTEMPTS {
            let read = self.rows.assemble(topic, |_| range).await?;
            match read.filter(|(rows, _)| rows.missing(range).is_none()) {
                Some(assembled) => return Ok(assembled),
                None => drop(topic.read_newest(&self.api).await?),
            }
        }
        Err(ProviderError::HistoryChanged {
            attempts: MAX_READ_ATTEMPTS,
        })
    }

    /// Counts about the messages of a range: those between the positions at which its times are
    /// found.
    pub(super) async fn count(
        &self,
        topic: &Topic,
        range: Window,
    ) -> Result<RangeCount, ProviderError> {
        let total = topic.read_newest(&self.api).await?.total;
        let from = self.position_of(topic, range.from().start(), total).await?;
        let to = self.position_of(topic, range.to().start(), total).await?;
        Ok(RangeCount {
            messages: to.saturating_sub(from),
            from: range.from().start(),
            to: range.to().start(),
        })
    }

    /// Returns about the number of messages before a time: of most pages, the middle time tells on
    /// which side they lie.
    async fn position_of(
        &self,
        topic: &Topic,
        time: Millis,
        total: u64,
    ) -> Result<u64, ProviderError> {
        if time <= Second::EPOCH.start() {
            return Ok(0);
        }
        let (mut low, mut high) = (0, total);
        while low < high {
            let page = topic
                .read_page_at(&self.api, low + (high - low) / 2, total)
                .await?;
            let end = page.first + page.rows.len() as u64;
            match middle_time(page.rows.iter()) {
                Some(middle) if middle < time => low = end.max(low + 1),
                _ => high = page.first.min(high - 1),
            }
        }
        Ok(low)
    }

    /// See [`Provider::count_unread`](crate::provider::Provider::count_unread).
    pub(super) async fn count_unread(
        &self,
        topic: &Topic,
        range: Window,
    ) -> Result<i64, ProviderError> {
        let mark = topic.arrivals.mark().unwrap_or_default();
        let newest = topic.read_newest(&self.api).await?;
        let total = newest.total;
        let from = find_unread(&self.api, topic, mark, &newest).await?;
        if from == 0 && mark.position > 0 {
            // It is not known which of them are new.
            let excess = total.saturating_sub(mark.position).max(1);
            return Ok(i64::try_from(excess).unwrap_or(i64::MAX));
        }
        let unread = PositionRange { from, to: total };
        if unread.len() > MAX_COUNTED_UNREAD {
            return Ok(i64::try_from(unread.len()).unwrap_or(i64::MAX));
        }
        let rows = if newest.first <= from {
            (newest.first..).zip(newest.rows).collect()
        } else {
            let (assembly, _) = self.assemble(topic, unread).await?;
            assembly.into_rows_before(total)
        };
        let is_missing = |(position, row): &&(u64, ParsedRow)| {
            *position >= from && time_of(row).is_some_and(|at| range.contains(at))
        };
        Ok(i64::try_from(rows.iter().filter(is_missing).count()).unwrap_or(i64::MAX))
    }
}

impl ReadPart {
    fn into_window(
        self,
        window: Window,
        mark: ArrivalMark,
        turn: OwnedMutexGuard<()>,
    ) -> FetchedWindow {
        let from = self.range.from;
        let (before, unread): (Vec<_>, Vec<_>) =
            self.rows.into_iter().partition(|(at, _)| *at < from);
        let unread: Vec<ParsedRow> = unread.into_iter().map(|(_, row)| row).collect();
        let label = middle_time(unread.iter()).map_or(window.from(), Millis::second);
        let label = label.min(window.to().plus(-1)).max(window.from());
        let arrivals = ArrivalPart {
            from: mark,
            to: ArrivalMark {
                position: self.range.to,
                last: unread.last().map(fingerprint).or(mark.last),
            },
            rest_from: (!self.is_last).then_some(label),
            _turn: turn,
        };
        // Equal messages are numbered: those before it that may be equal are read with the part.
        let times: BTreeSet<Millis> = unread.iter().filter_map(time_of).collect();
        let before = before.into_iter().map(|(_, row)| row);
        let may_be_equal = |row: &ParsedRow| time_of(row).is_some_and(|at| times.contains(&at));
        let before: Vec<ParsedRow> = before.filter(may_be_equal).collect();
        let rows = before.into_iter().chain(unread);
        FetchedWindow {
            arrivals: Some(arrivals),
            ..FetchedWindow::from_items(rows, self.requested_at)
        }
    }
}

/// Returns the middle of the times of messages. `None` if no time can be read.
fn middle_time<'a>(rows: impl Iterator<Item = &'a ParsedRow>) -> Option<Millis> {
    let mut times: Vec<Millis> = rows.filter_map(time_of).collect();
    let middle = times.len() / 2;
    (!times.is_empty()).then(|| *times.select_nth_unstable(middle).1)
}

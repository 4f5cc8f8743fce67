//! Windows: the rows between two positions are read, and must be all of the window.

use std::sync::Arc;

use super::api::Web3mqApi;
use super::message::{ParsedRow, time_of};
use super::page_assembly::{PositionRange, ReadResult, WindowRows};
use super::row_reader::RowReader;
use super::topic::Topic;
use crate::domain::format::counted;
use crate::domain::message::Message;
use crate::domain::time::Millis;
use crate::domain::window::Window;
use crate::provider::error::ProviderError;
use crate::provider::limits::web3mq::{
    MAX_READ_ATTEMPTS, MAX_UNDATED_MESSAGES, POSITIONS_LIFETIME,
};
use crate::provider::survey::{FetchedWindow, ReadPosition, WindowRequest};

/// The reader of windows of one user's topics.
#[derive(Debug)]
pub(super) struct Web3mqWindowReader {
    api: Arc<Web3mqApi>,
    rows: RowReader,
}

impl Web3mqWindowReader {
    pub(super) fn new(api: Arc<Web3mqApi>) -> Self {
        Self {
            rows: RowReader::new(api.clone()),
            api,
        }
    }

    /// Reads the messages of a window, or a part of them. If the history changes meanwhile, they
    /// are read again, a few times. If they remain out of order, the topic is read by arrival from
    /// now on, and this fails.
    pub(super) async fn read(
        &self,
        topic: &Topic,
        asked: Window,
        request: WindowRequest,
    ) -> Result<FetchedWindow, ProviderError> {
        let is_tail = topic.is_tail(&self.api, asked);
        for attempt in 1..=MAX_READ_ATTEMPTS {
            topic.forget_older(POSITIONS_LIFETIME).await;
            let location = topic.locate(&self.api, asked, is_tail).await?;
            let requested_at = self.api.gate().clock().time_at(location.valid_since);
            if location.is_undated {
                return self.read_undated(topic, requested_at).await;
            }
            let (window, whole) = (location.window, location.range);
            let room = request.room;
            let rows = room.messages.min(room.bytes / self.api.row_bytes());
            let part = whole.part(request.from.offset, rows);
            let next = (part.to < whole.to).then(|| ReadPosition {
                offset: part.to - whole.from,
                time: None,
            });
            let reached = request.from.time;
            let read = match self.read_rows(topic, window, (whole, part), reached).await {
                Err(ProviderError::HistoryChanged { .. }) => ReadResult::Shifted,
                read => read?,
            };
            match read {
                ReadResult::Complete(found) => {
                    if next.is_none() {
                        topic.record_tail(location.changed_total);
                    }
                    // Beside a part stand messages of other parts.
                    let others_from = location.others_from.filter(|_| part == whole);
                    return Ok(FetchedWindow {
                        next,
                        ..into_fetched(asked, found, others_from, requested_at)
                    });
                }
                ReadResult::OutOfOrder if attempt == MAX_READ_ATTEMPTS => {
                    // No page shows it, but they do together.
                    topic.read_by_arrival(&self.api);
                    return Err(ProviderError::HistoryChanged { attempts: attempt });
                }
                ReadResult::Elsewhere => {
                    return Err(ProviderError::HistoryChanged { attempts: attempt });
                }
                ReadResult::OutOfOrder | ReadResult::Shifted => {
                    tracing::debug!(
                        account = self.api.account(),
                        %window,
                        attempt,
                        "the history changed; reading the window again"
                    );
                    topic.forget().await;
                }
            }
        }
        Err(ProviderError::HistoryChanged {
            attempts: MAX_READ_ATTEMPTS,
        })
    }

    /// Reads the newest messages of a topic of which no message has a time that can be read. They
    /// are kept raw. They may belong to any window, so that each is in doubt.
    async fn read_undated(
        &self,
        topic: &Topic,
        requested_at: Millis,
    ) -> Result<FetchedWindow, ProviderError> {
        let total = topic.total().await;
        let ends = (
            total.saturating_sub(MAX_UNDATED_MESSAGES),
            total.saturating_sub(1),
        );
        let pages = self.rows.read_positions(topic, ends, total).await?;
        let rows = pages.into_iter().flat_map(|page| page.rows);
        let messages = counted(total, "message", "messages");
        let doubt = format!("the times of {messages} cannot be read");
        Ok(FetchedWindow {
            provider_count: Some(total),
            doubt: Some(doubt),
            ..FetchedWindow::from_items(rows, requested_at)
        })
    }

    /// Reads the rows of a part of a window that was located, oldest first. `reached` is the time at
    /// which the part before it ended, if that is to be checked.
    async fn read_rows(
        &self,
        topic: &Topic,
        window: Window,
        (whole, range): (PositionRange, PositionRange),
        reached: Option<Millis>,
    ) -> Result<ReadResult, ProviderError> {
        let with_neighbours = |total| range.with_neighbours(total);
        let Some((assembly, total)) = self.rows.assemble(topic, with_neighbours).await? else {
            return Ok(ReadResult::Shifted);
        };
        if reached.is_some_and(|time| !assembly.is_passed_at(range.from, time)) {
            return Ok(ReadResult::Elsewhere);
        }
        if range.from == 0 && !topic.ends_after(&self.api, total).await? {
            return Ok(ReadResult::Shifted);
        }
        Ok(assembly.into_result(window, (whole, range), total))
    }
}

/// Returns a window of the rows that were found. Those behind its end are archived with it, and not
/// counted; nor are those beside it, which are archived from a time on.
pub(super) fn into_fetched(
    window: Window,
    found: WindowRows,
    others_from: Option<Millis>,
    requested_at: Millis,
) -> FetchedWindow {
    let is_counted = |row: &&ParsedRow| time_of(row).is_none_or(|at| at < window.to().start());
    let count = found.rows.iter().filter(is_counted).count() as u64;
    let is_wanted = |other: &Message| others_from.is_some_and(|from| from <= other.sent_at);
    let others = found.others.into_iter().filter(is_wanted).map(Ok);
    FetchedWindow {
        provider_count: Some(count),
        ..FetchedWindow::from_items(others.chain(found.rows), requested_at)
    }
}

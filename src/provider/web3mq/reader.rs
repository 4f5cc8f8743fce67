//! Windows: the rows between two positions are read, and must be all of the window.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::api::Web3mqApi;
use super::page_assembly::{PageAssembly, PageView, PositionRange, ReadResult};
use super::topic::Topic;
use crate::domain::time::Millis;
use crate::domain::window::Window;
use crate::provider::error::ProviderError;
use crate::provider::limits::web3mq::{
    MAX_CATCH_UP_ROUNDS, MAX_CONCURRENT_PAGES, MAX_READ_ATTEMPTS, MAX_UNDATED_MESSAGES,
    POSITIONS_LIFETIME, READ_BYTES,
};
use crate::provider::survey::{FetchedWindow, ReadPosition, WindowRequest};

/// The reader of windows of one user's topics.
#[derive(Debug)]
pub(super) struct Web3mqWindowReader {
    api: Arc<Web3mqApi>,
}

impl Web3mqWindowReader {
    pub(super) fn new(api: Arc<Web3mqApi>) -> Self {
        Self { api }
    }

    /// Reads the messages of a window, or a part of them. If the history changes meanwhile, they
    /// are read again, a few times. Rows that remain out of order become a doubt.
    pub(super) async fn read(
        &self,
        topic: &Topic,
        window: Window,
        request: WindowRequest,
    ) -> Result<FetchedWindow, ProviderError> {
        for attempt in 1..=MAX_READ_ATTEMPTS {
            topic.forget_older(POSITIONS_LIFETIME).await;
            let location = topic.locate(&self.api, window).await?;
            let requested_at = self.api.gate().clock().time_at(location.valid_since);
            if location.is_undated {
                return self.read_undated(topic, requested_at).await;
            }
            let whole = location.range;
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
                ReadResult::Complete(rows) => {
                    return Ok(FetchedWindow {
                        next,
                        ..FetchedWindow::from_counted(rows, requested_at)
                    });
                }
                ReadResult::OutOfOrder(rows) if attempt == MAX_READ_ATTEMPTS => {
                    let doubt = "the provider does not serve this history in order of time";
                    return Ok(FetchedWindow {
                        doubt: Some(doubt.to_owned()),
                        next,
                        ..FetchedWindow::from_counted(rows, requested_at)
                    });
                }
                ReadResult::Elsewhere => {
                    return Err(ProviderError::HistoryChanged { attempts: attempt });
                }
                ReadResult::OutOfOrder(_) | ReadResult::Shifted => {
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
        let pages = self.read_positions(topic, ends, total).await?;
        let rows = pages.into_iter().flat_map(|page| page.rows);
        let doubt = format!("the times of {total} messages cannot be read");
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
        let mut assembly = PageAssembly::default();
        let mut total = topic.total().await;
        // Messages that arrive meanwhile move the last rows to a further page.
        for _ in 0..MAX_CATCH_UP_ROUNDS {
            let wanted = range.with_neighbours(total);
            let Some((oldest, newest)) = assembly.missing(wanted) else {
                break;
            };
            for view in self.read_positions(topic, (oldest, newest), total).await? {
                if view.total < total && view.is_total_reported {
                    return Ok(ReadResult::Shifted);
                }
                total = total.max(view.total);
                if !assembly.insert_page(view) {
                    return Ok(ReadResult::Shifted);
                }
            }
        }
        if topic.has_newest_changed(&self.api).await? {
            return Ok(ReadResult::Shifted);
        }
        if reached.is_some_and(|time| !assembly.is_passed_at(range.from, time)) {
            return Ok(ReadResult::Elsewhere);
        }
        if range.from == 0 && !topic.ends_after(&self.api, total).await? {
            return Ok(ReadResult::Shifted);
        }
        Ok(assembly.into_result(window, (whole, range), total))
    }

    /// Reads the pages that hold the positions from `oldest` to `newest`, in a topic of `total`
    /// messages.
    async fn read_positions(
        &self,
        topic: &Topic,
        (oldest, newest): (u64, u64),
        total: u64,
    ) -> Result<Vec<PageView>, ProviderError> {
        let size = self.api.page_size();
        let pages = (total - 1 - newest) / size + 1..=(total - 1 - oldest) / size + 1;
        let reads = stream::iter(pages).map(async |number| {
            let page = topic.read_page(&self.api, number, size).await?;
            Ok(PageView::new(page, number, size, total))
        });
        let page_bytes = size.saturating_mul(self.api.row_bytes()).max(1);
        let concurrent = usize::try_from(READ_BYTES / page_bytes).unwrap_or(usize::MAX);
        let concurrent = concurrent.clamp(1, MAX_CONCURRENT_PAGES);
        reads.buffered(concurrent).try_collect().await
    }
}

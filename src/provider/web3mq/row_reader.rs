//! The rows in a range of positions, read as whole pages.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::api::Web3mqApi;
use super::page_assembly::{PageAssembly, PageView, PositionRange};
use super::topic::Topic;
use crate::provider::error::ProviderError;
use crate::provider::limits::web3mq::{MAX_CATCH_UP_ROUNDS, MAX_CONCURRENT_PAGES, READ_BYTES};

/// The reader of ranges of positions.
#[derive(Clone, Debug)]
pub(super) struct RowReader {
    api: Arc<Web3mqApi>,
}

impl RowReader {
    pub(super) fn new(api: Arc<Web3mqApi>) -> Self {
        Self { api }
    }

    /// Reads the rows in the positions that are wanted of a topic with a given number of messages,
    /// and returns the number of messages by then. `None` if the positions have shifted meanwhile.
    pub(super) async fn assemble(
        &self,
        topic: &Topic,
        wanted: impl Fn(u64) -> PositionRange,
    ) -> Result<Option<(PageAssembly, u64)>, ProviderError> {
        let mut assembly = PageAssembly::default();
        let mut total = topic.total().await;
        // Messages that arrive meanwhile move the last rows to a further page.
        for _ in 0..MAX_CATCH_UP_ROUNDS {
            let Some((oldest, newest)) = assembly.missing(wanted(total)) else {
                break;
            };
            if newest >= total {
                return Ok(None);
            }
            for view in self.read_positions(topic, (oldest, newest), total).await? {
                if view.total < total && view.is_total_reported {
                    return Ok(None);
                }
                total = total.max(view.total);
                if !assembly.insert_page(view) {
                    return Ok(None);
                }
            }
        }
        if topic.has_newest_changed(&self.api).await? {
            return Ok(None);
        }
        Ok(Some((assembly, total)))
    }

    /// Reads the pages that hold the positions from `oldest` to `newest`, in a topic of `total`
    /// messages.
    pub(super) async fn read_positions(
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

//! Pages: a POST makes a handle, a GET reads it, once.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::time::{sleep, sleep_until};

use super::api::{AgoraApi, HandleState, PendingQuery, QueryRange};
use super::message::MessagePage;
use super::query::OffsetOrder;
use super::readiness::HandleReadiness;
use crate::provider::error::ProviderError;
use crate::provider::http_client::ParsedAnswer;
use crate::provider::json;
use crate::provider::limits::agora::{
    IN_PROGRESS_WAIT, MAX_CONCURRENT_PAGES, MAX_POLLS, MAX_READ_ATTEMPTS, PAGE_SIZE,
};

/// The reader of pages of one project.
#[derive(Debug)]
pub(super) struct PageReader {
    api: Arc<AgoraApi>,
    readiness: HandleReadiness,
}

impl PageReader {
    pub(super) fn new(api: Arc<AgoraApi>) -> Self {
        Self {
            api,
            readiness: HandleReadiness::new(),
        }
    }

    /// Reads one page of at most `limit` messages, after skipping `offset`. A handle that expires
    /// is made anew.
    pub(super) async fn read_page(
        &self,
        range: QueryRange<'_>,
        offset: u64,
        limit: u64,
    ) -> Result<MessagePage, ProviderError> {
        const OPERATION: &str = "read";
        let mut retry = self.api.answer_retry();
        let mut expired = 0;
        while expired < MAX_READ_ATTEMPTS {
            // A handle can be read only once: any failure needs another.
            let read = match self.api.create_query(range, offset, limit).await {
                Ok(query) => self.read_when_ready(&query, range).await,
                Err(error) => Err(error),
            };
            let Some(page) = read.transpose() else {
                expired += 1;
                continue;
            };
            let answer = page.map(|page| ParsedAnswer {
                odd_items: json::odd_items(&page),
                value: page,
            });
            if let Some(page) = retry.accept(OPERATION, answer).await? {
                return Ok(page);
            }
        }
        let fault = format!("{MAX_READ_ATTEMPTS} handles in a row expired unread");
        Err(ProviderError::Malformed {
            operation: OPERATION,
            fault,
        })
    }

    /// Reads all pages of a range that holds `count` messages. Pages and messages are returned
    /// oldest first, and the oldest are requested first, whichever end the provider counts offsets
    /// from.
    pub(super) async fn read_pages(
        &self,
        range: QueryRange<'_>,
        count: u64,
    ) -> Result<Vec<MessagePage>, ProviderError> {
        let is_descending = range.order == OffsetOrder::Descending;
        let page_count = count.max(1).div_ceil(PAGE_SIZE);
        let page_number = |page| {
            if is_descending {
                page_count - 1 - page
            } else {
                page
            }
        };
        let offsets = (0..page_count).map(|page| page_number(page) * PAGE_SIZE);
        let reads = stream::iter(offsets).map(|offset| self.read_page(range, offset, PAGE_SIZE));
        let oldest_first = reads.buffered(MAX_CONCURRENT_PAGES).map_ok(|mut page| {
            if is_descending {
                page.reverse();
            }
            page
        });
        oldest_first.try_collect().await
    }

    /// Reads a handle once it is ready; `None` if it is gone.
    async fn read_when_ready(
        &self,
        query: &PendingQuery,
        range: QueryRange<'_>,
    ) -> Result<Option<MessagePage>, ProviderError> {
        let created_at = query.created_at;
        let mut wait = self.readiness.next_wait();
        // While this one waits, other reads may show that the wait is too short.
        while created_at.elapsed() < wait {
            sleep_until(created_at + wait).await;
            wait = self.readiness.extended_wait(wait);
        }
        let waited = created_at.elapsed();
        for poll in 0..MAX_POLLS {
            let read = match self.api.read_handle(query, range).await? {
                HandleState::Gone => return Ok(None),
                HandleState::Ready(page) => Some(page),
                HandleState::InProgress => None,
            };
            if poll == 0 {
                self.readiness.observe(waited, read.is_some());
            }
            if read.is_some() {
                return Ok(read);
            }
            sleep(IN_PROGRESS_WAIT).await;
        }
        tracing::debug!(
            account = self.api.account(),
            polls = MAX_POLLS,
            "a handle never became ready"
        );
        Ok(None)
    }
}

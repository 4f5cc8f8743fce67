//! Surveys: the number of messages in a range, the meaning of a count's bounds, and the split
//! points of a range.

use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::api::{AgoraApi, QueryRange};
use super::bound_semantics::BoundInference;
use super::message::MessagePage;
use super::page_checks;
use super::page_reader::PageReader;
use super::splitting;
use crate::domain::stream::Stream;
use crate::domain::time::Millis;
use crate::domain::window::Window;
use crate::provider::error::ProviderError;
use crate::provider::limits::agora::{
    MAX_PIECES, MAX_UNCHECKED_WINDOWS, MIN_PAGE_SIZE, PAGE_SIZE, QUERY_MARGIN,
};
use crate::provider::rate_limiter::Priority;
use crate::provider::survey::{FetchedWindow, RangeCount, Survey};

/// The surveyor of one project.
#[derive(Debug)]
pub(super) struct AgoraSurveyor {
    api: Arc<AgoraApi>,
    pages: Arc<PageReader>,
    bounds: Mutex<BoundInference>,
}

impl AgoraSurveyor {
    pub(super) fn new(api: Arc<AgoraApi>, pages: Arc<PageReader>) -> Self {
        Self {
            api,
            pages,
            bounds: Mutex::new(BoundInference::new()),
        }
    }

    /// See [`Provider::survey`](crate::provider::Provider::survey).
    pub(super) async fn survey(
        &self,
        stream: &Stream,
        range: Window,
        target: u64,
    ) -> Result<Survey, ProviderError> {
        let asked = Instant::now();
        let count = self
            .api
            .count(stream, range.padded(QUERY_MARGIN), Priority::Normal)
            .await?;
        if count == Some(0) {
            let requested_at = self.api.gate().clock().time_at(asked);
            return Ok(Survey::Complete(FetchedWindow {
                provider_count: Some(0),
                ..FetchedWindow::from_items([], requested_at)
            }));
        }
        match count {
            Some(count) => self.split(stream, range, count, target).await,
            None => Ok(Survey::OneWindow(None)),
        }
    }

    /// Reads one page. If it is full, the range is surveyed instead.
    pub(super) async fn peek(
        &self,
        stream: &Stream,
        range: Window,
        target: u64,
    ) -> Result<Survey, ProviderError> {
        let asked = Instant::now();
        // Nothing is sealed by it, so that it need not be confirmed.
        let query = QueryRange::ascending(stream, range);
        let page = self.pages.read_page(query, 0, PAGE_SIZE).await?;
        if page.len() as u64 >= PAGE_SIZE {
            return self.survey(stream, range, target).await;
        }
        let requested_at = self.api.gate().clock().time_at(asked);
        let items = page_checks::within(range, page);
        Ok(Survey::Complete(FetchedWindow::from_items(
            items,
            requested_at,
        )))
    }

    /// See [`Provider::count`](crate::provider::Provider::count).
    pub(super) async fn count(
        &self,
        stream: &Stream,
        range: Window,
    ) -> Result<RangeCount, ProviderError> {
        let messages = self.estimate_count(stream, range).await?;
        // An empty range teaches nothing about its bounds.
        if messages > 0 {
            self.learn_bounds(stream, range).await?;
        }
        let (from, to) = self.bounds.lock().await.counted_span(range);
        Ok(RangeCount { messages, from, to })
    }

    /// Returns the provider's count of a range. Messages on its bounds may or may not be counted.
    pub(super) async fn estimate_count(
        &self,
        stream: &Stream,
        range: Window,
    ) -> Result<u64, ProviderError> {
        let count = self.probe_count(stream, range).await?;
        count.ok_or_else(|| ProviderError::Malformed {
            operation: "count",
            fault: "`count` is no number of messages".to_owned(),
        })
    }

    /// Returns the provider's count of a range; `None` if it cannot be believed.
    pub(super) async fn probe_count(
        &self,
        stream: &Stream,
        range: Window,
    ) -> Result<Option<u64>, ProviderError> {
        self.api.count(stream, range, Priority::Normal).await
    }

    /// True if these pages hold `count` messages of a range, by any meaning that its bounds may
    /// have.
    pub(super) async fn matches_count(
        &self,
        pages: &[MessagePage],
        range: Window,
        count: u64,
    ) -> bool {
        let is_readable = pages.iter().flatten().all(Result::is_ok);
        let times: Vec<Millis> = pages.iter().flat_map(message_times).collect();
        is_readable
            && times.is_sorted()
            && self
                .bounds
                .lock()
                .await
                .is_consistent_with(&times, range, count)
    }

    /// Splits a range that holds `count` messages, unless it fits into one window.
    ///
    /// A false count would be split for ever. So a range whose messages are not there, where the
    /// count says that they are, is not split but read until an empty page.
    async fn split(
        &self,
        stream: &Stream,
        range: Window,
        count: u64,
        target: u64,
    ) -> Result<Survey, ProviderError> {
        let windows = splitting::window_count(count, target);
        if windows == 1 || range.seconds() == 1 {
            return Ok(Survey::OneWindow(Some(count)));
        }
        let page = self.read_first_page(stream, range, MIN_PAGE_SIZE).await?;
        let mut is_believed = page.len() as u64 >= MIN_PAGE_SIZE;
        if is_believed && windows > MAX_UNCHECKED_WINDOWS {
            let range = QueryRange::ascending(stream, range);
            let last = self
                .pages
                .read_page(range, count - 1, MIN_PAGE_SIZE)
                .await?;
            is_believed = !last.is_empty();
        }
        if !is_believed {
            let account = self.api.account();
            tracing::warn!(account, %range, count, "the provider counts messages that it does not serve");
            return Ok(Survey::OneWindow(None));
        }
        let first = message_times(&page).next().map(Millis::second);
        let cuts = splitting::split_points(range, first, windows.min(MAX_PIECES));
        Ok(Survey::Split { count, cuts })
    }

    /// Finds out what bounds mean, as far as the messages of a range can show it.
    async fn learn_bounds(&self, stream: &Stream, range: Window) -> Result<(), ProviderError> {
        // Held while asking: one caller finds out for all.
        let mut bounds = self.bounds.lock().await;
        if !bounds.is_undecided() {
            return Ok(());
        }
        bounds.record_attempt();
        let page = self.read_first_page(stream, range, PAGE_SIZE).await?;
        let times: Vec<Millis> = message_times(&page).collect();
        // A full page may end among messages of one second, and then shows only some of them.
        let is_full = page.len() as u64 >= PAGE_SIZE;
        let end = times
            .last()
            .filter(|_| is_full)
            .map_or(range.to(), |last| last.second());
        let Some(known) = range.up_to(end) else {
            return Ok(());
        };
        if page.iter().any(Result::is_err) || !times.is_sorted() {
            return Ok(());
        }
        while let Some(probe) = bounds.next_probe(&times, known) {
            let count = self.estimate_count(stream, probe).await?;
            if !bounds.observe(&times, probe, count) {
                break;
            }
        }
        Ok(())
    }

    async fn read_first_page(
        &self,
        stream: &Stream,
        range: Window,
        size: u64,
    ) -> Result<MessagePage, ProviderError> {
        self.pages
            .read_confirmed_page(QueryRange::ascending(stream, range), 0, size)
            .await
    }
}

fn message_times(page: &MessagePage) -> impl Iterator<Item = Millis> {
    page.iter().flatten().map(|message| message.sent_at)
}

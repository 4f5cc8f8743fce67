//! Windows: all pages of a window are read, and must match the provider's count.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::api::{AgoraApi, QueryRange};
use super::message::MessagePage;
use super::page_checks;
use super::page_reader::PageReader;
use super::query::OffsetOrder;
use super::surveyor::AgoraSurveyor;
use crate::domain::stream::Stream;
use crate::domain::time::{Millis, Second};
use crate::domain::window::Window;
use crate::provider::error::ProviderError;
use crate::provider::limits::agora::{EXPIRY_LEAD_S, MAX_READ_ATTEMPTS, NEAR_EXPIRY, QUERY_MARGIN};
use crate::provider::rate_limiter::Priority;
use crate::provider::survey::FetchedWindow;

/// The reader of windows of one project.
#[derive(Debug)]
pub(super) struct AgoraWindowReader {
    api: Arc<AgoraApi>,
    pages: Arc<PageReader>,
    surveyor: Arc<AgoraSurveyor>,
    /// How long the provider keeps messages; `None` if it keeps them for ever.
    retention: Option<Duration>,
}

impl AgoraWindowReader {
    pub(super) fn new(
        api: Arc<AgoraApi>,
        pages: Arc<PageReader>,
        surveyor: Arc<AgoraSurveyor>,
        retention: Option<Duration>,
    ) -> Self {
        Self {
            api,
            pages,
            surveyor,
            retention,
        }
    }

    /// Reads all messages of a window that holds `expected` messages with its margin. While the
    /// pages do not match the count, the window is read again, a few times; a mismatch that remains
    /// becomes a doubt.
    pub(super) async fn read(
        &self,
        stream: &Stream,
        window: Window,
        expected: u64,
    ) -> Result<FetchedWindow, ProviderError> {
        let order = self.offset_order(window);
        let mut range = QueryRange {
            order,
            ..QueryRange::ascending(stream, window)
        };
        let mut count = expected;
        let mut earlier_reads = Vec::new();
        loop {
            let asked = Instant::now();
            let pages = self.pages.read_pages(range, count).await?;
            let requested_at = self.api.gate().clock().time_at(asked);
            let mut doubt = page_checks::mismatch(&pages, count)
                .or_else(|| page_checks::repeated_at_boundary(&pages, earlier_reads.last()));
            let may_read_again = earlier_reads.len() + 1 < MAX_READ_ATTEMPTS as usize;
            let unexpired = self.unexpired_part(window).filter(|_| may_read_again);
            if let (Some(fault), Some(unexpired)) = (&doubt, unexpired) {
                let padded = unexpired.padded(QUERY_MARGIN);
                // It goes first: the retention edge moves on.
                count = self.api.count(stream, padded, Priority::High).await?;
                range = QueryRange { padded, ..range };
                if unexpired == window || !self.surveyor.matches_count(&pages, padded, count).await
                {
                    tracing::debug!(
                        account = self.api.account(),
                        %window,
                        fault,
                        "pages do not match the count; reading the window again"
                    );
                    earlier_reads.push(pages);
                    continue;
                }
                // Nothing is missing but the messages that have expired meanwhile.
                doubt = None;
            }
            let read = WindowRead {
                pages,
                count,
                counted_from: range.padded.from().start(),
                doubt,
                requested_at,
            };
            return Ok(read.into_fetched(window, &earlier_reads));
        }
    }

    /// Returns the end that offsets count from. From the oldest message, new messages move no page;
    /// near the retention edge the oldest expire one after the other, so there the newest is the
    /// steady end.
    fn offset_order(&self, window: Window) -> OffsetOrder {
        match self.retention_edge() {
            Some(edge) if window.from().minus(NEAR_EXPIRY) < edge => OffsetOrder::Descending,
            _ => OffsetOrder::Ascending,
        }
    }

    /// Returns the part of a window that will not have expired when it is requested; `None` if all
    /// of it will.
    fn unexpired_part(&self, window: Window) -> Option<Window> {
        match self.retention_edge() {
            Some(edge) if edge.plus(1) > window.from() => {
                window.starting_at(edge.plus(EXPIRY_LEAD_S))
            }
            _ => Some(window),
        }
    }

    fn retention_edge(&self) -> Option<Second> {
        let now = self.api.gate().clock().now().second();
        self.retention.map(|retention| now.minus(retention))
    }
}

/// The last read of a window.
struct WindowRead {
    pages: Vec<MessagePage>,
    /// The provider's count of the window with its margin, from `counted_from` on.
    count: u64,
    counted_from: Millis,
    /// The reason why the pages do not match the count.
    doubt: Option<String>,
    requested_at: Millis,
}

impl WindowRead {
    /// Returns the messages of the window, with those that only earlier reads have shown.
    fn into_fetched(self, window: Window, earlier_reads: &[Vec<MessagePage>]) -> FetchedWindow {
        let begin = self.counted_from;
        let mut pages = self.pages;
        if self.doubt.is_some() {
            pages = page_checks::without_boundary_duplicates(pages);
        }
        // The count covers messages in the margin, and not those that were read before they
        // expired.
        let in_margin = count_messages(&pages, |at| begin <= at && !window.contains(at));
        let pages = page_checks::with_earlier_messages(pages, earlier_reads);
        let expired = count_messages(&pages, |at| at < begin && window.contains(at));
        let items = page_checks::within(window, pages);
        FetchedWindow {
            provider_count: Some(self.count.saturating_sub(in_margin) + expired),
            doubt: self.doubt,
            ..FetchedWindow::from_items(items, self.requested_at)
        }
    }
}

fn count_messages(pages: &[MessagePage], is_counted: impl Fn(Millis) -> bool) -> u64 {
    let messages = pages.iter().flatten().flatten();
    messages
        .filter(|message| is_counted(message.sent_at))
        .count() as u64
}

//! Windows: all pages of a window are read, and must match the provider's count.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::api::{AgoraApi, QueryRange};
use super::message::{MessagePage, ParsedMessage};
use super::page_checks;
use super::page_reader::{PageReader, RunEnd};
use super::query::OffsetOrder;
use super::surveyor::AgoraSurveyor;
use crate::domain::stream::Stream;
use crate::domain::time::{Millis, Second};
use crate::domain::window::Window;
use crate::provider::error::ProviderError;
use crate::provider::limits::agora::{EXPIRY_LEAD_S, MAX_READ_ATTEMPTS, NEAR_EXPIRY, QUERY_MARGIN};
use crate::provider::rate_limiter::Priority;
use crate::provider::survey::{FetchedWindow, ReadPosition, ReadRoom, WindowRequest};

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

    /// Reads the messages of a window that holds `request.expected` messages with its margin.
    ///
    /// A window that fits into the room is read as a whole: while the pages do not match the
    /// count, it is read again, a few times, and a mismatch that remains becomes a doubt. Any other
    /// window is read in parts.
    pub(super) async fn read(
        &self,
        stream: &Stream,
        window: Window,
        request: WindowRequest,
    ) -> Result<FetchedWindow, ProviderError> {
        let is_first = request.from == ReadPosition::default();
        match request.expected {
            Some(count) if is_first && count <= request.room.messages => {
                self.read_whole(stream, window, count, request.room).await
            }
            _ => self.read_part(stream, window, request).await,
        }
    }

    /// Reads a window as a whole, or its first part if its messages are larger than there is room
    /// for.
    async fn read_whole(
        &self,
        stream: &Stream,
        window: Window,
        expected: u64,
        room: ReadRoom,
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
            let run = self
                .pages
                .read_pages(range, 0, Some(count), None, room)
                .await?;
            let requested_at = self.api.gate().clock().time_at(asked);
            if run.ended != Some(RunEnd::Whole) && run.messages > 0 {
                return Ok(part_of(
                    window,
                    ReadPosition::default(),
                    run.pages,
                    requested_at,
                ));
            }
            let pages = run.pages;
            let mut doubt = page_checks::mismatch(&pages, count)
                .or_else(|| page_checks::repeated_at_boundary(&pages, earlier_reads.last()));
            let may_read_again = earlier_reads.len() + 1 < MAX_READ_ATTEMPTS as usize;
            let unexpired = self.unexpired_part(window).filter(|_| may_read_again);
            if let (Some(fault), Some(unexpired)) = (&doubt, unexpired) {
                let padded = unexpired.padded(QUERY_MARGIN);
                // It goes first: the retention edge moves on.
                let counted = self.api.count(stream, padded, Priority::High).await?;
                count = counted.unwrap_or(count);
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

    /// Reads the next part of a window, from the oldest message on. The series ends with an empty
    /// page, whatever the count; the last part carries a doubt if the count is another.
    async fn read_part(
        &self,
        stream: &Stream,
        window: Window,
        request: WindowRequest,
    ) -> Result<FetchedWindow, ProviderError> {
        let range = QueryRange::ascending(stream, window);
        let from = request.from;
        // The message before the position shows if the history has shifted.
        let overlap = from.offset.min(1);
        let asked = Instant::now();
        // Messages behind the window lie in the margin, and may be many.
        let end = Some(window.to().start());
        let first = from.offset - overlap;
        let run = self
            .pages
            .read_pages(range, first, request.expected, end, request.room)
            .await?;
        let requested_at = self.api.gate().clock().time_at(asked);
        let mut pages = run.pages;
        if overlap > 0 && !continues_at(from, &mut pages) {
            return Err(ProviderError::HistoryChanged { attempts: 1 });
        }
        let is_ordered = page_checks::order_mismatch(&pages).is_none();
        let mut part = part_of(window, from, pages, requested_at);
        if run.ended == Some(RunEnd::PastEnd) && is_ordered {
            part.next = None;
            return Ok(part);
        }
        // A page that holds only the message before the position is empty from there on.
        let is_empty = part.next.is_none_or(|next| next.offset == from.offset);
        if run.ended == Some(RunEnd::Whole) || is_empty {
            let total = part.next.take().map_or(from.offset, |next| next.offset);
            let counted = self.api.count(stream, range.padded, Priority::High).await?;
            part.doubt = counted
                .filter(|counted| *counted != total)
                .map(|counted| page_checks::count_mismatch(counted, total));
        }
        Ok(part)
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

/// Makes a part of the pages that were read from a position on. Messages in the margin are kept:
/// positions count them as well.
fn part_of(
    window: Window,
    from: ReadPosition,
    pages: Vec<MessagePage>,
    requested_at: Millis,
) -> FetchedWindow {
    let times = pages
        .iter()
        .flatten()
        .flatten()
        .map(|message| message.sent_at);
    let next = ReadPosition {
        offset: from.offset + pages.iter().map(|page| page.len() as u64).sum::<u64>(),
        time: times.max().or(from.time),
    };
    let outside = count_messages(&pages, |at| !window.contains(at));
    FetchedWindow {
        provider_count: Some(next.offset - from.offset - outside),
        next: Some(next),
        ..FetchedWindow::from_items(pages.into_iter().flatten(), requested_at)
    }
}

/// Removes the message before a position from the pages that begin with it. Returns false if the
/// history has shifted: the position lies elsewhere now.
fn continues_at(from: ReadPosition, pages: &mut [MessagePage]) -> bool {
    let Some(first) = pages.first_mut().filter(|page| !page.is_empty()) else {
        return false;
    };
    let before = first.remove(0);
    let time = |item: &ParsedMessage| item.as_ref().ok().map(|message| message.sent_at);
    let after = pages.iter().flatten().find_map(time);
    match from.time {
        Some(at) => {
            time(&before).is_none_or(|before| before <= at) && after.is_none_or(|after| at <= after)
        }
        None => true,
    }
}

fn count_messages(pages: &[MessagePage], is_counted: impl Fn(Millis) -> bool) -> u64 {
    let messages = pages.iter().flatten().flatten();
    messages
        .filter(|message| is_counted(message.sent_at))
        .count() as u64
}

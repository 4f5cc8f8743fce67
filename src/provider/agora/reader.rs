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
use crate::provider::survey::{FetchedWindow, ReadPosition, WindowRequest};

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
                self.read_whole(stream, window, count, request).await
            }
            _ => self.read_part(stream, window, request).await,
        }
    }

    /// Reads a window as a whole, or its first part if its messages are larger than there is room
    /// for, or pages are shorter than expected.
    async fn read_whole(
        &self,
        stream: &Stream,
        window: Window,
        expected: u64,
        request: WindowRequest,
    ) -> Result<FetchedWindow, ProviderError> {
        let order = self.offset_order(window);
        let mut range = QueryRange {
            order,
            ..QueryRange::ascending(stream, window)
        };
        let mut count = expected;
        let mut earlier_reads: Vec<Vec<MessagePage>> = Vec::new();
        loop {
            let asked = Instant::now();
            let previous = earlier_reads.last().map_or(&[][..], Vec::as_slice);
            let run = self
                .pages
                .read_pages(range, 0, Some(count), None, request.room, previous)
                .await?;
            let requested_at = self.api.gate().clock().time_at(asked);
            let fault = run.fault(previous);
            if run.ended != Some(RunEnd::Whole) && run.messages > 0 {
                if fault.is_some() {
                    return self.read_part(stream, window, request).await;
                }
                let from = ReadPosition::default();
                return Ok(part_of(window, from, run.pages, requested_at, None));
            }
            let pages = run.pages;
            let is_consecutive = fault.is_none();
            // If the previous read shows the very same, the message is two.
            let repetition = page_checks::repeated_message(&pages).filter(|_| pages != previous);
            let mut doubt = page_checks::mismatch(&pages, count)
                .or(fault)
                .or(repetition);
            let may_read_again = earlier_reads.len() + 1 < MAX_READ_ATTEMPTS as usize;
            let unexpired = self.unexpired_part(window).filter(|_| may_read_again);
            if let (Some(fault), Some(unexpired)) = (&doubt, unexpired) {
                let padded = unexpired.padded(QUERY_MARGIN);
                // It goes first: the retention edge moves on.
                let counted = self.api.count(stream, padded, Priority::High).await?;
                count = counted.unwrap_or(count);
                range = QueryRange { padded, ..range };
                if unexpired == window
                    || !is_consecutive
                    || !self.surveyor.matches_count(&pages, padded, count).await
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
    ///
    /// Pages that do not follow each other or the position are read again until two readings agree,
    /// a few times; then the part carries a doubt.
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
        // Messages behind the window lie in the margin, and may be many.
        let end = Some(window.to().start());
        let first = from.offset - overlap;
        let mut previous = Vec::new();
        let mut reads = 0;
        let (run, doubt, requested_at) = loop {
            let asked = Instant::now();
            let run = self
                .pages
                .read_pages(range, first, request.expected, end, request.room, &previous)
                .await?;
            reads += 1;
            let is_continued = overlap == 0 || continues_at(from, &run.pages);
            let shifted = || (!is_continued).then(|| "the position has shifted".to_owned());
            let fault = run.fault(&previous).or_else(shifted);
            let is_confirmed = run.pages == previous;
            if fault.is_none() || is_confirmed || reads >= MAX_READ_ATTEMPTS {
                if !is_continued {
                    return Err(ProviderError::HistoryChanged { attempts: 1 });
                }
                break (run, fault, self.api.gate().clock().time_at(asked));
            }
            previous = run.pages;
        };
        let mut pages = run.pages;
        if let Some(first) = pages.first_mut().filter(|_| overlap > 0) {
            // The message before the position.
            first.drain(..1);
        }
        let is_ordered = page_checks::order_mismatch(&pages).is_none();
        let mut part = part_of(window, from, pages, requested_at, doubt);
        if run.ended == Some(RunEnd::PastEnd) && is_ordered {
            part.next = None;
            return Ok(part);
        }
        // A page that holds only the message before the position is empty from there on.
        let is_empty = part.next.is_none_or(|next| next.offset == from.offset);
        if run.ended == Some(RunEnd::Whole) || is_empty {
            let total = part.next.take().map_or(from.offset, |next| next.offset);
            let counted = self.api.count(stream, range.padded, Priority::High).await?;
            let mismatch = counted
                .filter(|counted| *counted != total)
                .map(|counted| page_checks::count_mismatch(counted, total));
            part.doubt = part.doubt.or(mismatch);
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
        let read = messages_of(self.pages, self.doubt.as_deref());
        // The count covers messages in the margin, and not those that were read before they
        // expired.
        let in_margin = count_messages(&read, |at| begin <= at && !window.contains(at));
        let all = page_checks::merged(read, earlier_reads.iter().flatten());
        let expired = count_messages(&all, |at| at < begin && window.contains(at));
        let items = page_checks::within(window, all);
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
    doubt: Option<String>,
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
    let items = messages_of(pages, doubt.as_deref());
    let outside = count_messages(&items, |at| !window.contains(at));
    FetchedWindow {
        provider_count: Some(next.offset - from.offset - outside),
        next: Some(next),
        doubt,
        ..FetchedWindow::from_items(items, requested_at)
    }
}

/// Returns the messages of consecutive pages. Pages in doubt may overlap.
fn messages_of(pages: Vec<MessagePage>, doubt: Option<&str>) -> MessagePage {
    match doubt {
        None => pages.into_iter().flatten().collect(),
        Some(_) => page_checks::merged(MessagePage::new(), &pages),
    }
}

/// True if pages that begin with the message before a position continue there. Else the history has
/// shifted: the position lies elsewhere now.
fn continues_at(from: ReadPosition, pages: &[MessagePage]) -> bool {
    let time = |item: &ParsedMessage| item.as_ref().ok().map(|message| message.sent_at);
    let Some(before) = pages.first().and_then(|page| page.first()) else {
        return false;
    };
    let after = pages.iter().flatten().skip(1).find_map(time);
    match from.time {
        Some(at) => {
            time(before).is_none_or(|before| before <= at) && after.is_none_or(|after| at <= after)
        }
        None => true,
    }
}

fn count_messages(items: &[ParsedMessage], is_counted: impl Fn(Millis) -> bool) -> u64 {
    let messages = items.iter().flatten();
    messages
        .filter(|message| is_counted(message.sent_at))
        .count() as u64
}

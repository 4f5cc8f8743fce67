//! Pages: a POST makes a handle, a GET reads it, once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::stream::{self, StreamExt};
use tokio::time::{sleep, sleep_until};

use super::api::{AgoraApi, HandleState, PendingQuery, QueryRange};
use super::message::{MessagePage, ParsedMessage};
use super::page_checks::{self, may_be_foreign, repeats};
use super::query::OffsetOrder;
use super::readiness::HandleReadiness;
use crate::domain::time::Millis;
use crate::provider::error::ProviderError;
use crate::provider::http_client::ParsedAnswer;
use crate::provider::json;
use crate::provider::limits::agora::{
    IN_PROGRESS_WAIT, MAX_ANSWERS_PER_PAGE, MAX_CONCURRENT_PAGES, MAX_POLLS, MAX_READ_ATTEMPTS,
    PAGE_SIZE,
};
use crate::provider::survey::ReadRoom;

/// The reader of pages of one project.
#[derive(Debug)]
pub(super) struct PageReader {
    api: Arc<AgoraApi>,
    readiness: HandleReadiness,
    /// The mean size of a page, in bytes of content.
    page_bytes: AtomicU64,
}

/// Consecutive pages of a range.
#[derive(Debug, Default)]
pub(super) struct PageRun {
    /// Pages and messages, oldest first.
    pub(super) pages: Vec<MessagePage>,
    /// The number of messages in the pages.
    pub(super) messages: u64,
    /// The reason why the last page is the last one; `None` while others may follow.
    pub(super) ended: Option<RunEnd>,
    /// True if a page may be the answer to another request.
    is_unconfirmed: bool,
    bytes: u64,
    /// The number of pages that the count lets expect.
    expected: u64,
    is_descending: bool,
    /// The first moment that is not asked for, if messages behind it need not be read.
    until: Option<Millis>,
}

/// A page that was read until it is believed.
#[derive(Debug)]
struct BelievedPage {
    page: MessagePage,
    /// False if it may be the answer to another request: no two answers agree.
    is_confirmed: bool,
}

/// The reason why a page is the last one of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunEnd {
    /// The range holds no further message.
    Whole,
    /// The pages have reached the first moment that is not asked for.
    PastEnd,
    /// It was not full although others were expected behind it: those begin elsewhere.
    Short,
}

impl PageRun {
    fn push(&mut self, BelievedPage { page, is_confirmed }: BelievedPage) {
        self.messages += page.len() as u64;
        self.bytes += content_bytes(&page);
        self.is_unconfirmed |= !is_confirmed;
        if !self.is_descending {
            self.ended = self.end_at(&page);
        }
        self.pages.push(page);
    }

    /// Returns the reason why the run ends with this page, counted from the oldest message. From
    /// the newest, only the oldest page need not be full.
    fn end_at(&self, page: &MessagePage) -> Option<RunEnd> {
        let is_full = page.len() as u64 >= PAGE_SIZE;
        let is_last = self.pages.len() as u64 + 1 >= self.expected;
        let newest = page.iter().rev().find_map(|item| item.as_ref().ok());
        let is_past = |until| newest.is_some_and(|message| message.sent_at >= until);
        if page.is_empty() || (is_last && !is_full) {
            Some(RunEnd::Whole)
        } else if self.until.is_some_and(is_past) {
            Some(RunEnd::PastEnd)
        } else {
            (!is_full).then_some(RunEnd::Short)
        }
    }

    /// True if all expected pages were read.
    fn is_complete(&self) -> bool {
        self.pages.len() as u64 >= self.expected
    }

    /// Returns the reason why the pages are not believed, as far as it is to be seen without a count.
    /// `None` if they follow each other. The `previous` reading excuses either a repetition or
    /// another order than that of time, if it shows the very same; both together are never the
    /// provider's pages one after the other.
    pub(super) fn fault(&self, previous: &[MessagePage]) -> Option<String> {
        let disorder = page_checks::order_mismatch(&self.pages);
        let repetition = page_checks::repeated_page(&self.pages);
        let is_both = disorder.is_some() && repetition.is_some();
        if self.pages == previous && !is_both {
            return None;
        }
        self.unconfirmed_page().or(disorder).or(repetition)
    }

    /// Returns the fault of a page that may be the answer to another request.
    fn unconfirmed_page(&self) -> Option<String> {
        self.is_unconfirmed
            .then(|| "the provider's answers to one request differ".to_owned())
    }

    /// True if nothing more is to be read now.
    fn has_ended(&self, room: ReadRoom) -> bool {
        self.ended.is_some() || self.messages >= room.messages || self.bytes >= room.bytes
    }
}

fn content_bytes(page: &MessagePage) -> u64 {
    let bytes = |item: &ParsedMessage| match item {
        Ok(message) => message.content_bytes(),
        Err(unparsable) => unparsable.raw.len() as u64,
    };
    page.iter().map(bytes).sum()
}

impl PageReader {
    pub(super) fn new(api: Arc<AgoraApi>) -> Self {
        Self {
            api,
            readiness: HandleReadiness::new(),
            page_bytes: AtomicU64::new(0),
        }
    }

    /// Reads one page of at most `limit` messages, after skipping `offset`, and returns it oldest
    /// message first. A handle that expires is made anew.
    ///
    /// The page is nearly always the requested one. [`Self::read_confirmed_page`] makes sure.
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
            if let Some(mut page) = retry.accept(OPERATION, answer).await? {
                if range.order == OffsetOrder::Descending {
                    page.reverse();
                }
                return Ok(page);
            }
        }
        let fault = format!("{MAX_READ_ATTEMPTS} handles in a row expired unread");
        Err(ProviderError::NeverReady {
            operation: OPERATION,
            fault,
        })
    }

    /// Reads one page like [`Self::read_page`], and again if it may be the answer to another
    /// request, until two answers agree.
    pub(super) async fn read_confirmed_page(
        &self,
        range: QueryRange<'_>,
        offset: u64,
        limit: u64,
    ) -> Result<MessagePage, ProviderError> {
        let read = self.read_believed_page(range, offset, limit, None).await?;
        Ok(read.page)
    }

    /// Reads one page until two answers agree, if it may be the answer to another request, or if
    /// there is an earlier answer. Gives up after a few: the history may change.
    async fn read_believed_page(
        &self,
        range: QueryRange<'_>,
        offset: u64,
        limit: u64,
        earlier: Option<&MessagePage>,
    ) -> Result<BelievedPage, ProviderError> {
        let mut answers: Vec<MessagePage> = earlier.cloned().into_iter().collect();
        loop {
            let page = self.read_page(range, offset, limit).await?;
            let is_certain = !may_be_foreign(&page, range.stream);
            let is_repeated = answers.iter().any(|earlier| repeats(&page, earlier));
            let is_last = answers.len() + 1 >= MAX_ANSWERS_PER_PAGE;
            if is_repeated || is_last || (is_certain && answers.is_empty()) {
                let is_confirmed = is_certain || is_repeated;
                return Ok(BelievedPage { page, is_confirmed });
            }
            answers.push(page);
        }
    }

    /// Reads the pages of a range, from `first` messages after its oldest on. Pages and messages
    /// are returned oldest first, and the oldest are requested first, whichever end the provider
    /// counts offsets from.
    ///
    /// `count` is only the number of messages that is expected. The range ends with a page that is
    /// not full, whatever the count. The run ends early at the moment `until`, and when there is no
    /// more room. `earlier` are the pages of an earlier reading that is not believed: pages that
    /// differ are read until two answers agree.
    pub(super) async fn read_pages(
        &self,
        range: QueryRange<'_>,
        first: u64,
        count: Option<u64>,
        until: Option<Millis>,
        room: ReadRoom,
        earlier: &[MessagePage],
    ) -> Result<PageRun, ProviderError> {
        let is_descending = range.order == OffsetOrder::Descending;
        let expected = count.map(|count| count.saturating_sub(first).max(1).div_ceil(PAGE_SIZE));
        let planned = expected
            .unwrap_or(u64::MAX)
            .min(room.messages.div_ceil(PAGE_SIZE));
        let last = expected.unwrap_or(planned).saturating_sub(1);
        let offset = move |page: u64| {
            let page = if is_descending { last - page } else { page };
            first.saturating_add(page.saturating_mul(PAGE_SIZE))
        };
        let mut run = PageRun {
            expected: expected.unwrap_or(u64::MAX),
            is_descending,
            until,
            ..PageRun::default()
        };
        let read_page = |offset: u64, number: usize| {
            self.read_believed_page(range, offset, PAGE_SIZE, earlier.get(number))
        };
        let mut offsets = (0..planned).map(offset).zip(0..);
        if self.mean_page_bytes() == 0
            && let Some((offset, number)) = offsets.next()
        {
            // The size of a page is not known yet: one is read before many are.
            let read = read_page(offset, number).await?;
            self.observe_size(&read.page);
            run.push(read);
        }
        let concurrent = room.bytes / self.mean_page_bytes().max(1);
        let concurrent = usize::try_from(concurrent).unwrap_or(usize::MAX);
        let reads = stream::iter(offsets).map(|(offset, number)| read_page(offset, number));
        let mut reads = reads.buffered(concurrent.clamp(1, MAX_CONCURRENT_PAGES));
        while !run.has_ended(room)
            && let Some(read) = reads.next().await
        {
            let read = read?;
            self.observe_size(&read.page);
            run.push(read);
        }
        // A last page that is full may have another one behind it.
        while !is_descending && expected.is_some() && !run.has_ended(room) {
            let read = read_page(first + run.messages, run.pages.len());
            run.push(read.await?);
        }
        if is_descending && run.is_complete() {
            run.ended = Some(RunEnd::Whole);
        }
        Ok(run)
    }

    /// Returns the mean size of the pages read lately, in bytes of content; 0 before the first.
    fn mean_page_bytes(&self) -> u64 {
        self.page_bytes.load(Ordering::Relaxed)
    }

    /// The mean follows larger pages at once and smaller ones slowly.
    fn observe_size(&self, page: &MessagePage) {
        let bytes = content_bytes(page).max(1);
        let mean = self.mean_page_bytes();
        let mean = bytes.max((mean * 7 + bytes) / 8);
        self.page_bytes.store(mean, Ordering::Relaxed);
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

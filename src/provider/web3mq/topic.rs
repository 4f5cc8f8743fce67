//! One topic: its pages, its number of messages and its known positions.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex as SyncMutex};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::Instant;

use super::answers::TopicPage;
use super::api::Web3mqApi;
use super::arrival_state::ArrivalState;
use super::message::{ParsedRow, time_of};
use super::page_assembly::PageView;
use super::positions::PositionIndex;
use super::streams::{KEY_PREFIX, TopicMessages};
use crate::domain::arrival::ArrivalMark;
use crate::domain::lock::lock;
use crate::domain::stream::Stream;
use crate::domain::time::{Millis, Second};
use crate::domain::window::Window;
use crate::provider::error::ProviderError;
use crate::provider::limits::web3mq::{
    DISTRUST_LIFETIME, MAX_COUNTED_PAGES, POSITIONS_LIFETIME, PRESENT,
};

/// A topic and the known positions of its messages.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) stream: Arc<Stream>,
    pub(super) name: String,
    /// The start of the history that is wanted.
    pub(super) since: Millis,
    pub(super) state: Mutex<TopicState>,
    /// The time at which an empty page has contradicted the provider's total.
    distrusted_at: SyncMutex<Option<Instant>>,
    /// The state of the reading by arrival.
    pub(super) arrivals: ArrivalState,
    /// The latest end of a window that was asked for, in seconds.
    latest_end: AtomicI64,
    /// The number of messages when a tail was last read. `None` if none was read in this session.
    tail_total: SyncMutex<Option<u64>>,
}

/// The known positions of a topic.
#[derive(Debug, Default)]
pub(super) struct TopicState {
    pub(super) positions: PositionIndex,
    /// The time at which the oldest known position was asked for, or last confirmed.
    pub(super) valid_since: Option<Instant>,
    /// The newest row when the messages were counted, if the provider does not report their number.
    newest_row: Option<ParsedRow>,
}

impl TopicState {
    /// Records the positions on a page that was asked for at this time, and where they pass each
    /// time of interest.
    pub(super) fn record_page(&mut self, view: &PageView, interest: &[Millis], asked: Instant) {
        if !self.positions.set_total(view.total) {
            self.valid_since = None;
        }
        self.valid_since.get_or_insert(asked);
        self.positions
            .record_times(view.first, &view.times(), interest);
    }

    /// True if a known message is newer than the newest one of the first page.
    fn is_newer_than(&self, page: &TopicPage) -> bool {
        let newest = page.rows.iter().find_map(time_of);
        let known = self.positions.newest();
        newest
            .zip(known)
            .is_some_and(|(at, known)| at.second() < known.second())
    }

    fn is_older_than(&self, age: Duration) -> bool {
        self.valid_since.is_some_and(|since| since.elapsed() >= age)
    }
}

impl Topic {
    /// Returns the topic of a stream; `None` if the stream's key names none.
    pub(super) fn from_stream(stream: &Stream, since: Option<Millis>) -> Option<Self> {
        let name = stream.key.strip_prefix(KEY_PREFIX)?.to_owned();
        Some(Self {
            stream: Arc::new(stream.clone()),
            name,
            since: since.unwrap_or(Millis(i64::MIN)),
            state: Mutex::default(),
            distrusted_at: SyncMutex::default(),
            arrivals: ArrivalState::default(),
            latest_end: AtomicI64::new(i64::MIN),
            tail_total: SyncMutex::default(),
        })
    }

    /// Returns the context in which the topic's messages are parsed.
    pub(super) fn messages<'a>(&'a self, api: &'a Web3mqApi) -> TopicMessages<'a> {
        TopicMessages {
            user: api.user(),
            topic: &self.name,
        }
    }

    /// Forgets positions that were learned or confirmed longer ago than `age`.
    pub(super) async fn forget_older(&self, age: Duration) {
        let mut state = self.state.lock().await;
        if state.is_older_than(age) {
            *state = TopicState::default();
        }
    }

    /// Waits until the part before is archived. Returns the place behind it.
    pub(super) async fn next_turn(&self) -> (OwnedMutexGuard<()>, ArrivalMark) {
        let turn = self.arrivals.next_turn().await;
        self.forget_older(POSITIONS_LIFETIME).await;
        turn
    }

    /// Forgets all positions.
    pub(super) async fn forget(&self) {
        *self.state.lock().await = TopicState::default();
    }

    /// Checks for new or removed messages, unless that was done less than `age` ago.
    pub(super) async fn confirm(
        &self,
        api: &Web3mqApi,
        age: Duration,
    ) -> Result<(), ProviderError> {
        let mut state = self.state.lock().await;
        if state.is_older_than(age) {
            self.read_newest_page(api, &mut state, &[]).await?;
        }
        Ok(())
    }

    /// Reads a page. If it is not in order of time, twice in a row, the topic is read by arrival
    /// from now on.
    pub(super) async fn read_page(
        &self,
        api: &Web3mqApi,
        number: u64,
        size: u64,
    ) -> Result<TopicPage, ProviderError> {
        let page = self.read_sound_page(api, number, size).await?;
        if self.arrivals.mark().is_some() || !page.is_out_of_order() {
            return Ok(page);
        }
        let again = self.read_sound_page(api, number, size).await?;
        if again.is_out_of_order() {
            self.read_by_arrival(api);
        }
        Ok(again)
    }

    /// Reads the topic by arrival from now on.
    pub(super) fn read_by_arrival(&self, api: &Web3mqApi) {
        if self.arrivals.begin() {
            let (account, topic) = (api.account(), &self.name);
            tracing::info!(
                account,
                topic,
                "the topic's messages are not in order of time; it is read in order of arrival"
            );
        }
    }

    /// Sets the place up to which the topic is archived in order of arrival. Nothing else that was
    /// read is known to be archived then.
    pub(super) fn set_arrival_mark(&self, mark: Option<ArrivalMark>) {
        self.arrivals.set_mark(mark);
        *lock(&self.tail_total) = None;
    }

    /// True if a window is the tail: it reaches up to the present.
    pub(super) fn is_tail(&self, api: &Web3mqApi, window: Window) -> bool {
        let latest = self.latest_end.fetch_max(window.to().0, Ordering::Relaxed);
        let present = api.gate().clock().now().second().minus(PRESENT);
        window.to() >= present.max(Second(latest))
    }

    /// Returns the number of messages when a tail was last read.
    pub(super) fn tail_total(&self) -> Option<u64> {
        *lock(&self.tail_total)
    }

    /// Records that a tail was read when the topic had this number of messages. `None`: nothing had
    /// changed.
    pub(super) fn record_tail(&self, changed_total: Option<u64>) {
        if changed_total.is_some() {
            *lock(&self.tail_total) = changed_total;
        }
    }

    /// Reads a page. Its total is left out if it cannot be believed. A page that contradicts its
    /// total twice in a row is an error: the known positions are wrong.
    async fn read_sound_page(
        &self,
        api: &Web3mqApi,
        number: u64,
        size: u64,
    ) -> Result<TopicPage, ProviderError> {
        for _ in 0..2 {
            let page = api.read_page(&self.name, number, size).await?;
            if self.distrusts_total() {
                return Ok(TopicPage {
                    total: None,
                    ..page
                });
            }
            if !page.contradicts_total((number - 1).saturating_mul(size)) {
                return Ok(page);
            }
        }
        self.distrust_total(api);
        Err(ProviderError::HistoryChanged { attempts: 1 })
    }

    /// True if no message lies behind the oldest one in a topic of `total` messages. Only a total
    /// of whole pages needs a request: else the last page shows it.
    pub(super) async fn ends_after(
        &self,
        api: &Web3mqApi,
        total: u64,
    ) -> Result<bool, ProviderError> {
        let size = api.page_size();
        if total == 0 || !total.is_multiple_of(size) || self.distrusts_total() {
            return Ok(true);
        }
        let behind = api.read_page(&self.name, total / size + 1, size).await?;
        if behind.rows.is_empty() || behind.total != Some(total) {
            return Ok(true);
        }
        self.distrust_total(api);
        Ok(false)
    }

    fn distrust_total(&self, api: &Web3mqApi) {
        let (account, topic) = (api.account(), &self.name);
        tracing::warn!(
            account,
            topic,
            "the provider's pages contradict its total; counting them"
        );
        *lock(&self.distrusted_at) = Some(Instant::now());
    }

    pub(super) fn distrusts_total(&self) -> bool {
        lock(&self.distrusted_at).is_some_and(|since| since.elapsed() < DISTRUST_LIFETIME)
    }

    /// The number of messages, as far as it is known.
    pub(super) async fn total(&self) -> u64 {
        self.state.lock().await.positions.total()
    }

    /// Returns the time at which the number of messages was learned.
    pub(super) async fn valid_since(&self) -> Instant {
        let state = self.state.lock().await;
        state.valid_since.unwrap_or_else(Instant::now)
    }

    /// Reads the newest page.
    pub(super) async fn read_newest(&self, api: &Web3mqApi) -> Result<PageView, ProviderError> {
        let mut state = self.state.lock().await;
        self.read_newest_page(api, &mut state, &[]).await
    }

    /// True if the newest message is another than when the messages were counted. Always false if
    /// the provider reports totals: those show it.
    pub(super) async fn has_newest_changed(&self, api: &Web3mqApi) -> Result<bool, ProviderError> {
        let Some(newest) = self.state.lock().await.newest_row.clone() else {
            return Ok(false);
        };
        let page = self.read_page(api, 1, api.page_size()).await?;
        Ok(page.rows.first() != Some(&newest))
    }

    /// Reads the page with the message in this position, in a topic of `total` messages.
    pub(super) async fn read_page_at(
        &self,
        api: &Web3mqApi,
        position: u64,
        total: u64,
    ) -> Result<PageView, ProviderError> {
        let size = api.page_size();
        let number = total.saturating_sub(position + 1) / size + 1;
        let page = self.read_page(api, number, size).await?;
        Ok(PageView::new(page, number, size, total))
    }

    /// Reads the first page, and finds out the number of messages.
    pub(super) async fn read_newest_page(
        &self,
        api: &Web3mqApi,
        state: &mut TopicState,
        interest: &[Millis],
    ) -> Result<PageView, ProviderError> {
        let size = api.page_size();
        let asked = Instant::now();
        let page = self.read_page(api, 1, size).await?;
        let rows = page.rows.len() as u64;
        if rows == size && page.total == Some(rows) && !self.ends_after(api, rows).await? {
            return Err(ProviderError::HistoryChanged { attempts: 1 });
        }
        let total = match page.total.filter(|&total| total >= rows) {
            Some(total) => {
                if 0 < rows && rows < size.min(total) {
                    // The provider serves smaller pages than were asked for.
                    api.shrink_pages(rows);
                }
                if total == state.positions.total() {
                    // No message came or went: the known positions are confirmed.
                    state.valid_since = state.valid_since.map(|_| asked);
                } else {
                    if total > state.positions.total() && state.is_newer_than(&page) {
                        // A message that came last is older than one before it.
                        self.read_by_arrival(api);
                    }
                    // A new message need not have come last.
                    *state = TopicState::default();
                }
                total
            }
            None if state.newest_row.is_some()
                && state.newest_row.as_ref() == page.rows.first() =>
            {
                // No message came last, which is all that can be seen.
                let total = state.positions.total();
                let newest_row = state.newest_row.take();
                *state = TopicState {
                    newest_row,
                    ..TopicState::default()
                };
                total
            }
            None => {
                *state = TopicState::default();
                let total = self.count(api, rows, size).await?;
                // Only now: a count that failed says nothing.
                state.newest_row = page.rows.first().cloned();
                total
            }
        };
        let view = PageView::new(page, 1, size, total);
        state.record_page(&view, interest, asked);
        Ok(view)
    }

    /// Counts the messages of a topic whose total the provider does not report. The last page with
    /// messages is found by doubling and halving the page number. `rows` is the number of messages
    /// on the first page.
    async fn count(
        &self,
        api: &Web3mqApi,
        rows: u64,
        asked_size: u64,
    ) -> Result<u64, ProviderError> {
        if rows == 0 {
            return Ok(0);
        }
        let size = rows.min(asked_size);
        let mut last_page = 1;
        let mut rows_on_last_page = rows;
        let mut empty_page: Option<u64> = None;
        while empty_page.is_none_or(|empty| empty - last_page > 1) {
            let page = match empty_page {
                Some(empty) => last_page + (empty - last_page) / 2,
                None => last_page * 2,
            };
            if page > MAX_COUNTED_PAGES {
                let fault = format!("the topic has no end: page {last_page} still holds messages");
                return Err(ProviderError::Endless {
                    operation: "history",
                    fault,
                });
            }
            match self.read_page(api, page, size).await?.rows.len() as u64 {
                0 => empty_page = Some(page),
                count => {
                    last_page = page;
                    rows_on_last_page = count;
                }
            }
        }
        if last_page > 1 && size < asked_size {
            api.shrink_pages(size);
        }
        Ok((last_page - 1) * size + rows_on_last_page)
    }
}

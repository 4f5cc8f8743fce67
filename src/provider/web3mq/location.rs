//! The location of a window: the search for its positions in the topic.

use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::time::Instant;

use super::api::Web3mqApi;
use super::page_assembly::{PageView, PositionRange};
use super::positions::SearchStep;
use super::topic::{Topic, TopicState};
use crate::domain::time::Millis;
use crate::domain::window::Window;
use crate::provider::error::ProviderError;
use crate::provider::limits::web3mq::{
    FUTURE_S, MAX_CONCURRENT_PAGES, MAX_PROBES, MAX_UNDATED_PROBES,
};

/// The location of a window in its topic.
#[derive(Debug)]
pub(super) struct WindowLocation {
    /// The window. That of a tail has no end if the topic has changed: then the messages of senders
    /// whose clock is ahead belong to it.
    pub(super) window: Window,
    pub(super) range: PositionRange,
    /// The number of messages, if the window is the tail and the topic had another number when the
    /// tail was last read.
    pub(super) changed_total: Option<u64>,
    /// Then all messages from this time on that its pages show are archived: late ones may stand
    /// before the window.
    pub(super) others_from: Option<Millis>,
    /// The last page that the search read: it often holds all of a short window.
    pub(super) last_page: Option<PageView>,
    /// The location is valid since this time or earlier.
    pub(super) valid_since: Instant,
    /// True if no message of the topic has a time that can be read. The range is the whole topic.
    pub(super) is_undated: bool,
}

impl Topic {
    /// Finds the positions of a window, reading as many pages as that takes. Once more if the
    /// provider's total turns out to be false.
    pub(super) async fn locate(
        &self,
        api: &Web3mqApi,
        window: Window,
        is_tail: bool,
    ) -> Result<WindowLocation, ProviderError> {
        let trusted = !self.distrusts_total();
        let location = self.try_locate(api, window, is_tail).await;
        if location.is_err() && trusted && self.distrusts_total() {
            self.forget().await;
            return self.try_locate(api, window, is_tail).await;
        }
        location
    }

    async fn try_locate(
        &self,
        api: &Web3mqApi,
        mut window: Window,
        is_tail: bool,
    ) -> Result<WindowLocation, ProviderError> {
        let asked = [window.from().start(), window.to().start()];
        let mut state = self.state.lock().await;
        let begun = Instant::now();
        let mut last_page = None;
        // Only the newest page shows messages that are newer than all known ones.
        let newest = state.positions.newest();
        if is_tail || newest.is_none_or(|newest| newest < asked[1]) {
            last_page = Some(self.read_newest_page(api, &mut state, &asked).await?);
        }
        let total = Some(state.positions.total());
        let changed_total = total.filter(|_| is_tail && total != self.tail_total());
        if changed_total.is_some() {
            window = window.hull(Window::with_length(window.to(), FUTURE_S));
        }
        let bounds = [window.from().start(), window.to().start()];
        let [start, end] = bounds;
        let mut search = PositionSearch {
            topic: self,
            api,
            bounds,
            last_page,
        };
        let to = search.find(&mut state, end).await?;
        let from = search.find(&mut state, start).await?;
        let located = from.zip(to);
        let range = match located {
            Some((from, to)) => PositionRange {
                from: from.min(to),
                to,
            },
            None => PositionRange {
                from: 0,
                to: state.positions.total(),
            },
        };
        let valid_since = state.valid_since.unwrap_or(begun);
        Ok(WindowLocation {
            window,
            range,
            changed_total,
            others_from: changed_total.map(|_| self.since),
            last_page: search.last_page,
            valid_since,
            is_undated: located.is_none(),
        })
    }

    /// Reads the times at the given positions.
    pub(super) async fn times_at(
        &self,
        api: &Web3mqApi,
        positions: &[u64],
    ) -> Result<Vec<Millis>, ProviderError> {
        let asked = Instant::now();
        let total = self.total().await;
        let reads = stream::iter(positions.iter().copied())
            .map(|position| self.read_page_at(api, position, total));
        let views: Vec<PageView> = reads.buffered(MAX_CONCURRENT_PAGES).try_collect().await?;
        let mut state = self.state.lock().await;
        let mut found = Vec::with_capacity(positions.len());
        for (view, &position) in views.iter().zip(positions) {
            let times = view.times();
            let index = position.saturating_sub(view.first) as usize;
            let index = index.min(times.len().saturating_sub(1));
            // A message without a time belongs with the next one that has a time.
            let dated = times.get(index..).unwrap_or_default().iter().flatten();
            let Some(&time) = dated.into_iter().next() else {
                continue;
            };
            state.record_page(view, &[time.second().start()], asked);
            found.push(time);
        }
        Ok(found)
    }
}

/// A search for the positions of a window's bounds.
struct PositionSearch<'a> {
    topic: &'a Topic,
    api: &'a Web3mqApi,
    bounds: [Millis; 2],
    last_page: Option<PageView>,
}

impl PositionSearch<'_> {
    /// Returns the number of messages that were sent before `time`. `None` if no message has a time
    /// that can be read.
    async fn find(
        &mut self,
        state: &mut TopicState,
        time: Millis,
    ) -> Result<Option<u64>, ProviderError> {
        for probes in 0..MAX_PROBES {
            match state.positions.find(time, probes) {
                SearchStep::Found(position) => return Ok(Some(position)),
                SearchStep::Undated => return Ok(None),
                SearchStep::Probe(_)
                    if probes >= MAX_UNDATED_PROBES && state.positions.newest().is_none() =>
                {
                    return Ok(None);
                }
                SearchStep::Probe(position) => {
                    let asked = Instant::now();
                    let total = state.positions.total();
                    let view = self.topic.read_page_at(self.api, position, total).await?;
                    state.record_page(&view, &self.bounds, asked);
                    self.last_page = Some(view);
                }
            }
        }
        *state = TopicState::default();
        Err(ProviderError::HistoryChanged {
            attempts: MAX_PROBES,
        })
    }
}

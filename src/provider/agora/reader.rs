//! Pages: a POST makes a handle, a GET reads it, once; and the pages of a window must add up.

use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use reqwest::{Method, StatusCode, Url};
use tokio::time::{Instant, sleep, sleep_until};

use super::answers::{self, Filter, OffsetOrder, ParsedMessage, Query, QueryTime};
use super::{
    Agora, IN_PROGRESS_WAIT, MAX_POLLS, MAX_READ_ATTEMPTS, PAGE_SIZE, QUERY_MARGIN, location,
    page_checks, ready,
};
use crate::domain::stream::Stream;
use crate::domain::time::Millis;
use crate::domain::window::Window;
use crate::provider::budget::Turn;
use crate::provider::error::ProviderError;
use crate::provider::{FetchedWindow, Provider};

/// Pages of one window under way at once.
const MAX_CONCURRENT_PAGES: usize = 24;
/// So many seconds before it is forgotten a message is not counted on: what is asked takes a while to be answered.
const EXPIRY_LEAD_S: i64 = 3;
/// What is as near to the provider's edge as this may be forgotten while it is read.
const NEAR_EXPIRY: Duration = Duration::from_mins(15);

/// What a page is one of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Series<'a> {
    pub(super) stream: &'a Stream,
    /// The bounds that are asked for: with the margin.
    pub(super) padded: Window,
    pub(super) order: OffsetOrder,
}

impl<'a> Series<'a> {
    /// A range with its margin, from the oldest on.
    pub(super) fn of(stream: &'a Stream, range: Window) -> Self {
        Self {
            stream,
            padded: range.padded(QUERY_MARGIN),
            order: OffsetOrder::Ascending,
        }
    }
}

impl Agora {
    /// One page; where its handle dies, by a new one.
    pub(super) async fn page(
        &self,
        series: Series<'_>,
        offset: u64,
        limit: u64,
    ) -> Result<Vec<ParsedMessage>, ProviderError> {
        let mut patience = self.http.answer_retry();
        let mut died = 0;
        while died < MAX_READ_ATTEMPTS {
            // A handle can be read once: whatever comes of that, the next try makes another.
            let read = match self.query(series, offset, limit).await {
                Ok((handle, made)) => self.read(&handle, made).await,
                Err(error) => Err(error),
            };
            match read {
                Ok(Some(items))
                    if page_checks::all_requested(
                        &items,
                        series.stream,
                        series.padded.padded(QUERY_MARGIN),
                    ) =>
                {
                    return Ok(items);
                }
                Ok(Some(_)) => {
                    let fault = "the answer holds messages that were not asked for".to_owned();
                    patience
                        .backoff_or_fail(ProviderError::Malformed {
                            what: "read",
                            fault,
                        })
                        .await?;
                }
                Ok(None) => died += 1,
                Err(error) => patience.backoff_or_fail(error).await?,
            }
        }
        Err(ProviderError::Malformed {
            what: "read",
            fault: format!("{MAX_READ_ATTEMPTS} handles in a row died unread"),
        })
    }

    /// Makes a handle; answers with its place and when it was made.
    async fn query(
        &self,
        series: Series<'_>,
        offset: u64,
        limit: u64,
    ) -> Result<(Url, Instant), ProviderError> {
        const WHAT: &str = "query";
        let Series {
            stream,
            padded,
            order,
        } = series;
        let filter = Filter {
            source: stream.scope.sender.as_deref(),
            destination: stream.scope.recipient.as_deref(),
            start_time: QueryTime(padded.from()),
            end_time: QueryTime(padded.to()),
        };
        let query = Query {
            filter,
            offset,
            limit,
            order,
        };
        let body = serde_json::to_string(&query).map_err(|e| ProviderError::Malformed {
            what: WHAT,
            fault: e.to_string(),
        })?;
        let url = self.history("query");
        let answer = self
            .send(WHAT, Turn::Begin, || {
                (Method::POST, url.clone(), Some(body.clone()))
            })
            .await?;
        let made = Instant::now();
        let Some(location) = ready(WHAT, &answer, answers::parse_location)? else {
            return Err(ProviderError::Malformed {
                what: WHAT,
                fault: "in progress, without a handle".to_owned(),
            });
        };
        Ok((location::resolve_location(&self.project, &location)?, made))
    }

    /// Reads a handle once it is ready; nothing where it is dead.
    async fn read(
        &self,
        handle: &Url,
        made: Instant,
    ) -> Result<Option<Vec<ParsedMessage>>, ProviderError> {
        const WHAT: &str = "read";
        let mut wait = self.readiness.next_wait();
        // While it waits, others may find out that this is too short.
        while made.elapsed() < wait {
            sleep_until(made + wait).await;
            wait = self.readiness.extended_wait(wait);
        }
        let waited = made.elapsed();
        for poll in 0..MAX_POLLS {
            let answer = self
                .send(WHAT, Turn::Finish, || (Method::GET, handle.clone(), None))
                .await?;
            // 404, too: the documents leave open what a handle that is gone is answered with.
            if matches!(answer.status, StatusCode::GONE | StatusCode::NOT_FOUND) {
                return Ok(None);
            }
            let items = ready(WHAT, &answer, answers::parse_page)?;
            if poll == 0 {
                self.readiness.observe(waited, items.is_some());
            }
            if items.is_some() {
                return Ok(items);
            }
            sleep(IN_PROGRESS_WAIT).await;
        }
        tracing::debug!(
            account = self.account.name,
            polls = MAX_POLLS,
            "a handle never became ready"
        );
        Ok(None)
    }

    /// All pages of a series that is said to hold so many messages; from the oldest on, and the oldest are asked for
    /// first, whichever end the provider counts from.
    async fn pages(
        &self,
        series: Series<'_>,
        count: u64,
    ) -> Result<Vec<Vec<ParsedMessage>>, ProviderError> {
        let is_backwards = series.order == OffsetOrder::Descending;
        let number = count.max(1).div_ceil(PAGE_SIZE);
        let offsets = (0..number).map(|page| if is_backwards { number - 1 - page } else { page } * PAGE_SIZE);
        let pages = stream::iter(offsets)
            .map(|offset| self.page(series, offset, PAGE_SIZE))
            .buffered(MAX_CONCURRENT_PAGES);
        let in_time = pages.map_ok(|mut page| {
            if is_backwards {
                page.reverse();
            }
            page
        });
        in_time.try_collect().await
    }

    /// All messages of a window that is said to hold so many, with its margin. It is read again, a few times, while the
    /// pages do not add up.
    pub(super) async fn read_window(
        &self,
        stream: &Stream,
        window: Window,
        expected: u64,
    ) -> Result<FetchedWindow, ProviderError> {
        let mut series = Series {
            order: self.order(window),
            ..Series::of(stream, window)
        };
        let mut count = expected;
        let mut earlier = Vec::new();
        loop {
            let asked = Instant::now();
            let pages = self.pages(series, count).await?;
            let as_of = self.http.clock().at(asked);
            let mut fault = page_checks::mismatch(&pages, count)
                .or_else(|| page_checks::repeated_at_boundary(&pages, earlier.last()));
            let again = fault
                .as_ref()
                .filter(|_| earlier.len() + 1 < MAX_READ_ATTEMPTS as usize);
            if let Some((why, left)) = again.and_then(|why| Some((why, self.remembered(window)?))) {
                let padded = left.padded(QUERY_MARGIN);
                // Before the edge moves on.
                count = self.count_in_turn(stream, padded, Turn::Finish).await?;
                if left == window || !self.hold(&pages, padded, count).await {
                    tracing::debug!(account = self.account.name, %window, fault = why, "a window does not add up; reading it again");
                    earlier.push(pages);
                    series = Series { padded, ..series };
                    continue;
                }
                // Nothing is missing but what the provider has forgotten meanwhile.
                fault = None;
                series = Series { padded, ..series };
            }
            let pages = if fault.is_some() {
                page_checks::without_boundary_duplicates(pages)
            } else {
                pages
            };
            // What lies in the margin was counted, and what had been served before it was forgotten was not.
            let begin = series.padded.from().start();
            let beside = count_messages(&pages, |at| begin <= at && !window.contains(at));
            let pages = page_checks::with_earlier_messages(pages, &earlier);
            let before = count_messages(&pages, |at| at < begin && window.contains(at));
            let provider_count = Some(count.saturating_sub(beside) + before);
            return Ok(FetchedWindow {
                provider_count,
                ..self.fetched(window, pages, as_of, fault)
            });
        }
    }

    /// Offsets count from the oldest message, for what is new then moves no page; but near the edge, where the oldest are
    /// forgotten one after the other, from the newest.
    fn order(&self, window: Window) -> OffsetOrder {
        let is_near =
            |retention| window.from().minus(NEAR_EXPIRY) < self.now().second().minus(retention);
        if self.account.retention.is_some_and(is_near) {
            OffsetOrder::Descending
        } else {
            OffsetOrder::Ascending
        }
    }

    /// Whether these pages hold so many messages of a range, by anything that the bounds may mean.
    async fn hold(&self, pages: &[Vec<ParsedMessage>], range: Window, count: u64) -> bool {
        let times: Vec<Millis> = pages
            .iter()
            .flatten()
            .flatten()
            .map(|sent| sent.at)
            .collect();
        let is_readable = pages.iter().flatten().all(Result::is_ok);
        is_readable
            && times.is_sorted()
            && self
                .bounds
                .lock()
                .await
                .is_consistent_with(&times, range, count)
    }

    /// What of a window is not forgotten, so far as it is known how long that takes; where some of it is, what will not be
    /// by the time that is asked for it.
    fn remembered(&self, window: Window) -> Option<Window> {
        let edge = self
            .account
            .retention
            .map(|retention| self.now().second().minus(retention));
        match edge {
            Some(edge) if edge.plus(1) > window.from() => {
                window.starting_at(edge.plus(EXPIRY_LEAD_S))
            }
            _ => Some(window),
        }
    }
}

fn count_messages(pages: &[Vec<ParsedMessage>], is: impl Fn(Millis) -> bool) -> u64 {
    pages
        .iter()
        .flatten()
        .flatten()
        .filter(|sent| is(sent.at))
        .count() as u64
}

//! Agora RTM message history. Per page a POST makes a handle and a GET reads it, once; a count is a GET by itself.

mod auth;
mod bounds;
mod cost;
mod counting;
mod discovery;
mod events;
mod filter;
#[cfg(fuzzing)]
pub mod fuzzing;
mod location;
mod pages;
mod readiness;
mod wire;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use tokio::time::{Instant, sleep};

use super::budget::Turn;
use super::error::ProviderError;
use super::followed::Followed;
use super::http::{Answer, Http, Request};
use super::{Account, Counted, Fetched, Listed, Lists, Provider, Survey};
use crate::domain::message::{Conversation, ConversationKind, Message, Unreadable};
use crate::domain::party::Party;
use crate::domain::stream::Stream;
use crate::domain::time::{Millis, Second};
use crate::domain::window::Window;
pub use auth::{Credentials, Token};
use bounds::Bounds;
pub use discovery::Discovery;
use discovery::Familiar;
pub use filter::stream;
use readiness::Readiness;
use wire::{Filter, Item, Query, Reading, Sent, Time};

/// The largest page (contract: 20, 50 or 100).
const PAGE: u64 = 100;
/// The smallest, for a look at the first message.
const GLANCE: u64 = 20;
/// "Please wait at least two seconds to send a second GET request", and a little for the network.
const AFTER_IN_PROGRESS: Duration = Duration::from_millis(2050);
/// How often a handle or a count is asked for before it is given up.
const POLLS: u32 = 20;
/// How often a page's handle may die, and how often a window may fail to add up.
const TRIES: u32 = 4;
/// What is asked beyond a window at both ends, since neither inclusive nor exclusive bounds are promised.
const MARGIN: Duration = Duration::from_secs(1);
/// Pages of one window under way at once.
const PAGES_AT_ONCE: usize = 24;

/// An Agora project.
#[derive(Debug)]
pub struct Agora {
    account: Account,
    http: Http,
    credentials: Credentials,
    /// `https://api.agora.io/dev/v2/project/<appid>`: what `~` stands for.
    project: Url,
    streams: Followed<Stream>,
    discovery: Option<Discovery>,
    familiar: Familiar,
    /// What the configuration says of names whose messages do not say it themselves.
    kinds: HashMap<String, ConversationKind>,
    readiness: Readiness,
    bounds: tokio::sync::Mutex<Bounds>,
}

impl Agora {
    /// `base` is the host (`https://api.agora.io`), `kinds` says which destinations are channels and which are users
    /// where the operator has said so.
    pub fn new(
        account: Account,
        http: Http,
        base: &Url,
        app_id: &str,
        credentials: Credentials,
        streams: Vec<Stream>,
        kinds: HashMap<String, ConversationKind>,
    ) -> Self {
        let mut project = base.clone();
        if let Ok(mut path) = project.path_segments_mut() {
            path.pop_if_empty().extend(["dev", "v2", "project", app_id]);
        }
        let followed = Followed::nothing();
        for stream in streams {
            followed.add(stream.key.clone(), stream);
        }
        let (readiness, bounds) = (Readiness::new(), tokio::sync::Mutex::new(Bounds::new()));
        Self {
            account,
            http,
            credentials,
            project,
            streams: followed,
            discovery: None,
            familiar: Familiar::default(),
            kinds,
            readiness,
            bounds,
        }
    }

    /// Sends a request, and once more if the credentials were refused and new ones have been left for us.
    async fn send(
        &self,
        what: &'static str,
        turn: Turn,
        request: impl Fn() -> (Method, Url, Option<String>),
    ) -> Result<Answer, ProviderError> {
        let signed = || {
            let (method, url, body) = request();
            let mut headers = self.credentials.headers()?;
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json;charset=utf-8"));
            Ok(Request { method, url, headers, body })
        };
        let known = self.credentials.renewals();
        match self.http.send(what, turn, signed).await {
            Err(ProviderError::Credentials { .. }) if self.credentials.renew(known) => {
                tracing::info!(account = self.account.name, "credentials refused; trying the renewed token");
                self.http.send(what, turn, signed).await
            }
            answer => answer,
        }
    }

    /// An endpoint below the project: `["count"]`, say.
    fn history(&self, last: &str) -> Url {
        let mut url = self.project.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.extend(["rtm", "message", "history", last]);
        }
        url
    }

    /// One page; where its handle dies, by a new one.
    async fn page(&self, stream: &Stream, padded: Window, offset: u64, limit: u64) -> Result<Vec<Item>, ProviderError> {
        let mut patience = self.http.patience();
        let mut died = 0;
        while died < TRIES {
            // A handle can be read once: whatever comes of that, the next try makes another.
            let read = match self.query(stream, padded, offset, limit).await {
                Ok((handle, made)) => self.read(&handle, made).await,
                Err(error) => Err(error),
            };
            match read {
                Ok(Some(items)) if pages::belong(&items, stream, padded.padded(MARGIN)) => return Ok(items),
                Ok(Some(_)) => {
                    let fault = "the answer holds messages that were not asked for".to_owned();
                    patience.bear(ProviderError::Malformed { what: "read", fault }).await?;
                }
                Ok(None) => died += 1,
                Err(error) => patience.bear(error).await?,
            }
        }
        Err(ProviderError::Malformed { what: "read", fault: format!("{TRIES} handles in a row died unread") })
    }

    /// Makes a handle; answers with its place and when it was made.
    async fn query(
        &self,
        stream: &Stream,
        padded: Window,
        offset: u64,
        limit: u64,
    ) -> Result<(Url, Instant), ProviderError> {
        const WHAT: &str = "query";
        let filter = Filter {
            source: stream.scope.sender.as_deref(),
            destination: stream.scope.recipient.as_deref(),
            start_time: Time(padded.from()),
            end_time: Time(padded.to()),
        };
        let query = Query { filter, offset, limit, order: "asc" };
        let body =
            serde_json::to_string(&query).map_err(|e| ProviderError::Malformed { what: WHAT, fault: e.to_string() })?;
        let url = self.history("query");
        let answer = self.send(WHAT, Turn::Begin, || (Method::POST, url.clone(), Some(body.clone()))).await?;
        let made = Instant::now();
        let Some(location) = ready(WHAT, &answer, wire::location)? else {
            return Err(ProviderError::Malformed { what: WHAT, fault: "in progress, without a handle".to_owned() });
        };
        Ok((location::resolve(&self.project, &location)?, made))
    }

    /// Reads a handle once it is ready; nothing where it is dead.
    async fn read(&self, handle: &Url, made: Instant) -> Result<Option<Vec<Item>>, ProviderError> {
        const WHAT: &str = "read";
        let mut wait = self.readiness.wait();
        // While it waits, others may find out that this is too short.
        while made.elapsed() < wait {
            tokio::time::sleep_until(made + wait).await;
            wait = self.readiness.longer(wait);
        }
        let waited = made.elapsed();
        for poll in 0..POLLS {
            let answer = self.send(WHAT, Turn::Finish, || (Method::GET, handle.clone(), None)).await?;
            // 404, too: the documents leave open what a handle that is gone is answered with.
            if matches!(answer.status, StatusCode::GONE | StatusCode::NOT_FOUND) {
                return Ok(None);
            }
            let items = ready(WHAT, &answer, wire::page)?;
            if poll == 0 {
                self.readiness.learn(waited, items.is_some());
            }
            if items.is_some() {
                return Ok(items);
            }
            sleep(AFTER_IN_PROGRESS).await;
        }
        tracing::debug!(account = self.account.name, polls = POLLS, "a handle never became ready");
        Ok(None)
    }

    /// All pages of a padded window that is said to hold so many messages.
    async fn pages(&self, stream: &Stream, padded: Window, count: u64) -> Result<Vec<Vec<Item>>, ProviderError> {
        let offsets = (0..count.max(1).div_ceil(PAGE)).map(|page| page * PAGE);
        let pages = stream::iter(offsets).map(|offset| self.page(stream, padded, offset, PAGE));
        pages.buffered(PAGES_AT_ONCE).try_collect().await
    }

    /// Cuts a range into windows of about `target` messages of the `count` in it: evenly in time, from the first
    /// message on. A silence before it, which may be most of the range, becomes a piece of its own.
    async fn cuts(
        &self,
        stream: &Stream,
        range: Window,
        count: u64,
        target: u64,
    ) -> Result<Vec<Second>, ProviderError> {
        let pieces = cost::pieces(count, target);
        if pieces == 1 || range.seconds() == 1 {
            return Ok(vec![]);
        }
        let glance = self.page(stream, range.padded(MARGIN), 0, GLANCE).await?;
        let first = glance.iter().flatten().map(|sent| sent.at.second()).find(|at| *at > range.from());
        let silence = first.and_then(|first| range.before(first));
        let is_long = |silence: &Window| silence.seconds() > range.seconds() / pieces;
        let Some(silence) = silence.filter(is_long) else { return Ok(range.even_cuts(pieces)) };
        let spoken = range.starting(silence.to()).unwrap_or(range);
        Ok([vec![silence.to()], spoken.even_cuts(pieces)].concat())
    }

    /// What of a window is not forgotten by now, so far as it is known how long that takes.
    fn remembered(&self, window: Window) -> Option<Window> {
        let edge = self.account.retention.map(|retention| self.now().second().minus(retention));
        edge.map_or(Some(window), |edge| window.starting(edge.plus(1)))
    }

    fn message(&self, sent: Sent) -> Message {
        let kind = sent.kind().or_else(|| self.kinds.get(&sent.destination).copied());
        let conversation = match kind.unwrap_or(ConversationKind::Unknown) {
            ConversationKind::Peer => Conversation::between(&sent.source, &sent.destination),
            kind => Conversation::named(kind, &sent.destination),
        };
        Message {
            sender: sent.source,
            recipient: sent.destination,
            sent_at: sent.at,
            payload: sent.payload,
            conversation,
            provider_id: None,
            message_type: sent.message_type,
            payload_type: None,
            cipher_suite: None,
            status: None,
            extra: sent.extra,
        }
    }

    /// What lies inside the window, as messages; with what could not be read, wherever it lies.
    fn fetched(&self, window: Window, pages: Vec<Vec<Item>>, as_of: Millis, doubt: Option<String>) -> Fetched {
        let mut fetched = Fetched { messages: Vec::new(), unreadable: Vec::new(), provider_count: None, as_of, doubt };
        for item in pages.into_iter().flatten() {
            match item {
                Ok(sent) if window.contains(sent.at) => fetched.messages.push(self.message(sent)),
                Ok(_) => {}
                Err(unreadable) => fetched.unreadable.push(unreadable),
            }
        }
        fetched
    }
}

#[async_trait]
impl Provider for Agora {
    fn account(&self) -> &Account {
        &self.account
    }

    fn streams(&self) -> Vec<Arc<Stream>> {
        self.streams.all()
    }

    fn stream(&self, position: usize) -> Arc<Stream> {
        self.streams.at(position)
    }

    fn position(&self, key: &str) -> Option<usize> {
        self.streams.position(key)
    }

    fn unfollowed(&self, party: &Party<'_>) -> Vec<Stream> {
        self.leads(party)
    }

    fn lists(&self) -> Lists {
        self.feeds()
    }

    async fn list(&self, list: usize) -> Listed {
        self.feed(list).await
    }

    fn follow(&self, stream: &Stream) -> bool {
        self.streams.add(stream.key.clone(), stream.clone())
    }

    async fn survey(&self, stream: usize, range: Window, target: u64) -> Result<Survey, ProviderError> {
        let asked = Instant::now();
        let stream = &self.streams.at(stream);
        let count = self.count_between(stream, range.padded(MARGIN)).await?;
        if count == 0 {
            let as_of = self.http.clock().at(asked);
            return Ok(Survey::Done(Fetched { provider_count: Some(0), ..self.fetched(range, vec![], as_of, None) }));
        }
        match self.cuts(stream, range, count, target).await? {
            cuts if cuts.is_empty() => Ok(Survey::Sized(count)),
            cuts => Ok(Survey::Split { count, cuts }),
        }
    }

    /// One page, unless it is full.
    async fn peek(&self, stream: usize, range: Window, target: u64) -> Result<Survey, ProviderError> {
        let asked = Instant::now();
        let page = self.page(&self.streams.at(stream), range.padded(MARGIN), 0, PAGE).await?;
        if page.len() as u64 >= PAGE {
            return self.survey(stream, range, target).await;
        }
        Ok(Survey::Done(self.fetched(range, vec![page], self.http.clock().at(asked), None)))
    }

    async fn fetch(&self, stream: usize, window: Window, expected: u64) -> Result<Fetched, ProviderError> {
        let stream = &self.streams.at(stream);
        let mut padded = window.padded(MARGIN);
        let mut count = expected;
        let mut earlier = Vec::new();
        loop {
            let asked = Instant::now();
            let pages = self.pages(stream, padded, count).await?;
            let as_of = self.http.clock().at(asked);
            let fault = pages::fault(&pages, count).or_else(|| pages::repeated(&pages, earlier.last()));
            let again = fault.as_ref().filter(|_| earlier.len() + 1 < TRIES as usize);
            if let Some((fault, left)) = again.and_then(|fault| Some((fault, self.remembered(window)?))) {
                tracing::debug!(account = self.account.name, %window, fault, "a window does not add up; reading it again");
                earlier.push(pages);
                padded = left.padded(MARGIN);
                count = self.count_between(stream, padded).await?;
                continue;
            }
            let pages = if fault.is_some() { pages::without_invented(pages) } else { pages };
            let outside = pages.iter().flatten().flatten().filter(|sent| !window.contains(sent.at)).count() as u64;
            let provider_count = Some(count.saturating_sub(outside));
            let pages = pages::with_what_was_served(pages, &earlier);
            return Ok(Fetched { provider_count, ..self.fetched(window, pages, as_of, fault) });
        }
    }

    async fn count(&self, stream: usize, range: Window) -> Result<Counted, ProviderError> {
        let stream = &self.streams.at(stream);
        let messages = self.count_between(stream, range).await?;
        // Of nothing nothing can be learned.
        if messages > 0 {
            self.learn_bounds(stream, range).await?;
        }
        let (from, to) = self.bounds.lock().await.reach(range);
        Ok(Counted { messages, from, to })
    }

    async fn gauge(&self, stream: usize, range: Window) -> Result<u64, ProviderError> {
        self.count_between(&self.streams.at(stream), range).await
    }

    fn cost(&self, messages: u64, target: u64) -> u64 {
        cost::cost(messages, target)
    }

    fn understand(&self, _stream: usize, raw: &str) -> Result<Message, Unreadable> {
        wire::message(raw).map(|sent| self.message(sent))
    }

    async fn check(&self) -> Result<(), ProviderError> {
        let now = self.now().second();
        let Some(window) = Window::new(now.minus(Duration::from_secs(1)), now) else { return Ok(()) };
        let anyone = || Arc::new(self::stream(None, Some("backscroll".to_owned())));
        self.count_between(&self.streams.first().unwrap_or_else(anyone), window).await.map(|_| ())
    }

    fn http(&self) -> &Http {
        &self.http
    }
}

/// What a successful answer holds, or nothing where it is not ready yet.
fn ready<T>(what: &'static str, answer: &Answer, read: fn(&[u8]) -> Reading<T>) -> Result<Option<T>, ProviderError> {
    if !answer.status.is_success() {
        return Err(answer.refused(what));
    }
    match read(&answer.body) {
        Reading::Ready(value) => Ok(Some(value)),
        Reading::InProgress => Ok(None),
        Reading::Failed { code, said } => Err(ProviderError::Failed { what, code, said }),
        Reading::Fault(fault) => Err(ProviderError::Malformed { what, fault }),
    }
}

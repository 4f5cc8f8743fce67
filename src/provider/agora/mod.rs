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
mod reading;
mod wire;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Url};
use tokio::time::Instant;

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
pub use cost::{WINDOW, pieces};
pub use discovery::Discovery;
use discovery::Familiar;
pub use filter::stream;
use readiness::Readiness;
use reading::Series;
use wire::{Item, Reading, Sent};

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
            headers.insert(
                CONTENT_TYPE,
                HeaderValue::from_static("application/json;charset=utf-8"),
            );
            Ok(Request {
                method,
                url,
                headers,
                body,
            })
        };
        let known = self.credentials.renewals();
        match self.http.send(what, turn, signed).await {
            Err(ProviderError::Credentials { .. }) if self.credentials.renew(known) => {
                tracing::info!(
                    account = self.account.name,
                    "credentials refused; trying the renewed token"
                );
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

    /// Cuts a range into windows of about `target` messages of the `count` in it: evenly in time, from the first
    /// message on. A silence before it, which may be most of the range, goes with the first of them.
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
        let glance = self.page(Series::of(stream, range), 0, GLANCE).await?;
        let first = glance
            .iter()
            .flatten()
            .map(|sent| sent.at.second())
            .find(|at| *at > range.from());
        let silence = first.and_then(|first| range.before(first));
        let is_long = |silence: &Window| silence.seconds() > range.seconds() / pieces;
        let Some(silence) = silence.filter(is_long) else {
            return Ok(range.even_cuts(pieces));
        };
        let spoken = range.starting(silence.to()).unwrap_or(range);
        let cuts = spoken.even_cuts(pieces);
        Ok(if cuts.is_empty() {
            vec![silence.to()]
        } else {
            cuts
        })
    }

    fn message(&self, sent: Sent) -> Message {
        let kind = sent
            .kind()
            .or_else(|| self.kinds.get(&sent.destination).copied());
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
    fn fetched(
        &self,
        window: Window,
        pages: Vec<Vec<Item>>,
        as_of: Millis,
        doubt: Option<String>,
    ) -> Fetched {
        let mut fetched = Fetched {
            messages: Vec::new(),
            unreadable: Vec::new(),
            provider_count: None,
            as_of,
            doubt,
        };
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

    async fn survey(
        &self,
        stream: usize,
        range: Window,
        target: u64,
    ) -> Result<Survey, ProviderError> {
        let asked = Instant::now();
        let stream = &self.streams.at(stream);
        let count = self.count_between(stream, range.padded(MARGIN)).await?;
        if count == 0 {
            let as_of = self.http.clock().at(asked);
            return Ok(Survey::Done(Fetched {
                provider_count: Some(0),
                ..self.fetched(range, vec![], as_of, None)
            }));
        }
        match self.cuts(stream, range, count, target).await? {
            cuts if cuts.is_empty() => Ok(Survey::Sized(count)),
            cuts => Ok(Survey::Split { count, cuts }),
        }
    }

    /// One page, unless it is full.
    async fn peek(
        &self,
        stream: usize,
        range: Window,
        target: u64,
    ) -> Result<Survey, ProviderError> {
        let asked = Instant::now();
        let page = self
            .page(Series::of(&self.streams.at(stream), range), 0, PAGE)
            .await?;
        if page.len() as u64 >= PAGE {
            return self.survey(stream, range, target).await;
        }
        Ok(Survey::Done(self.fetched(
            range,
            vec![page],
            self.http.clock().at(asked),
            None,
        )))
    }

    async fn fetch(
        &self,
        stream: usize,
        window: Window,
        expected: u64,
    ) -> Result<Fetched, ProviderError> {
        self.read_window(&self.streams.at(stream), window, expected)
            .await
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

    fn window(&self) -> u64 {
        cost::WINDOW
    }

    fn cost(&self, messages: u64) -> u64 {
        cost::cost(messages)
    }

    fn understand(&self, _stream: usize, raw: &str) -> Result<Message, Unreadable> {
        wire::message(raw).map(|sent| self.message(sent))
    }

    async fn check(&self) -> Result<(), ProviderError> {
        let now = self.now().second();
        let Some(window) = Window::new(now.minus(Duration::from_secs(1)), now) else {
            return Ok(());
        };
        let anyone = || Arc::new(self::stream(None, Some("backscroll".to_owned())));
        self.count_between(&self.streams.first().unwrap_or_else(anyone), window)
            .await
            .map(|_| ())
    }

    fn http(&self) -> &Http {
        &self.http
    }
}

/// What a successful answer holds, or nothing where it is not ready yet.
fn ready<T>(
    what: &'static str,
    answer: &Answer,
    read: fn(&[u8]) -> Reading<T>,
) -> Result<Option<T>, ProviderError> {
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

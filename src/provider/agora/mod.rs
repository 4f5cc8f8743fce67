//! Agora RTM message history. Per page a POST makes a handle and a GET reads it, once; a count is a GET by itself.

mod answers;
mod bound_semantics;
mod credentials;
mod directories;
mod discovery;
#[cfg(fuzzing)]
pub mod fuzzing;
mod location;
mod page_checks;
mod reader;
mod readiness;
mod splitting;
mod streams;
mod surveyor;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Url};
use tokio::time::Instant;

use super::budget::Turn;
use super::error::ProviderError;
use super::http::{HttpClient, ProviderRequest, ProviderResponse};
use super::stream_list::Followed;
use super::{
    AccountSettings, Directories, DirectoryPage, FetchedWindow, Provider, RangeCount, Survey,
};
use crate::domain::message::{Conversation, ConversationKind, Message, Unreadable};
use crate::domain::participant::Party;
use crate::domain::stream::{Stream, StreamIndex};
use crate::domain::time::{Millis, Second};
use crate::domain::window::Window;
use answers::{ParsedMessage, Reading, Sent};
use bound_semantics::BoundInference;
pub use credentials::{Credentials, RenewableToken};
pub use discovery::DiscoverySource;
use discovery::KnownParticipants;
use reader::Series;
use readiness::HandleReadiness;
pub use splitting::{MESSAGES_PER_WINDOW, window_count};
pub use streams::stream;

/// The largest page (contract: 20, 50 or 100).
const PAGE_SIZE: u64 = 100;
/// The smallest, for a look at the first message.
const MIN_PAGE_SIZE: u64 = 20;
/// "Please wait at least two seconds to send a second GET request", and a little for the network.
const IN_PROGRESS_WAIT: Duration = Duration::from_millis(2050);
/// How often a handle or a count is asked for before it is given up.
const MAX_POLLS: u32 = 20;
/// How often a page's handle may die, and how often a window may fail to add up.
const MAX_READ_ATTEMPTS: u32 = 4;
/// What is asked beyond a window at both ends, since neither inclusive nor exclusive bounds are promised.
const QUERY_MARGIN: Duration = Duration::from_secs(1);

/// An Agora project.
#[derive(Debug)]
pub struct Agora {
    account: AccountSettings,
    http: HttpClient,
    credentials: Credentials,
    /// `https://api.agora.io/dev/v2/project/<appid>`: what `~` stands for.
    project: Url,
    streams: Followed<Stream>,
    discovery: Option<DiscoverySource>,
    familiar: KnownParticipants,
    /// What the configuration says of names whose messages do not say it themselves.
    kinds: HashMap<String, ConversationKind>,
    readiness: HandleReadiness,
    bounds: tokio::sync::Mutex<BoundInference>,
}

impl Agora {
    /// `base` is the host (`https://api.agora.io`), `kinds` says which destinations are channels and which are users
    /// where the operator has said so.
    pub fn new(
        account: AccountSettings,
        http: HttpClient,
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
        let (readiness, bounds) = (
            HandleReadiness::new(),
            tokio::sync::Mutex::new(BoundInference::new()),
        );
        Self {
            account,
            http,
            credentials,
            project,
            streams: followed,
            discovery: None,
            familiar: KnownParticipants::default(),
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
    ) -> Result<ProviderResponse, ProviderError> {
        let signed = || {
            let (method, url, body) = request();
            let mut headers = self.credentials.headers()?;
            headers.insert(
                CONTENT_TYPE,
                HeaderValue::from_static("application/json;charset=utf-8"),
            );
            Ok(ProviderRequest {
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
    async fn split_points(
        &self,
        stream: &Stream,
        range: Window,
        count: u64,
        target: u64,
    ) -> Result<Vec<Second>, ProviderError> {
        let pieces = splitting::window_count(count, target);
        if pieces == 1 || range.seconds() == 1 {
            return Ok(vec![]);
        }
        let glance = self
            .page(Series::of(stream, range), 0, MIN_PAGE_SIZE)
            .await?;
        let first = glance
            .iter()
            .flatten()
            .map(|sent| sent.at.second())
            .find(|at| *at > range.from());
        let silence = first.and_then(|first| range.up_to(first));
        let is_long = |silence: &Window| silence.seconds() > range.seconds() / pieces;
        let Some(silence) = silence.filter(is_long) else {
            return Ok(range.even_split_points(pieces));
        };
        let spoken = range.starting_at(silence.to()).unwrap_or(range);
        let cuts = spoken.even_split_points(pieces);
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
        pages: Vec<Vec<ParsedMessage>>,
        as_of: Millis,
        doubt: Option<String>,
    ) -> FetchedWindow {
        let mut fetched = FetchedWindow {
            messages: Vec::new(),
            unreadable: Vec::new(),
            provider_count: None,
            requested_at: as_of,
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
    fn account(&self) -> &AccountSettings {
        &self.account
    }

    fn streams(&self) -> Vec<Arc<Stream>> {
        self.streams.all()
    }

    fn stream(&self, position: StreamIndex) -> Arc<Stream> {
        self.streams.at(position)
    }

    fn stream_index(&self, key: &str) -> Option<StreamIndex> {
        self.streams.position(key)
    }

    fn streams_to_follow(&self, party: &Party<'_>) -> Vec<Stream> {
        self.leads(party)
    }

    fn directories(&self) -> Directories {
        self.feeds()
    }

    async fn read_directory(&self, list: usize) -> DirectoryPage {
        self.feed(list).await
    }

    fn follow(&self, stream: &Stream) -> bool {
        self.streams.add(stream.key.clone(), stream.clone())
    }

    async fn survey(
        &self,
        stream: StreamIndex,
        range: Window,
        target: u64,
    ) -> Result<Survey, ProviderError> {
        let asked = Instant::now();
        let stream = &self.streams.at(stream);
        let count = self
            .count_between(stream, range.padded(QUERY_MARGIN))
            .await?;
        if count == 0 {
            let as_of = self.http.clock().at(asked);
            return Ok(Survey::Complete(FetchedWindow {
                provider_count: Some(0),
                ..self.fetched(range, vec![], as_of, None)
            }));
        }
        match self.split_points(stream, range, count, target).await? {
            cuts if cuts.is_empty() => Ok(Survey::OneWindow(count)),
            cuts => Ok(Survey::Split { count, cuts }),
        }
    }

    /// One page, unless it is full.
    async fn peek(
        &self,
        stream: StreamIndex,
        range: Window,
        target: u64,
    ) -> Result<Survey, ProviderError> {
        let asked = Instant::now();
        let page = self
            .page(Series::of(&self.streams.at(stream), range), 0, PAGE_SIZE)
            .await?;
        if page.len() as u64 >= PAGE_SIZE {
            return self.survey(stream, range, target).await;
        }
        Ok(Survey::Complete(self.fetched(
            range,
            vec![page],
            self.http.clock().at(asked),
            None,
        )))
    }

    async fn fetch(
        &self,
        stream: StreamIndex,
        window: Window,
        expected: u64,
    ) -> Result<FetchedWindow, ProviderError> {
        self.read_window(&self.streams.at(stream), window, expected)
            .await
    }

    async fn count(&self, stream: StreamIndex, range: Window) -> Result<RangeCount, ProviderError> {
        let stream = &self.streams.at(stream);
        let messages = self.count_between(stream, range).await?;
        // Of nothing nothing can be learned.
        if messages > 0 {
            self.learn_bounds(stream, range).await?;
        }
        let (from, to) = self.bounds.lock().await.counted_span(range);
        Ok(RangeCount { messages, from, to })
    }

    async fn estimate_count(
        &self,
        stream: StreamIndex,
        range: Window,
    ) -> Result<u64, ProviderError> {
        self.count_between(&self.streams.at(stream), range).await
    }

    fn window(&self) -> u64 {
        splitting::MESSAGES_PER_WINDOW
    }

    fn request_cost(&self, messages: u64) -> u64 {
        splitting::request_cost(messages)
    }

    fn parse_raw(&self, _stream: StreamIndex, raw: &str) -> Result<Message, Unreadable> {
        answers::parse_message(raw).map(|sent| self.message(sent))
    }

    async fn check_credentials(&self) -> Result<(), ProviderError> {
        let now = self.now().second();
        let Some(window) = Window::new(now.minus(Duration::from_secs(1)), now) else {
            return Ok(());
        };
        let anyone = || Arc::new(self::stream(None, Some("backscroll".to_owned())));
        self.count_between(&self.streams.first().unwrap_or_else(anyone), window)
            .await
            .map(|_| ())
    }

    fn gate(&self) -> &HttpClient {
        &self.http
    }
}

/// What a successful answer holds, or nothing where it is not ready yet.
fn ready<T>(
    what: &'static str,
    answer: &ProviderResponse,
    read: fn(&[u8]) -> Reading<T>,
) -> Result<Option<T>, ProviderError> {
    if !answer.status.is_success() {
        return Err(answer.refusal(what));
    }
    match read(&answer.body) {
        Reading::Ready(value) => Ok(Some(value)),
        Reading::InProgress => Ok(None),
        Reading::Failed {
            code,
            message: said,
        } => Err(ProviderError::Failed { what, code, said }),
        Reading::Malformed(fault) => Err(ProviderError::Malformed { what, fault }),
    }
}

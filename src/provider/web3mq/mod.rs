//! Web3MQ message history: pages from the newest message back, signed one by one, with no time ranges.

mod answers;
mod credentials;
mod directories;
#[cfg(fuzzing)]
pub mod fuzzing;
mod positions;
mod splitting;
mod topic;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};

use super::budget::Turn;
use super::error::ProviderError;
use super::http::{ClientSetupError, HttpClient, ProviderRequest, ProviderResponse};
use super::stream_list::Followed;
use super::{
    AccountSettings, Directories, DirectoryPage, FetchedWindow, Provider, RangeCount, Survey,
};
use crate::domain::message::{Conversation, ConversationKind, Message, Unreadable};
use crate::domain::stream::{Scope, Stream, StreamIndex};
use crate::domain::time::{Millis, Second};
use crate::domain::window::Window;
use answers::{ParsedRow, Sent, TopicPage};
pub use credentials::SessionKey;
use topic::{PositionRange, Reading, Topic};

const PUBLIC_KEY: HeaderName = HeaderName::from_static("web3mq-request-pubkey");
const DID_KEY: HeaderName = HeaderName::from_static("didkey");
/// How often a window is read before its doubts are written down.
const MAX_READ_ATTEMPTS: u32 = 4;
/// Into how many pieces a range is cut at once: each cut costs a look at the page where it falls.
const MAX_PIECES: u64 = 16;
/// How long what was learned of positions is relied upon.
const POSITIONS_LIFETIME: Duration = Duration::from_mins(10);
/// The same for counts, which are to find what has come since.
const TOTAL_LIFETIME: Duration = Duration::from_secs(5);

/// A Web3MQ user.
#[derive(Debug)]
pub struct Web3mq {
    account: AccountSettings,
    http: HttpClient,
    base: Url,
    user: String,
    key: SessionKey,
    headers: HeaderMap,
    /// What is asked for a page, and no more than the provider has shown to serve.
    page_size: AtomicU64,
    topics: Followed<Topic>,
}

/// How an account presents itself.
#[derive(Debug)]
pub struct Identity {
    /// `user:…`
    pub user: String,
    pub key: SessionKey,
    /// `eth:0x…`: sent as `didkey`.
    pub did_key: Option<String>,
    /// Whether the public key is sent as `web3mq-request-pubkey`.
    pub send_public_key: bool,
}

impl Web3mq {
    /// `topics` are topic ids: a group's, a topic's, or for a chat with one peer that peer's user id. `page_size` is
    /// what is asked for; a provider that serves less is followed.
    pub fn new(
        account: AccountSettings,
        http: HttpClient,
        base: &Url,
        identity: Identity,
        page_size: u32,
        topics: Vec<String>,
    ) -> Result<Self, ClientSetupError> {
        let Identity {
            user,
            key,
            did_key,
            send_public_key,
        } = identity;
        let mut headers = HeaderMap::new();
        let public_key = send_public_key.then(|| key.public_hex());
        for (name, value) in [(PUBLIC_KEY, public_key), (DID_KEY, did_key)] {
            if let Some(value) = value {
                let value = HeaderValue::from_str(&value)
                    .map_err(|_| ClientSetupError::invalid_header(name.as_str()))?;
                headers.insert(name, value);
            }
        }
        let page_size = AtomicU64::new(u64::from(page_size.max(1)));
        let followed = Followed::nothing();
        let account = Self {
            account,
            http,
            base: base.clone(),
            user,
            key,
            headers,
            page_size,
            topics: followed,
        };
        for topic in topics {
            account.follow(&stream(&account.user, &topic));
        }
        Ok(account)
    }

    fn page_size(&self) -> u64 {
        self.page_size.load(Ordering::Relaxed)
    }

    fn shrink_pages(&self, served: u64) {
        let asked = self.page_size.fetch_min(served.max(1), Ordering::Relaxed);
        if served < asked {
            tracing::info!(
                account = self.account.name,
                asked,
                served,
                "the provider serves smaller pages than asked for"
            );
        }
    }

    /// A page of a topic, newest first, signed afresh for every try.
    async fn page(&self, topic: &str, page: u64, size: u64) -> Result<TopicPage, ProviderError> {
        let url =
            |at| answers::history_url(&self.base, &self.key, &self.user, topic, at, page, size);
        self.ask("history", Turn::Begin, url, |answer| {
            self.understood(topic, answer)
        })
        .await
    }

    /// Asks, signed afresh for every try, until there is an answer that can be read.
    async fn ask<T>(
        &self,
        what: &'static str,
        turn: Turn,
        url: impl Fn(Millis) -> Url,
        read: impl Fn(&ProviderResponse) -> Result<T, ProviderError>,
    ) -> Result<T, ProviderError> {
        let signed = || {
            let url = url(self.http.clock().unique_timestamp());
            Ok(ProviderRequest {
                method: Method::GET,
                url,
                headers: self.headers.clone(),
                body: None,
            })
        };
        let mut patience = self.http.answer_retry();
        loop {
            let answer = self.http.send(what, turn, signed).await;
            match answer.and_then(|answer| read(&answer)) {
                Ok(read) => return Ok(read),
                Err(error) => patience.backoff_or_fail(error).await?,
            }
        }
    }

    /// The page that an answer is, if it is one of this topic.
    fn understood(
        &self,
        topic: &str,
        answer: &ProviderResponse,
    ) -> Result<TopicPage, ProviderError> {
        const WHAT: &str = "history";
        if !answer.status.is_success() {
            return Err(answer.refusal(WHAT));
        }
        match answers::page(&answer.body).map_err(|no_page| no_page.error(WHAT))? {
            page if page.rows.iter().all(|row| self.may_belong(topic, row)) => Ok(page),
            _ => {
                let fault = "the answer holds what was not asked for".to_owned();
                Err(ProviderError::Malformed { what: WHAT, fault })
            }
        }
    }

    /// Whether a topic's page may hold this row, understood or not.
    fn may_belong(&self, topic: &str, row: &ParsedRow) -> bool {
        match row {
            Ok(sent) => self.belongs(topic, sent),
            Err(unreadable) => !directories::is_list_entry(&unreadable.raw),
        }
    }

    /// Whether a topic's page may hold this message. In a chat of two either of them is the addressee.
    fn belongs(&self, topic: &str, sent: &Sent) -> bool {
        sent.topic.as_deref().is_none_or(|named| {
            named == topic || (topic_kind(topic) == ConversationKind::Peer && named == self.user)
        })
    }

    /// Cuts a span into windows of about `target` messages, exactly where they lie.
    async fn split_points(
        &self,
        topic: &Topic,
        span: PositionRange,
        target: u64,
    ) -> Result<Vec<Second>, ProviderError> {
        let stride = span
            .len()
            .div_ceil(splitting::window_count(span.len(), target).min(MAX_PIECES))
            .max(1);
        let stride = usize::try_from(stride).unwrap_or(usize::MAX);
        let positions: Vec<u64> = (span.from..span.to).step_by(stride).skip(1).collect();
        let times = topic.times_at(self, &positions).await?;
        Ok(times.into_iter().map(Millis::second).collect())
    }

    fn message(&self, topic: &Topic, sent: Sent) -> Message {
        // A row's topic is its addressee, which in a chat of two is one's own id for what comes in.
        let recipient = sent.topic.unwrap_or_else(|| topic.name.clone());
        let conversation = topic_conversation(&self.user, &topic.name)
            .unwrap_or_else(|| Conversation::between(&sent.from, &recipient));
        Message {
            sender: sent.from,
            recipient,
            sent_at: sent.at,
            payload: sent.payload,
            conversation,
            provider_id: sent.id,
            message_type: None,
            payload_type: sent.payload_type,
            cipher_suite: sent.cipher_suite,
            status: sent.status,
            extra: sent.extra,
        }
    }

    fn fetched(
        &self,
        topic: &Topic,
        rows: Vec<ParsedRow>,
        as_of: Millis,
        doubt: Option<String>,
    ) -> FetchedWindow {
        let provider_count = Some(rows.len() as u64);
        let mut fetched = FetchedWindow {
            messages: vec![],
            unreadable: vec![],
            provider_count,
            requested_at: as_of,
            doubt,
        };
        for row in rows {
            match row {
                Ok(sent) => fetched.messages.push(self.message(topic, sent)),
                Err(unreadable) => fetched.unreadable.push(unreadable),
            }
        }
        fetched
    }
}

/// The conversation that all of a topic's messages belong to, whatever their rows say. Under the account's own id lies
/// what came from anybody: there is none.
fn topic_conversation(user: &str, topic: &str) -> Option<Conversation> {
    match topic_kind(topic) {
        ConversationKind::Peer if topic == user => None,
        ConversationKind::Peer => Some(Conversation::between(user, topic)),
        kind => Some(Conversation::named(kind, topic)),
    }
}

fn stream(user: &str, topic: &str) -> Stream {
    let conversation = topic_conversation(user, topic).map(|conversation| conversation.name);
    let recipient = conversation.is_none().then(|| topic.to_owned());
    Stream {
        key: format!("{}{topic}", topic::KEY_PREFIX),
        scope: Scope {
            conversation,
            recipient,
            sender: None,
        },
        discovered: false,
    }
}

/// What a topic id names, by its prefix.
fn topic_kind(topic: &str) -> ConversationKind {
    match topic.split_once(':') {
        Some(("user", _)) => ConversationKind::Peer,
        Some(("group", _)) => ConversationKind::Group,
        _ => ConversationKind::Topic,
    }
}

#[async_trait]
impl Provider for Web3mq {
    fn account(&self) -> &AccountSettings {
        &self.account
    }

    fn streams(&self) -> Vec<Arc<Stream>> {
        self.topics
            .all()
            .into_iter()
            .map(|topic| topic.stream.clone())
            .collect()
    }

    fn stream(&self, position: StreamIndex) -> Arc<Stream> {
        self.topics.at(position).stream.clone()
    }

    fn stream_index(&self, key: &str) -> Option<StreamIndex> {
        self.topics.position(key)
    }

    fn directories(&self) -> Directories {
        self.conversations()
    }

    async fn read_directory(&self, list: usize) -> DirectoryPage {
        self.conversations_on(list).await
    }

    fn follow(&self, stream: &Stream) -> bool {
        Topic::of(stream).is_some_and(|topic| self.topics.add(stream.key.clone(), topic))
    }

    async fn survey(
        &self,
        stream: StreamIndex,
        range: Window,
        target: u64,
    ) -> Result<Survey, ProviderError> {
        let topic = &self.topics.at(stream);
        topic.forget_older(POSITIONS_LIFETIME).await;
        let (span, seen, vantage) = topic.locate(self, range).await?;
        let as_of = self.http.clock().at(vantage);
        if span.len() == 0 {
            return Ok(Survey::Complete(self.fetched(topic, vec![], as_of, None)));
        }
        if let Some(rows) = seen.and_then(|view| view.whole(range, span)) {
            return Ok(Survey::Complete(self.fetched(topic, rows, as_of, None)));
        }
        if splitting::window_count(span.len(), target) == 1 || range.seconds() == 1 {
            return Ok(Survey::OneWindow(span.len()));
        }
        match self.split_points(topic, span, target).await? {
            cuts if range.split_at(&cuts).len() > 1 => Ok(Survey::Split {
                count: span.len(),
                cuts,
            }),
            // So many messages in so few seconds that every cut falls on the range's own start.
            _ => Ok(Survey::OneWindow(span.len())),
        }
    }

    async fn fetch(
        &self,
        stream: StreamIndex,
        window: Window,
        _expected: u64,
    ) -> Result<FetchedWindow, ProviderError> {
        let topic = &self.topics.at(stream);
        for attempt in 1..=MAX_READ_ATTEMPTS {
            topic.forget_older(POSITIONS_LIFETIME).await;
            let (span, _, vantage) = topic.locate(self, window).await?;
            let as_of = self.http.clock().at(vantage);
            let doubt = "the provider does not serve this history in order of time";
            match topic.read(self, window, span).await? {
                Reading::Complete(rows) => return Ok(self.fetched(topic, rows, as_of, None)),
                Reading::OutOfOrder(rows) if attempt == MAX_READ_ATTEMPTS => {
                    return Ok(self.fetched(topic, rows, as_of, Some(doubt.to_owned())));
                }
                Reading::OutOfOrder(_) | Reading::Moved => {
                    tracing::debug!(account = self.account.name, %window, attempt, "the history moved; reading again");
                    topic.forget().await;
                }
            }
        }
        Err(ProviderError::HistoryChanged {
            tries: MAX_READ_ATTEMPTS,
        })
    }

    async fn count(&self, stream: StreamIndex, range: Window) -> Result<RangeCount, ProviderError> {
        let topic = &self.topics.at(stream);
        topic.forget_older(POSITIONS_LIFETIME).await;
        topic.confirm(self, TOTAL_LIFETIME).await?;
        let (span, ..) = topic.locate(self, range).await?;
        Ok(RangeCount {
            messages: span.len(),
            from: range.from().start(),
            to: range.to().start(),
        })
    }

    fn window(&self) -> u64 {
        splitting::MESSAGES_PER_WINDOW
    }

    fn request_cost(&self, messages: u64) -> u64 {
        splitting::request_cost(messages, self.page_size())
    }

    fn parse_raw(&self, stream: StreamIndex, raw: &str) -> Result<Message, Unreadable> {
        answers::parse_message(raw).map(|sent| self.message(&self.topics.at(stream), sent))
    }

    async fn check_credentials(&self) -> Result<(), ProviderError> {
        let first = self.topics.first();
        let topic = first
            .as_ref()
            .map_or(self.user.as_str(), |topic| &topic.name);
        match self.page(topic, 1, 1).await {
            // Signed by a clock that this very answer has shown to be wrong.
            Err(ProviderError::Refused { .. }) if self.clock_skew().is_some() => {
                self.page(topic, 1, 1).await.map(|_| ())
            }
            answer => answer.map(|_| ()),
        }
    }

    fn gate(&self) -> &HttpClient {
        &self.http
    }
}

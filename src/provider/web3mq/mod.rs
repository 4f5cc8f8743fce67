//! Web3MQ message history: pages from the newest message back, signed one by one, without time
//! ranges.
//!
//! | question | file |
//! |---|---|
//! | Which requests are sent, and how are they signed? | `api.rs`, `credentials.rs` |
//! | What do answers look like? | `answers.rs`, `message.rs`, `lists.rs` |
//! | How is a range surveyed, and how is it split into windows? | `surveyor.rs`, `splitting.rs` |
//! | Where in a topic does a window lie? | `topic.rs`, `location.rs`, `positions.rs` |
//! | How is a window read, and how is it checked? | `reader.rs`, `row_reader.rs`, `page_assembly.rs` |
//! | How is a topic read that is not in order of time? | `arrivals.rs`, `arrival_state.rs`, `mark_search.rs` |
//! | How are streams named and found? Which conversation does a message belong to? | `streams.rs`, `discovery.rs` |

mod answers;
mod api;
mod arrival_state;
mod arrivals;
mod credentials;
mod discovery;
#[cfg(fuzzing)]
pub mod fuzzing;
mod lists;
mod location;
mod mark_search;
mod message;
mod page_assembly;
mod positions;
mod reader;
mod row_reader;
mod splitting;
mod streams;
mod surveyor;
mod topic;

use std::sync::Arc;

use async_trait::async_trait;
use reqwest::Url;

use super::Provider;
use super::account::AccountSettings;
use super::credentials_fingerprint::CredentialsParts;
use super::discovery::StreamFinder;
use super::error::ProviderError;
use super::followed_streams::FollowedStreams;
use super::gate::Gate;
use super::http_client::HttpClient;
use super::limits::web3mq::MESSAGES_PER_WINDOW;
use super::survey::{FetchedWindow, RangeCount, ReadReason, Survey, WindowRequest};
use super::transport::ClientSetupError;
use crate::domain::arrival::ArrivalMark;
use crate::domain::message::{Message, UnparsableMessage};
use crate::domain::stream::{Stream, StreamIndex};
use crate::domain::window::Window;
use api::Web3mqApi;
use arrivals::ArrivalReader;
use credentials::RequestSigner;
pub use credentials::SessionKey;
use discovery::ListDiscovery;
use reader::Web3mqWindowReader;
use surveyor::Web3mqSurveyor;
use topic::Topic;

/// A Web3MQ user.
#[derive(Debug)]
pub struct Web3mq {
    account: AccountSettings,
    api: Arc<Web3mqApi>,
    topics: FollowedStreams<Topic>,
    surveyor: Web3mqSurveyor,
    reader: Web3mqWindowReader,
    arrivals: ArrivalReader,
    discovery: Option<ListDiscovery>,
}

/// The settings of a Web3MQ user.
#[derive(Debug)]
pub struct Web3mqSettings {
    pub account: AccountSettings,
    pub base_url: Url,
    pub identity: Identity,
    /// The page size to ask for, in messages. If the provider serves less, less is asked for.
    pub page_size: u32,
    /// The topics that the configuration lists: a group's or a topic's id, or a peer's user id.
    pub topics: Vec<String>,
}

/// The identity of a user.
#[derive(Debug)]
pub struct Identity {
    /// `user:…`
    pub user: String,
    /// The key that signs requests; `None` if this process sends none.
    pub key: Option<SessionKey>,
    /// `eth:0x…`: sent as `didkey`.
    pub did_key: Option<String>,
    /// True to send the public key as `web3mq-request-pubkey`.
    pub send_public_key: bool,
}

impl Web3mq {
    /// Makes the adapter. Sends nothing.
    pub fn new(settings: Web3mqSettings, gate: Gate) -> Result<Self, ClientSetupError> {
        let Web3mqSettings {
            account,
            base_url,
            identity,
            page_size,
            topics,
        } = settings;
        let Identity {
            user,
            key,
            did_key,
            send_public_key,
        } = identity;
        let public_key = key.as_ref().filter(|_| send_public_key);
        let public_key = public_key.map(SessionKey::public_hex);
        let headers = api::account_headers(public_key, did_key)?;
        let http = HttpClient::new(&account.name, &base_url, gate)?;
        let signer = RequestSigner::new(base_url, user, key);
        let api = Arc::new(Web3mqApi::new(
            account.name.clone(),
            http,
            signer,
            headers,
            page_size,
        ));
        let discovery = account.discovers().then(|| ListDiscovery::new(api.clone()));
        let web3mq = Self {
            account,
            topics: FollowedStreams::new(),
            surveyor: Web3mqSurveyor::new(api.clone()),
            reader: Web3mqWindowReader::new(api.clone()),
            arrivals: ArrivalReader::new(api.clone()),
            discovery,
            api,
        };
        for topic in topics {
            web3mq.follow(&streams::topic_stream(web3mq.api.user(), &topic));
        }
        Ok(web3mq)
    }
}

#[async_trait]
impl Provider for Web3mq {
    fn account(&self) -> &AccountSettings {
        &self.account
    }

    fn gate(&self) -> &Gate {
        self.api.gate()
    }

    fn streams(&self) -> Vec<Arc<Stream>> {
        self.topics
            .all()
            .into_iter()
            .map(|topic| topic.stream.clone())
            .collect()
    }

    fn stream(&self, index: StreamIndex) -> Arc<Stream> {
        self.topics.at(index).stream.clone()
    }

    fn stream_index(&self, key: &str) -> Option<StreamIndex> {
        self.topics.index_of(key)
    }

    fn follow(&self, stream: &Stream) -> bool {
        let topic = Topic::from_stream(stream, self.account.since);
        topic.is_some_and(|topic| self.topics.add(stream.key.clone(), topic))
    }

    fn stream_finder(&self) -> Option<&dyn StreamFinder> {
        self.discovery
            .as_ref()
            .map(|discovery| discovery as &dyn StreamFinder)
    }

    async fn survey(
        &self,
        stream: StreamIndex,
        range: Window,
        target: u64,
    ) -> Result<Survey, ProviderError> {
        let topic = self.topics.at(stream);
        if topic.arrivals.mark().is_none() {
            let survey = self.surveyor.survey(&topic, range, target).await;
            // The pages may have shown that times tell nothing.
            if topic.arrivals.mark().is_none() {
                return survey;
            }
        }
        self.arrivals.survey(&topic, range, target).await
    }

    async fn fetch(
        &self,
        stream: StreamIndex,
        window: Window,
        request: WindowRequest,
    ) -> Result<FetchedWindow, ProviderError> {
        let topic = self.topics.at(stream);
        if topic.arrivals.mark().is_none() {
            let read = self.reader.read(&topic, window, request).await;
            if topic.arrivals.mark().is_none() {
                return read;
            }
        }
        let (arrivals, room) = (&self.arrivals, request.room);
        match request.reason {
            ReadReason::Missing => arrivals.read(&topic, window, request).await,
            ReadReason::Refresh => arrivals.read_around(&topic, window, room).await,
            ReadReason::Proof => arrivals.read_everywhere(&topic, window, room).await,
        }
    }

    async fn count(&self, stream: StreamIndex, range: Window) -> Result<RangeCount, ProviderError> {
        let topic = self.topics.at(stream);
        if topic.arrivals.mark().is_none() {
            let count = self.surveyor.count(&topic, range).await;
            if topic.arrivals.mark().is_none() {
                return count;
            }
        }
        self.arrivals.count(&topic, range).await
    }

    fn arrival_mark(&self, stream: StreamIndex) -> Option<ArrivalMark> {
        self.topics.at(stream).arrivals.mark()
    }

    fn set_arrival_mark(&self, stream: StreamIndex, mark: Option<ArrivalMark>) {
        self.topics.at(stream).set_arrival_mark(mark);
    }

    async fn count_unread(&self, stream: StreamIndex, range: Window) -> Result<i64, ProviderError> {
        let topic = self.topics.at(stream);
        self.arrivals.count_unread(&topic, range).await
    }

    fn messages_per_window(&self) -> u64 {
        MESSAGES_PER_WINDOW
    }

    fn request_cost(&self, messages: u64) -> u64 {
        splitting::request_cost(messages, self.api.page_size())
    }

    fn parse_raw(&self, stream: StreamIndex, raw: &str) -> Result<Message, UnparsableMessage> {
        message::parse_message(raw, self.topics.at(stream).messages(&self.api))
    }

    /// Reads the newest message of the first topic, or else of the user's own.
    async fn check_credentials(&self) -> Result<(), ProviderError> {
        if let Some(first) = self.topics.first() {
            match self.read_newest(&first.name).await {
                Err(error) if error.may_concern_one_stream() => {}
                outcome => return outcome,
            }
        }
        self.read_newest(self.api.user()).await
    }

    async fn probe(&self, stream: StreamIndex) -> Result<(), ProviderError> {
        self.read_newest(&self.topics.at(stream).name).await
    }

    fn credentials(&self) -> CredentialsParts {
        self.api.credentials()
    }
}

impl Web3mq {
    async fn read_newest(&self, topic: &str) -> Result<(), ProviderError> {
        let clock = self.gate().clock();
        let signed_by_ms = clock.signing_offset_ms();
        let mut answer = self.api.read_page(topic, 1, 1).await;
        let corrected_ms = clock.signing_offset_ms().abs_diff(signed_by_ms);
        if matches!(answer, Err(ProviderError::Refused { .. })) && corrected_ms > 1000 {
            // The request was signed by a clock that this very answer has shown to be wrong.
            answer = self.api.read_page(topic, 1, 1).await;
        }
        answer.map(|_| ())
    }
}

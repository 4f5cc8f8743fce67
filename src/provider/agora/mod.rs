//! Agora RTM message history. A POST makes a handle and a GET reads it, once, per page; a count is
//! one GET.
//!
//! | question | file |
//! |---|---|
//! | Which requests are sent, and how are they authenticated? | `api.rs`, `credentials.rs`; tokens made here: `access_token.rs` |
//! | What do requests and answers look like? | `query.rs`, `answers.rs`, `message.rs`, `events.rs`, `location.rs` |
//! | How is a range surveyed, and how is it split into windows? | `surveyor.rs`, `splitting.rs` |
//! | What do the bounds of a count mean? | `bound_semantics.rs` |
//! | How is a window read, and how is it checked? | `reader.rs`, `page_reader.rs`, `page_checks.rs` |
//! | How long does a read wait for its handle? | `readiness.rs` |
//! | How are streams named and found? | `streams.rs`, `discovery.rs` |
//! | Which conversation does a message belong to? | `conversations.rs` |

mod access_token;
mod answers;
mod api;
mod bound_semantics;
mod conversations;
mod credentials;
mod discovery;
mod events;
#[cfg(fuzzing)]
pub mod fuzzing;
mod location;
mod message;
mod page_checks;
mod page_reader;
mod query;
mod reader;
mod readiness;
mod requested;
mod splitting;
mod streams;
mod surveyor;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

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
pub use super::limits::agora::MESSAGES_PER_WINDOW;
use super::limits::agora::QUERY_MARGIN;
use super::survey::{FetchedWindow, RangeCount, Survey, WindowRequest};
use super::transport::ClientSetupError;
use crate::domain::message::{ConversationKind, Message, UnparsableMessage};
use crate::domain::stream::{Stream, StreamIndex};
use crate::domain::time::Millis;
use crate::domain::window::Window;
pub use access_token::TokenSigner;
use api::AgoraApi;
use conversations::ConversationKinds;
pub use credentials::{Credentials, RenewableToken, TokenHeaders};
pub use discovery::DiscoverySource;
use discovery::ParticipantDiscovery;
use page_reader::PageReader;
use reader::AgoraWindowReader;
pub use splitting::window_count;
pub use streams::filter_stream;
use surveyor::AgoraSurveyor;

/// An Agora project.
#[derive(Debug)]
pub struct Agora {
    account: AccountSettings,
    api: Arc<AgoraApi>,
    streams: Arc<FollowedStreams<Stream>>,
    surveyor: Arc<AgoraSurveyor>,
    reader: AgoraWindowReader,
    discovery: Option<ParticipantDiscovery>,
}

/// The settings of an Agora project.
#[derive(Debug)]
pub struct AgoraSettings {
    pub account: AccountSettings,
    /// The host: `https://api.agora.io`.
    pub base_url: Url,
    pub app_id: String,
    pub credentials: Credentials,
    /// The streams that the configuration lists.
    pub streams: Vec<Stream>,
    /// The kinds of destinations, where the operator has set them: messages do not always say it.
    pub kinds: HashMap<String, ConversationKind>,
    /// The source of further streams; `None` to follow only those that are listed.
    pub discovery: Option<DiscoverySource>,
}

impl Agora {
    /// Makes the adapter. Sends nothing.
    pub fn new(settings: AgoraSettings, gate: Gate) -> Result<Self, ClientSetupError> {
        let AgoraSettings {
            account,
            base_url,
            app_id,
            credentials,
            streams,
            kinds,
            discovery,
        } = settings;
        credentials.register_secrets();
        let http = HttpClient::new(&account.name, &base_url, gate)?;
        let project = api::project_url(&base_url, &app_id);
        let kinds = ConversationKinds::new(kinds);
        let api = Arc::new(AgoraApi::new(
            account.name.clone(),
            http,
            project,
            credentials,
            kinds,
        ));
        let pages = Arc::new(PageReader::new(api.clone()));
        let surveyor = Arc::new(AgoraSurveyor::new(api.clone(), pages.clone()));
        let reader =
            AgoraWindowReader::new(api.clone(), pages, surveyor.clone(), account.retention);
        let followed = Arc::new(FollowedStreams::new());
        for stream in streams {
            followed.add(stream.key.clone(), stream);
        }
        let discovery = discovery
            .map(|source| ParticipantDiscovery::new(api.clone(), followed.clone(), source));
        Ok(Self {
            account,
            api,
            streams: followed,
            surveyor,
            reader,
            discovery,
        })
    }
}

#[async_trait]
impl Provider for Agora {
    fn account(&self) -> &AccountSettings {
        &self.account
    }

    fn gate(&self) -> &Gate {
        self.api.gate()
    }

    fn streams(&self) -> Vec<Arc<Stream>> {
        self.streams.all()
    }

    fn stream(&self, index: StreamIndex) -> Arc<Stream> {
        self.streams.at(index)
    }

    fn stream_index(&self, key: &str) -> Option<StreamIndex> {
        self.streams.index_of(key)
    }

    fn follow(&self, stream: &Stream) -> bool {
        self.streams.add(stream.key.clone(), stream.clone())
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
        self.surveyor
            .survey(&self.streams.at(stream), range, target)
            .await
    }

    async fn peek(
        &self,
        stream: StreamIndex,
        range: Window,
        target: u64,
    ) -> Result<Survey, ProviderError> {
        self.surveyor
            .peek(&self.streams.at(stream), range, target)
            .await
    }

    async fn fetch(
        &self,
        stream: StreamIndex,
        window: Window,
        request: WindowRequest,
    ) -> Result<FetchedWindow, ProviderError> {
        self.reader
            .read(&self.streams.at(stream), window, request)
            .await
    }

    fn positions_from(&self, window: Window) -> Millis {
        window.padded(QUERY_MARGIN).from().start()
    }

    async fn count(&self, stream: StreamIndex, range: Window) -> Result<RangeCount, ProviderError> {
        self.surveyor.count(&self.streams.at(stream), range).await
    }

    async fn estimate_count(
        &self,
        stream: StreamIndex,
        range: Window,
    ) -> Result<u64, ProviderError> {
        self.surveyor
            .estimate_count(&self.streams.at(stream), range)
            .await
    }

    fn messages_per_window(&self) -> u64 {
        MESSAGES_PER_WINDOW
    }

    fn request_cost(&self, messages: u64) -> u64 {
        splitting::request_cost(messages)
    }

    fn parse_raw(&self, stream: StreamIndex, raw: &str) -> Result<Message, UnparsableMessage> {
        self.api.parse_raw(&self.stream(stream), raw)
    }

    /// Counts the last second of the first stream, or else of a channel that nobody minds.
    async fn check_credentials(&self) -> Result<(), ProviderError> {
        if let Some(first) = self.streams.first() {
            match self.count_last_second(&first).await {
                Err(error) if error.may_concern_one_stream() => {}
                outcome => return outcome,
            }
        }
        let neutral = filter_stream(None, Some("backscroll".to_owned()));
        self.count_last_second(&neutral).await
    }

    async fn probe(&self, stream: StreamIndex) -> Result<(), ProviderError> {
        self.count_last_second(&self.streams.at(stream)).await
    }

    fn credentials(&self) -> CredentialsParts {
        self.api.credentials().parts()
    }

    fn reload_credentials(&self) {
        let credentials = self.api.credentials();
        credentials.renew(credentials.renewals());
    }
}

impl Agora {
    async fn count_last_second(&self, stream: &Stream) -> Result<(), ProviderError> {
        let now = self.gate().clock().now().second();
        let Some(window) = Window::new(now.minus(Duration::from_secs(1)), now) else {
            return Ok(());
        };
        self.surveyor.probe_count(stream, window).await.map(|_| ())
    }
}

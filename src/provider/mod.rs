//! The providers: what the engine asks of one, and the two that there are.
//!
//! The engine knows windows and counts. Handles, pages, signatures and JSON stay behind
//! [`Provider`]. Both adapters share the HTTP client, which spends the account's quota and reads
//! the provider's clock.
//!
//! | question | file |
//! |---|---|
//! | What does the engine ask of a provider, and what is answered? | this file, `survey.rs`, `discovery.rs` |
//! | Where is the rate limit? | `rate_limiter.rs`, `send_log.rs`; [`Gate`] hands it out |
//! | How do several processes share the rate limit? | `quota_blocks.rs`; the record: `sync/quota.rs` |
//! | When does a request count that opens a connection, or is late on its way? | `sent_time.rs`, `round_trip.rs` |
//! | How does the retry work? | `http_client.rs`; after a pass: [`Disposition`] in `error.rs` |
//! | How is a request sent, and what bounds its answer? | `transport.rs` |
//! | Which certificate authorities verify a connection? | `client_builder.rs` |
//! | How is a request authenticated? | `agora/credentials.rs`, `web3mq/credentials.rs` |
//! | How are secrets kept out of a provider's error texts? | `redaction.rs` |
//! | How is it noticed that credentials have changed? | `credentials_fingerprint.rs` |
//! | How is a window split? | `splitting.rs`, then `splitting.rs` of the adapter |
//! | How is provider time known? | `clock.rs` |
//! | What happens to a message that cannot be parsed? | `json.rs`: it is kept raw, and quarantined by the engine; if it damages its page: `damaged_items.rs` |
//! | Which times of messages are believed, and in which unit? | `wire_time.rs` |
//! | Which requests were sent, and with which outcome? | `traffic.rs` |
//! | Where are the tunables? | `limits.rs` |
//!
//! # How to add a provider
//!
//! 1. `domain/message.rs`, `domain/body.rs`: only if its messages have fields or encodings that no
//!    other has.
//! 2. [`ProviderKind`] in `account.rs`: its name in the archive and the alerts.
//! 3. `provider/<name>/`: `api.rs` (requests), `credentials.rs`, `answers.rs`
//!    (envelopes), `message.rs` (JSON to [`Message`]), `streams.rs` (the key and the scope of a stream), `splitting.rs`,
//!    `surveyor.rs`, `reader.rs`, and `mod.rs`, which puts them together and implements
//!    [`Provider`]. Then `discovery.rs`, if it can list streams.
//! 4. `limits.rs`: its page size, window size and concurrency.
//! 5. `config/<name>.rs`, `config/schema.rs` and `config/mod.rs`: its table in the configuration;
//!    then `config.toml`.
//! 6. `cli/accounts.rs`: configuration to settings.
//! 7. `sandbox/<name>/`: a strict imitation, for the tests, the demo and the drills.
//! 8. `fuzz/`: a target for its answers.
//! 9. README and `docs/`: the provider's name and its limits.

mod account;
pub mod agora;
mod body_encoding;
mod client_builder;
pub mod clock;
mod credentials_fingerprint;
mod damaged_items;
pub mod discovery;
pub mod error;
mod followed_streams;
mod gate;
mod http_client;
mod json;
pub mod limits;
mod quota_blocks;
pub mod rate_limiter;
mod redaction;
mod retry_after;
mod round_trip;
mod send_log;
mod sent_time;
mod splitting;
mod survey;
#[cfg(test)]
pub(crate) mod testing;
pub mod traffic;
mod transport;
pub mod web3mq;
mod wire_time;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::domain::arrival::ArrivalMark;
use crate::domain::clock::MachineSkew;
use crate::domain::message::{Message, UnparsableMessage};
use crate::domain::participant::Participant;
use crate::domain::stream::{Stream, StreamIndex};
use crate::domain::time::Millis;
use crate::domain::window::Window;
pub use account::{AccountSettings, ProviderKind};
pub use client_builder::client_builder;
pub use credentials_fingerprint::CredentialsParts;
pub use discovery::{Directories, DirectoryPage, StreamFinder};
pub use error::{Disposition, ProviderError};
pub use gate::Gate;
use limits::HANDOVER_PAUSE;
pub use quota_blocks::QuotaRecord;
pub use survey::{
    ArrivalPart, FetchedWindow, RangeCount, ReadPosition, ReadReason, ReadRoom, Survey,
    WindowRequest,
};
pub use transport::ClientSetupError;

/// One account at a provider: the methods that an adapter implements.
///
/// Streams are named by their index in [`Provider::streams`], which grows and never changes
/// otherwise. Every method may be called concurrently; the rate limiter orders the requests. All
/// are cancel-safe: dropping a call costs at most the requests in flight, and the events that a
/// directory has already removed.
#[async_trait]
pub trait Provider: Send + Sync {
    /// The account's settings.
    fn account(&self) -> &AccountSettings;

    /// The account's rate limit, clock and traffic.
    fn gate(&self) -> &Gate;

    /// All streams, by index.
    fn streams(&self) -> Vec<Arc<Stream>>;

    /// The stream at an index.
    fn stream(&self, index: StreamIndex) -> Arc<Stream>;

    /// The index of the stream with this key in the archive; `None` if it is not followed.
    fn stream_index(&self, key: &str) -> Option<StreamIndex>;

    /// Follows another stream, at the next index. Returns false if it is followed already or cannot
    /// be.
    fn follow(&self, stream: &Stream) -> bool;

    /// The discovery of further streams; `None` if the account follows only listed ones.
    fn stream_finder(&self) -> Option<&dyn StreamFinder> {
        None
    }

    /// Estimates the number of messages in `range`, as cheaply as possible, and says how to split
    /// the range into windows of about `target` messages.
    async fn survey(
        &self,
        stream: StreamIndex,
        range: Window,
        target: u64,
    ) -> Result<Survey, ProviderError>;

    /// Reads new messages of a range that is not to be sealed and is expected to hold few. The
    /// result may be incomplete.
    async fn peek(
        &self,
        stream: StreamIndex,
        range: Window,
        target: u64,
    ) -> Result<Survey, ProviderError> {
        self.survey(stream, range, target).await
    }

    /// Reads the messages of a window: all of them, or a part if they are more than there is room
    /// for. A part that is not the first fails with [`ProviderError::HistoryChanged`] if its
    /// position has shifted since.
    async fn fetch(
        &self,
        stream: StreamIndex,
        window: Window,
        request: WindowRequest,
    ) -> Result<FetchedWindow, ProviderError>;

    /// Returns the place up to which a stream is archived that is read in order of arrival. `None`
    /// for a stream that is read by time.
    fn arrival_mark(&self, stream: StreamIndex) -> Option<ArrivalMark> {
        let _ = stream;
        None
    }

    /// Tells the place up to which a stream is archived. `None`: it counts as being in order of
    /// time, until it turns out not to be.
    fn set_arrival_mark(&self, stream: StreamIndex, mark: Option<ArrivalMark>) {
        let _ = (stream, mark);
    }

    /// Returns the number of messages of a stream that is read in order of arrival that lie in
    /// `range` and are not archived, as far as the provider's positions tell. Negative if it has
    /// fewer than were read.
    async fn count_unread(&self, stream: StreamIndex, range: Window) -> Result<i64, ProviderError> {
        let _ = (stream, range);
        Ok(0)
    }

    /// Returns the first moment of the messages among which a window's [`ReadPosition`]s count.
    fn positions_from(&self, window: Window) -> Millis {
        window.from().start()
    }

    /// Counts the provider's messages in `range` without reading them, as cheaply as possible. The
    /// counts of adjacent ranges add up.
    async fn count(&self, stream: StreamIndex, range: Window) -> Result<RangeCount, ProviderError>;

    /// Counts the provider's messages in `range` at the lowest cost. Messages on its bounds may or
    /// may not be counted.
    async fn estimate_count(
        &self,
        stream: StreamIndex,
        range: Window,
    ) -> Result<u64, ProviderError> {
        Ok(self.count(stream, range).await?.messages)
    }

    /// The target size of a window, in messages. A smaller one is cheaper to read again; a larger
    /// one has less overhead in requests and ledger rows.
    fn messages_per_window(&self) -> u64;

    /// The number of requests that a range of `messages` messages takes without failures. Sends
    /// nothing.
    fn request_cost(&self, messages: u64) -> u64;

    /// Parses a message that was kept raw, by today's rules: a fetch of the stream would accept it
    /// too, whatever its time. Sends nothing.
    fn parse_raw(&self, stream: StreamIndex, raw: &str) -> Result<Message, UnparsableMessage>;

    /// Checks that the credentials are accepted. Costs one request, and a second one if the first
    /// is refused in a way that may concern one stream alone.
    async fn check_credentials(&self) -> Result<(), ProviderError>;

    /// Sends the cheapest request for a stream, and ignores what is answered.
    async fn probe(&self, stream: StreamIndex) -> Result<(), ProviderError> {
        let _ = stream;
        self.check_credentials().await
    }

    /// The parts of the credentials in use. They differ if the credentials do.
    fn credentials(&self) -> CredentialsParts {
        CredentialsParts::default()
    }

    /// Reads the credentials again from their source, if the adapter knows it.
    fn reload_credentials(&self) {}
}

/// Shortcuts to the gate and to the discovery of an account.
impl dyn Provider + '_ {
    /// The provider's current time.
    pub fn now(&self) -> Millis {
        self.gate().clock().now()
    }

    /// This machine's clock minus the provider's; none before the first answer.
    pub fn clock_skew(&self) -> MachineSkew {
        self.gate().clock().skew()
    }

    /// The number of requests sent since this process started, answered or not.
    pub fn requests_sent(&self) -> u64 {
        self.gate().traffic().requests_sent()
    }

    /// The rest of the current pause; `None` if requests may be sent.
    pub fn paused_for(&self) -> Option<Duration> {
        self.gate().rate_limiter().paused_for()
    }

    /// Sends no request for this long, because of a failure with this text. A longer pause that is
    /// running stays.
    pub fn pause_for(&self, pause: Duration, reason: &str) {
        self.gate().pause_until(Instant::now() + pause, reason);
    }

    /// Sends no request for a moment, after another configuration of this process has used the
    /// account, perhaps with another archive.
    pub fn pause_for_handover(&self) {
        self.pause_for(HANDOVER_PAUSE, "the account changed hands");
    }

    /// Waits until a request could be sent at once and none is waiting. Never returns for an
    /// account without a rate limit.
    pub async fn spare_slot(&self) {
        self.gate().rate_limiter().spare_slot().await;
    }

    /// The streams that carry messages from and to a participant and are not followed yet.
    pub fn streams_to_follow(&self, participant: &Participant<'_>) -> Vec<Stream> {
        match self.stream_finder() {
            Some(finder) => finder.streams_to_follow(participant),
            None => vec![],
        }
    }

    /// The directories that are to be read.
    pub fn directories(&self) -> Directories {
        match self.stream_finder() {
            Some(finder) => finder.directories(),
            None => Directories::default(),
        }
    }

    /// Reads a directory; see [`StreamFinder::read_directory`].
    pub async fn read_directory(&self, directory: usize) -> DirectoryPage {
        match self.stream_finder() {
            Some(finder) => finder.read_directory(directory).await,
            None => DirectoryPage::default(),
        }
    }
}

//! What the engine asks of a provider, and the two that answer.
//!
//! The engine knows windows and counts; handles, pages, signatures and shapes stay behind [`Provider`]. Both
//! adapters share one HTTP client ([`http`]), which spends the account's [`budget`] and reads the provider's
//! [`clock`].

pub mod agora;
pub mod budget;
pub mod clock;
pub mod error;
pub mod http;
mod json;
mod stream_list;
pub mod traffic;
pub mod web3mq;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::domain::message::{Message, Unreadable};
use crate::domain::participant::Party;
use crate::domain::stream::{Stream, StreamIndex};
use crate::domain::time::{Millis, Second};
use crate::domain::window::Window;
pub use error::{Disposition, ProviderError};
use http::HttpClient;

/// One account at a provider.
///
/// Streams are named by their position in [`Provider::streams`], which grows and never changes otherwise. Every method
/// may be called concurrently; the budget orders the requests. All are cancel-safe: dropping a call costs at most the
/// requests under way, and what a list has taken away with them.
#[async_trait]
pub trait Provider: Send + Sync {
    fn account(&self) -> &AccountSettings;

    /// All streams, by position.
    fn streams(&self) -> Vec<Arc<Stream>>;

    /// The stream at a position.
    fn stream(&self, position: StreamIndex) -> Arc<Stream>;

    /// Where the stream is that the archive calls by this key, if it is followed.
    fn stream_index(&self, key: &str) -> Option<StreamIndex>;

    /// The streams that reach what a party says and what is said to it, as far as they are not followed yet. None where
    /// the account does not follow who appears in its messages.
    fn streams_to_follow(&self, party: &Party<'_>) -> Vec<Stream> {
        let _ = party;
        vec![]
    }

    /// Which lists of what there is to follow the provider is asked for.
    fn directories(&self) -> Directories {
        Directories::default()
    }

    /// Asks for one of them, or for as much of it as one request brings where asking takes away what is answered.
    async fn read_directory(&self, read_directory: usize) -> DirectoryPage {
        let _ = read_directory;
        DirectoryPage::default()
    }

    /// Follows one more stream, in the position behind all others; false where it is followed already, or cannot be.
    fn follow(&self, stream: &Stream) -> bool;

    /// Finds out how much the provider has in `range`, as cheaply as it can, and how to cut it into windows of about `target`
    /// messages, where it is more than one.
    async fn survey(
        &self,
        stream: StreamIndex,
        range: Window,
        target: u64,
    ) -> Result<Survey, ProviderError>;

    /// What is new in a range that is not to be sealed, where there is likely to be something, but not much. It may be
    /// less than all.
    async fn peek(
        &self,
        stream: StreamIndex,
        range: Window,
        target: u64,
    ) -> Result<Survey, ProviderError> {
        self.survey(stream, range, target).await
    }

    /// All messages of a window that a survey has sized.
    async fn fetch(
        &self,
        stream: StreamIndex,
        window: Window,
        expected: u64,
    ) -> Result<FetchedWindow, ProviderError>;

    /// Counts what the provider has in `range` without reading it, as cheaply as it can. Counts of ranges that touch
    /// add up.
    async fn count(&self, stream: StreamIndex, range: Window) -> Result<RangeCount, ProviderError>;

    /// About how many messages the provider has in `range`, at the least price: those on its very bounds may or may not
    /// be among them.
    async fn estimate_count(
        &self,
        stream: StreamIndex,
        range: Window,
    ) -> Result<u64, ProviderError> {
        Ok(self.count(stream, range).await?.messages)
    }

    /// How many messages a window should hold: so few that it is no great loss to read it again, so many that what it costs
    /// besides its pages is little, here and in the ledger.
    fn window(&self) -> u64;

    /// How many requests it takes, when nothing goes wrong, to fetch a range of so many messages. Asks nobody.
    fn request_cost(&self, messages: u64) -> u64;

    /// Reads a message that was put aside raw, by what is known today. Asks nobody.
    fn parse_raw(&self, stream: StreamIndex, raw: &str) -> Result<Message, Unreadable>;

    /// Makes sure that the credentials are accepted, at the price of one request.
    async fn check_credentials(&self) -> Result<(), ProviderError>;

    /// The way to the provider: its clock, the account's budget.
    fn gate(&self) -> &HttpClient;

    /// Provider-now.
    fn now(&self) -> Millis {
        self.gate().clock().now()
    }

    /// How far this machine's clock is from the provider's, if it is off at all.
    fn clock_skew(&self) -> Option<Duration> {
        self.gate().clock().skew()
    }

    /// How many requests have been sent so far, answered or not.
    fn requests(&self) -> u64 {
        self.gate().requests()
    }

    /// For how long the provider will not hear from us because it told us to be quiet.
    fn paused_for(&self) -> Option<Duration> {
        self.gate().budget().paused_for()
    }

    /// Waits until a request could go at once and none wants to. Never, where there is no limit.
    async fn spare_slot(&self) {
        self.gate().budget().spare_slot().await;
    }

    /// Keeps quiet for so long: a penalty that an earlier process was given.
    fn pause_for(&self, left: Duration) {
        self.gate().budget().pause_until(Instant::now() + left);
    }
}

/// What the engine must know of an account.
#[derive(Clone, Debug)]
pub struct AccountSettings {
    /// Unique in the configuration; what SQL calls the account.
    pub name: String,
    /// `agora` or `web3mq`.
    pub provider: &'static str,
    /// The age at which the provider is trusted to show everything.
    pub settle: Duration,
    /// How long the provider keeps messages; nothing where it is not known to forget.
    pub retention: Option<Duration>,
    /// From when on history is wanted; nothing: all there is.
    pub since: Option<Millis>,
    /// Up to which age messages are looked at again until they have been read; nothing where they have no status.
    pub refresh_for: Option<Duration>,
    /// Whether streams are followed that the configuration does not list.
    pub discovers: bool,
}

/// The lists that a provider is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Directories {
    pub count: usize,
    /// How often.
    pub poll_interval: Duration,
}

/// What a list holds.
#[derive(Debug, Default)]
pub struct DirectoryPage {
    /// Some of them may be followed already.
    pub streams: Vec<Stream>,
    /// Whether there is more on it.
    pub has_more: bool,
    /// Why this may not be all.
    pub error: Option<ProviderError>,
}

/// What a survey found.
#[derive(Debug)]
pub enum Survey {
    /// It saw the whole range on its way: nothing, or little enough.
    Complete(FetchedWindow),
    /// The range can be fetched as one window of about so many messages.
    OneWindow(u64),
    /// The range is too large for one window: it holds about `count` messages. Each of the pieces that the cuts make
    /// is to be surveyed by itself.
    Split { count: u64, cuts: Vec<Second> },
}

/// The messages of a window.
#[derive(Debug)]
pub struct FetchedWindow {
    /// In the provider's order, oldest first. Some may lie outside of the window; they are as welcome.
    pub messages: Vec<Message>,
    pub unreadable: Vec<Unreadable>,
    /// How many messages the window holds by the provider's own count, where it counts.
    pub provider_count: Option<u64>,
    /// What the provider's clock showed, at the latest, before it was asked.
    pub requested_at: Millis,
    /// Why this may not be all, after several tries. Nothing where all is well.
    pub doubt: Option<String>,
}

/// A count, and of what: a provider may take the bounds of a range for something else than we do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeCount {
    pub messages: u64,
    /// The first moment that counted …
    pub from: Millis,
    /// … and the first behind it that did not. Neither is before the bound that was named, nor more than a second
    /// behind it.
    pub to: Millis,
}

/// Into how many pieces a range of `count` messages is to be cut; 1: not at all. One window may hold up to `most`: cutting
/// one that is only a little too large costs more requests than it saves memory. Else the pieces hold about `size`.
fn piece_count(count: u64, most: u64, size: u64) -> u64 {
    if count <= most {
        1
    } else {
        count.div_ceil(size.max(1))
    }
}

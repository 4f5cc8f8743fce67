//! Accounts at `Web3MQ`.

use std::time::Duration;

use reqwest::Url;

use super::account_ages::read_ages;
use super::defaults::{DEFAULT_DISCOVER_LIMIT, DEFAULT_REQUESTS_PER_SECOND, DEFAULT_TIMEOUT};
use super::secret::Secret;
use super::table::ConfigTable;
use super::{schema, value};
use crate::domain::time::Millis;

/// Messages per page: the largest value seen in the provider's own software.
const DEFAULT_PAGE_SIZE: u32 = 100;
/// Messages that were not read within a week are unlikely to be read later.
const DEFAULT_REFRESH_FOR: Duration = Duration::from_hours(7 * 24);

/// One `Web3MQ` user, with its own rate limit.
#[derive(Clone, Debug)]
pub struct Web3mqAccountConfig {
    /// 1 to 64 ASCII letters, digits, `_`, `-` and `.`; unique across providers.
    pub name: String,
    /// The node, with a path that ends in `/`. Two nodes may have different histories.
    pub base_url: Url,
    /// The earlier address of the node, if it has moved. Default: it has not.
    pub moved_from: Option<Url>,
    /// The user whose chats are archived, such as `user:…`.
    pub user_id: Secret,
    /// The ed25519 seed of the session key that signs requests: 64 hex digits of either case.
    pub private_key: Secret,
    /// The `didkey` header, such as `eth:0x…`. Default: the header is not sent.
    pub did_key: Option<Secret>,
    /// True if requests carry the public key in `web3mq-request-pubkey`. Default: true.
    pub send_public_key: bool,
    /// 0.001 to 100000. Default: 10; `Web3MQ` documents no limit.
    pub requests_per_second: f64,
    /// From a request to the last byte of its response: 1 second to 10 minutes. Default: 30
    /// seconds.
    pub timeout: Duration,
    /// 1 to 1000 messages. Default: 100.
    pub page_size: u32,
    /// How long the provider keeps a message; never shorter than `settle`. Default: for ever.
    pub retention: Option<Duration>,
    /// Messages older than this are not wanted. Default: all are wanted.
    pub since: Option<Millis>,
    /// The age at which the provider is expected to show every message. Default: 2 minutes.
    pub settle: Duration,
    /// The maximum age of unread messages that are refetched. Default: 7 days.
    pub refresh_for: Duration,
    /// At least one unless others are discovered, and no duplicates.
    pub streams: Vec<Web3mqStreamConfig>,
    /// True if every chat, group and topic of the user is followed. Default: false.
    pub discover: bool,
    /// The most streams that discovery adds: 1 to 1,000,000. Default: 10,000.
    pub discover_limit: usize,
}

impl Web3mqAccountConfig {
    /// Returns the credentials, with their keys. (Of the private key every blank is an error.)
    pub(super) fn credentials(&self) -> Vec<(&'static str, &Secret)> {
        let did_key = self.did_key.as_ref().map(|secret| ("did_key", secret));
        let user_id = ("user_id", &self.user_id);
        std::iter::once(user_id).chain(did_key).collect()
    }
}

/// The history of one chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Web3mqStreamConfig {
    /// A group, a topic, or the user ID of a peer, exactly as the provider writes it.
    pub topic: String,
}

/// Reads one `[[web3mq]]` table. `None` if a required part is missing or wrong.
pub(super) fn read_account(table: &ConfigTable<'_>) -> Option<Web3mqAccountConfig> {
    let discover = table.or_default("discover", false, value::discover_chats);
    let name = table.required("name", value::account_name);
    let base_url = table.required("base_url", value::web3mq_base_url);
    let moved_from = table.optional("moved_from", value::web3mq_base_url);
    let user_id = table.required("user_id", value::identifier);
    let private_key = table.required("private_key", value::private_key);
    let did_key = table.optional("did_key", value::secret);
    let send_public_key = table.or_default("send_public_key", true, value::flag);
    let requests_per_second = table.or_default(
        "requests_per_second",
        DEFAULT_REQUESTS_PER_SECOND,
        value::rate,
    );
    let timeout = table.or_default("timeout", DEFAULT_TIMEOUT, value::timeout);
    let page_size = table.or_default("page_size", DEFAULT_PAGE_SIZE, value::page_size);
    let since = table.optional("since", value::moment);
    let refresh_for = table.or_default("refresh_for", DEFAULT_REFRESH_FOR, value::duration);
    let streams = table.streams(
        &schema::WEB3MQ_STREAM,
        read_stream,
        |stream| stream.topic.clone(),
        discover,
    );
    let discover_limit = table.or_default(
        "discover_limit",
        DEFAULT_DISCOVER_LIMIT,
        value::discover_limit,
    );
    let (settle, retention) = read_ages(table, None);
    Some(Web3mqAccountConfig {
        name: name?,
        base_url: base_url?,
        moved_from,
        user_id: user_id?,
        private_key: private_key?,
        did_key,
        send_public_key,
        requests_per_second,
        timeout,
        page_size,
        retention,
        since,
        settle,
        refresh_for,
        streams,
        discover,
        discover_limit,
    })
}

fn read_stream(table: &ConfigTable<'_>) -> Option<Web3mqStreamConfig> {
    Some(Web3mqStreamConfig {
        topic: table.required("topic", value::text)?,
    })
}

//! Accounts at `Web3MQ`.

use std::time::Duration;

use reqwest::Url;

use super::error::{ConfigError, ConfigErrorKind};
use super::secret::Secret;
use super::table::ConfigTable;
use super::{DEFAULT_REQUESTS_PER_SECOND, DEFAULT_SETTLE, DEFAULT_TIMEOUT, schema, value};
use crate::domain::time::Millis;

/// Messages on a page: the most that the provider's own software has been seen to ask for.
const DEFAULT_PAGE_SIZE: u32 = 100;
/// What was not read within a week will hardly be.
const DEFAULT_REFRESH_FOR: Duration = Duration::from_hours(7 * 24);

/// One `Web3MQ` user, with its own request budget.
#[derive(Clone, Debug)]
pub struct Web3mqAccountConfig {
    /// 1 to 64 ASCII letters, digits, `_`, `-` and `.`; unique across providers.
    pub name: String,
    /// The node, with a path that ends in `/`. Histories of several nodes may differ: name one and stay with it.
    pub base_url: Url,
    /// The user whose chats are read, such as `user:…`.
    pub user_id: String,
    /// The ed25519 seed of the session key that signs requests: 64 hex digits of either case.
    pub private_key: Secret,
    /// The `didkey` header, such as `eth:0x…`. Default: none is sent.
    pub did_key: Option<String>,
    /// Whether requests carry the public key in `web3mq-request-pubkey`. Default: true.
    pub send_public_key: bool,
    /// 0.001 to 100000. Default: 10; `Web3MQ` documents no limit.
    pub requests_per_second: f64,
    /// From a request to the last byte of its answer: 1 second to 10 minutes. Default: 30 seconds.
    pub timeout: Duration,
    /// 1 to 1000 messages. Default: 100.
    pub page_size: u32,
    /// How long the provider keeps a message; never shorter than `settle`. Default: none, for ever.
    pub retention: Option<Duration>,
    /// Nothing older is wanted. Default: everything is.
    pub since: Option<Millis>,
    /// The age from which the provider is trusted to show everything. Default: 2 minutes.
    pub settle: Duration,
    /// Up to which age messages are looked at again until they have been read. Default: 7 days.
    pub refresh_for: Duration,
    /// At least one unless others are discovered, and no two alike.
    pub streams: Vec<Web3mqStreamConfig>,
    /// Whether every chat, group and topic is followed that the user takes part in. Default: false.
    pub discover: bool,
}

/// One chat's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Web3mqStreamConfig {
    /// A group, a topic, or the peer's user ID, exactly as the provider writes it.
    pub topic: String,
}

/// Reads one `[[web3mq]]` table.
pub(super) fn read_account(table: &ConfigTable<'_>) -> Result<Web3mqAccountConfig, ConfigError> {
    let discover = table.or_default("discover", false, value::discover_chats)?;
    let account = Web3mqAccountConfig {
        name: table.required("name", value::account_name)?,
        base_url: table.required("base_url", value::base_url)?,
        user_id: table.required("user_id", value::text)?,
        private_key: table.required("private_key", value::private_key)?,
        did_key: table.optional("did_key", value::header)?,
        send_public_key: table.or_default("send_public_key", true, value::flag)?,
        requests_per_second: table.or_default(
            "requests_per_second",
            DEFAULT_REQUESTS_PER_SECOND,
            value::rate,
        )?,
        timeout: table.or_default("timeout", DEFAULT_TIMEOUT, value::timeout)?,
        page_size: table.or_default("page_size", DEFAULT_PAGE_SIZE, value::page_size)?,
        retention: table.optional("retention", value::duration)?,
        since: table.optional("since", value::moment)?,
        settle: table.or_default("settle", DEFAULT_SETTLE, value::duration)?,
        refresh_for: table.or_default("refresh_for", DEFAULT_REFRESH_FOR, value::duration)?,
        streams: table.streams(
            &schema::WEB3MQ_STREAM,
            read_stream,
            |stream| stream.topic.clone(),
            discover,
        )?,
        discover,
    };
    if account
        .retention
        .is_some_and(|retention| retention < account.settle)
    {
        return Err(table.error_at_keys(
            &["retention", "settle"],
            ConfigErrorKind::RetentionShorterThanSettle,
        ));
    }
    Ok(account)
}

fn read_stream(table: &ConfigTable<'_>) -> Result<Web3mqStreamConfig, ConfigError> {
    Ok(Web3mqStreamConfig {
        topic: table.required("topic", value::text)?,
    })
}

//! Accounts at Agora RTM.

use std::time::Duration;

use reqwest::Url;

use super::error::{ConfigError, ConfigErrorKind};
use super::secret::Secret;
use super::table::ConfigTable;
use super::{DEFAULT_REQUESTS_PER_SECOND, DEFAULT_SETTLE, DEFAULT_TIMEOUT, schema, value};
use crate::domain::time::Millis;

/// How long Agora keeps messages unless its support agreed to more.
const DEFAULT_RETENTION: Duration = Duration::from_hours(7 * 24);

/// One Agora project, with its own request budget.
#[derive(Clone, Debug)]
pub struct AgoraAccountConfig {
    /// 1 to 64 ASCII letters, digits, `_`, `-` and `.`; unique across providers.
    pub name: String,
    /// The host, with a path that ends in `/`. Default: `https://api.agora.io/`.
    pub base_url: Url,
    /// The project. ASCII letters, digits, `_` and `-`, so that it can stand in a path as it is.
    pub app_id: String,
    pub auth: AgoraAuth,
    /// 0.001 to 100000. Default: 10, which Agora documents as its limit.
    pub requests_per_second: f64,
    /// From a request to the last byte of its answer: 1 second to 10 minutes. Default: 30 seconds.
    pub timeout: Duration,
    /// How long the provider keeps a message; never shorter than `settle`. Default: 7 days.
    pub retention: Duration,
    /// Nothing older is wanted. Default: as far back as `retention` reaches.
    pub since: Option<Millis>,
    /// The age from which the provider is trusted to show everything. Default: 2 minutes.
    pub settle: Duration,
    /// At least one unless events are followed, and no two alike.
    pub streams: Vec<AgoraStreamConfig>,
    /// What is followed besides. Default: nothing.
    pub discover: DiscoveryMode,
}

/// What an account follows that is not listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiscoveryMode {
    Nothing,
    /// Users and channels that appear in messages.
    Messages,
    /// The same, and those that appear in Agora's feeds of events, which are emptied by that.
    Events,
}

/// How requests prove that they may read.
#[derive(Clone, Debug)]
pub enum AgoraAuth {
    /// HTTP Basic, for all projects of a customer.
    Basic {
        customer_id: String,
        customer_secret: Secret,
    },
    /// An RTM token and the user it was made for: `x-agora-token` and `x-agora-uid`.
    Token { token: Secret, uid: String },
    /// An `AccessToken2`, which names its user itself: `Authorization: agora token=…`.
    BearerToken { token: Secret },
}

/// A filter over the history. At least one of `source` and `destination` is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgoraStreamConfig {
    /// The user who sent.
    pub source: Option<String>,
    /// The user or channel that received.
    pub destination: Option<String>,
    /// What the destination is, for messages where the provider does not say.
    pub kind: Option<DestinationKind>,
}

/// What a name that receives messages stands for: a channel and a user may bear the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DestinationKind {
    /// Every member receives.
    Channel,
    /// One receives, peer to peer.
    User,
}

/// Reads one `[[agora]]` table.
pub(super) fn read_account(table: &ConfigTable<'_>) -> Result<AgoraAccountConfig, ConfigError> {
    let discover = table.or_default("discover", DiscoveryMode::Nothing, value::discover)?;
    let account = AgoraAccountConfig {
        name: table.required("name", value::account_name)?,
        base_url: table.parse_or_default(
            "base_url",
            "https://api.agora.io",
            value::parse_base_url,
        )?,
        app_id: table.required("app_id", value::app_id)?,
        auth: read_credentials(table)?,
        requests_per_second: table.or_default(
            "requests_per_second",
            DEFAULT_REQUESTS_PER_SECOND,
            value::rate,
        )?,
        timeout: table.or_default("timeout", DEFAULT_TIMEOUT, value::timeout)?,
        retention: table.or_default("retention", DEFAULT_RETENTION, value::duration)?,
        since: table.optional("since", value::moment)?,
        settle: table.or_default("settle", DEFAULT_SETTLE, value::duration)?,
        streams: read_streams(table, discover)?,
        discover,
    };
    if account.retention < account.settle {
        return Err(table.error_at_keys(
            &["retention", "settle"],
            ConfigErrorKind::RetentionShorterThanSettle,
        ));
    }
    Ok(account)
}

fn read_credentials(table: &ConfigTable<'_>) -> Result<AgoraAuth, ConfigError> {
    let any = |keys: [&'static str; 2]| keys.into_iter().any(|key| table.get(key).is_some());
    match (
        any(["customer_id", "customer_secret"]),
        any(["token", "uid"]),
    ) {
        (true, false) => Ok(AgoraAuth::Basic {
            customer_id: table.required("customer_id", value::header)?,
            customer_secret: table.required("customer_secret", value::secret)?,
        }),
        (false, true) => {
            let token = table.required("token", value::secret)?;
            let uid = table.optional("uid", value::header)?;
            Ok(match uid {
                Some(uid) => AgoraAuth::Token { token, uid },
                None => AgoraAuth::BearerToken { token },
            })
        }
        (true, true) => {
            Err(table.error_at_keys(&["token", "uid"], ConfigErrorKind::ConflictingCredentials))
        }
        (false, false) => Err(table.error(ConfigErrorKind::MissingCredentials)),
    }
}

/// Who appears in messages can only be found where there are messages; events begin with nothing.
fn read_streams(
    account: &ConfigTable<'_>,
    discover: DiscoveryMode,
) -> Result<Vec<AgoraStreamConfig>, ConfigError> {
    // `kind` is a label: with and without it, the same messages are asked for.
    let identity = |stream: &AgoraStreamConfig| (stream.source.clone(), stream.destination.clone());
    account.streams(
        &schema::AGORA_STREAM,
        read_stream,
        identity,
        discover == DiscoveryMode::Events,
    )
}

fn read_stream(table: &ConfigTable<'_>) -> Result<AgoraStreamConfig, ConfigError> {
    let stream = AgoraStreamConfig {
        source: table.optional("source", value::text)?,
        destination: table.optional("destination", value::text)?,
        kind: table.optional("kind", value::kind)?,
    };
    match (&stream.source, &stream.destination, stream.kind) {
        (None, None, _) => Err(table.error(ConfigErrorKind::StreamWithoutFilter)),
        (_, None, Some(_)) => {
            Err(table.error_at_keys(&["kind"], ConfigErrorKind::KindWithoutDestination))
        }
        _ => Ok(stream),
    }
}

//! Accounts at Agora RTM.

use std::time::Duration;

use reqwest::Url;

use super::document::Table;
use super::error::{ConfigError, Problem};
use super::secret::Secret;
use super::{REQUESTS_PER_SECOND, SETTLE, TIMEOUT, shape, value};
use crate::domain::time::Millis;

/// How long Agora keeps messages unless its support agreed to more.
const RETENTION: Duration = Duration::from_hours(7 * 24);

/// One Agora project, with its own request budget.
#[derive(Clone, Debug)]
pub struct AgoraAccount {
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
    pub streams: Vec<AgoraStream>,
    /// What is followed besides. Default: nothing.
    pub discover: Discover,
}

/// What an account follows that is not listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discover {
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
pub struct AgoraStream {
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
pub(super) fn account(table: &Table<'_>) -> Result<AgoraAccount, ConfigError> {
    let discover = table.or("discover", Discover::Nothing, value::discover)?;
    let account = AgoraAccount {
        name: table.required("name", value::account_name)?,
        base_url: table.or_text("base_url", "https://api.agora.io", value::url)?,
        app_id: table.required("app_id", value::app_id)?,
        auth: auth(table)?,
        requests_per_second: table.or("requests_per_second", REQUESTS_PER_SECOND, value::rate)?,
        timeout: table.or("timeout", TIMEOUT, value::timeout)?,
        retention: table.or("retention", RETENTION, value::duration)?,
        since: table.optional("since", value::moment)?,
        settle: table.or("settle", SETTLE, value::duration)?,
        streams: streams(table, discover)?,
        discover,
    };
    if account.retention < account.settle {
        return Err(table.refuse_at(&["retention", "settle"], Problem::RetentionWithinSettle));
    }
    Ok(account)
}

fn auth(table: &Table<'_>) -> Result<AgoraAuth, ConfigError> {
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
        (true, true) => Err(table.refuse_at(&["token", "uid"], Problem::TwoAuths)),
        (false, false) => Err(table.refuse(Problem::NoAuth)),
    }
}

/// Who appears in messages can only be found where there are messages; events begin with nothing.
fn streams(account: &Table<'_>, discover: Discover) -> Result<Vec<AgoraStream>, ConfigError> {
    // `kind` is a label: with and without it, the same messages are asked for.
    let identity = |stream: &AgoraStream| (stream.source.clone(), stream.destination.clone());
    account.streams(
        &shape::AGORA_STREAM,
        stream,
        identity,
        discover == Discover::Events,
    )
}

fn stream(table: &Table<'_>) -> Result<AgoraStream, ConfigError> {
    let stream = AgoraStream {
        source: table.optional("source", value::text)?,
        destination: table.optional("destination", value::text)?,
        kind: table.optional("kind", value::kind)?,
    };
    match (&stream.source, &stream.destination, stream.kind) {
        (None, None, _) => Err(table.refuse(Problem::StreamWithoutEnds)),
        (_, None, Some(_)) => Err(table.refuse_at(&["kind"], Problem::KindWithoutDestination)),
        _ => Ok(stream),
    }
}

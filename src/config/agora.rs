//! Accounts at Agora RTM.

use std::time::Duration;

use reqwest::Url;
use reqwest::header::HeaderName;

use super::account_ages::read_ages;
use super::choices::{DestinationKind, DiscoveryMode};
use super::defaults::{DEFAULT_DISCOVER_LIMIT, DEFAULT_REQUESTS_PER_SECOND, DEFAULT_TIMEOUT};
use super::error::ConfigErrorKind;
use super::secret::Secret;
use super::table::ConfigTable;
use super::{schema, value};
use crate::domain::time::Millis;

/// The retention of Agora, unless its support agreed to more.
const DEFAULT_RETENTION: Duration = Duration::from_hours(7 * 24);

/// One Agora project, with its own rate limit.
#[derive(Clone, Debug)]
pub struct AgoraAccountConfig {
    /// 1 to 64 ASCII letters, digits, `_`, `-` and `.`; unique across providers.
    pub name: String,
    /// The host, with a path that ends in `/`. Default: `https://api.agora.io/`.
    pub base_url: Url,
    /// The project. ASCII letters, digits, `_` and `-`: a URL path needs no escaping for them.
    pub app_id: Secret,
    /// The credentials.
    pub auth: AgoraAuth,
    /// 0.001 to 100000. Default: 10, the limit that Agora documents.
    pub requests_per_second: f64,
    /// From a request to the last byte of its response: 1 second to 10 minutes. Default: 30
    /// seconds.
    pub timeout: Duration,
    /// How long the provider keeps a message; never shorter than `settle`. Default: 7 days.
    pub retention: Duration,
    /// Messages older than this are not wanted. Default: as far back as `retention` reaches.
    pub since: Option<Millis>,
    /// The age at which the provider is expected to show every message. Default: 2 minutes.
    pub settle: Duration,
    /// At least one unless events are followed, and no duplicates.
    pub streams: Vec<AgoraStreamConfig>,
    /// The discovery of further streams. Default: none.
    pub discover: DiscoveryMode,
    /// The most streams that discovery adds: 1 to 1,000,000. Default: 10,000.
    pub discover_limit: usize,
}

/// The credentials of an account.
#[derive(Clone, Debug)]
pub enum AgoraAuth {
    /// HTTP Basic authentication, for all projects of a customer.
    Basic {
        customer_id: Secret,
        customer_secret: Secret,
    },
    /// An RTM token and the user it was issued for, in two headers. `None`: those of the provider.
    Token {
        token: TokenSource,
        uid: Secret,
        headers: Option<TokenHeaderNames>,
    },
    /// An `AccessToken2`, which contains its user: `Authorization: agora token=…`.
    BearerToken { token: Secret },
}

/// The source of a token.
#[derive(Clone, Debug)]
pub enum TokenSource {
    /// It is read, and read again when it is refused.
    Given(Secret),
    /// It is made with the App certificate of the project, 32 hexadecimal digits.
    Signed { app_certificate: Secret },
}

impl TokenSource {
    /// Returns the secret with its key.
    pub(super) fn secret(&self) -> (&'static str, &Secret) {
        match self {
            Self::Given(token) => ("token", token),
            Self::Signed { app_certificate } => ("app_certificate", app_certificate),
        }
    }
}

/// The names of the two headers that hold a token and its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenHeaderNames {
    pub token: HeaderName,
    pub uid: HeaderName,
}

impl AgoraAccountConfig {
    /// Returns the credentials, with their keys.
    pub(super) fn credentials(&self) -> Vec<(&'static str, &Secret)> {
        match &self.auth {
            AgoraAuth::Basic {
                customer_id,
                customer_secret,
            } => vec![
                ("customer_id", customer_id),
                ("customer_secret", customer_secret),
            ],
            AgoraAuth::Token { token, uid, .. } => vec![token.secret(), ("uid", uid)],
            AgoraAuth::BearerToken { token } => vec![("token", token)],
        }
    }
}

/// A filter over the history. At least one of `source` and `destination` is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgoraStreamConfig {
    /// The sender.
    pub source: Option<String>,
    /// The user or channel that receives.
    pub destination: Option<String>,
    /// The kind of the destination, for messages in which the provider does not state it.
    pub kind: Option<DestinationKind>,
}

/// Reads one `[[agora]]` table. `None` if a required part is missing or wrong.
pub(super) fn read_account(table: &ConfigTable<'_>) -> Option<AgoraAccountConfig> {
    let discover = table.or_default("discover", DiscoveryMode::Nothing, value::discover);
    let name = table.required("name", value::account_name);
    let base_url =
        table.parse_or_default("base_url", "https://api.agora.io", value::agora_base_url);
    let app_id = table.required("app_id", value::app_id);
    let auth = read_credentials(table);
    let requests_per_second = table.or_default(
        "requests_per_second",
        DEFAULT_REQUESTS_PER_SECOND,
        value::rate,
    );
    let timeout = table.or_default("timeout", DEFAULT_TIMEOUT, value::timeout);
    let discover_limit = table.or_default(
        "discover_limit",
        DEFAULT_DISCOVER_LIMIT,
        value::discover_limit,
    );
    let since = table.optional("since", value::moment);
    let streams = read_streams(table, discover);
    let (settle, retention) = read_ages(table, Some(DEFAULT_RETENTION));
    Some(AgoraAccountConfig {
        name: name?,
        base_url: base_url?,
        app_id: app_id?,
        auth: auth?,
        requests_per_second,
        timeout,
        retention: retention.unwrap_or(DEFAULT_RETENTION),
        since,
        settle,
        streams,
        discover,
        discover_limit,
    })
}

fn read_credentials(table: &ConfigTable<'_>) -> Option<AgoraAuth> {
    let has_customer = table.has_any(&["customer_id", "customer_secret"]);
    let token_keys = ["token", "app_certificate", "uid", "token_headers"];
    let has_token = table.has_any(&token_keys);
    let has_two_tokens = table.has_any(&["token"]) && table.has_any(&["app_certificate"]);
    if has_two_tokens {
        table.reject_at_keys(&["app_certificate"], ConfigErrorKind::TokenAndCertificate);
        return None;
    }
    match (has_customer, has_token) {
        (true, false) => {
            let customer_id = table.required("customer_id", value::secret);
            let customer_secret = table.required("customer_secret", value::secret);
            Some(AgoraAuth::Basic {
                customer_id: customer_id?,
                customer_secret: customer_secret?,
            })
        }
        (false, true) => {
            let token = if table.has_any(&["app_certificate"]) {
                let app_certificate = table.required("app_certificate", value::app_certificate);
                TokenSource::Signed {
                    app_certificate: app_certificate?,
                }
            } else {
                let token = table.required("token", value::secret)?;
                if !table.has_any(&["uid", "token_headers"]) {
                    return Some(AgoraAuth::BearerToken { token });
                }
                TokenSource::Given(token)
            };
            let headers = if table.has_any(&["token_headers"]) {
                Some(read_token_headers(table)?)
            } else {
                None
            };
            Some(AgoraAuth::Token {
                token,
                uid: table.required("uid", value::secret)?,
                headers,
            })
        }
        (true, true) => {
            table.reject_at_keys(&token_keys, ConfigErrorKind::ConflictingCredentials);
            None
        }
        (false, false) => {
            table.reject(ConfigErrorKind::MissingCredentials);
            None
        }
    }
}

fn read_token_headers(account: &ConfigTable<'_>) -> Option<TokenHeaderNames> {
    let table = account.table("token_headers", &schema::TOKEN_HEADERS);
    let token = table.required("token", value::header_name);
    let uid = table.required("uid", value::header_name);
    Some(TokenHeaderNames {
        token: token?,
        uid: uid?,
    })
}

/// Reads `streams`. The list may be empty only if event feeds are followed: discovery in messages
/// needs a stream to start from.
fn read_streams(account: &ConfigTable<'_>, discover: DiscoveryMode) -> Vec<AgoraStreamConfig> {
    // `kind` is only a label: the requests are the same with and without it.
    let identity = |stream: &AgoraStreamConfig| (stream.source.clone(), stream.destination.clone());
    let may_be_empty = discover == DiscoveryMode::Events;
    account.streams(&schema::AGORA_STREAM, read_stream, identity, may_be_empty)
}

fn read_stream(table: &ConfigTable<'_>) -> Option<AgoraStreamConfig> {
    let stream = AgoraStreamConfig {
        source: table.optional("source", value::text),
        destination: table.optional("destination", value::text),
        kind: table.optional("kind", value::kind),
    };
    if !table.has_any(&["source", "destination"]) {
        if !table.has_misspelled(&["source", "destination"]) {
            table.reject(ConfigErrorKind::StreamWithoutFilter);
        }
        return None;
    }
    if table.has_any(&["kind"]) && !table.has_any(&["destination"]) {
        table.reject_at_keys(&["kind"], ConfigErrorKind::KindWithoutDestination);
        return None;
    }
    // A filter that could not be read is not the filter of another stream.
    (stream.source.is_some() || stream.destination.is_some()).then_some(stream)
}

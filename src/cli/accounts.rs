//! Builds the providers of the engine from the accounts of the configuration.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use secrecy::ExposeSecret;

use super::error::CliError;
use crate::config::{
    AgoraAccountConfig, AgoraAuth, Config, ConfigError, DestinationKind, DiscoveryMode, Secret,
    TokenSource, Web3mqAccountConfig,
};
use crate::domain::account::AccountIdentity;
use crate::domain::clock::Clock;
use crate::domain::message::ConversationKind;
use crate::domain::time::Millis;
use crate::provider::agora::{
    self, Agora, AgoraSettings, Credentials, DiscoverySource, RenewableToken, TokenHeaders,
    TokenSigner,
};
use crate::provider::web3mq::{Identity, SessionKey, Web3mq, Web3mqSettings};
use crate::provider::{AccountSettings, Gate, Provider, ProviderKind};
use crate::store::{Archive, NewAccount, StoreError};

/// The use that a command makes of its providers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProviderUse {
    /// It sends requests, so it needs the credentials.
    Requests,
    /// It only reads what is known of an account. Nothing that only a request needs is read.
    Offline,
}

/// Returns the providers of all accounts, or of the account `only`.
pub(super) fn build_providers(
    config: &Config,
    only: Option<&str>,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<Arc<dyn Provider>>, CliError> {
    let wanted = |name: &str| only.is_none_or(|only| only == name);
    let providers = build(config, wanted, ProviderUse::Requests, clock)?;
    match only {
        Some(name) if providers.is_empty() => {
            let accounts = config.account_names();
            Err(unknown_account("the configuration", name, accounts))
        }
        _ => Ok(providers),
    }
}

/// Returns the providers of the accounts that `wanted` names, for a command that sends no requests.
/// It works without their secrets.
pub(super) fn build_offline_providers(
    config: &Config,
    wanted: impl Fn(&str) -> bool,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<Arc<dyn Provider>>, CliError> {
    build(config, wanted, ProviderUse::Offline, clock)
}

/// Errors if the archive knows an account by the name of another account.
pub(super) async fn check_identities(
    providers: &[Arc<dyn Provider>],
    store: &dyn Archive,
) -> Result<(), StoreError> {
    for provider in providers {
        store.check_identity(&known_account(&**provider)).await?;
    }
    Ok(())
}

/// Returns an account as the archive knows it, without its streams.
pub(super) fn known_account(provider: &dyn Provider) -> NewAccount<'_> {
    let account = provider.account();
    NewAccount {
        identity: account.identity.as_ref(),
        ..NewAccount::named(&account.name, account.provider.name())
    }
}

/// Returns a note for each two accounts that archive the same history.
pub(super) fn notes_on_shared_identities(providers: &[Arc<dyn Provider>]) -> Vec<String> {
    let accounts: Vec<_> = providers
        .iter()
        .map(|provider| provider.account())
        .collect();
    let mut notes = Vec::new();
    for (n, account) in accounts.iter().enumerate() {
        let is_same = |other: &&&AccountSettings| {
            let identity = other.identity.as_ref().zip(account.identity.as_ref());
            other.provider == account.provider
                && identity.is_some_and(|(one, other)| one.difference(other).is_none())
        };
        if let Some(first) = accounts[..n].iter().find(is_same) {
            let (first, second) = (&first.name, &account.name);
            notes.push(format!(
                "the accounts `{first}` and `{second}` are one account of the provider: messages of \
                 streams that both follow are fetched and archived twice, and the two share one \
                 rate limit; list all streams under one name"
            ));
        }
    }
    notes
}

fn build(
    config: &Config,
    wanted: impl Fn(&str) -> bool,
    purpose: ProviderUse,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<Arc<dyn Provider>>, CliError> {
    let mut providers: Vec<Arc<dyn Provider>> = Vec::new();
    for account in config.agora.iter().filter(|account| wanted(&account.name)) {
        providers.push(Arc::new(build_agora(account, purpose, clock)?));
    }
    for account in config.web3mq.iter().filter(|account| wanted(&account.name)) {
        providers.push(Arc::new(build_web3mq(account, purpose, clock)?));
    }
    Ok(providers)
}

/// Returns the error about an account that `place` does not have, with those that it has.
pub(super) fn unknown_account<'a>(
    place: &str,
    name: &str,
    accounts: impl IntoIterator<Item = &'a str>,
) -> CliError {
    let accounts: BTreeSet<String> = accounts
        .into_iter()
        .map(|account| format!("`{account}`"))
        .collect();
    let known = match accounts.len() {
        0 => "it has none".to_owned(),
        _ => format!(
            "it has {}",
            accounts.into_iter().collect::<Vec<_>>().join(", ")
        ),
    };
    CliError::Usage(format!("{place} has no account `{name}`: {known}"))
}

/// Logs the settings that are valid but probably not meant.
pub(super) fn log_warnings(config: &Config, only: Option<&str>, now: Millis) {
    for warning in config.warnings(only, now) {
        tracing::warn!("{warning}");
    }
}

fn build_agora(
    config: &AgoraAccountConfig,
    purpose: ProviderUse,
    clock: &Arc<dyn Clock>,
) -> Result<Agora, CliError> {
    let account = AccountSettings {
        name: config.name.clone(),
        provider: ProviderKind::Agora,
        identity: read_owner(&config.app_id, purpose)?.map(|owner| AccountIdentity {
            owner,
            node: None,
            former_node: None,
        }),
        settle: config.settle,
        retention: Some(config.retention),
        since: config.since,
        refresh_for: None,
        discover_limit: (config.discover != DiscoveryMode::Nothing)
            .then_some(config.discover_limit),
    };
    let (app_id, credentials) = match purpose {
        ProviderUse::Requests => {
            let app_id = read_text(&config.app_id)?;
            let credentials = read_credentials(&config.auth, &app_id, clock)?;
            (app_id, credentials)
        }
        // The App ID is a part of the URL, and of nothing else.
        ProviderUse::Offline => (String::new(), Credentials::Unavailable),
    };
    let streams = config
        .streams
        .iter()
        .map(|stream| agora::filter_stream(stream.source.clone(), stream.destination.clone()))
        .collect();
    let kinds = config.streams.iter().filter_map(|stream| {
        let kind = match stream.kind? {
            DestinationKind::Channel => ConversationKind::Channel,
            DestinationKind::User => ConversationKind::Peer,
        };
        Some((stream.destination.clone()?, kind))
    });
    let gate = Gate::new(config.requests_per_second, clock.clone())
        .with_request_timeout(config.timeout)
        .with_settle(config.settle);
    let kinds: HashMap<String, ConversationKind> = kinds.collect();
    let discovery = match config.discover {
        DiscoveryMode::Nothing => None,
        DiscoveryMode::Messages => Some(DiscoverySource::Messages),
        DiscoveryMode::Events => Some(DiscoverySource::Events),
    };
    let settings = AgoraSettings {
        account,
        base_url: config.base_url.clone(),
        app_id,
        credentials,
        streams,
        kinds,
        discovery,
    };
    Ok(Agora::new(settings, gate)?)
}

fn read_credentials(
    auth: &AgoraAuth,
    app_id: &str,
    clock: &Arc<dyn Clock>,
) -> Result<Credentials, ConfigError> {
    Ok(match auth {
        AgoraAuth::Basic {
            customer_id,
            customer_secret,
        } => Credentials::Basic {
            customer_id: read_text(customer_id)?,
            customer_secret: customer_secret.read()?,
        },
        AgoraAuth::Token {
            token,
            uid,
            headers,
        } => {
            let uid = read_text(uid)?;
            let token = match token {
                TokenSource::Given(token) => renewable_token(token)?,
                TokenSource::Signed { app_certificate } => {
                    let signer = TokenSigner {
                        app_id: app_id.to_owned(),
                        certificate: app_certificate.read()?,
                        uid: uid.clone(),
                    };
                    signed_token(signer, clock.clone())
                }
            };
            Credentials::Token {
                token,
                uid,
                headers: headers
                    .clone()
                    .map_or_else(TokenHeaders::default, |names| TokenHeaders {
                        token: names.token,
                        uid: names.uid,
                    }),
            }
        }
        AgoraAuth::BearerToken { token } => Credentials::Bearer {
            token: renewable_token(token)?,
        },
    })
}

fn build_web3mq(
    config: &Web3mqAccountConfig,
    purpose: ProviderUse,
    clock: &Arc<dyn Clock>,
) -> Result<Web3mq, CliError> {
    let account = AccountSettings {
        name: config.name.clone(),
        provider: ProviderKind::Web3mq,
        identity: read_owner(&config.user_id, purpose)?.map(|owner| AccountIdentity {
            owner,
            node: Some(node_of(&config.base_url)),
            former_node: config.moved_from.as_ref().map(node_of),
        }),
        settle: config.settle,
        retention: config.retention,
        since: config.since,
        refresh_for: Some(config.refresh_for),
        discover_limit: config.discover.then_some(config.discover_limit),
    };
    let identity = match purpose {
        ProviderUse::Requests => Identity {
            user: read_text(&config.user_id)?,
            key: Some(read_session_key(config)?),
            did_key: config.did_key.as_ref().map(read_text).transpose()?,
            send_public_key: config.send_public_key,
        },
        ProviderUse::Offline => Identity {
            user: read_text(&config.user_id).unwrap_or_default(),
            key: None,
            did_key: None,
            send_public_key: false,
        },
    };
    let gate = Gate::new(config.requests_per_second, clock.clone())
        .with_request_timeout(config.timeout)
        .with_settle(config.settle);
    let topics = config
        .streams
        .iter()
        .map(|stream| stream.topic.clone())
        .collect();
    let settings = Web3mqSettings {
        account,
        base_url: config.base_url.clone(),
        identity,
        page_size: config.page_size,
        topics,
    };
    Ok(Web3mq::new(settings, gate)?)
}

/// Returns the node that a URL leads to: host, port and path. The scheme does not tell nodes apart.
fn node_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}"));
    let path = url.path().trim_end_matches('/');
    format!("{host}{}{path}", port.unwrap_or_default())
}

fn read_session_key(config: &Web3mqAccountConfig) -> Result<SessionKey, CliError> {
    let mut seed = [0; 32];
    hex::decode_to_slice(config.private_key.read()?.expose_secret(), &mut seed).map_err(|_| {
        CliError::Usage(format!(
            "account `{}`: private_key is not 64 hex digits",
            config.name
        ))
    })?;
    Ok(SessionKey::from_seed(&seed))
}

/// Reads the App ID or the user of an account. `None` if it cannot be read and is not needed.
fn read_owner(value: &Secret, purpose: ProviderUse) -> Result<Option<String>, ConfigError> {
    match purpose {
        ProviderUse::Requests => Ok(Some(read_text(value)?)),
        ProviderUse::Offline => Ok(read_text(value).ok()),
    }
}

/// Reads a value that is no secret by itself.
fn read_text(value: &Secret) -> Result<String, ConfigError> {
    Ok(value.read()?.expose_secret().to_owned())
}

/// The lifetime of a token that is made here: the longest that Agora permits.
const TOKEN_LIFETIME: Duration = Duration::from_hours(24);
/// The age at which such a token is made anew: early enough for a clock that is some hours behind.
const TOKEN_MAX_AGE: Duration = Duration::from_hours(12);
/// The time by which its issue is dated back: a clock that is ahead must not issue it in the future.
const TOKEN_BACKDATING: Duration = Duration::from_mins(30);

/// Returns a token that is made anew before it expires, and after a refusal.
fn signed_token(signer: TokenSigner, clock: Arc<dyn Clock>) -> RenewableToken {
    let certificate = signer.certificate.clone();
    let sign = move || {
        let issued = clock.now().minus(TOKEN_BACKDATING).second();
        signer.sign(issued, TOKEN_LIFETIME, fastrand::u32(1..))
    };
    RenewableToken::signed(certificate, TOKEN_MAX_AGE, sign)
}

/// Returns a token that is read again from its source when the provider refuses it.
fn renewable_token(secret: &Secret) -> Result<RenewableToken, ConfigError> {
    let source = secret.clone();
    let reread = move || match source.read() {
        Ok(secret) => Some(secret),
        Err(error) => {
            tracing::warn!(%error, "the token cannot be read again");
            None
        }
    };
    Ok(RenewableToken::new(secret.read()?, reread))
}

//! Builds the providers of the engine from the accounts of the configuration.

use std::collections::HashMap;
use std::sync::Arc;

use secrecy::SecretString;

use super::error::CliError;
use crate::config::{
    AgoraAccountConfig, AgoraAuth, Config, DestinationKind, DiscoveryMode, Secret,
    Web3mqAccountConfig,
};
use crate::domain::clock::Clock;
use crate::domain::message::ConversationKind;
use crate::provider::agora::{
    self, Agora, AgoraSettings, Credentials, DiscoverySource, RenewableToken,
};
use crate::provider::web3mq::{Identity, SessionKey, Web3mq, Web3mqSettings};
use crate::provider::{AccountSettings, Gate, Provider, ProviderKind};

/// Returns the providers of all accounts, or of the account `only`.
pub(super) fn build_providers(
    config: &Config,
    only: Option<&str>,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<Arc<dyn Provider>>, CliError> {
    let wanted = |name: &str| only.is_none_or(|only| only == name);
    let mut providers: Vec<Arc<dyn Provider>> = Vec::new();
    for account in config.agora.iter().filter(|account| wanted(&account.name)) {
        providers.push(Arc::new(build_agora(account, clock)?));
    }
    for account in config.web3mq.iter().filter(|account| wanted(&account.name)) {
        providers.push(Arc::new(build_web3mq(account, clock)?));
    }
    match only {
        Some(name) if providers.is_empty() => Err(CliError::Usage(format!(
            "the configuration has no account `{name}`"
        ))),
        _ => Ok(providers),
    }
}

/// The warning about `discover = "events"`.
const EVENTS_WARNING: &str = "discover = \"events\" empties Agora's event feeds, user_events and \
    channel_events: other software that reads them misses the events that this account reads";

/// Returns a warning for each account whose discovery takes events away from other software.
pub(super) fn discovery_warnings<'a>(
    config: &'a Config,
    only: Option<&'a str>,
) -> impl Iterator<Item = (&'a str, &'static str)> {
    let wanted = config.agora.iter();
    let wanted = wanted.filter(move |account| only.is_none_or(|only| only == account.name));
    let emptying = wanted.filter(|account| account.discover == DiscoveryMode::Events);
    emptying.map(|account| (account.name.as_str(), EVENTS_WARNING))
}

/// Logs the discovery warnings, and the secrets that every user of the machine can read.
pub(super) fn log_warnings(config: &Config, only: Option<&str>) {
    for exposed in &config.exposed_secrets {
        tracing::warn!("{exposed}");
    }
    for (account, warning) in discovery_warnings(config, only) {
        tracing::warn!(account, "{warning}");
    }
}

fn build_agora(config: &AgoraAccountConfig, clock: &Arc<dyn Clock>) -> Result<Agora, CliError> {
    let account = AccountSettings {
        name: config.name.clone(),
        provider: ProviderKind::Agora,
        settle: config.settle,
        retention: Some(config.retention),
        since: config.since,
        refresh_for: None,
        discover_limit: (config.discover != DiscoveryMode::Nothing)
            .then_some(config.discover_limit),
    };
    let credentials = match &config.auth {
        AgoraAuth::Basic {
            customer_id,
            customer_secret,
        } => Credentials::Basic {
            customer_id: customer_id.clone(),
            customer_secret: secret_string(customer_secret),
        },
        AgoraAuth::Token { token, uid } => Credentials::Token {
            token: renewable_token(token),
            uid: uid.clone(),
        },
        AgoraAuth::BearerToken { token } => Credentials::Bearer {
            token: renewable_token(token),
        },
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
    let gate =
        Gate::new(config.requests_per_second, clock.clone()).with_request_timeout(config.timeout);
    let kinds: HashMap<String, ConversationKind> = kinds.collect();
    let discovery = match config.discover {
        DiscoveryMode::Nothing => None,
        DiscoveryMode::Messages => Some(DiscoverySource::Messages),
        DiscoveryMode::Events => Some(DiscoverySource::Events),
    };
    let settings = AgoraSettings {
        account,
        base_url: config.base_url.clone(),
        app_id: config.app_id.clone(),
        credentials,
        streams,
        kinds,
        discovery,
    };
    Ok(Agora::new(settings, gate)?)
}

fn build_web3mq(config: &Web3mqAccountConfig, clock: &Arc<dyn Clock>) -> Result<Web3mq, CliError> {
    let account = AccountSettings {
        name: config.name.clone(),
        provider: ProviderKind::Web3mq,
        settle: config.settle,
        retention: config.retention,
        since: config.since,
        refresh_for: Some(config.refresh_for),
        discover_limit: config.discover.then_some(config.discover_limit),
    };
    let mut seed = [0; 32];
    hex::decode_to_slice(config.private_key.expose(), &mut seed).map_err(|_| {
        CliError::Usage(format!(
            "account `{}`: private_key is not 64 hex digits",
            config.name
        ))
    })?;
    let identity = Identity {
        user: config.user_id.clone(),
        key: SessionKey::from_seed(&seed),
        did_key: config.did_key.clone(),
        send_public_key: config.send_public_key,
    };
    let gate =
        Gate::new(config.requests_per_second, clock.clone()).with_request_timeout(config.timeout);
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

fn secret_string(secret: &Secret) -> SecretString {
    SecretString::from(secret.expose())
}

/// Returns a token that is read again from its source when the provider refuses it.
fn renewable_token(secret: &Secret) -> RenewableToken {
    let source = secret.clone();
    let reread = move || match source.reread() {
        Ok(secret) => Some(secret_string(&secret)),
        Err(error) => {
            tracing::warn!(%error, "the token cannot be read again");
            None
        }
    };
    RenewableToken::new(secret_string(secret), reread)
}

//! Real provider clients of a sandbox, without the command and its configuration.

use std::sync::Arc;
use std::time::Duration;

use backscroll::domain::account::AccountIdentity;
use backscroll::domain::clock::{Clock, SystemClock};
use backscroll::provider::agora::{self, Agora, AgoraSettings, Credentials, DiscoverySource};
use backscroll::provider::web3mq::{Identity, SessionKey, Web3mq, Web3mqSettings};
use backscroll::provider::{AccountSettings, Gate, Provider, ProviderKind};
use backscroll::sandbox::{CUSTOMER_ID, CUSTOMER_SECRET};
use reqwest::Url;

use crate::support::config::WEB3MQ;
use crate::support::env::TestEnv;

/// Returns provider clients for the first project and the first user of the sandbox.
pub(crate) fn sandbox_providers(env: &TestEnv) -> Vec<Arc<dyn Provider>> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    sandbox_providers_with_clock(env, &clock, Duration::from_secs(1))
}

/// Returns the same clients with another clock and settle age.
pub(crate) fn sandbox_providers_with_clock(
    env: &TestEnv,
    clock: &Arc<dyn Clock>,
    settle: Duration,
) -> Vec<Arc<dyn Provider>> {
    providers(env, env.sandbox.base_url().as_str(), clock, settle, None)
}

/// Returns the same clients, at an address at which nothing listens.
pub(crate) fn unreachable_providers(env: &TestEnv) -> Vec<Arc<dyn Provider>> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let settle = Duration::from_secs(1);
    providers(env, "http://127.0.0.1:1/", &clock, settle, None)
}

/// Returns clients that follow the lobby and what they discover, up to this number of streams each.
pub(crate) fn discovering_providers(env: &TestEnv, limit: usize) -> Vec<Arc<dyn Provider>> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (url, settle) = (env.sandbox.base_url(), Duration::from_secs(1));
    providers(env, url.as_str(), &clock, settle, Some(limit))
}

fn providers(
    env: &TestEnv,
    base_url: &str,
    clock: &Arc<dyn Clock>,
    settle: Duration,
    discover_limit: Option<usize>,
) -> Vec<Arc<dyn Provider>> {
    let base = Url::parse(base_url).unwrap();
    let account = |name: &str, provider, owner: &str, node: Option<String>| AccountSettings {
        name: name.to_owned(),
        provider,
        identity: Some(AccountIdentity {
            owner: owner.to_owned(),
            node,
            former_node: None,
        }),
        settle,
        retention: None,
        since: None,
        refresh_for: None,
        discover_limit,
    };
    let gate = || Gate::new(0.0, clock.clone());

    let credentials = Credentials::Basic {
        customer_id: CUSTOMER_ID.to_owned(),
        customer_secret: CUSTOMER_SECRET.into(),
    };
    let streams = env.world().agora_streams("sandbox").into_iter();
    let all = streams.map(|stream| agora::filter_stream(stream.source, stream.destination));
    let streams = match discover_limit {
        None => all.collect(),
        Some(_) => vec![agora::filter_stream(None, Some("lobby".to_owned()))],
    };
    let account_of_agora = AccountSettings {
        since: Some(SystemClock.now().minus(Duration::from_hours(200))),
        ..account("sandbox", ProviderKind::Agora, "sandbox", None)
    };
    let settings = AgoraSettings {
        account: account_of_agora,
        base_url: base.clone(),
        app_id: "sandbox".to_owned(),
        credentials,
        streams,
        kinds: [].into(),
        discovery: discover_limit.map(|_| DiscoverySource::Messages),
    };
    let agora = Agora::new(settings, gate()).unwrap();

    let user = env.world().user_ids().remove(0);
    let (seed, all) = env
        .world()
        .with_user(&user, |account| {
            (
                account.private_key(),
                account.topics().keys().cloned().collect::<Vec<_>>(),
            )
        })
        .unwrap();
    let key = SessionKey::from_seed(&hex::decode(seed).unwrap().try_into().unwrap());
    let configured = env.config().accounts(WEB3MQ).next();
    let url = configured.and_then(|account| account["base_url"].as_str());
    let url = url.unwrap_or_default().trim_start_matches("http://");
    let node = url.trim_end_matches('/').to_owned();
    let account_of_web3mq = AccountSettings {
        refresh_for: Some(Duration::from_hours(24)),
        ..account("web3mq-1", ProviderKind::Web3mq, &user, Some(node))
    };
    let identity = Identity {
        user,
        key: Some(key),
        did_key: None,
        send_public_key: true,
    };
    let settings = Web3mqSettings {
        account: account_of_web3mq,
        base_url: base,
        identity,
        page_size: 20,
        topics: discover_limit.map_or(all, |_| Vec::new()),
    };
    let web3mq = Web3mq::new(settings, gate()).unwrap();
    vec![Arc::new(agora), Arc::new(web3mq)]
}

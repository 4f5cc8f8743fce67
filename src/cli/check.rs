//! `backscroll check`

use std::sync::Arc;

use super::{CliError, IfMissing, Outcome, accounts, open, say};
use crate::config::Config;
use crate::domain::clock::Clock;
use crate::store::{Archive, NewAccount};

pub(super) async fn run(config: &Config, clock: Arc<dyn Clock>) -> Result<Outcome, CliError> {
    say("configuration: ok");
    let store = open(&config.database.url, IfMissing::Create).await?;
    store.ping().await?;
    say("database: ok");
    let mut outcome = Outcome::Good;
    for provider in accounts::providers(config, None, &clock)? {
        let name = &provider.account().name;
        match provider.check_credentials().await {
            Ok(()) => {
                lift_pause(&*store, name, provider.account().provider).await?;
                let skew = provider
                    .clock_skew()
                    .map(|skew| format!(", but this machine's clock is {} s off", skew.as_secs()));
                say(format_args!(
                    "account {name}: ok{}",
                    skew.unwrap_or_default()
                ));
            }
            Err(error) => {
                outcome = Outcome::Lacking;
                say(format_args!(
                    "account {name}: FAILED: {error}\n  hint: {}",
                    error.hint()
                ));
            }
        }
    }
    for exposed in &config.exposed_secrets {
        say(format_args!("note: {exposed}"));
    }
    for (account, caution) in accounts::discovery_warnings(config, None) {
        say(format_args!("account {account}: note: {caution}"));
    }
    store.close().await;
    Ok(outcome)
}

/// An account that answers has no reason to wait any longer.
async fn lift_pause(store: &dyn Archive, name: &str, provider: &str) -> Result<(), CliError> {
    let known = NewAccount {
        name,
        provider,
        streams: None,
        since: None,
        horizon: None,
    };
    let account = store.register(&known).await?;
    Ok(store.pause(account.account, None).await?)
}

//! `backscroll check`

use std::sync::Arc;

use super::{Failure, Missing, Outcome, accounts, open, say};
use crate::config::Config;
use crate::domain::clock::Clock;
use crate::store::{NewAccount, Store};

pub(super) async fn carry_out(config: &Config, clock: Arc<dyn Clock>) -> Result<Outcome, Failure> {
    say("configuration: ok");
    let store = open(&config.database.url, Missing::Create).await?;
    store.ping().await?;
    say("database: ok");
    let mut outcome = Outcome::Good;
    for provider in accounts::providers(config, None, &clock)? {
        let name = &provider.account().name;
        match provider.check().await {
            Ok(()) => {
                lift_pause(&*store, name, provider.account().provider).await?;
                let skew = provider
                    .skew()
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
    for exposed in &config.exposed {
        say(format_args!("note: {exposed}"));
    }
    for (account, caution) in accounts::cautions(config, None) {
        say(format_args!("account {account}: note: {caution}"));
    }
    store.close().await;
    Ok(outcome)
}

/// An account that answers has no reason to wait any longer.
async fn lift_pause(store: &dyn Store, name: &str, provider: &str) -> Result<(), Failure> {
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

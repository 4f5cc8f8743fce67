//! `backscroll check`: tests the configuration, the database and the credentials.

use std::sync::Arc;

use super::accounts;
use super::alarms::end_account_alarms;
use super::error::CliError;
use super::exit_outcome::ExitOutcome;
use super::open_archive::open;
use super::output::{print_line, print_with_hint};
use crate::config::{Config, DatabaseUrl};
use crate::domain::clock::Clock;
use crate::domain::time::Millis;
use crate::provider::Provider;
use crate::store::{Archive, IfMissing, NewAccount, permission_warning};

pub(super) async fn run(config: &Config, clock: Arc<dyn Clock>) -> Result<ExitOutcome, CliError> {
    print_line("configuration: ok");
    let store = open(&config.database.url, IfMissing::Create).await?;
    store.ping().await?;
    print_line("database: ok");
    let mut outcome = ExitOutcome::Success;
    for provider in accounts::build_providers(config, None, &clock)? {
        let name = &provider.account().name;
        match provider.check_credentials().await {
            Ok(()) => {
                record_success(&*store, &*provider, clock.now()).await?;
                let skew = Some(provider.clock_skew()).filter(|skew| !skew.is_negligible());
                let skew = skew.map(|skew| format!(", but {skew}; set it (NTP)"));
                print_line(format_args!(
                    "account {name}: ok{}",
                    skew.unwrap_or_default()
                ));
            }
            Err(error) => {
                outcome = ExitOutcome::Incomplete;
                print_with_hint(
                    format_args!("account {name}: FAILED: {error}"),
                    error.hint(),
                );
            }
        }
    }
    if let DatabaseUrl::Sqlite(path) = &config.database.url
        && let Some(warning) = permission_warning(path)
    {
        print_line(format_args!("note: {warning}"));
    }
    for exposed in &config.exposed_secrets {
        print_line(format_args!("note: {exposed}"));
    }
    for (account, warning) in accounts::discovery_warnings(config, None) {
        print_line(format_args!("account {account}: note: {warning}"));
    }
    store.close().await;
    Ok(outcome)
}

/// Ends the pause, the error and the alarms of an account, since the provider has just accepted its
/// credentials.
async fn record_success(
    store: &dyn Archive,
    provider: &dyn Provider,
    now: Millis,
) -> Result<(), CliError> {
    let name = &provider.account().name;
    let known = NewAccount {
        name,
        provider: provider.account().provider.name(),
        streams: None,
        since: None,
        horizon: None,
    };
    let account = store.register(&known).await?.account;
    store.pause(account, None).await?;
    store.record_account_error(account, None).await?;
    let fingerprint = provider.credentials().fingerprint();
    store
        .record_accepted_credentials(account, &fingerprint)
        .await?;
    Ok(end_account_alarms(store, name, now).await?)
}

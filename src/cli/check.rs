//! `backscroll check`: tests the configuration, the database and the credentials.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};

use super::accounts;
use super::alarms::{end_account_alarms, says_nothing_works};
use super::error::CliError;
use super::exit_outcome::ExitOutcome;
use super::limits::PARALLEL_CHECKS;
use super::open_archive::{open, open_to_read, require_writable};
use super::output::{print_line, print_with_hint};
use super::quota::SharedQuotas;
use crate::config::{Config, DatabaseUrl};
use crate::domain::clock::Clock;
use crate::domain::time::Millis;
use crate::provider::Provider;
use crate::store::{Archive, ErrorSubject, IfMissing, StoreError, permission_warning};

pub(super) async fn run(
    path: &Path,
    config: &Config,
    clock: Arc<dyn Clock>,
) -> Result<ExitOutcome, CliError> {
    print_line(format_args!("configuration: ok ({})", path.display()));
    let url = &config.database.url;
    let providers = accounts::build_providers(config, None, &clock)?;
    let known_trouble = check_database(url, &providers).await?;
    let shared = SharedQuotas::of(url, &providers, &clock).await;
    let troubled = known_trouble.unwrap_or_default();
    let mut outcome = ExitOutcome::Success;
    // A dead account takes minutes. The results are printed in the order of the accounts.
    let checks = providers
        .iter()
        .map(|provider| async move { (provider, provider.check_credentials().await) });
    let mut checks = stream::iter(checks).buffered(PARALLEL_CHECKS);
    while let Some((provider, checked)) = checks.next().await {
        let name = &provider.account().name;
        match checked {
            Ok(()) => {
                if troubled.contains(name) {
                    record_success(url, &**provider, clock.now()).await?;
                }
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
    shared.close().await;
    if let DatabaseUrl::Sqlite(path) = url
        && let Some(warning) = permission_warning(path)
    {
        print_line(format_args!("note: {warning}"));
    }
    for note in accounts::notes_on_shared_identities(&providers) {
        print_line(format_args!("note: {note}"));
    }
    for warning in config.warnings(None, clock.now()) {
        print_line(format_args!("note: {warning}"));
    }
    Ok(outcome)
}

/// Tests the archive without a change to it. Returns the accounts that are known not to work; `None`
/// if there is no archive that can be used as it is.
async fn check_database(
    url: &DatabaseUrl,
    providers: &[Arc<dyn Provider>],
) -> Result<Option<BTreeSet<String>>, CliError> {
    let store = match open_to_read(url).await {
        Ok(store) => store,
        Err(StoreError::NotFound { location }) => {
            require_writable(url).await?;
            print_line(format_args!(
                "database: ok; `backscroll sync` or `backscroll run` creates the archive {location}"
            ));
            return Ok(None);
        }
        Err(StoreError::SchemaTooOld { found, known }) => {
            print_line(format_args!(
                "database: ok; the next start upgrades it from schema {found} to {known}"
            ));
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    require_writable(url).await?;
    accounts::check_identities(providers, &*store).await?;
    let troubled = troubled_accounts(&*store).await?;
    print_line(format_args!("database: ok ({})", store.location()));
    store.close().await;
    Ok(Some(troubled))
}

/// Returns the accounts with a pause, an error or an alarm of their own.
async fn troubled_accounts(store: &dyn Archive) -> Result<BTreeSet<String>, StoreError> {
    let streams = store.status().await?.into_iter();
    let mut troubled: BTreeSet<String> = streams
        .filter(|stream| stream.pause.is_some() || stream.account_error.is_some())
        .map(|stream| stream.account)
        .collect();
    let alarms = store.active_alarms().await?.into_iter();
    troubled.extend(
        alarms
            .filter(|alarm| says_nothing_works(&alarm.subject))
            .filter_map(|alarm| alarm.subject.account),
    );
    Ok(troubled)
}

/// Ends the pause, the error and the alarms of an account, since the provider has just accepted its
/// credentials.
async fn record_success(
    url: &DatabaseUrl,
    provider: &dyn Provider,
    now: Millis,
) -> Result<(), CliError> {
    let store = open(url, IfMissing::Refuse).await?;
    let name = &provider.account().name;
    let known = accounts::known_account(provider);
    let account = store.register(&known).await?.account;
    store.pause(account, None).await?;
    store
        .record_error(ErrorSubject::Account(account), None)
        .await?;
    let fingerprint = provider.credentials().fingerprint();
    store
        .record_accepted_credentials(account, &fingerprint)
        .await?;
    end_account_alarms(&*store, name, now).await?;
    store.close().await;
    Ok(())
}

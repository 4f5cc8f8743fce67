//! `backscroll requeue`: parses quarantined messages again.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::accounts;
use super::error::CliError;
use super::exit_outcome::ExitOutcome;
use super::open_archive::open_to_write;
use super::output::print_line;
use super::table::thousands;
use crate::config::Config;
use crate::domain::clock::Clock;
use crate::provider::Provider;
use crate::store::IfMissing;
use crate::sync::refetch::requeue::{Requeued, requeue};

pub(super) async fn run(config: &Config, clock: Arc<dyn Clock>) -> Result<ExitOutcome, CliError> {
    let store = open_to_write(&config.database.url, IfMissing::Refuse, &*clock).await?;
    let providers = accounts::build_offline_providers(config, |_| true, &clock)?;
    accounts::check_identities(&providers, &*store).await?;
    let quarantined: BTreeSet<String> = store
        .account_summaries()
        .await?
        .into_iter()
        .filter(|summary| summary.quarantined > 0)
        .map(|summary| summary.account)
        .collect();
    for account in &config.web3mq {
        if quarantined.contains(&account.name) {
            // The conversation of a message depends on the user.
            account.user_id.read()?;
        }
    }
    for name in config
        .account_names()
        .filter(|name| !quarantined.contains(*name))
    {
        print_line(format_args!("{name}: nothing is in quarantine"));
    }
    let is_wanted = |provider: &&Arc<dyn Provider>| quarantined.contains(&provider.account().name);
    for provider in providers.iter().filter(is_wanted) {
        let Requeued {
            archived: understood,
            left,
        } = requeue(&**provider, &*store, clock.now()).await?;
        let (name, understood, left) = (
            &provider.account().name,
            thousands(understood),
            thousands(left),
        );
        print_line(format_args!(
            "{name}: {understood} understood and archived, {left} left in quarantine"
        ));
    }
    store.close().await;
    Ok(ExitOutcome::Success)
}

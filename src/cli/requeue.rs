//! `backscroll requeue`: parses quarantined messages again.

use std::sync::Arc;

use super::accounts;
use super::error::CliError;
use super::exit_outcome::ExitOutcome;
use super::open_archive::open_to_write;
use super::output::print_line;
use super::table::thousands;
use crate::config::Config;
use crate::domain::clock::Clock;
use crate::store::IfMissing;
use crate::sync::refetch::requeue::{Requeued, requeue};

pub(super) async fn run(config: &Config, clock: Arc<dyn Clock>) -> Result<ExitOutcome, CliError> {
    let providers = accounts::build_providers(config, None, &clock)?;
    let store = open_to_write(&config.database.url, IfMissing::Refuse, &*clock).await?;
    for provider in providers {
        let Requeued {
            archived: understood,
            left,
        } = requeue(&*provider, &*store, clock.now()).await?;
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

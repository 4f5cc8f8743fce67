//! `backscroll requeue`: parses quarantined messages again.

use std::sync::Arc;

use super::table::thousands;
use super::{CliError, ExitOutcome, IfMissing, accounts, open_to_write, print_line};
use crate::config::Config;
use crate::domain::clock::Clock;
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

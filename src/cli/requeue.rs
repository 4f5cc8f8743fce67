//! `backscroll requeue`

use std::sync::Arc;

use super::table::thousands;
use super::{CliError, IfMissing, Outcome, accounts, open_to_write, say};
use crate::config::Config;
use crate::domain::clock::Clock;
use crate::sync::requeue::{Requeued, requeue};

pub(super) async fn run(config: &Config, clock: Arc<dyn Clock>) -> Result<Outcome, CliError> {
    let providers = accounts::providers(config, None, &clock)?;
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
        say(format_args!(
            "{name}: {understood} understood and archived, {left} left in quarantine"
        ));
    }
    store.close().await;
    Ok(Outcome::Good)
}

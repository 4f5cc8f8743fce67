//! `backscroll requeue`

use std::sync::Arc;

use super::table::grouped;
use super::{Failure, Missing, Outcome, accounts, open_to_write, say};
use crate::config::Config;
use crate::domain::clock::Clock;
use crate::sync::requeue::{Requeued, requeue};

pub(super) async fn carry_out(config: &Config, clock: Arc<dyn Clock>) -> Result<Outcome, Failure> {
    let providers = accounts::providers(config, None, &clock)?;
    let store = open_to_write(&config.database.url, Missing::Refuse, &*clock).await?;
    for provider in providers {
        let Requeued { understood, left } = requeue(&*provider, &*store, clock.now()).await?;
        let (name, understood, left) =
            (&provider.account().name, grouped(understood), grouped(left));
        say(format_args!(
            "{name}: {understood} understood and archived, {left} left in quarantine"
        ));
    }
    store.close().await;
    Ok(Outcome::Good)
}

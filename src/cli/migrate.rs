//! `backscroll migrate`

use super::{Failure, Missing, Outcome, open, say};
use crate::config::Config;

pub(super) async fn carry_out(config: &Config) -> Result<Outcome, Failure> {
    let store = open(&config.database.url, Missing::Create).await?;
    say(format_args!("{} is at schema {}", store.place(), store.schema()));
    store.close().await;
    Ok(Outcome::Good)
}

//! `backscroll migrate`

use super::{Failure, Missing, Outcome, open, say};
use crate::config::{Config, DatabaseUrl};
use crate::store::{SqliteStore, Store};

pub(super) async fn carry_out(config: &Config) -> Result<Outcome, Failure> {
    open(config, Missing::Create).await?.close().await;
    let DatabaseUrl::Sqlite(path) = &config.database.url;
    say(format_args!("{} is at schema {}", path.display(), SqliteStore::schema()));
    Ok(Outcome::Good)
}

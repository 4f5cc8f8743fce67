//! `backscroll migrate`

use super::{Failure, Missing, Outcome, open, say};
use crate::config::{Config, DatabaseUrl};
use crate::store::PostgresStore;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Lets this role of the Postgres server read the views, and nothing else
    #[arg(long, value_name = "ROLE")]
    reader: Option<String>,
}

pub(super) async fn carry_out(args: &Args, config: &Config) -> Result<Outcome, Failure> {
    let url = &config.database.url;
    let store = open(url, Missing::Create).await?;
    say(format_args!("{} is at schema {}", store.place(), store.schema()));
    store.close().await;
    match (&args.reader, url) {
        (None, _) => {}
        (Some(_), DatabaseUrl::Sqlite(path)) => {
            let remedy = "whoever may read the file may read the archive";
            return Err(Failure::Usage(format!(
                "--reader: {} is an SQLite file, which knows no roles; {remedy}",
                path.display()
            )));
        }
        (Some(role), DatabaseUrl::Postgres(server)) => {
            let store = PostgresStore::connect(server.options(), Missing::Refuse).await?;
            store.grant(role).await?;
            say(format_args!("{role} may read the views"));
        }
    }
    Ok(Outcome::Good)
}

//! `backscroll migrate`

use super::{CliError, IfMissing, Outcome, open_to_write, say};
use crate::config::{Config, DatabaseUrl};
use crate::domain::clock::Clock;
use crate::store::{Archive, PostgresStore};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Lets this role of the Postgres server read the views, and nothing else
    #[arg(long, value_name = "ROLE")]
    reader: Option<String>,
}

pub(super) async fn run(
    args: &Args,
    config: &Config,
    clock: &dyn Clock,
) -> Result<Outcome, CliError> {
    let url = &config.database.url;
    if let (Some(_), DatabaseUrl::Sqlite(path)) = (&args.reader, url) {
        let remedy = "whoever may read the file may read the archive";
        return Err(CliError::Usage(format!(
            "--reader: {} is an SQLite file, which knows no roles; {remedy}",
            path.display()
        )));
    }
    let store = open_to_write(url, IfMissing::Create, clock).await?;
    say(format_args!(
        "{} is at schema {}",
        store.location(),
        store.schema_version()
    ));
    store.close().await;
    if let (Some(role), DatabaseUrl::Postgres(server)) = (&args.reader, url) {
        let store = PostgresStore::connect(server.options(), IfMissing::Refuse).await?;
        store.grant(role).await?;
        store.close().await;
        say(format_args!("{role} may read the views"));
    }
    Ok(Outcome::Good)
}

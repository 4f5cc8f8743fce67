//! `backscroll migrate`: creates the archive or migrates its schema.

use super::error::CliError;
use super::exit_outcome::ExitOutcome;
use super::open_archive::open_to_write;
use super::output::print_line;
use crate::config::{Config, DatabaseUrl};
use crate::domain::clock::Clock;
use crate::store::IfMissing;
use crate::store::{Archive, PostgresStore};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Role of the Postgres server that is allowed to read the views, and nothing else
    #[arg(long, value_name = "ROLE")]
    reader: Option<String>,
}

pub(super) async fn run(
    args: &Args,
    config: &Config,
    clock: &dyn Clock,
) -> Result<ExitOutcome, CliError> {
    let url = &config.database.url;
    if let (Some(_), DatabaseUrl::Sqlite(path)) = (&args.reader, url) {
        let remedy = "use the permissions of the file instead";
        return Err(CliError::Usage(format!(
            "--reader: {} is an SQLite file, and SQLite has no roles; {remedy}",
            path.display()
        )));
    }
    let store = open_to_write(url, IfMissing::Create, clock).await?;
    print_line(format_args!(
        "{} is at schema {}",
        store.location(),
        store.schema_version()
    ));
    store.close().await;
    if let (Some(role), DatabaseUrl::Postgres(server)) = (&args.reader, url) {
        let store = PostgresStore::connect(server.options(), IfMissing::Refuse).await?;
        store.grant(role).await?;
        store.close().await;
        print_line(format_args!("{role} may read the views"));
    }
    Ok(ExitOutcome::Success)
}

//! `backscroll copy`: copies the archive into another database.

use tokio_util::sync::CancellationToken;

use super::error::CliError;
use super::exit_outcome::ExitOutcome;
use super::open_archive::{open_to_read, open_to_write};
use super::output::print_line;
use super::table::{counted, thousands};
use crate::config::{Config, DatabaseUrl};
use crate::daemon::complete_index;
use crate::domain::clock::Clock;
use crate::store::copy::copy;
use crate::store::{IfMissing, SqliteStore};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Target database: `sqlite://PATH` or `postgres://…`
    #[arg(
        long,
        value_name = "URL",
        env = "BACKSCROLL_COPY_TO",
        hide_env_values = true
    )]
    to: String,
}

/// True if both URLs lead to one SQLite file, whatever its names.
fn is_same_file(one: &DatabaseUrl, other: &DatabaseUrl) -> bool {
    match (one, other) {
        (DatabaseUrl::Sqlite(one), DatabaseUrl::Sqlite(other)) => {
            SqliteStore::is_same_file(one, other)
        }
        _ => false,
    }
}

pub(super) async fn run(
    args: &Args,
    config: &Config,
    clock: &dyn Clock,
) -> Result<ExitOutcome, CliError> {
    let url: DatabaseUrl = args
        .to
        .parse()
        .map_err(|error| CliError::Usage(format!("--to {error}")))?;
    let source = open_to_read(&config.database.url).await?;
    let is_source = || {
        let what = "--to names the source archive itself: name another database";
        Err(CliError::Usage(what.to_owned()))
    };
    // Before it is opened: another name of an SQLite file has a write-ahead log of its own.
    if is_same_file(&config.database.url, &url) {
        return is_source();
    }
    let target = open_to_write(&url, IfMissing::Create, clock).await?;
    if source.is_same_as(&*target).await? {
        return is_source();
    }
    print_line(format_args!(
        "Copying {} to {}",
        source.location(),
        target.location()
    ));
    let copied = copy(&*source, &*target, |copied| {
        tracing::info!(
            days = copied.days,
            messages = copied.messages,
            new = copied.new,
            "copied"
        );
    });
    let copied = copied.await?;
    print_line(format_args!(
        "{} of {}, {} of them new, with the coverage of all streams, runs, alarms and pauses.\nBoth archives have the digest {}.",
        counted(copied.messages, "message", "messages"),
        counted(copied.days, "day", "days"),
        thousands(copied.new),
        hex::encode(copied.digest)
    ));
    complete_index(&*target, config.search.enabled, &CancellationToken::new()).await?;
    source.close().await;
    target.close().await;
    Ok(ExitOutcome::Success)
}

//! `backscroll copy`: copies the archive into another database.

use super::error::CliError;
use super::exit_outcome::ExitOutcome;
use super::open_archive::{open_to_read, open_to_write};
use super::output::print_line;
use super::table::thousands;
use crate::config::{Config, DatabaseUrl};
use crate::domain::clock::Clock;
use crate::store::IfMissing;
use crate::store::copy::copy;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Target database: <sqlite://PATH> or postgres://…
    #[arg(
        long,
        value_name = "URL",
        env = "BACKSCROLL_COPY_TO",
        hide_env_values = true
    )]
    to: String,
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
    let target = open_to_write(&url, IfMissing::Create, clock).await?;
    if source.location() == target.location() {
        return Err(CliError::Usage(
            "--to names the source archive itself: name another database".to_owned(),
        ));
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
        "{} messages of {} days, {} of them new, with the coverage of all streams, runs, alarms and pauses.\nBoth archives have the digest {}.",
        thousands(copied.messages),
        thousands(copied.days),
        thousands(copied.new),
        hex::encode(copied.digest)
    ));
    source.close().await;
    target.close().await;
    Ok(ExitOutcome::Success)
}

//! `backscroll copy`

use super::table::thousands;
use super::{CliError, IfMissing, Outcome, open, open_to_write, say};
use crate::config::{Config, DatabaseUrl};
use crate::domain::clock::Clock;
use crate::store::copy::copy;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Into which database: <sqlite://PATH> or postgres://…
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
) -> Result<Outcome, CliError> {
    let url: DatabaseUrl = args
        .to
        .parse()
        .map_err(|fault| CliError::Usage(format!("--to {fault}")))?;
    let source = open(&config.database.url, IfMissing::Refuse).await?;
    let target = open_to_write(&url, IfMissing::Create, clock).await?;
    if source.location() == target.location() {
        return Err(CliError::Usage(
            "--to names the archive that is to be copied".to_owned(),
        ));
    }
    say(format_args!(
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
    say(format_args!(
        "{} messages of {} days, {} of them new, and the coverage of all streams.\nBoth archives have the digest {}.",
        thousands(copied.messages),
        thousands(copied.days),
        thousands(copied.new),
        hex::encode(copied.digest)
    ));
    source.close().await;
    target.close().await;
    Ok(Outcome::Good)
}

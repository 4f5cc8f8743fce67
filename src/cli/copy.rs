//! `backscroll copy`

use super::table::grouped;
use super::{Failure, Missing, Outcome, open, open_to_write, say};
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

pub(super) async fn carry_out(
    args: &Args,
    config: &Config,
    clock: &dyn Clock,
) -> Result<Outcome, Failure> {
    let url: DatabaseUrl = args
        .to
        .parse()
        .map_err(|fault| Failure::Usage(format!("--to {fault}")))?;
    let source = open(&config.database.url, Missing::Refuse).await?;
    let target = open_to_write(&url, Missing::Create, clock).await?;
    if source.place() == target.place() {
        return Err(Failure::Usage(
            "--to names the archive that is to be copied".to_owned(),
        ));
    }
    say(format_args!(
        "Copying {} to {}",
        source.place(),
        target.place()
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
        grouped(copied.messages),
        grouped(copied.days),
        grouped(copied.new),
        hex::encode(copied.digest)
    ));
    source.close().await;
    target.close().await;
    Ok(Outcome::Good)
}

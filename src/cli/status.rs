//! `backscroll status`

use serde_json::json;

use super::{Failure, Missing, Outcome, open, say, summary};
use crate::config::Config;
use crate::domain::clock::Clock;
use crate::domain::time::Second;
use crate::store::StreamStatus;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// As JSON, for programs
    #[arg(long)]
    json: bool,
}

pub(super) async fn carry_out(args: &Args, config: &Config, clock: &dyn Clock) -> Result<Outcome, Failure> {
    let now = clock.now().second();
    let store = open(&config.database.url, Missing::Refuse).await?;
    let streams = store.status().await?;
    store.close().await;
    match (args.json, streams.is_empty()) {
        (true, _) => say(streams.iter().map(|stream| as_json(stream, now)).collect::<serde_json::Value>()),
        (false, true) => say("The archive knows no stream yet: `backscroll sync` makes the first pass."),
        (false, false) => summary::say_streams(&streams, now),
    }
    Ok(Outcome::Good)
}

fn as_json(stream: &StreamStatus, now: Second) -> serde_json::Value {
    json!({
        "account": stream.account,
        "provider": stream.provider,
        "stream": stream.stream,
        "discovered": stream.discovered,
        "complete_to": stream.watermark.map(|mark| mark.to_string()),
        "lag_seconds": stream.watermark.map(|mark| now.0 - mark.0),
        "looked_at": stream.as_of.to_string(),
        "messages": stream.messages,
        "suspect_windows": stream.suspect,
        "quarantined": stream.quarantined,
        "missing_seconds": stream.missing_seconds,
        "lost_seconds": stream.lost_seconds,
        "error": stream.trouble.as_ref().map(|trouble| &trouble.error),
        "hint": stream.trouble.as_ref().map(|trouble| &trouble.hint),
        "discovery_error": stream.unlisted.as_ref().map(|trouble| &trouble.error),
        "discovery_hint": stream.unlisted.as_ref().map(|trouble| &trouble.hint),
        "paused_until": stream.pause.as_ref().map(|pause| pause.until.to_string()),
        "settle_widened_to_seconds": stream.settle.map(|settle| settle.as_secs()),
        "pause_reason": stream.pause.as_ref().map(|pause| &pause.reason),
    })
}

//! `backscroll status`

use std::sync::Arc;

use serde_json::json;

use super::table::span;
use super::{Failure, Missing, Outcome, accounts, alarms, loss, open, say, summary};
use crate::config::Config;
use crate::domain::alarm::Alarm;
use crate::domain::clock::Clock;
use crate::domain::time::Second;
use crate::store::StreamStatus;
use crate::sync::estimate::Loss;
use crate::sync::forecast::{Forecast, forecast, paces};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// As JSON, for programs
    #[arg(long)]
    json: bool,
}

pub(super) async fn carry_out(
    args: &Args,
    config: &Config,
    clock: Arc<dyn Clock>,
) -> Result<Outcome, Failure> {
    let providers = accounts::providers(config, None, &clock)?;
    let now = clock.now();
    let store = open(&config.database.url, Missing::Refuse).await?;
    let streams = store.status().await?;
    let paces = paces(&*store, now).await?;
    let alarms = alarms::standing(&*store).await?;
    store.close().await;
    let forecasts: Vec<Forecast> = providers
        .iter()
        .filter_map(|provider| forecast(&**provider, &streams, &paces, now))
        .collect();
    match (args.json, streams.is_empty()) {
        (true, _) => {
            let now = now.second();
            let rows = streams
                .iter()
                .map(|stream| as_json(stream, &forecasts, &alarms, now));
            say(rows.collect::<serde_json::Value>());
        }
        (false, true) => {
            say("The archive knows no stream yet: `backscroll sync` makes the first pass.");
            alarms::say_all(&alarms, now);
        }
        (false, false) => {
            summary::say_streams(&streams, now.second());
            forecasts.iter().for_each(say_forecast);
            alarms::say_all(&alarms, now);
        }
    }
    Ok(Outcome::Good)
}

fn say_forecast(
    Forecast {
        account,
        rate,
        is_informed,
        outlook,
        ..
    }: &Forecast,
) {
    let Some(expires_at) = outlook.expires_at else {
        return;
    };
    say("");
    match loss::ahead(account, *rate, outlook) {
        Some(loss) => say(loss),
        None if *is_informed => {
            let left = span(outlook.takes.as_secs());
            say(format_args!(
                "{account}: what is missing begins to expire at {expires_at}; it is fetched within {left}"
            ));
        }
        None => say(format_args!(
            "{account}: what is missing begins to expire at {expires_at}; `backscroll plan` counts it"
        )),
    }
}

fn as_json(
    stream: &StreamStatus,
    forecasts: &[Forecast],
    alarms: &[Alarm],
    now: Second,
) -> serde_json::Value {
    let forecast = forecasts
        .iter()
        .find(|forecast| forecast.account == stream.account);
    let ahead =
        forecast.and_then(|forecast| Some((forecast, forecast.streams.get(&stream.stream)?)));
    let loss = match ahead {
        Some((forecast, (_, loss))) => forecast.is_informed.then_some(*loss),
        None => (stream.retention.is_none() || stream.missing.is_empty()).then(Loss::default),
    };
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
        "expires_at": ahead.map(|(_, (expires_at, _))| expires_at.to_string()),
        "loss_ahead_seconds": loss.map(|loss| loss.seconds),
        "loss_ahead_messages": loss.map(|loss| loss.messages),
        "requests_per_second": forecast.and_then(|forecast| forecast.rate),
        "error": stream.trouble.as_ref().map(|trouble| &trouble.error),
        "hint": stream.trouble.as_ref().map(|trouble| &trouble.hint),
        "discovery_error": stream.unlisted.as_ref().map(|trouble| &trouble.error),
        "discovery_hint": stream.unlisted.as_ref().map(|trouble| &trouble.hint),
        "paused_until": stream.pause.as_ref().map(|pause| pause.until.to_string()),
        "settle_widened_to_seconds": stream.settle.map(|settle| settle.as_secs()),
        "alarms": alarms::of(stream, alarms),
        "pause_reason": stream.pause.as_ref().map(|pause| &pause.reason),
    })
}

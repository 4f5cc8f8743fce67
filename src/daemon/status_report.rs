//! The status of streams and alarms for programs: `status --json` and `/status.json`.

use serde::Serialize;

use crate::domain::alarm::{Alarm, AlarmSubject};
use crate::domain::time::Second;
use crate::store::StreamStatus;
use crate::sync::forecast::Forecast;
use crate::sync::forecast::model::Loss;

/// The status of a stream. Fields may be added, never changed.
#[derive(Debug, Serialize)]
pub struct StreamReport<'a> {
    pub account: &'a str,
    provider: &'a str,
    pub stream: &'a str,
    discovered: bool,
    complete_to: Option<String>,
    lag_seconds: Option<u64>,
    looked_at: Option<String>,
    messages: u64,
    suspect_windows: u64,
    quarantined: u64,
    missing_seconds: u64,
    lost_seconds: u64,
    expires_at: Option<String>,
    loss_ahead_seconds: Option<u64>,
    loss_ahead_messages: Option<u64>,
    requests_per_second: Option<f64>,
    error: Option<&'a str>,
    hint: Option<&'a str>,
    account_error: Option<&'a str>,
    account_hint: Option<&'a str>,
    clock_skew_seconds: i64,
    discovery_error: Option<&'a str>,
    discovery_hint: Option<&'a str>,
    paused_until: Option<String>,
    pause_reason: Option<&'a str>,
    settle_widened_to_seconds: Option<u64>,
    alarms: Vec<AlarmReport<'a>>,
}

/// An active alarm.
#[derive(Debug, Serialize)]
pub struct AlarmReport<'a> {
    kind: &'static str,
    account: Option<&'a str>,
    stream: Option<&'a str>,
    since: String,
    text: &'a str,
    hint: &'a str,
}

/// Reports on all streams, from what the archive says and what is foreseen for their accounts.
pub fn report_streams<'a>(
    streams: &'a [StreamStatus],
    forecasts: &[&'a Forecast],
    alarms: &'a [Alarm],
    now: Second,
) -> Vec<StreamReport<'a>> {
    let report = |stream: &'a StreamStatus| {
        let mut forecasts = forecasts.iter();
        let forecast = forecasts.find(|forecast| forecast.account == stream.account);
        StreamReport::new(stream, forecast.copied(), alarms, now)
    };
    streams.iter().map(report).collect()
}

impl<'a> StreamReport<'a> {
    fn new(
        stream: &'a StreamStatus,
        forecast: Option<&Forecast>,
        alarms: &'a [Alarm],
        now: Second,
    ) -> Self {
        let expiry =
            forecast.and_then(|forecast| Some((forecast, forecast.streams.get(&stream.stream)?)));
        let loss = match expiry {
            Some((forecast, (_, loss))) => forecast.has_density.then_some(*loss),
            None => (stream.frontier.retention.is_none() || stream.missing.is_empty())
                .then(Loss::default),
        };
        let [error, account_error, discovery_error] = [
            &stream.error,
            &stream.account_error,
            &stream.discovery_error,
        ]
        .map(Option::as_ref);
        let pause = stream.pause.as_ref();
        let concerning = alarms
            .iter()
            .filter(|alarm| concerns(&alarm.subject, stream));
        Self {
            account: &stream.account,
            provider: &stream.provider,
            stream: &stream.stream,
            discovered: stream.discovered,
            complete_to: stream.watermark.map(|mark| mark.to_string()),
            lag_seconds: stream.watermark.map(|mark| stream.lag_s(mark, now)),
            looked_at: stream.last_pass_at().map(|at| at.to_string()),
            messages: stream.messages,
            suspect_windows: stream.suspect_rows,
            quarantined: stream.quarantined,
            missing_seconds: stream.missing_seconds,
            lost_seconds: stream.lost_seconds,
            expires_at: expiry.map(|(_, (expires_at, _))| expires_at.to_string()),
            loss_ahead_seconds: loss.map(|loss| loss.seconds),
            loss_ahead_messages: loss.map(|loss| loss.messages),
            requests_per_second: forecast.and_then(|forecast| forecast.rate),
            error: error.map(|failure| &*failure.error),
            hint: error.map(|failure| &*failure.hint),
            account_error: account_error.map(|failure| &*failure.error),
            account_hint: account_error.map(|failure| &*failure.hint),
            clock_skew_seconds: stream.clock_skew.0 / 1000,
            discovery_error: discovery_error.map(|failure| &*failure.error),
            discovery_hint: discovery_error.map(|failure| &*failure.hint),
            paused_until: pause.map(|pause| pause.until.to_string()),
            pause_reason: pause.map(|pause| &*pause.reason),
            settle_widened_to_seconds: stream.settle_override.map(|settle| settle.as_secs()),
            alarms: concerning.map(AlarmReport::new).collect(),
        }
    }
}

impl<'a> AlarmReport<'a> {
    /// Reports an alarm.
    pub fn new(alarm: &'a Alarm) -> Self {
        Self {
            kind: alarm.subject.kind.name(),
            account: alarm.subject.account.as_deref(),
            stream: alarm.subject.stream.as_deref(),
            since: alarm.since.to_string(),
            text: &alarm.text,
            hint: &alarm.hint,
        }
    }
}

/// True if an alarm concerns a stream: its own, its account's or the archive's.
fn concerns(subject: &AlarmSubject, stream: &StreamStatus) -> bool {
    let is_account = subject
        .account
        .as_ref()
        .is_none_or(|name| *name == stream.account);
    let is_stream = subject
        .stream
        .as_ref()
        .is_none_or(|key| *key == stream.stream);
    is_account && is_stream
}

//! Forecasts: the history that will be lost at the present rate ([`forecast`]), and the cost of a
//! sync before it starts ([`preview`]). Both use the same [`model`].

pub mod model;
pub mod preview;

use std::collections::BTreeMap;
use std::time::Duration;

use self::model::{BacklogOutlook, CatchUpConditions, Loss, MissingRange};
use super::horizon::fetchable_retention;
use super::limits::{MIN_RATED_PASS, RATE_PERIOD};
use crate::domain::stream::StreamIndex;
use crate::domain::time::{Millis, Second};
use crate::domain::window::Window;
use crate::provider::Provider;
use crate::store::{
    AccountSummary, Archive, Pause, RequestRate, StoreError, StreamId, StreamStatus,
};

/// The forecast for an account's missing history, from what the archive says alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    pub account: String,
    /// Requests per second: the lesser of the recent rate and the quota. `None` if neither is
    /// known.
    pub rate: Option<f64>,
    /// True if anything is sealed that tells how dense the history is. Without it no loss can be
    /// foreseen.
    pub has_density: bool,
    pub outlook: BacklogOutlook,
    /// By stream: the time at which its oldest missing history expires, and its expected loss.
    pub streams: BTreeMap<String, (Second, Loss)>,
}

impl Forecast {
    /// Returns the estimated time until nothing is missing. `None` if nothing tells how dense the
    /// history is, or how many requests a second are sent.
    pub fn time_left(&self) -> Option<Duration> {
        (self.has_density && self.rate.is_some()).then_some(self.outlook.duration)
    }
}

/// Reads the recent request rate of every account, for [`forecast`].
pub async fn request_rates(
    archive: &dyn Archive,
    now: Millis,
) -> Result<Vec<RequestRate>, StoreError> {
    archive
        .request_rates(now.minus(RATE_PERIOD), MIN_RATED_PASS)
        .await
}

/// Returns the forecast for an account's missing history. History that was lost since the last
/// pass is still part of it.
///
/// `None` if the provider is not known to drop messages, or if no settled history is missing.
/// `streams` and `rates` may contain those of other accounts.
pub fn forecast(
    provider: &dyn Provider,
    streams: &[StreamStatus],
    rates: &[RequestRate],
    now: Millis,
) -> Option<Forecast> {
    let account = &provider.account().name;
    let ours: Vec<&StreamStatus> = streams
        .iter()
        .filter(|stream| stream.account == *account)
        .collect();
    let first = ours.first()?;
    let retention = fetchable_retention(first.frontier.retention?);
    let conditions = catch_up_conditions(provider, retention, first.pause.as_ref(), rates, now);
    let usual_density = density(&ours);
    let mut missing = Vec::new();
    for (index, status) in ours.iter().enumerate() {
        let density = density(&[status]).or(usual_density).unwrap_or(0.0);
        let range =
            |range: &Window| missing_range(provider, StreamIndex::new(index), *range, density);
        missing.extend(status.missing.iter().map(range));
    }
    if missing.is_empty() {
        return None;
    }
    let outlook = BacklogOutlook::from_missing(&missing, conditions);
    let retention_s = i64::try_from(retention.as_secs()).unwrap_or(i64::MAX);
    let mut by_stream: BTreeMap<String, (Second, Loss)> = BTreeMap::new();
    for (range, loss) in missing.iter().zip(&outlook.losses) {
        let expires_at = range.range.from().plus(retention_s);
        let stream = ours[range.stream.get()].stream.clone();
        let (_, of_stream) = by_stream
            .entry(stream)
            .or_insert((expires_at, Loss::default()));
        *of_stream += *loss;
    }
    Some(Forecast {
        account: account.clone(),
        rate: conditions.rate,
        has_density: usual_density.is_some(),
        outlook,
        streams: by_stream,
    })
}

/// Returns the outlook for an account as a whole: each of its streams is taken to be as dense as
/// all of them. It costs less than [`forecast`]. The second value is true if anything is sealed
/// that tells the density. `None` under the conditions of [`forecast`].
pub fn account_outlook(
    provider: &dyn Provider,
    summary: &AccountSummary,
    rates: &[RequestRate],
    now: Millis,
) -> Option<(BacklogOutlook, bool)> {
    let retention = fetchable_retention(summary.frontier.retention?);
    let density = (summary.recent_seconds > 0)
        .then(|| summary.recent_messages as f64 / summary.recent_seconds as f64);
    let range = |(id, range): &(StreamId, Window)| {
        // The id tells streams apart as well as their index does.
        let stream = StreamIndex::new(id.0 as usize);
        missing_range(provider, stream, *range, density.unwrap_or(0.0))
    };
    let missing: Vec<MissingRange> = summary.missing.iter().map(range).collect();
    if missing.is_empty() {
        return None;
    }
    let conditions = catch_up_conditions(provider, retention, summary.pause.as_ref(), rates, now);
    Some((
        BacklogOutlook::from_missing(&missing, conditions),
        density.is_some(),
    ))
}

/// Returns the conditions for an account that goes on at its recent rate, within its quota.
fn catch_up_conditions(
    provider: &dyn Provider,
    retention: Duration,
    pause: Option<&Pause>,
    rates: &[RequestRate],
    now: Millis,
) -> CatchUpConditions {
    let account = &provider.account().name;
    let measured = rates.iter().find(|rate| rate.account == *account);
    let measured = measured.and_then(RequestRate::per_second);
    let quota = provider.gate().rate_limiter().requests_per_second();
    CatchUpConditions {
        now: now.second(),
        retention: Some(retention),
        rate: measured.into_iter().chain(quota).reduce(f64::min),
        pause: pause.map_or(Duration::ZERO, |pause| pause.until.since(now)),
    }
}

/// Returns what is expected of a range with this many messages per second.
fn missing_range(
    provider: &dyn Provider,
    stream: StreamIndex,
    range: Window,
    density: f64,
) -> MissingRange {
    let messages = (range.seconds() as f64 * density).round() as u64;
    MissingRange {
        stream,
        range,
        messages,
        requests: provider.request_cost(messages),
    }
}

/// Returns the messages per second of the sealed history that the provider still has. `None` if
/// nothing of it is sealed.
fn density(streams: &[&StreamStatus]) -> Option<f64> {
    let seconds: u64 = streams.iter().map(|stream| stream.recent_seconds).sum();
    let messages: u64 = streams.iter().map(|stream| stream.recent_messages).sum();
    (seconds > 0).then(|| messages as f64 / seconds as f64)
}

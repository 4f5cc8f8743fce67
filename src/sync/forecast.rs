//! What of the missing history will be lost at the present rate, by what the archive says alone.

use std::collections::BTreeMap;
use std::time::Duration;

use super::account::fetchable_retention;
use super::estimate::{BacklogOutlook, CatchUpConditions, Loss, Stretch};
use crate::domain::stream::StreamIndex;
use crate::domain::time::{Millis, Second};
use crate::domain::window::Window;
use crate::provider::Provider;
use crate::store::{AccountSummary, Archive, Pace, Pause, StoreError, StreamId, StreamStatus};

/// What an account has lately done is what it has done within this time.
const RATE_PERIOD: Duration = Duration::from_hours(1);
/// Passes that are shorter were over before the quota was what held them up.
const MIN_RATED_PASS: Duration = Duration::from_secs(10);

/// How it looks for an account's missing history.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    pub account: String,
    /// Requests a second that are reckoned with: as many as it has lately made, and no more than its quota; nothing where
    /// neither is known.
    pub rate: Option<f64>,
    /// Whether anything is sealed by which to tell how dense the history is. Else no loss can be foreseen.
    pub has_density: bool,
    pub outlook: BacklogOutlook,
    /// By stream: when the oldest that it lacks falls behind the provider's edge, and what will be lost of it.
    pub streams: BTreeMap<String, (Second, Loss)>,
}

/// How every account has lately worked, for [`forecast`].
pub async fn paces(store: &dyn Archive, now: Millis) -> Result<Vec<Pace>, StoreError> {
    store.paces(now.minus(RATE_PERIOD), MIN_RATED_PASS).await
}

/// How it looks for an account's missing history, of which what was lost since it was last looked at is still a part.
/// Nothing where its provider is not known to forget, or where it lacks nothing that is settled. `streams` may hold other
/// accounts' streams, too, and so may `paces`.
pub fn forecast(
    provider: &dyn Provider,
    streams: &[StreamStatus],
    paces: &[Pace],
    now: Millis,
) -> Option<Forecast> {
    let account = &provider.account().name;
    let ours: Vec<&StreamStatus> = streams
        .iter()
        .filter(|stream| stream.account == *account)
        .collect();
    let first = ours.first()?;
    let retention = fetchable_retention(first.frontier.retention?);
    let circumstances = catch_up_conditions(provider, retention, first.pause.as_ref(), paces, now);
    let usual = density(&ours);
    let mut stretches = Vec::new();
    for (stream, status) in StreamIndex::enumerate(&ours) {
        let density = density(&[status]).or(usual).unwrap_or(0.0);
        stretches.extend(
            status
                .missing
                .iter()
                .map(|range| missing_range(provider, stream, *range, density)),
        );
    }
    if stretches.is_empty() {
        return None;
    }
    let outlook = BacklogOutlook::from_missing(&stretches, circumstances);
    let mut by_stream: BTreeMap<String, (Second, Loss)> = BTreeMap::new();
    for (Stretch { stream, range, .. }, loss) in stretches.iter().zip(&outlook.losses) {
        let falls = range
            .from()
            .plus(i64::try_from(retention.as_secs()).unwrap_or(i64::MAX));
        let known = by_stream
            .entry(ours[stream.get()].stream.clone())
            .or_insert((falls, Loss::default()));
        known.1 += *loss;
    }
    let rate = circumstances.rate;
    Some(Forecast {
        account: account.clone(),
        rate,
        has_density: usual.is_some(),
        outlook,
        streams: by_stream,
    })
}

/// How it looks for the missing history of an account as a whole, each stream of which is taken to be as dense as all of
/// them. With it, whether anything is sealed by which to tell how dense that is. Nothing where [`forecast`] knows nothing.
pub fn account_outlook(
    provider: &dyn Provider,
    figures: &AccountSummary,
    paces: &[Pace],
    now: Millis,
) -> Option<(BacklogOutlook, bool)> {
    let retention = fetchable_retention(figures.frontier.retention?);
    let density = (figures.recent_seconds > 0)
        .then(|| figures.recent_messages as f64 / figures.recent_seconds as f64);
    // A stream's number tells it from others as well as its position does.
    let stretch = |(id, range): &(StreamId, Window)| {
        missing_range(
            provider,
            StreamIndex::new(id.0 as usize),
            *range,
            density.unwrap_or(0.0),
        )
    };
    let stretches: Vec<Stretch> = figures.missing.iter().map(stretch).collect();
    if stretches.is_empty() {
        return None;
    }
    let circumstances =
        catch_up_conditions(provider, retention, figures.pause.as_ref(), paces, now);
    Some((
        BacklogOutlook::from_missing(&stretches, circumstances),
        density.is_some(),
    ))
}

/// How an account works that has lately made so many requests a second, and no more than its quota.
fn catch_up_conditions(
    provider: &dyn Provider,
    retention: Duration,
    pause: Option<&Pause>,
    paces: &[Pace],
    now: Millis,
) -> CatchUpConditions {
    let account = &provider.account().name;
    let measured = paces
        .iter()
        .find(|pace| pace.account == *account)
        .and_then(Pace::rate);
    let rate = measured
        .into_iter()
        .chain(provider.gate().rate_limiter().requests_per_second())
        .reduce(f64::min);
    let pause = pause.map_or(Duration::ZERO, |pause| pause.until.since(now));
    CatchUpConditions {
        now: now.second(),
        retention: Some(retention),
        rate,
        pause,
    }
}

/// What is expected of a range in which so many messages a second were sent.
fn missing_range(
    provider: &dyn Provider,
    stream: StreamIndex,
    range: Window,
    density: f64,
) -> Stretch {
    let messages = (range.seconds() as f64 * density).round() as u64;
    Stretch {
        stream,
        range,
        messages,
        requests: provider.request_cost(messages),
    }
}

/// Messages a second, by what is sealed of streams and the provider has not forgotten long since.
fn density(streams: &[&StreamStatus]) -> Option<f64> {
    let seconds: u64 = streams.iter().map(|stream| stream.recent_seconds).sum();
    let messages: u64 = streams.iter().map(|stream| stream.recent_messages).sum();
    (seconds > 0).then(|| messages as f64 / seconds as f64)
}

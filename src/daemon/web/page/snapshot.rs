//! What a page is made of: one look at the archive and at what the daemon remembers.

use std::time::Duration;

use super::super::StatusSources;
use crate::domain::alarm::Alarm;
use crate::domain::time::Millis;
use crate::store::{PassRecord, StoreError, StreamStatus, ThroughputBucket};
use crate::sync::forecast::{Forecast, forecast, request_rates};
use crate::sync::progress::ProgressSnapshot;

/// The span of what is shown by hours, and of what is shown by days.
pub(super) const CHART_HOURS: usize = 48;
pub(super) const CHART_DAYS: usize = 30;
pub(super) const HOUR: Duration = Duration::from_hours(1);
pub(super) const DAY: Duration = Duration::from_hours(24);
/// How many of the last passes are shown.
const MAX_PASSES: u64 = 12;

/// A look.
#[derive(Debug)]
pub(super) struct PageSnapshot {
    pub(super) taken_at: Millis,
    /// Where the archive is.
    pub(super) location: String,
    /// What it takes on disk.
    pub(super) bytes: u64,
    pub(super) streams: Vec<StreamStatus>,
    /// Those of the configuration, in its order.
    pub(super) accounts: Vec<AccountOverview>,
    /// Those that stand.
    pub(super) alarms: Vec<Alarm>,
    pub(super) passes: Vec<PassRecord>,
    /// By account and hour, and by account and day.
    pub(super) hours: Vec<ThroughputBucket>,
    pub(super) days: Vec<ThroughputBucket>,
}

/// What is known of an account besides what the archive says.
#[derive(Debug)]
pub(super) struct AccountOverview {
    pub(super) name: String,
    pub(super) provider: &'static str,
    /// Requests a second that it may make; nothing where there is no limit.
    pub(super) requests_per_second: Option<f64>,
    pub(super) progress: Option<ProgressSnapshot>,
    pub(super) forecast: Option<Forecast>,
    /// When its last pass began, or ended where it has ended.
    pub(super) last_pass: Option<Millis>,
}

impl PageSnapshot {
    pub(super) async fn read(shown: &StatusSources) -> Result<Self, StoreError> {
        let at = shown.clock.now();
        let store = &*shown.store;
        let streams = store.status().await?;
        let paces = request_rates(store, at).await?;
        let accounts = shown.providers.iter().map(|provider| {
            let name = &provider.account().name;
            AccountOverview {
                name: name.clone(),
                provider: provider.account().provider.name(),
                requests_per_second: provider.gate().rate_limiter().requests_per_second(),
                progress: shown.progress.for_account(name),
                forecast: forecast(&**provider, &streams, &paces, at),
                last_pass: paces
                    .iter()
                    .find(|pace| pace.account == *name)
                    .and_then(|pace| pace.last_pass),
            }
        });
        let accounts = accounts.collect();
        let mut alarms = store.alarms(at).await?;
        alarms.retain(Alarm::is_active);
        Ok(Self {
            taken_at: at,
            location: store.location().to_owned(),
            bytes: store.size_bytes().await?,
            accounts,
            alarms,
            passes: store.recent_passes(MAX_PASSES).await?,
            hours: store
                .throughput(first_interval(at, HOUR, CHART_HOURS), HOUR)
                .await?,
            days: store
                .throughput(first_interval(at, DAY, CHART_DAYS), DAY)
                .await?,
            streams,
        })
    }
}

/// When the first begins of so many spans of time of which the last is under way.
pub(super) fn first_interval(now: Millis, span: Duration, count: usize) -> Millis {
    let span = i64::try_from(span.as_millis()).unwrap_or(i64::MAX).max(1);
    let last = now.0.div_euclid(span);
    Millis(last.saturating_sub(count as i64 - 1).saturating_mul(span))
}

/// A value for each of so many spans up to now, out of what is known of some of them.
pub(super) fn by_interval<T>(
    pulses: &[ThroughputBucket],
    now: Millis,
    span: Duration,
    count: usize,
    mut value: impl FnMut(Millis, &[&ThroughputBucket]) -> T,
) -> Vec<T> {
    let begins = first_interval(now, span, count);
    let step = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    let spans = (0..count as i64).map(|n| Millis(begins.0.saturating_add(n.saturating_mul(step))));
    spans
        .map(|from| {
            value(
                from,
                &pulses
                    .iter()
                    .filter(|pulse| pulse.from == from)
                    .collect::<Vec<_>>(),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_end_with_the_one_that_is_under_way() {
        let now = Millis(1_795_343_200_123);
        let pulse = |ago: i64, new| ThroughputBucket {
            account: "shop".to_owned(),
            from: Millis((now.0 / 3_600_000 - ago) * 3_600_000),
            requests: 0,
            new,
            errors: 0,
            lag_seconds: None,
        };
        let pulses = [pulse(4, 9), pulse(2, 1), pulse(0, 3), pulse(0, 4)];
        let sums = by_interval(&pulses, now, HOUR, 4, |_, pulses| {
            pulses.iter().map(|pulse| pulse.new).sum::<u64>()
        });
        assert_eq!(sums, [0, 1, 0, 7]);
    }
}

//! The data of a page: one read of the archive, and the state of the engine.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use axum::body::Bytes;

use super::model::intervals::{DAY, HOUR, first_interval};
use crate::daemon::web::limits::{CHART_DAYS, CHART_HOURS, INCIDENT_PERIOD, MAX_PASSES};
use crate::daemon::web::sources::StatusSources;
use crate::domain::alarm::Alarm;
use crate::domain::time::Millis;
use crate::provider::Provider;
use crate::store::{PassRecord, RequestRate, StoreError, StreamStatus, ThroughputBucket};
use crate::sync::forecast::{Forecast, forecast, request_rates};
use crate::sync::progress::ProgressSnapshot;

/// The data that all pages are made from.
#[derive(Debug)]
pub(super) struct PageSnapshot {
    pub(super) taken_at: Millis,
    /// The location of the archive.
    pub(super) location: String,
    /// The size of the archive on disk, in bytes.
    pub(super) bytes: u64,
    pub(super) streams: Vec<StreamStatus>,
    /// The accounts of the configuration, in its order.
    pub(super) accounts: Vec<AccountOverview>,
    /// The active alarms.
    pub(super) alarms: Vec<Alarm>,
    /// The alarms that ended within [`INCIDENT_PERIOD`], the oldest first.
    pub(super) past_alarms: Vec<Alarm>,
    pub(super) passes: Vec<PassRecord>,
    /// Throughput by account and hour, and by account and day.
    pub(super) hours: Vec<ThroughputBucket>,
    pub(super) days: Vec<ThroughputBucket>,
    /// The same data for programs, once they were asked for.
    pub(super) document: OnceLock<Bytes>,
}

/// The state of an account that is not in the archive.
#[derive(Debug)]
pub(super) struct AccountOverview {
    pub(super) name: String,
    pub(super) provider: &'static str,
    /// The rate limit in requests per second; `None` if there is none.
    pub(super) requests_per_second: Option<f64>,
    pub(super) progress: Option<ProgressSnapshot>,
    pub(super) forecast: Option<Forecast>,
    /// The end of the last pass, or its start if it is running.
    pub(super) last_pass: Option<Millis>,
    /// The time of the next pass that fetches messages; `None` if it is not known.
    pub(super) next_pass: Option<Millis>,
}

impl PageSnapshot {
    /// Reads the data. Errors if the archive cannot be read.
    pub(super) async fn read(sources: &StatusSources) -> Result<Self, StoreError> {
        let now = sources.clock.now();
        let store = &*sources.store;
        let streams = store.status().await?;
        let rates = request_rates(store, now).await?;
        let alarms = sources.monitor.active_alarms(store.active_alarms().await?);
        let cutoff = now.minus(INCIDENT_PERIOD);
        let mut past_alarms = store.alarms(cutoff).await?;
        past_alarms.retain(|alarm| alarm.until.is_some_and(|until| until >= cutoff));
        let first_hour = first_interval(now, HOUR, CHART_HOURS);
        let first_day = first_interval(now, DAY, CHART_DAYS);
        Ok(Self {
            taken_at: now,
            location: store.location().to_owned(),
            bytes: store.size_bytes().await?,
            accounts: account_overviews(sources, &streams, &rates, now),
            alarms,
            past_alarms,
            passes: store.recent_passes(MAX_PASSES).await?,
            hours: store.throughput(first_hour, HOUR).await?,
            days: store.throughput(first_day, DAY).await?,
            streams,
            document: OnceLock::new(),
        })
    }

    /// Returns the progress of all accounts together.
    pub(super) fn progress(&self) -> ProgressSnapshot {
        let accounts = self.accounts.iter().filter_map(|account| account.progress);
        accounts.fold(ProgressSnapshot::default(), ProgressSnapshot::combine)
    }

    /// Returns the names of the accounts of the configuration and of the archive.
    pub(super) fn account_names(&self) -> BTreeSet<&str> {
        let archived = self.streams.iter().map(|stream| stream.account.as_str());
        let configured = self.accounts.iter().map(|account| account.name.as_str());
        archived.chain(configured).collect()
    }
}

fn account_overviews(
    sources: &StatusSources,
    streams: &[StreamStatus],
    rates: &[RequestRate],
    now: Millis,
) -> Vec<AccountOverview> {
    let mut overviews = Vec::new();
    for provider in &sources.providers {
        let account = provider.account();
        let rate = rates.iter().find(|rate| rate.account == account.name);
        overviews.push(AccountOverview {
            name: account.name.clone(),
            provider: account.provider.name(),
            requests_per_second: provider.gate().rate_limiter().requests_per_second(),
            progress: sources.progress.for_account(&account.name),
            forecast: forecast(&**provider, streams, rates, now),
            last_pass: rate.and_then(|rate| rate.last_pass),
            next_pass: next_pass(sources, &**provider, now),
        });
    }
    overviews
}

/// Returns the next tick of the schedule, or the end of the account's pause if that is later.
fn next_pass(sources: &StatusSources, provider: &dyn Provider, now: Millis) -> Option<Millis> {
    let tick = sources.schedule.as_ref()?.next_after(now)?;
    let pause = provider.gate().rate_limiter().long_pause();
    Some(pause.map_or(tick, |pause| tick.max(now.plus(pause))))
}

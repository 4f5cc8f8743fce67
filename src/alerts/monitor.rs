//! The alarm monitor checks the results of passes after each pass, and the archive itself every few
//! minutes.
//!
//! It reports each problem once when it begins and once when it is over: to the log, to the archive
//! and to the webhook. Active alarms, and what the webhook was notified of, are stored in the
//! archive, so neither a restart nor another process reports an alarm again. While the archive
//! cannot be written, alarms are kept in memory. The monitor runs in its own task, and no pass
//! waits for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::board::CheckTime;
use super::check::CheckResult;
use super::limits::{ARCHIVE_CHECKS, CHECK_INTERVAL, WEBHOOK_RETRY};
use super::records::AlarmRecords;
use super::rules::archive_health::ArchiveHealth;
use super::rules::lost_history;
use super::rules::pass_history::PassHistory;
use super::webhook::{Notification, Webhook, WebhookError};
use crate::domain::alarm::{Alarm, AlarmKind, AlarmSubject};
use crate::domain::clock::{Clock, TimerClock};
use crate::domain::lock::lock;
use crate::domain::time::Millis;
use crate::provider::Provider;
use crate::store::{Archive, StoreError, StreamStatus};
use crate::sync::PassReport;
use crate::sync::forecast::{forecast, request_rates};

const WEBHOOK_HINT: &str = "delivery is retried for a day; check [alerts] webhook, and that it is \
                            reachable from this machine";

/// Checks for problems, and reports them as alarms. See the module documentation.
pub struct AlarmMonitor {
    store: Arc<dyn Archive>,
    providers: Vec<Arc<dyn Provider>>,
    clock: Arc<dyn Clock>,
    /// Measures how long problems last. Setting the wall clock does not move it.
    timer: Arc<dyn Clock>,
    webhook: Option<Webhook>,
    observations: Mutex<Observations>,
    records: tokio::sync::Mutex<AlarmRecords>,
    /// The alarms that the archive does not have, or not in their latest state.
    unsaved: Mutex<Vec<Alarm>>,
    /// Signals that a pass has ended.
    pass_ended: Notify,
    /// Signals that a notification may be waiting.
    outbox: Notify,
}

/// The observed results of passes and of archive operations.
#[derive(Debug, Default)]
struct Observations {
    passes: HashMap<String, PassHistory>,
    archive: ArchiveHealth,
}

/// The extent of a check. Each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckScope {
    /// The recorded results of passes, and the disk.
    Passes,
    /// The streams of accounts in which some fail.
    FailingStreams,
    /// The history in the archive.
    History,
}

impl std::fmt::Debug for AlarmMonitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AlarmMonitor")
            .field("webhook", &self.webhook)
            .finish_non_exhaustive()
    }
}

impl AlarmMonitor {
    /// Creates a monitor of these accounts and their archive. `webhook`: the URL that notifications
    /// are posted to. Errors if its HTTP client cannot be built.
    pub fn new(
        store: Arc<dyn Archive>,
        providers: Vec<Arc<dyn Provider>>,
        clock: Arc<dyn Clock>,
        webhook: Option<&str>,
    ) -> Result<Self, WebhookError> {
        Ok(Self {
            store,
            providers,
            timer: Arc::new(TimerClock::starting_at(clock.now())),
            clock,
            webhook: webhook.map(Webhook::new).transpose()?,
            observations: Mutex::default(),
            records: tokio::sync::Mutex::default(),
            unsaved: Mutex::default(),
            pass_ended: Notify::new(),
            outbox: Notify::new(),
        })
    }

    /// Replaces the clock that measures how long problems last.
    #[must_use]
    pub fn with_timer(self, timer: Arc<dyn Clock>) -> Self {
        Self { timer, ..self }
    }

    /// Records that a pass over an account begins.
    pub fn pass_begins(&self, account: &str) {
        let now = self.timer.now();
        lock(&self.observations)
            .passes
            .entry(account.to_owned())
            .or_default()
            .record_begin(now);
    }

    /// Records that a pass over an account has ended, with its result.
    pub fn pass_ends(&self, account: &str, outcome: &Result<PassReport, StoreError>) {
        {
            let mut observations = lock(&self.observations);
            let Observations { passes, archive } = &mut *observations;
            let passes = passes.entry(account.to_owned()).or_default();
            match outcome {
                Ok(report) => {
                    let failure = report.account_failure();
                    let requests = report.tally.requests;
                    passes.record_end(failure, requests, report.has_answers, self.timer.now());
                    passes.record_stream_failures(report.has_stream_failures());
                    archive.record_success();
                }
                Err(StoreError::InUse { .. }) => passes.release_to_other_process(),
                Err(error) => {
                    passes.record_abort();
                    archive.record_failure(error);
                }
            }
        }
        self.pass_ended.notify_one();
    }

    /// Returns the active alarms: those `stored` in the archive, brought up to date by those that
    /// could not be written there.
    pub fn active_alarms(&self, stored: Vec<Alarm>) -> Vec<Alarm> {
        let unsaved = lock(&self.unsaved);
        let is_outdated = |alarm: &Alarm| unsaved.iter().any(|newer| newer.id() == alarm.id());
        let mut alarms = stored;
        alarms.retain(|alarm| !is_outdated(alarm));
        alarms.extend(unsaved.iter().filter(|alarm| alarm.is_active()).cloned());
        alarms.sort_by_key(|alarm| alarm.since);
        alarms
    }

    /// Returns the error of the latest access to the archive if that cannot be written.
    pub fn write_error(&self) -> Option<String> {
        let observations = lock(&self.observations);
        observations.archive.write_error().map(str::to_owned)
    }

    /// Checks and notifies until `stop` is cancelled.
    pub async fn run(&self, stop: &CancellationToken) {
        tokio::join!(self.run_checks(stop), self.deliver_notifications(stop));
    }

    async fn run_checks(&self, stop: &CancellationToken) {
        let mut timer = interval_at(Instant::now() + CHECK_INTERVAL, CHECK_INTERVAL);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first one checks the history as well.
        let mut ticks = (0..ARCHIVE_CHECKS).cycle();
        loop {
            let scope = tokio::select! {
                () = self.pass_ended.notified() => CheckScope::Passes,
                _ = timer.tick() => match ticks.next() {
                    Some(0) => CheckScope::History,
                    _ => CheckScope::FailingStreams,
                },
                () = stop.cancelled() => return,
            };
            self.check(scope).await;
        }
    }

    /// Checks what belongs to the scope, and records the alarms that begin and end. [`Self::run`]
    /// does so from time to time.
    pub async fn check(&self, scope: CheckScope) {
        let mut records = self.records.lock().await;
        let now = self.clock.now();
        let check_time = CheckTime {
            wall: now,
            timer: self.timer.now(),
        };
        let has_webhook = self.webhook.is_some();
        records.reload(&*self.store, now, has_webhook).await;
        let mut results = self.check_observations(&records, check_time.timer).await;
        let found = match scope {
            CheckScope::Passes => Ok(vec![]),
            CheckScope::FailingStreams => self.check_failing_streams().await,
            CheckScope::History => self.check_history(&mut records).await,
        };
        match found {
            Ok(found) => results.extend(found),
            Err(error) => {
                tracing::debug!(%error, "the archive could not be read");
                lock(&self.observations).archive.record_failure(&error);
            }
        }
        for result in results {
            records.apply(&result, check_time, has_webhook);
        }
        records.save(&*self.store, now).await;
        *lock(&self.unsaved) = records.unsaved().cloned().collect();
        self.outbox.notify_one();
    }

    /// Checks the disk, and the recorded results of archive operations and passes.
    async fn check_observations(&self, records: &AlarmRecords, timer: Millis) -> Vec<CheckResult> {
        let disk = AlarmSubject {
            account: None,
            stream: None,
            kind: AlarmKind::Disk,
        };
        let space = self.store.disk_space().await;
        let was_nearly_full = records.is_active(&disk);
        let observations = lock(&self.observations);
        let mut results = observations.archive.check(space, was_nearly_full);
        for (account, passes) in &observations.passes {
            results.extend(passes.check(account, timer));
        }
        results
    }

    /// Checks the streams of the accounts in which some failed lately. The archive is read only then.
    async fn check_failing_streams(&self) -> Result<Vec<CheckResult>, StoreError> {
        let failing: Vec<String> = {
            let observations = lock(&self.observations);
            let accounts = observations.passes.iter();
            let failing = accounts.filter(|(_, passes)| passes.has_stream_failures());
            failing.map(|(account, _)| account.clone()).collect()
        };
        if failing.is_empty() {
            return Ok(vec![]);
        }
        let status = self.store.status().await?;
        let check = |account: &String| {
            let streams = status.iter().filter(|stream| stream.account == *account);
            self.check_stuck_streams(account, &streams.collect::<Vec<_>>())
        };
        Ok(failing.iter().filter_map(check).collect())
    }

    /// Checks the history of the accounts that this process works on, and clears the alarms of
    /// accounts that no process works on.
    async fn check_history(
        &self,
        records: &mut AlarmRecords,
    ) -> Result<Vec<CheckResult>, StoreError> {
        let now = self.clock.now();
        let status = self.store.status().await?;
        let rates = request_rates(&*self.store, now).await?;
        let mut by_account: HashMap<&str, Vec<&StreamStatus>> = HashMap::new();
        for stream in &status {
            let account = by_account.entry(&stream.account).or_default();
            account.push(stream);
        }
        let mut results = Vec::new();
        for (account, streams) in &by_account {
            if !self.is_configured(account) {
                let checked_at = streams.iter().map(|stream| stream.frontier.wanted_to).max();
                let checked_at = checked_at.unwrap_or(now.second());
                results.extend(lost_history::clear_abandoned(account, checked_at, now));
            }
        }
        for provider in &self.providers {
            let account = provider.account().name.as_str();
            let Some(streams) = by_account.get(account) else {
                continue;
            };
            if !self.is_ours(account) {
                continue;
            }
            results.extend(self.check_stuck_streams(account, streams));
            let forecast = forecast(&**provider, &status, &rates, now);
            results.extend(lost_history::check_loss_ahead(account, forecast.as_ref()));
            let lost_s = lost_history::lost_seconds(streams);
            let reported_s = records.reported_loss_s(account, lost_s);
            results.push(lost_history::check_lost(account, streams, reported_s));
            let silence = records.check_silence(&*self.store, account, streams, now);
            results.push(silence.await?);
        }
        Ok(results)
    }

    fn check_stuck_streams(&self, account: &str, streams: &[&StreamStatus]) -> Option<CheckResult> {
        let mut observations = lock(&self.observations);
        let passes = observations.passes.get_mut(account)?;
        passes.check_streams(account, streams)
    }

    /// True if the account is in the configuration.
    fn is_configured(&self, account: &str) -> bool {
        let mut providers = self.providers.iter();
        providers.any(|provider| provider.account().name == account)
    }

    /// True if this process is known to work on the account.
    fn is_ours(&self, account: &str) -> bool {
        let observations = lock(&self.observations);
        let passes = observations.passes.get(account);
        passes.is_some_and(PassHistory::is_ours)
    }

    /// Posts pending notifications to the webhook until `stop` is cancelled.
    async fn deliver_notifications(&self, stop: &CancellationToken) {
        let Some(webhook) = &self.webhook else { return };
        let mut failures = 0;
        loop {
            let posted = async {
                match self.next_notification().await {
                    None => self.outbox.notified().await,
                    Some(notification) => {
                        failures = self.deliver(webhook, &notification, failures).await;
                    }
                }
            };
            tokio::select! {
                () = posted => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Returns the oldest pending notification on the archive, or on an account of this process.
    async fn next_notification(&self) -> Option<Notification> {
        let records = self.records.lock().await;
        let alarm = records.next_unnotified(|alarm| {
            let account = alarm.subject.account.as_deref();
            account.is_none_or(|account| self.is_ours(account))
        })?;
        let account = alarm.subject.account.as_deref();
        let mut providers = self.providers.iter();
        let provider = providers.find(|known| Some(known.account().name.as_str()) == account);
        Some(Notification {
            alarm: alarm.clone(),
            provider: provider.map(|provider| provider.account().provider.name()),
        })
    }

    /// Posts a notification, and waits for the backoff if that fails. Returns the number of
    /// consecutive failures.
    async fn deliver(&self, webhook: &Webhook, notification: &Notification, failures: u32) -> u32 {
        match webhook.post(notification).await {
            Ok(()) => {
                if failures > 0 {
                    tracing::info!("the webhook accepts notifications again");
                }
                let mut records = self.records.lock().await;
                records.mark_notified(
                    &notification.alarm.id(),
                    notification.state_after_delivery(),
                );
                records.save(&*self.store, self.clock.now()).await;
                0
            }
            Err(error) => {
                if failures == 0 {
                    tracing::warn!(
                        %error,
                        hint = WEBHOOK_HINT,
                        "the webhook does not accept notifications; retrying"
                    );
                }
                let wait = WEBHOOK_RETRY
                    .delay_after(failures + 1, fastrand::f64())
                    .unwrap_or(WEBHOOK_RETRY.max);
                tokio::time::sleep(wait).await;
                failures + 1
            }
        }
    }
}

//! The lookout: it looks at what passes come to, and now and then at the archive itself, and tells of what is
//! wrong, once when it begins and once when it is over: the log, the archive, and the webhook.
//!
//! What stands is on record in the archive, and so is what the webhook has been told: neither a restart nor another
//! process tells it again. While the archive cannot be written the record is kept in memory. The lookout works in a task of
//! its own, and no pass waits for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::check::CheckResult;
use super::records::AlarmRecords;
use super::rules::archive_health::ArchiveHealth;
use super::rules::lost_history;
use super::rules::pass_history::PassHistory;
use super::webhook::WebhookError;
use super::webhook::{Notification, Webhook};
use crate::config::Alerts;
use crate::domain::alarm::{AlarmKind, AlarmSubject};
use crate::domain::clock::Clock;
use crate::domain::retry::Backoff;
use crate::provider::Provider;
use crate::store::{Archive, StoreError, StreamStatus};
use crate::sync::PassReport;
use crate::sync::forecast::{forecast, request_rates};

/// How often the archive itself is looked at, and whether a pass hangs.
const ARCHIVE_CHECK_INTERVAL: Duration = Duration::from_mins(5);
/// When for the first time: a first pass is over by then.
const FIRST_ARCHIVE_CHECK: Duration = Duration::from_mins(1);
/// How a letter is tried that does not arrive, until it is too old to be news.
const WEBHOOK_RETRY: Backoff = Backoff {
    initial: Duration::from_secs(10),
    max: Duration::from_mins(5),
    max_attempts: u32::MAX,
};

const WEBHOOK_HINT: &str = "it is tried again for a day; see whether [alerts] webhook is right, and answers from this machine";

/// See above.
pub struct AlarmMonitor {
    store: Arc<dyn Archive>,
    providers: Vec<Arc<dyn Provider>>,
    clock: Arc<dyn Clock>,
    webhook: Option<Webhook>,
    observations: Mutex<Observations>,
    records: tokio::sync::Mutex<AlarmRecords>,
    /// A pass has ended.
    pass_ended: Notify,
    /// There may be something to post.
    outbox: Notify,
}

/// What was heard of passes and of the archive.
#[derive(Debug, Default)]
struct Observations {
    passes: HashMap<String, PassHistory>,
    archive: ArchiveHealth,
}

impl std::fmt::Debug for AlarmMonitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lookout")
            .field("webhook", &self.webhook)
            .finish_non_exhaustive()
    }
}

impl AlarmMonitor {
    /// Over these accounts and their archive.
    pub fn new(
        store: Arc<dyn Archive>,
        providers: Vec<Arc<dyn Provider>>,
        clock: Arc<dyn Clock>,
        alerts: &Alerts,
    ) -> Result<Self, WebhookError> {
        Ok(Self {
            store,
            providers,
            clock,
            webhook: alerts.webhook.as_ref().map(Webhook::new).transpose()?,
            observations: Mutex::default(),
            records: tokio::sync::Mutex::default(),
            pass_ended: Notify::new(),
            outbox: Notify::new(),
        })
    }

    /// A pass over an account begins.
    pub fn pass_begins(&self, account: &str) {
        let now = self.clock.now();
        self.lock_observations()
            .passes
            .entry(account.to_owned())
            .or_default()
            .record_begin(now);
    }

    /// It has ended.
    pub fn pass_ends(&self, account: &str, outcome: &Result<PassReport, StoreError>) {
        {
            let mut heard = self.lock_observations();
            let Observations { passes, archive } = &mut *heard;
            let passes = passes.entry(account.to_owned()).or_default();
            match outcome {
                Ok(report) => {
                    passes.record_end(report.failure.as_ref(), report.tally.requests);
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

    /// Looks, and tells, until `stop`.
    pub async fn run(&self, stop: &CancellationToken) {
        tokio::join!(self.run_checks(stop), self.deliver_notifications(stop));
    }

    async fn run_checks(&self, stop: &CancellationToken) {
        let mut beat = interval_at(Instant::now() + FIRST_ARCHIVE_CHECK, ARCHIVE_CHECK_INTERVAL);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_beat = tokio::select! {
                () = self.pass_ended.notified() => false,
                _ = beat.tick() => true,
                () = stop.cancelled() => return,
            };
            self.check(is_beat).await;
        }
    }

    /// Looks at what was heard of passes; at the archive itself, too, where that is asked for.
    async fn check(&self, with_history: bool) {
        let mut records = self.records.lock().await;
        let now = self.clock.now();
        records
            .reload(&*self.store, now, self.webhook.is_some())
            .await;
        let disk = AlarmSubject {
            account: None,
            stream: None,
            kind: AlarmKind::Disk,
        };
        let (room, was_scarce) = (self.store.disk_space().await, records.is_active(&disk));
        let mut looks = {
            let heard = self.lock_observations();
            let mut looks = heard.archive.check(room, was_scarce);
            looks.extend(
                heard
                    .passes
                    .iter()
                    .flat_map(|(account, passes)| passes.check(account, now)),
            );
            looks
        };
        if with_history {
            match self.check_history(&mut records).await {
                Ok(found) => looks.extend(found),
                Err(error) => {
                    tracing::debug!(%error, "the archive cannot be looked at");
                    self.lock_observations().archive.record_failure(&error);
                }
            }
        }
        for look in looks {
            records.apply(&look, now, self.webhook.is_some());
        }
        records.save(&*self.store, now).await;
        self.outbox.notify_one();
    }

    /// Looks at the history of the accounts that this process works on.
    async fn check_history(
        &self,
        records: &mut AlarmRecords,
    ) -> Result<Vec<CheckResult>, StoreError> {
        let now = self.clock.now();
        let status = self.store.status().await?;
        let paces = request_rates(&*self.store, now).await?;
        let mut by_account: HashMap<&str, Vec<&StreamStatus>> = HashMap::new();
        for stream in &status {
            by_account.entry(&stream.account).or_default().push(stream);
        }
        let mut looks = Vec::new();
        let is_ours = |account: &str| {
            self.providers
                .iter()
                .any(|provider| provider.account().name == account)
        };
        for (account, streams) in by_account.iter().filter(|(account, _)| !is_ours(account)) {
            let looked_at = streams.iter().map(|stream| stream.frontier.wanted_to).max();
            looks.extend(
                looked_at
                    .into_iter()
                    .flat_map(|looked_at| lost_history::clear_abandoned(account, looked_at, now)),
            );
        }
        for provider in &self.providers {
            let account = provider.account().name.as_str();
            let Some(streams) = by_account.get(account) else {
                continue;
            };
            {
                let mut heard = self.lock_observations();
                let Some(passes) = heard
                    .passes
                    .get_mut(account)
                    .filter(|passes| passes.is_ours())
                else {
                    continue;
                };
                looks.extend(passes.check_streams(account, streams));
            }
            looks.extend(lost_history::check_loss_ahead(
                account,
                forecast(&**provider, &status, &paces, now).as_ref(),
            ));
            let lost = lost_history::lost_seconds(streams);
            looks.push(lost_history::check_lost(
                account,
                streams,
                records.reported_loss_s(account, lost),
            ));
            looks.push(
                records
                    .check_silence(&*self.store, account, streams, now)
                    .await?,
            );
        }
        Ok(looks)
    }

    /// Posts what the webhook has not been told.
    async fn deliver_notifications(&self, stop: &CancellationToken) {
        let Some(webhook) = &self.webhook else { return };
        let mut failures = 0;
        loop {
            let posted = async {
                match self.next_notification().await {
                    None => self.outbox.notified().await,
                    Some(letter) => failures = self.deliver(webhook, &letter, failures).await,
                }
            };
            tokio::select! {
                () = posted => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn next_notification(&self) -> Option<Notification> {
        let records = self.records.lock().await;
        let is_ours = |account: &str| {
            self.lock_observations()
                .passes
                .get(account)
                .is_some_and(PassHistory::is_ours)
        };
        let alarm = records
            .next_unnotified(|alarm| alarm.subject.account.as_deref().is_none_or(is_ours))?;
        let account = alarm.subject.account.as_deref();
        let provider = self.providers.iter().map(|provider| provider.account());
        let provider = provider
            .filter(|known| Some(known.name.as_str()) == account)
            .map(|known| known.provider.name())
            .next();
        Some(Notification {
            alarm: alarm.clone(),
            provider,
        })
    }

    /// Posts a letter; waits where it does not arrive. Answers with how many in a row have not.
    async fn deliver(&self, webhook: &Webhook, notification: &Notification, failures: u32) -> u32 {
        match webhook.post(notification).await {
            Ok(()) => {
                if failures > 0 {
                    tracing::info!("the webhook takes alarms again");
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
                    tracing::warn!(%error, hint = WEBHOOK_HINT, "the webhook takes no alarm");
                }
                let wait = WEBHOOK_RETRY
                    .delay_after(failures + 1, fastrand::f64())
                    .unwrap_or(WEBHOOK_RETRY.max);
                tokio::time::sleep(wait).await;
                failures + 1
            }
        }
    }

    /// Passes and errors are plain data that no panic can leave half-written.
    fn lock_observations(&self) -> MutexGuard<'_, Observations> {
        self.observations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

//! The lookout: it looks at what passes come to, and now and then at the archive itself, and tells of what is
//! wrong, once when it begins and once when it is over: the log, the archive, and the webhook.
//!
//! What stands is on record in the archive, and so is what the webhook has been told: neither a restart nor another
//! process tells it again. While the archive cannot be written the record is kept in memory. The lookout works in a task of
//! its own, and no pass waits for it.

mod records;
mod webhook;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use self::records::Records;
use self::webhook::{Letter, Webhook};
use crate::config::Alerts;
use crate::domain::alarm::{Alarm, Kind, Subject};
use crate::domain::clock::Clock;
use crate::domain::retry::Backoff;
use crate::provider::Provider;
use crate::store::{Store, StoreError, StreamStatus};
use crate::sync::PassReport;
use crate::sync::alarms::archive::Health;
use crate::sync::alarms::board::Look;
use crate::sync::alarms::history;
use crate::sync::alarms::passes::Passes;
use crate::sync::forecast::{forecast, paces};
pub use webhook::WebhookError;

/// How often the archive itself is looked at, and whether a pass hangs.
const BEAT: Duration = Duration::from_mins(5);
/// When for the first time: a first pass is over by then.
const FIRST: Duration = Duration::from_mins(1);
/// How a letter is tried that does not arrive, until it is too old to be news.
const POST: Backoff = Backoff {
    first: Duration::from_secs(10),
    most: Duration::from_mins(5),
    tries: u32::MAX,
};

const WEBHOOK_HINT: &str = "it is tried again for a day; see whether [alerts] webhook is right, and answers from this machine";

/// See above.
pub struct Lookout {
    store: Arc<dyn Store>,
    providers: Vec<Arc<dyn Provider>>,
    clock: Arc<dyn Clock>,
    webhook: Option<Webhook>,
    heard: Mutex<Heard>,
    records: tokio::sync::Mutex<Records>,
    /// A pass has ended.
    ended: Notify,
    /// There may be something to post.
    news: Notify,
}

/// What was heard of passes and of the archive.
#[derive(Debug, Default)]
struct Heard {
    passes: HashMap<String, Passes>,
    archive: Health,
}

impl std::fmt::Debug for Lookout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lookout")
            .field("webhook", &self.webhook)
            .finish_non_exhaustive()
    }
}

impl Lookout {
    /// Over these accounts and their archive.
    pub fn new(
        store: Arc<dyn Store>,
        providers: Vec<Arc<dyn Provider>>,
        clock: Arc<dyn Clock>,
        alerts: &Alerts,
    ) -> Result<Self, WebhookError> {
        Ok(Self {
            store,
            providers,
            clock,
            webhook: alerts.webhook.as_ref().map(Webhook::new).transpose()?,
            heard: Mutex::default(),
            records: tokio::sync::Mutex::default(),
            ended: Notify::new(),
            news: Notify::new(),
        })
    }

    /// A pass over an account begins.
    pub(super) fn begins(&self, account: &str) {
        let now = self.clock.now();
        self.heard()
            .passes
            .entry(account.to_owned())
            .or_default()
            .begins(now);
    }

    /// It has ended.
    pub(super) fn ends(&self, account: &str, outcome: &Result<PassReport, StoreError>) {
        {
            let mut heard = self.heard();
            let Heard { passes, archive } = &mut *heard;
            let passes = passes.entry(account.to_owned()).or_default();
            match outcome {
                Ok(report) => {
                    passes.ends(report.failure.as_ref(), report.tally.requests);
                    archive.works();
                }
                Err(StoreError::Held { .. }) => passes.belongs_to_another(),
                Err(error) => {
                    passes.breaks_off();
                    archive.fails(error);
                }
            }
        }
        self.ended.notify_one();
    }

    /// Looks, and tells, until `stop`.
    pub(super) async fn run(&self, stop: &CancellationToken) {
        tokio::join!(self.watch(stop), self.post(stop));
    }

    async fn watch(&self, stop: &CancellationToken) {
        let mut beat = interval_at(Instant::now() + FIRST, BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_beat = tokio::select! {
                () = self.ended.notified() => false,
                _ = beat.tick() => true,
                () = stop.cancelled() => return,
            };
            self.look(is_beat).await;
        }
    }

    /// Looks at what was heard of passes; at the archive itself, too, where that is asked for.
    async fn look(&self, deeply: bool) {
        let mut records = self.records.lock().await;
        let now = self.clock.now();
        records
            .refresh(&*self.store, now, self.webhook.is_some())
            .await;
        let disk = Subject {
            account: None,
            stream: None,
            kind: Kind::Disk,
        };
        let (room, was_scarce) = (self.store.room().await, records.stands(&disk));
        let mut looks = {
            let heard = self.heard();
            let mut looks = heard.archive.looks(room, was_scarce);
            looks.extend(
                heard
                    .passes
                    .iter()
                    .flat_map(|(account, passes)| passes.looks(account, now)),
            );
            looks
        };
        if deeply {
            match self.look_deeply(&mut records).await {
                Ok(found) => looks.extend(found),
                Err(error) => {
                    tracing::debug!(%error, "the archive cannot be looked at");
                    self.heard().archive.fails(&error);
                }
            }
        }
        for look in looks {
            records.take(&look, now, self.webhook.is_some());
        }
        records.save(&*self.store, now).await;
        self.news.notify_one();
    }

    /// Looks at the history of the accounts that this process works on.
    async fn look_deeply(&self, records: &mut Records) -> Result<Vec<Look>, StoreError> {
        let now = self.clock.now();
        let status = self.store.status().await?;
        let paces = paces(&*self.store, now).await?;
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
            let looked_at = streams.iter().map(|stream| stream.as_of).max();
            looks.extend(
                looked_at
                    .into_iter()
                    .flat_map(|looked_at| history::abandoned(account, looked_at, now)),
            );
        }
        for provider in &self.providers {
            let account = provider.account().name.as_str();
            let Some(streams) = by_account.get(account) else {
                continue;
            };
            {
                let mut heard = self.heard();
                let Some(passes) = heard
                    .passes
                    .get_mut(account)
                    .filter(|passes| passes.is_ours())
                else {
                    continue;
                };
                looks.extend(passes.stuck(account, streams));
            }
            looks.extend(history::loss_ahead(
                account,
                forecast(&**provider, &status, &paces, now).as_ref(),
            ));
            let lost = history::lost_seconds(streams);
            looks.push(history::lost(
                account,
                streams,
                records.known_loss(account, lost),
            ));
            looks.push(records.silent(&*self.store, account, streams, now).await?);
        }
        Ok(looks)
    }

    /// Posts what the webhook has not been told.
    async fn post(&self, stop: &CancellationToken) {
        let Some(webhook) = &self.webhook else { return };
        let mut failures = 0;
        loop {
            let posted = async {
                match self.next_letter().await {
                    None => self.news.notified().await,
                    Some(letter) => failures = self.send(webhook, &letter, failures).await,
                }
            };
            tokio::select! {
                () = posted => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn next_letter(&self) -> Option<Letter> {
        let records = self.records.lock().await;
        let is_ours = |account: &str| {
            self.heard()
                .passes
                .get(account)
                .is_some_and(Passes::is_ours)
        };
        let alarm = records.untold(|alarm| alarm.subject.account.as_deref().is_none_or(is_ours))?;
        let account = alarm.subject.account.as_deref();
        let provider = self.providers.iter().map(|provider| provider.account());
        let provider = provider
            .filter(|known| Some(known.name.as_str()) == account)
            .map(|known| known.provider)
            .next();
        Some(Letter {
            alarm: alarm.clone(),
            provider,
        })
    }

    /// Posts a letter; waits where it does not arrive. Answers with how many in a row have not.
    async fn send(&self, webhook: &Webhook, letter: &Letter, failures: u32) -> u32 {
        match webhook.post(letter).await {
            Ok(()) => {
                if failures > 0 {
                    tracing::info!("the webhook takes alarms again");
                }
                let mut records = self.records.lock().await;
                records.told(&letter.alarm.id(), letter.tells());
                records.save(&*self.store, self.clock.now()).await;
                0
            }
            Err(error) => {
                if failures == 0 {
                    tracing::warn!(%error, hint = WEBHOOK_HINT, "the webhook takes no alarm");
                }
                let wait = POST
                    .after(failures + 1, fastrand::f64())
                    .unwrap_or(POST.most);
                tokio::time::sleep(wait).await;
                failures + 1
            }
        }
    }

    /// Passes and errors are plain data that no panic can leave half-written.
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the log.
fn log(alarm: &Alarm) {
    let Alarm {
        subject,
        since,
        text: problem,
        hint,
        ..
    } = alarm;
    let account = subject.account.as_deref().map(tracing::field::display);
    let stream = subject.stream.as_deref().map(tracing::field::display);
    let kind = subject.kind.name();
    match (alarm.is_standing(), subject.kind) {
        (false, _) => tracing::info!(account, stream, kind, %since, problem, "alarm over"),
        (true, Kind::Silent | Kind::Stuck) => {
            tracing::warn!(account, stream, kind, problem, hint, "alarm")
        }
        (true, _) => tracing::error!(account, stream, kind, problem, hint, "alarm"),
    }
}

//! The background service: passes at the ticks of three schedules, until told to stop.
//!
//! An account makes one pass at a time. What is missing goes first, but whatever else is due comes after the pass that
//! is under way: a pass is bounded in time, so neither waits for long.

mod heartbeat;
mod schedule;
pub mod service_manager;
pub mod signals;
mod watchdog;
pub mod web;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::alerts::AlarmMonitor;
use crate::config::Schedule;
use crate::domain::clock::Clock;
use crate::store::StoreError;
use crate::sync::{AccountSync, Engine, HistoryBounds, PassReport, Purpose};
use heartbeat::Heartbeat;
pub use schedule::{ScheduleError, Ticks};
use service_manager::ServiceManager;
use signals::Shutdown;

/// Runs passes, and the lookout over them, until `stop` is given: the first at once, the others at the ticks of their
/// schedules. No account waits for another, and however many ticks come during an account's pass, they are good for one
/// pass each. The archive stays open.
pub async fn run(
    mut engine: Engine,
    schedule: &Schedule,
    clock: Arc<dyn Clock>,
    notify: ServiceManager,
    lookout: Arc<AlarmMonitor>,
    stop: &Shutdown,
) -> Result<(), ScheduleError> {
    let due = AccountTicks {
        sync: Ticks::start(&schedule.sync, clock.clone()).await?,
        reconcile: Ticks::start(&schedule.reconcile, clock.clone()).await?,
        refresh: Ticks::start(&schedule.refresh, clock).await?,
    };
    let progress = engine.progress().clone();
    let pulses: Vec<_> = engine
        .accounts()
        .map(|account| Arc::new(Heartbeat::new(account)))
        .collect();
    // In a task of its own, so that passes go on while it looks; it ends with them, however they end.
    let mut looking = JoinSet::new();
    looking.spawn({
        let (lookout, stop) = (lookout.clone(), stop.graceful.clone());
        async move { lookout.run(&stop).await }
    });
    let drives = engine.accounts().zip(&pulses);
    let drives = drives.map(|(account, pulse)| {
        drive_account(account, due.clone(), pulse, &lookout, &stop.graceful)
    });
    let drives = async {
        join_all(drives).await;
        looking.join_next().await;
    };
    // With the next breath the first passes are under way.
    notify.notify_ready();
    tokio::select! {
        () = drives => {}
        () = watchdog::run_watchdog(notify, &pulses, &progress) => {}
        () = stop.wait_for_deadline() => tracing::warn!("what is in hand takes too long; it is left, and will be fetched again"),
    }
    for ticks in [due.sync, due.reconcile, due.refresh] {
        ticks.stop().await;
    }
    Ok(())
}

/// How often an account that another process works on is asked for: when that process dies, no tick is waited for.
const STANDBY_POLL: Duration = Duration::from_secs(3);

/// The ticks of one account.
#[derive(Clone)]
struct AccountTicks {
    sync: Ticks,
    reconcile: Ticks,
    refresh: Ticks,
}

impl AccountTicks {
    /// What is due besides fetching what is missing.
    fn due_besides_sync(&self, has_statuses: bool) -> Option<Purpose> {
        let refresh = (has_statuses && self.refresh.is_due()).then_some(Purpose::Refresh);
        refresh.or_else(|| self.reconcile.is_due().then_some(Purpose::Reconcile))
    }

    /// Forgets the ticks that came before a pass was over: they asked for what it has just done.
    fn discard_past(&mut self, purpose: Purpose) {
        match purpose {
            Purpose::Sync(_) => self.sync.discard_past(),
            Purpose::Reconcile => self.reconcile.discard_past(),
            Purpose::Refresh => self.refresh.discard_past(),
        }
    }

    /// Waits until anything is due; answers with what.
    async fn wait_for_purpose(&mut self, has_statuses: bool) -> Purpose {
        tokio::select! {
            () = self.sync.wait() => Purpose::Sync(HistoryBounds { since: None, until: None }),
            () = self.reconcile.wait() => Purpose::Reconcile,
            () = self.refresh.wait(), if has_statuses => Purpose::Refresh,
        }
    }
}

/// Drives one account.
async fn drive_account(
    account: &mut AccountSync,
    mut due: AccountTicks,
    pulse: &Heartbeat,
    lookout: &AlarmMonitor,
    stop: &CancellationToken,
) {
    const SYNC: Purpose = Purpose::Sync(HistoryBounds {
        since: None,
        until: None,
    });
    let has_statuses = account.has_statuses();
    let mut next = Some(SYNC);
    // Whether time was up before the last such pass was done: there is no reason to wait for the next tick.
    let mut is_behind = false;
    let mut failing = false;
    while !stop.is_cancelled() {
        let purpose = if let Some(purpose) = next.take() {
            purpose
        } else {
            tokio::select! {
                purpose = pulse.beat_during(due.wait_for_purpose(has_statuses)) => purpose,
                () = stop.cancelled() => return,
            }
        };
        lookout.pass_begins(account.name());
        let outcome = account.pass(purpose, stop).await;
        pulse.record_outcome(&outcome);
        lookout.pass_ends(account.name(), &outcome);
        if let Err(StoreError::InUse { .. }) = &outcome {
            // The account itself has said so, once.
            let _ = tokio::time::timeout(STANDBY_POLL, stop.cancelled()).await;
            next = Some(purpose);
            continue;
        }
        due.discard_past(purpose);
        let goes_on = match &outcome {
            Ok(report) => {
                if std::mem::take(&mut failing) {
                    tracing::info!(account = account.name(), "the archive works again");
                }
                log_pass(purpose, report);
                report.has_more_work()
            }
            Err(error) if std::mem::replace(&mut failing, true) => {
                tracing::debug!(account = account.name(), %error, "the archive still fails");
                false
            }
            Err(error) => {
                tracing::error!(account = account.name(), %error, hint = error.hint(), "the archive fails; trying again at the next tick");
                false
            }
        };
        next = if let Purpose::Sync(_) = purpose {
            is_behind = goes_on;
            due.due_besides_sync(has_statuses)
                .or(is_behind.then_some(SYNC))
        } else {
            (is_behind || due.sync.is_due()).then_some(SYNC)
        };
    }
}

/// At `info` a pass that brought nothing new says nothing.
fn log_pass(purpose: Purpose, report: &PassReport) {
    let why = purpose.name();
    let PassReport {
        account,
        tally,
        missing_seconds,
        failure,
        ..
    } = report;
    let (new, changed, requests) = (tally.new, tally.changed, tally.requests);
    match failure {
        Some(error) => {
            tracing::warn!(account, why, new, changed, requests, missing_seconds, %error, "pass ended early");
        }
        None if new + changed > 0 => {
            tracing::info!(account, why, new, changed, requests, "pass done");
        }
        None => tracing::debug!(account, why, requests, "pass done, nothing new"),
    }
}

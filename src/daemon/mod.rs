//! The background service: passes at the ticks of three schedules, until told to stop.
//!
//! An account makes one pass at a time. What is missing goes first, but whatever else is due comes after the pass that
//! is under way: a pass is bounded in time, so neither waits for long.

pub mod alarms;
pub mod notify;
mod pulse;
mod schedule;
pub mod signals;
mod watchdog;
pub mod web;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::Schedule;
use crate::domain::clock::Clock;
use crate::store::StoreError;
use crate::sync::{AccountSync, Bounds, Engine, PassReport, Purpose};
use alarms::Lookout;
use notify::Notify;
use pulse::Pulse;
pub use schedule::{ScheduleError, Ticks};
use signals::Stop;

/// Runs passes, and the lookout over them, until `stop` is given: the first at once, the others at the ticks of their
/// schedules. No account waits for another, and however many ticks come during an account's pass, they are good for one
/// pass each. The archive stays open.
pub async fn run(
    mut engine: Engine,
    schedule: &Schedule,
    clock: Arc<dyn Clock>,
    notify: Notify,
    lookout: Arc<Lookout>,
    stop: &Stop,
) -> Result<(), ScheduleError> {
    let due = Due {
        sync: Ticks::start(&schedule.sync, clock.clone()).await?,
        reconcile: Ticks::start(&schedule.reconcile, clock.clone()).await?,
        refresh: Ticks::start(&schedule.refresh, clock).await?,
    };
    let progress = engine.progress().clone();
    let pulses: Vec<_> = engine
        .accounts()
        .map(|account| Arc::new(Pulse::new(account)))
        .collect();
    // In a task of its own, so that passes go on while it looks; it ends with them, however they end.
    let mut looking = JoinSet::new();
    looking.spawn({
        let (lookout, stop) = (lookout.clone(), stop.soft.clone());
        async move { lookout.run(&stop).await }
    });
    let drives = engine.accounts().zip(&pulses);
    let drives =
        drives.map(|(account, pulse)| drive(account, due.clone(), pulse, &lookout, &stop.soft));
    let drives = async {
        join_all(drives).await;
        looking.join_next().await;
    };
    // With the next breath the first passes are under way.
    notify.ready();
    tokio::select! {
        () = drives => {}
        () = watchdog::watch(notify, &pulses, &progress) => {}
        () = stop.overdue() => tracing::warn!("what is in hand takes too long; it is left, and will be fetched again"),
    }
    for ticks in [due.sync, due.reconcile, due.refresh] {
        ticks.stop().await;
    }
    Ok(())
}

/// How often an account that another process works on is asked for: when that process dies, no tick is waited for.
const STANDBY: Duration = Duration::from_secs(3);

/// The ticks of one account.
#[derive(Clone)]
struct Due {
    sync: Ticks,
    reconcile: Ticks,
    refresh: Ticks,
}

impl Due {
    /// What is due besides fetching what is missing.
    fn besides(&self, has_statuses: bool) -> Option<Purpose> {
        let refresh = (has_statuses && self.refresh.has_come()).then_some(Purpose::Refresh);
        refresh.or_else(|| self.reconcile.has_come().then_some(Purpose::Reconcile))
    }

    /// Forgets the ticks that came before a pass was over: they asked for what it has just done.
    fn skip(&mut self, purpose: Purpose) {
        match purpose {
            Purpose::Sync(_) => self.sync.skip(),
            Purpose::Reconcile => self.reconcile.skip(),
            Purpose::Refresh => self.refresh.skip(),
        }
    }

    /// Waits until anything is due; answers with what.
    async fn next(&mut self, has_statuses: bool) -> Purpose {
        tokio::select! {
            () = self.sync.next() => Purpose::Sync(Bounds { since: None, until: None }),
            () = self.reconcile.next() => Purpose::Reconcile,
            () = self.refresh.next(), if has_statuses => Purpose::Refresh,
        }
    }
}

/// Drives one account.
async fn drive(
    account: &mut AccountSync,
    mut due: Due,
    pulse: &Pulse,
    lookout: &Lookout,
    stop: &CancellationToken,
) {
    const SYNC: Purpose = Purpose::Sync(Bounds {
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
                purpose = pulse.through(due.next(has_statuses)) => purpose,
                () = stop.cancelled() => return,
            }
        };
        lookout.begins(account.name());
        let outcome = account.pass(purpose, stop).await;
        pulse.note(&outcome);
        lookout.ends(account.name(), &outcome);
        if let Err(StoreError::Held { .. }) = &outcome {
            // The account itself has said so, once.
            let _ = tokio::time::timeout(STANDBY, stop.cancelled()).await;
            next = Some(purpose);
            continue;
        }
        due.skip(purpose);
        let goes_on = match &outcome {
            Ok(report) => {
                if std::mem::take(&mut failing) {
                    tracing::info!(account = account.name(), "the archive works again");
                }
                log(purpose, report);
                report.leads_on()
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
            due.besides(has_statuses).or(is_behind.then_some(SYNC))
        } else {
            (is_behind || due.sync.has_come()).then_some(SYNC)
        };
    }
}

/// At `info` a pass that brought nothing new says nothing.
fn log(purpose: Purpose, report: &PassReport) {
    let why = purpose.why();
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
            tracing::info!(account, why, new, changed, requests, "pass done")
        }
        None => tracing::debug!(account, why, requests, "pass done, nothing new"),
    }
}

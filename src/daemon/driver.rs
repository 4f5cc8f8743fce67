//! The driver of one account: runs its passes, one at a time, at the ticks of three schedules.

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::heartbeat::Heartbeat;
use super::limits::{FAILED_ACCOUNT_RETRY, STANDBY_POLL};
use super::schedule::Ticks;
use crate::alerts::AlarmMonitor;
use crate::store::StoreError;
use crate::sync::{AccountSync, HistoryBounds, PassReport, Purpose};

/// The purpose of a pass that fetches all missing history.
const SYNC: Purpose = Purpose::Sync(HistoryBounds {
    since: None,
    until: None,
});

/// The schedules of one account.
#[derive(Clone, Debug)]
pub(super) struct AccountTicks {
    pub(super) sync: Ticks,
    pub(super) reconcile: Ticks,
    pub(super) refresh: Ticks,
}

impl AccountTicks {
    /// Returns the purpose of a due pass other than sync, if there is one.
    fn due_besides_sync(&self, has_statuses: bool) -> Option<Purpose> {
        if has_statuses && self.refresh.is_due() {
            Some(Purpose::Refresh)
        } else if self.reconcile.is_due() {
            Some(Purpose::Reconcile)
        } else {
            None
        }
    }

    /// Discards the ticks that came before the end of a pass: the pass has done what they asked
    /// for.
    fn discard_past(&mut self, purpose: Purpose) {
        match purpose {
            Purpose::Sync(_) => self.sync.discard_past(),
            Purpose::Reconcile => self.reconcile.discard_past(),
            Purpose::Refresh => self.refresh.discard_past(),
        }
    }

    /// Waits for the next tick of any schedule, and returns the purpose of its pass.
    async fn wait_for_purpose(&mut self, has_statuses: bool) -> Purpose {
        tokio::select! {
            () = self.sync.wait() => SYNC,
            () = self.reconcile.wait() => Purpose::Reconcile,
            () = self.refresh.wait(), if has_statuses => Purpose::Refresh,
        }
    }
}

/// Runs the passes of one account until `stop` is cancelled. The first one starts at once. After
/// that, missing history goes first, and other due passes run between sync passes.
pub(super) async fn drive_account(
    account: &mut AccountSync,
    mut ticks: AccountTicks,
    heartbeat: &Heartbeat,
    monitor: &AlarmMonitor,
    stop: &CancellationToken,
) {
    let has_statuses = account.has_statuses();
    let mut next = Some(SYNC);
    // True if the last sync pass ended by its time limit. Then the next one starts without waiting
    // for a tick.
    let mut has_backlog = false;
    // True if nothing of the account could be fetched. Then it is tried again soon.
    let mut has_failed = false;
    let mut archive_log = ArchiveLog::default();
    while !stop.is_cancelled() {
        let purpose = if let Some(purpose) = next.take() {
            purpose
        } else {
            tokio::select! {
                purpose = heartbeat.beat_during(ticks.wait_for_purpose(has_statuses)) => purpose,
                () = heartbeat.beat_during(sleep(FAILED_ACCOUNT_RETRY)), if has_failed => SYNC,
                () = stop.cancelled() => return,
            }
        };
        monitor.pass_begins(account.name());
        let outcome = account.pass(purpose, stop).await;
        heartbeat.record_outcome(&outcome);
        monitor.pass_ends(account.name(), &outcome);
        if let Err(StoreError::InUse { .. }) = &outcome {
            // The account has already logged this.
            let _ = tokio::time::timeout(STANDBY_POLL, stop.cancelled()).await;
            next = Some(purpose);
            continue;
        }
        ticks.discard_past(purpose);
        archive_log.record(account.name(), outcome.as_ref().err());
        let has_more_work = outcome.as_ref().is_ok_and(PassReport::has_more_work);
        if let Ok(report) = &outcome {
            has_failed = report.account_failure().is_some();
            log_pass(purpose, report);
        }
        next = if let Purpose::Sync(_) = purpose {
            has_backlog = has_more_work;
            let other = ticks.due_besides_sync(has_statuses);
            other.or(has_backlog.then_some(SYNC))
        } else {
            (has_backlog || ticks.sync.is_due()).then_some(SYNC)
        };
    }
}

/// Logs the failures of the archive: the first of a series as an error, and the recovery.
#[derive(Default)]
struct ArchiveLog {
    is_failing: bool,
}

impl ArchiveLog {
    fn record(&mut self, account: &str, error: Option<&StoreError>) {
        let was_failing = std::mem::replace(&mut self.is_failing, error.is_some());
        match error {
            None if was_failing => tracing::info!(account, "the archive has recovered"),
            None => {}
            Some(error) if was_failing => {
                tracing::debug!(account, %error, "the archive is still failing");
            }
            Some(error) => {
                let hint = error.hint();
                tracing::error!(
                    account,
                    %error,
                    hint,
                    "the archive failed; retrying at the next tick"
                );
            }
        }
    }
}

/// Logs the result of a pass. A pass without new messages is logged only at `debug`.
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
            tracing::warn!(
                account,
                why,
                new,
                changed,
                requests,
                missing_seconds,
                %error,
                "pass ended early"
            );
        }
        None if new + changed > 0 => {
            tracing::info!(account, why, new, changed, requests, "pass finished");
        }
        None => tracing::debug!(account, why, requests, "pass finished, no new messages"),
    }
}

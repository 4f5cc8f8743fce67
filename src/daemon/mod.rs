//! The background service: passes at the tick of a schedule, until told to stop.

mod schedule;
pub mod signals;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::config::Schedule;
use crate::domain::clock::Clock;
use crate::store::StoreError;
use crate::sync::{AccountSync, Bounds, Engine, PassReport};
pub use schedule::{ScheduleError, Ticks};

/// Runs passes until `stop` is given: the first at once, the others at the ticks of the schedule. No account waits for
/// another, and a tick during an account's pass is not a second pass.
pub async fn run(
    mut engine: Engine,
    schedule: &Schedule,
    clock: Arc<dyn Clock>,
    stop: &CancellationToken,
) -> Result<(), ScheduleError> {
    let ticks = Ticks::start(&schedule.sync, clock).await?;
    let drives = engine.accounts().map(|account| drive(account, ticks.clone(), stop));
    join_all(drives).await;
    engine.store().close().await;
    ticks.stop().await;
    Ok(())
}

/// How often an account that another process works on is asked for: when that process dies, no tick is waited for.
const STANDBY: Duration = Duration::from_secs(3);

/// Drives one account.
async fn drive(account: &mut AccountSync, mut ticks: Ticks, stop: &CancellationToken) {
    let mut failing = false;
    while !stop.is_cancelled() {
        let outcome = account.pass("sync", Bounds::default(), stop).await;
        let goes_on = match &outcome {
            Ok(report) => {
                if std::mem::take(&mut failing) {
                    tracing::info!(account = account.name(), "the archive works again");
                }
                log(report);
                // Time was up before the work was: there is no reason to wait for the next tick.
                report.failure.is_none() && report.missing_seconds > 0 && report.tally.windows > 0
            }
            // The account itself has said so, once.
            Err(StoreError::Held { .. }) => {
                let _ = tokio::time::timeout(STANDBY, stop.cancelled()).await;
                true
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
        if !goes_on {
            ticks.skip();
            tokio::select! {
                () = ticks.next() => {}
                () = stop.cancelled() => {}
            }
        }
    }
}

/// At `info` a pass that brought nothing new says nothing.
fn log(report: &PassReport) {
    let PassReport { account, tally, missing_seconds, failure } = report;
    let (new, changed, requests) = (tally.new, tally.changed, tally.requests);
    match failure {
        Some(error) => tracing::warn!(account, new, changed, requests, missing_seconds, %error, "pass ended early"),
        None if new + changed > 0 => tracing::info!(account, new, changed, requests, "pass done"),
        None => tracing::debug!(account, requests, "pass done, nothing new"),
    }
}

//! The background service. It runs passes at the ticks of three schedules until it is told to stop,
//! raises alarms, and serves the status page and metrics.
//!
//! | question | file |
//! |---|---|
//! | what starts a pass, and which pass runs next? | `driver.rs`; ticks: `schedule.rs` |
//! | what happens at SIGTERM? | the table below; signals: `signals.rs` |
//! | what happens at SIGHUP? | `cli/run.rs` reloads the configuration |
//! | how does the search index follow the commits? | `indexer.rs` |
//! | how is a stuck account detected? | `heartbeat.rs`, `watchdog.rs` |
//! | what is reported to systemd? | `service_manager.rs`, `watchdog.rs` |
//! | how are problems reported? | [`crate::alerts`] |
//! | where is a metric defined? | `web/metrics/definitions.rs` (per account), `metrics/mod.rs` (archive), `metrics/process.rs` |
//! | what decides `/healthz` and `/readyz`? | `web/probes.rs`; who asks: `web/health_check.rs` |
//! | where are the page's texts and judgements? | `web/page/view/`, `web/page/model/` |
//! | what do `/status.json` and `status --json` say? | `status_report.rs`, `web/page/document.rs` |
//! | which time limits apply? | `limits.rs`, `web/limits.rs` |
//!
//! # Shutdown
//!
//! | time after SIGTERM or SIGINT | what happens | where |
//! |---|---|---|
//! | 0 | systemd is notified; no window, pass or check begins; windows in flight go on | [`signals::Shutdown::graceful`] |
//! | 1 s ([`limits`]: `WINDOW_GRACE`) | windows in flight are abandoned; fetched messages are committed | [`signals::Shutdown::abort`], `sync` |
//! | 1.5 s (`COMMIT_GRACE`) | [`run`] returns even if a commit has not ended; it is fetched again | [`run`] |
//! | 1.75 s (`CLOSE_GRACE`) | the archive is closed, or left open | `cli/run.rs` |
//! | 2 s (`CLOSE_GRACE`) | HTTP responses in flight are aborted; the process exits with 0 | `web/server.rs`, `cli/run.rs` |
//!
//! Usually all steps finish at once. A second signal exits immediately with 130. The engine's own
//! grace of five seconds applies only to commands in the foreground, which do not abort.

mod driver;
mod heartbeat;
mod indexer;
pub mod limits;
mod schedule;
pub mod service_manager;
pub mod signals;
pub mod status_report;
mod watchdog;
pub mod web;

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::alerts::AlarmMonitor;
use crate::config::Schedule;
use crate::domain::clock::Clock;
use crate::store::Archive;
use crate::sync::Engine;
use driver::{AccountTicks, drive_account};
use heartbeat::Heartbeat;
pub use indexer::{complete_index, run_indexer};
pub use schedule::{ScheduleError, Ticks};
use service_manager::ServiceManager;
use signals::Shutdown;

/// The tasks that run beside the passes.
#[expect(missing_debug_implementations, reason = "an archive has no debug form")]
pub struct SideTasks {
    pub monitor: Arc<AlarmMonitor>,
    /// The archive whose search index is kept.
    pub archive: Arc<dyn Archive>,
    /// False: the search index is emptied.
    pub search_enabled: bool,
}

/// Runs passes, the alarm monitor and the indexer until `shutdown` is requested. First passes run at once, later
/// ones at the ticks of their schedules. Accounts do not wait for each other. Several ticks during
/// a pass start only one further pass. The archive is left open. Errors if the cron scheduler
/// cannot be started.
pub async fn run(
    mut engine: Engine,
    schedule: &Schedule,
    clock: Arc<dyn Clock>,
    service_manager: ServiceManager,
    side_tasks: SideTasks,
    shutdown: &Shutdown,
) -> Result<(), ScheduleError> {
    let ticks = AccountTicks {
        sync: Ticks::start(&schedule.sync, clock.clone()).await?,
        reconcile: Ticks::start(&schedule.reconcile, clock.clone()).await?,
        refresh: Ticks::start(&schedule.refresh, clock).await?,
    };
    let progress = engine.progress().clone();
    let heartbeats: Vec<_> = engine
        .accounts()
        .map(|account| Arc::new(Heartbeat::new(account)))
        .collect();
    let stop = &shutdown.graceful;
    let monitor = side_tasks.monitor.clone();
    let mut side_tasks = side_tasks.spawn(stop);
    let drivers = engine
        .accounts()
        .zip(&heartbeats)
        .map(|(account, heartbeat)| {
            drive_account(account, ticks.clone(), heartbeat, &monitor, stop)
        });
    let work = async {
        join_all(drivers).await;
        while side_tasks.join_next().await.is_some() {}
    };
    // The first passes start at the next await point.
    service_manager.notify_ready();
    tokio::select! {
        () = work => {}
        () = watchdog::run_watchdog(service_manager, &heartbeats, &progress) => {}
        () = shutdown.wait_for_deadline() => tracing::warn!(
            "shutdown took too long; unfinished windows are abandoned and will be fetched again"
        ),
    }
    Ok(())
}

impl SideTasks {
    /// Runs each in a task of its own, so that their queries do not delay passes. Dropping the returned
    /// set aborts them.
    fn spawn(self, stop: &CancellationToken) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        let (monitor, stopped) = (self.monitor, stop.clone());
        tasks.spawn(async move { monitor.run(&stopped).await });
        let (archive, enabled, stopped) = (self.archive, self.search_enabled, stop.clone());
        tasks.spawn(async move { run_indexer(&*archive, enabled, &stopped).await });
        tasks
    }
}

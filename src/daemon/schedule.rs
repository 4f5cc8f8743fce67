//! The ticks of a cron schedule.

use std::sync::Arc;

use tokio::sync::{Mutex, watch};
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use super::limits::{CLOCK_POLL, MISSED_TICK_AFTER};
use crate::config::Cron;
use crate::domain::clock::Clock;
use crate::domain::time::Millis;

/// The cron scheduler could not be started.
#[derive(Debug, thiserror::Error)]
#[error("the cron scheduler could not be started: {0}")]
pub struct ScheduleError(#[from] JobSchedulerError);

/// The ticks of a cron expression. Each clone waits on its own.
#[derive(Clone)]
pub struct Ticks {
    ticks: watch::Receiver<u64>,
    /// The expected time of the next tick; `None` if the schedule has no further tick.
    next_due: Option<Millis>,
    cron: Cron,
    clock: Arc<dyn Clock>,
    scheduler: Arc<Mutex<JobScheduler>>,
}

impl std::fmt::Debug for Ticks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ticks")
            .field("cron", &self.cron.expression)
            .finish_non_exhaustive()
    }
}

impl Ticks {
    /// Starts a scheduler for this expression. Errors if it cannot be started.
    pub async fn start(cron: &Cron, clock: Arc<dyn Clock>) -> Result<Self, ScheduleError> {
        let (tick, ticks) = watch::channel(0);
        let scheduler = JobScheduler::new().await?;
        // A tick only wakes the driver, because the scheduler does not know if the last pass is
        // over.
        let wake = move |_, _| tick.send_modify(|ticks| *ticks += 1);
        scheduler
            .add(Job::new(cron.expression.as_str(), wake)?)
            .await?;
        scheduler.start().await?;
        Ok(Self {
            ticks,
            next_due: cron.next_after(clock.now()),
            cron: cron.clone(),
            clock,
            scheduler: Arc::new(Mutex::new(scheduler)),
        })
    }

    /// Discards the ticks so far.
    pub fn discard_past(&mut self) {
        self.ticks.mark_unchanged();
        self.next_due = self.cron.next_after(self.clock.now());
    }

    /// True if a tick has come since the last discard, or should have come.
    pub fn is_due(&self) -> bool {
        self.ticks.has_changed().unwrap_or(false) || self.has_missed_tick()
    }

    fn has_missed_tick(&self) -> bool {
        let now = self.clock.now();
        let is_missed = self
            .next_due
            .is_some_and(|due| now >= due.plus(MISSED_TICK_AFTER));
        if is_missed {
            tracing::warn!(
                schedule = self.cron.expression,
                "the cron scheduler missed a tick; using the clock instead"
            );
        }
        is_missed
    }

    /// Waits for the next tick. If the scheduler misses the tick, returns at its time by the clock.
    /// Cancel-safe.
    pub async fn wait(&mut self) {
        loop {
            tokio::select! {
                changed = self.ticks.changed() => match changed {
                    Ok(()) => return,
                    Err(_) => tokio::time::sleep(CLOCK_POLL).await,
                },
                () = tokio::time::sleep(CLOCK_POLL) => {}
            }
            if self.has_missed_tick() {
                return;
            }
        }
    }

    /// Stops the scheduler.
    pub async fn stop(&self) {
        if let Err(error) = self.scheduler.lock().await.shutdown().await {
            tracing::debug!(%error, "the cron scheduler did not stop cleanly");
        }
    }
}

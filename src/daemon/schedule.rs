//! Ticks of the cron schedule.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use crate::config::Cron;
use crate::domain::clock::Clock;
use crate::domain::time::Millis;

/// A tick that is this late will not come: the scheduler is known to stop for good when it misses a beat.
const MISSED_TICK_AFTER: Duration = Duration::from_secs(5);
/// How often the wall clock is looked at while waiting: it may be set, and the machine may sleep.
const CLOCK_POLL: Duration = Duration::from_secs(20);

/// The scheduler could not be started.
#[derive(Debug, thiserror::Error)]
#[error("the scheduler cannot be started: {0}")]
pub struct ScheduleError(#[from] JobSchedulerError);

/// The ticks of a cron expression. Each clone waits for itself.
#[derive(Clone)]
pub struct Ticks {
    ticks: watch::Receiver<u64>,
    /// When the next one should come.
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
    /// Starts the scheduler.
    pub async fn start(cron: &Cron, clock: Arc<dyn Clock>) -> Result<Self, ScheduleError> {
        let (tick, ticks) = watch::channel(0);
        let scheduler = JobScheduler::new().await?;
        // A tick does nothing but wake: the scheduler does not know whether the last pass is over.
        let wake = move |_, _| tick.send_modify(|ticks| *ticks += 1);
        scheduler
            .add(Job::new(cron.expression.as_str(), wake)?)
            .await?;
        scheduler.start().await?;
        let due = cron.next_after(clock.now());
        Ok(Self {
            ticks,
            next_due: due,
            cron: cron.clone(),
            clock,
            scheduler: Arc::new(Mutex::new(scheduler)),
        })
    }

    /// Forgets ticks that have come already.
    pub fn discard_past(&mut self) {
        self.ticks.mark_unchanged();
        self.next_due = self.cron.next_after(self.clock.now());
    }

    /// Whether a tick has come that is not forgotten, or should have.
    pub fn is_due(&self) -> bool {
        self.ticks.has_changed().unwrap_or(false) || self.has_missed_tick()
    }

    fn has_missed_tick(&self) -> bool {
        let overdue = self
            .next_due
            .is_some_and(|due| self.clock.now() >= due.plus(MISSED_TICK_AFTER));
        if overdue {
            tracing::warn!(
                schedule = self.cron.expression,
                "the scheduler missed a tick; going by the clock"
            );
        }
        overdue
    }

    /// Waits for the next tick; where it does not come, for the time when it should have. It may be broken off and
    /// begun again.
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
            tracing::debug!(%error, "the scheduler did not stop in order");
        }
    }
}

//! The ticks of a cron schedule.

use std::io;
use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinError;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use super::limits::{CLOCK_POLL, MAX_CLOCK_DRIFT, MISSED_TICK_AFTER};
use crate::config::Cron;
use crate::domain::clock::Clock;
use crate::domain::time::Millis;

/// The cron scheduler could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    #[error("the cron scheduler could not be started: {0}")]
    Scheduler(#[from] JobSchedulerError),
    #[error("the thread of the cron scheduler could not be started: {0}")]
    Thread(#[from] io::Error),
    #[error("the cron scheduler ended while it started: {0}")]
    Task(#[from] JoinError),
}

/// The ticks of a cron expression. Each clone waits on its own. They end with the last clone.
///
/// The cron scheduler counts by the wall clock, which may be set or stand still while the machine
/// sleeps. So the next tick is also awaited by the timer, and computed anew when the two clocks
/// part.
#[derive(Clone)]
pub struct Ticks {
    ticks: watch::Receiver<u64>,
    expected: ExpectedTick,
    cron: Cron,
    clock: Arc<dyn Clock>,
    scheduler: Arc<Mutex<CronScheduler>>,
}

/// The tick that comes next, as it was expected at a moment.
#[derive(Clone, Copy, Debug)]
struct ExpectedTick {
    /// The time of the tick by the wall clock; `None` if the schedule has no further tick.
    due: Option<Millis>,
    /// The moment by both clocks.
    planned: ClockReading,
}

/// A moment by the wall clock and by the timer.
#[derive(Clone, Copy, Debug)]
struct ClockReading {
    wall: Millis,
    timer: Instant,
}

/// The cron scheduler of an expression, and when it was started.
struct CronScheduler {
    /// The threads on which the scheduler runs. It has a dozen tasks that hold each other's channels
    /// and outlast its own shutdown, so they end with their runtime. `None` once it is dropped.
    runtime: Option<Runtime>,
    tick: watch::Sender<u64>,
    started: ClockReading,
}

impl std::fmt::Debug for Ticks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ticks")
            .field("cron", &self.cron.expression)
            .finish_non_exhaustive()
    }
}

impl ClockReading {
    fn now(clock: &dyn Clock) -> Self {
        Self {
            wall: clock.now(),
            timer: Instant::now(),
        }
    }

    /// True if the wall clock has moved by another time than the timer since an earlier reading.
    fn has_parted_from(self, earlier: Self) -> bool {
        let expected = earlier.wall.plus(self.timer - earlier.timer);
        expected.since(self.wall).max(self.wall.since(expected)) > MAX_CLOCK_DRIFT
    }
}

impl ExpectedTick {
    fn after(now: ClockReading, cron: &Cron) -> Self {
        Self {
            due: cron.next_after(now.wall),
            planned: now,
        }
    }

    /// Returns the time of the tick by the timer.
    fn timer_due(&self) -> Option<Instant> {
        let wait = self.due?.since(self.planned.wall);
        self.planned.timer.checked_add(wait)
    }
}

impl CronScheduler {
    async fn start(
        cron: &Cron,
        tick: watch::Sender<u64>,
        started: ClockReading,
    ) -> Result<Self, ScheduleError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("cron")
            .enable_time()
            .build()?;
        let task = runtime.spawn(start_job(cron.expression.clone(), tick.clone()));
        // Made first, so that the runtime is dropped as it must be if the job cannot be started.
        let scheduler = Self {
            runtime: Some(runtime),
            tick,
            started,
        };
        task.await??;
        Ok(scheduler)
    }
}

impl Drop for CronScheduler {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // It does not wait for the thread, which async code must not do.
            runtime.shutdown_background();
        }
    }
}

/// Starts a scheduler that counts the ticks of an expression, for as long as its runtime lives.
async fn start_job(expression: String, tick: watch::Sender<u64>) -> Result<(), JobSchedulerError> {
    let scheduler = JobScheduler::new().await?;
    // A tick only wakes the driver, because the scheduler does not know if the last pass is over.
    let wake = move |_, _| tick.send_modify(|ticks| *ticks += 1);
    scheduler.add(Job::new(expression.as_str(), wake)?).await?;
    scheduler.start().await
}

impl Ticks {
    /// Starts a scheduler for this expression. Errors if it cannot be started.
    pub async fn start(cron: &Cron, clock: Arc<dyn Clock>) -> Result<Self, ScheduleError> {
        let (tick, ticks) = watch::channel(0);
        let now = ClockReading::now(&*clock);
        let scheduler = CronScheduler::start(cron, tick, now).await?;
        Ok(Self {
            ticks,
            expected: ExpectedTick::after(now, cron),
            cron: cron.clone(),
            clock,
            scheduler: Arc::new(Mutex::new(scheduler)),
        })
    }

    /// Discards the ticks so far.
    pub fn discard_past(&mut self) {
        self.ticks.mark_unchanged();
        self.expected = ExpectedTick::after(ClockReading::now(&*self.clock), &self.cron);
    }

    /// True if a tick has come since the last discard, or should have come.
    pub fn is_due(&self) -> bool {
        self.ticks.has_changed().unwrap_or(false) || self.has_missed_tick()
    }

    fn has_missed_tick(&self) -> bool {
        let due = self.expected.timer_due();
        let is_missed = due.is_some_and(|due| due.elapsed() >= MISSED_TICK_AFTER);
        if is_missed {
            tracing::warn!(
                schedule = self.cron.expression,
                "the cron scheduler missed a tick; using the timer instead"
            );
        }
        is_missed
    }

    /// Waits for the next tick. If the scheduler misses the tick, returns at its time by the timer.
    /// If the wall clock has passed it by a jump, returns at once. Cancel-safe.
    pub async fn wait(&mut self) {
        loop {
            if self.follow_clock().await {
                return;
            }
            let poll = Instant::now() + CLOCK_POLL;
            let late = self.expected.timer_due().map(|due| due + MISSED_TICK_AFTER);
            tokio::select! {
                changed = self.ticks.changed() => match changed {
                    Ok(()) => return,
                    Err(_) => sleep(CLOCK_POLL).await,
                },
                () = sleep_until(late.map_or(poll, |late| late.min(poll))) => {}
            }
            if self.has_missed_tick() {
                return;
            }
        }
    }

    /// Computes the next tick anew if the wall clock was set, or the machine slept. Returns true if
    /// the wall clock has jumped over the tick.
    async fn follow_clock(&mut self) -> bool {
        let now = ClockReading::now(&*self.clock);
        if !now.has_parted_from(self.expected.planned) {
            return false;
        }
        self.restart_scheduler(now).await;
        let is_passed = self.expected.due.is_some_and(|due| due <= now.wall);
        self.expected = ExpectedTick::after(now, &self.cron);
        is_passed
    }

    /// Starts the cron scheduler anew, once for all clones: it has computed its next tick by the
    /// clock as it was.
    async fn restart_scheduler(&self, now: ClockReading) {
        let mut current = self.scheduler.lock().await;
        if !now.has_parted_from(current.started) {
            return;
        }
        tracing::info!(
            schedule = self.cron.expression,
            "this machine's clock was set or stood still; the schedule follows it"
        );
        match CronScheduler::start(&self.cron, current.tick.clone(), now).await {
            Ok(restarted) => *current = restarted,
            Err(error) => {
                tracing::warn!(%error, "using the timer instead");
                current.started = now;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use tokio::runtime::Handle;

    use super::*;
    use crate::domain::clock::TimerClock;

    /// A clock that can be set.
    #[derive(Debug)]
    struct SteppedClock {
        clock: TimerClock,
        step_ms: AtomicI64,
    }

    impl Clock for SteppedClock {
        fn now(&self) -> Millis {
            Millis(self.clock.now().0 + self.step_ms.load(Ordering::Relaxed))
        }
    }

    /// Returns once nothing of a scheduler is left: then the last sender of its ticks is gone.
    async fn wait_for_end(mut ticks: watch::Receiver<u64>) {
        while ticks.changed().await.is_ok() {}
    }

    #[tokio::test]
    async fn nothing_is_left_of_schedulers_that_were_dropped_or_restarted() {
        let cron = Cron::parse("0 0 0 1 1 *").unwrap();
        let clock = Arc::new(SteppedClock {
            clock: TimerClock::starting_at(Millis(1_795_343_200_000)),
            step_ms: AtomicI64::new(0),
        });
        let tasks = || Handle::current().metrics().num_alive_tasks();
        let before = tasks();
        for _ in 0..50 {
            let mut ticks = Ticks::start(&cron, clock.clone()).await.unwrap();
            let counter = ticks.ticks.clone();
            let first = ticks.scheduler.lock().await.started.wall;
            clock.step_ms.fetch_add(86_400_000, Ordering::Relaxed);
            ticks.follow_clock().await;
            assert_ne!(
                ticks.scheduler.lock().await.started.wall,
                first,
                "it was restarted"
            );
            drop(ticks);
            wait_for_end(counter).await;
        }
        assert_eq!(tasks(), before);
    }
}

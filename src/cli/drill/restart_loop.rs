//! The process under test, which is killed and restarted.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::cli::CliError;
use crate::cli::scratch::ProcessUsage;
use crate::domain::time::Millis;
use crate::sandbox::Sandbox;

/// The interval at which a process is polled. A longer one makes the kills less random.
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// The maximum number of requests of one run before the kill, and its maximum duration. Each kill
/// comes at a random point before these limits, so larger values kill later phases of a sync.
const MAX_REQUESTS_BEFORE_KILL: u64 = 120;
const MAX_TIME_BEFORE_KILL: Duration = Duration::from_secs(3);
/// The maximum number of runs after the last kill. If none of them seals everything, the drill
/// fails.
const MAX_FINAL_RUNS: u32 = 20;
/// The maximum duration of a run. A process that takes longer hangs, and the drill fails.
const MAX_RUN_TIME: Duration = Duration::from_hours(1);
/// Messages younger than this at the start of the last sync may be missing.
const UNSETTLED_AGE: Duration = Duration::from_secs(5);

/// The kills of the process, and its cost.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RunCost {
    /// The number of kills.
    pub(super) kills: u32,
    /// The number of `check` runs, which lift the pause of an account whose credentials were
    /// refused.
    pub(super) checks: u32,
    /// The peak resident memory in bytes.
    pub(super) peak: u64,
    /// True if the last run exited by itself, with everything sealed.
    pub(super) ended_well: bool,
}

/// Runs one process after the other, and kills it or waits for its exit.
pub(super) struct RestartLoop<'a> {
    sandbox: &'a Sandbox,
    config: &'a Path,
    binary: PathBuf,
    /// The log file of all processes.
    log: PathBuf,
    random: fastrand::Rng,
    cost: RunCost,
}

impl<'a> RestartLoop<'a> {
    pub(super) fn new(
        sandbox: &'a Sandbox,
        config: &'a Path,
        dir: &Path,
        seed: u64,
    ) -> Result<Self, CliError> {
        let (binary, log) = (std::env::current_exe()?, dir.join("drill.log"));
        Ok(Self {
            sandbox,
            config,
            binary,
            log,
            random: fastrand::Rng::with_seed(seed),
            cost: RunCost::default(),
        })
    }

    pub(super) fn cost(&self) -> RunCost {
        self.cost
    }

    /// Kills the process `times` times, each at a random moment: while it starts, waits, reads or
    /// writes.
    pub(super) async fn run_with_kills(
        &mut self,
        times: u32,
        stop: &CancellationToken,
    ) -> Result<(), CliError> {
        while self.cost.kills < times {
            let mut child = self.start("sync")?;
            let enough = self.requests() + self.random.u64(1..=MAX_REQUESTS_BEFORE_KILL);
            let late = Instant::now() + MAX_TIME_BEFORE_KILL.mul_f64(self.random.f64());
            let ended = self
                .wait_until(&mut child, stop, |requests| {
                    requests >= enough || Instant::now() >= late
                })
                .await?;
            match ended {
                None => {
                    child.kill().await?;
                    self.cost.kills += 1;
                }
                // The process exited before the kill. The next run has new messages to archive.
                Some(status) => self.check_accounts(status, stop).await?,
            }
        }
        Ok(())
    }

    /// Runs the process to its exit. Returns the time before which all messages must be archived.
    pub(super) async fn run_to_completion(
        &mut self,
        stop: &CancellationToken,
    ) -> Result<Millis, CliError> {
        let mut edge = self.settled_edge();
        for _ in 0..MAX_FINAL_RUNS {
            edge = self.settled_edge();
            let mut child = self.start("sync")?;
            let late = Instant::now() + MAX_RUN_TIME;
            let Some(status) = self
                .wait_until(&mut child, stop, |_| Instant::now() >= late)
                .await?
            else {
                child.kill().await?;
                break;
            };
            self.cost.ended_well = status.success();
            if self.cost.ended_well {
                break;
            }
            self.check_accounts(status, stop).await?;
        }
        Ok(edge)
    }

    /// Returns the last lines of the log.
    pub(super) fn log_tail(&self) -> String {
        const LINES: usize = 20;
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines
            .get(lines.len().saturating_sub(LINES)..)
            .unwrap_or_default()
            .join("\n")
    }

    /// Runs `check` after a failed run: an account whose credentials were refused stays paused
    /// until `check` succeeds.
    async fn check_accounts(
        &mut self,
        status: ExitStatus,
        stop: &CancellationToken,
    ) -> Result<(), CliError> {
        if !status.success() {
            let mut child = self.start("check")?;
            let late = Instant::now() + MAX_RUN_TIME;
            if self
                .wait_until(&mut child, stop, |_| Instant::now() >= late)
                .await?
                .is_none()
            {
                child.kill().await?;
            }
            self.cost.checks += 1;
        }
        Ok(())
    }

    fn start(&self, command: &str) -> Result<Child, CliError> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut child = Command::new(&self.binary);
        child
            .arg(command)
            .arg("--config")
            .arg(self.config)
            .args(["--log", "info"]);
        child
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true);
        Ok(child.spawn()?)
    }

    /// Waits for the process to exit; `None` if `enough` returns true first.
    async fn wait_until(
        &mut self,
        child: &mut Child,
        stop: &CancellationToken,
        enough: impl Fn(u64) -> bool,
    ) -> Result<Option<ExitStatus>, CliError> {
        loop {
            if let Some(usage) = child.id().and_then(ProcessUsage::read) {
                self.cost.peak = self.cost.peak.max(usage.peak);
            }
            if let Some(status) = child.try_wait()? {
                return Ok(Some(status));
            }
            if stop.is_cancelled() {
                return Err(CliError::Usage("the drill was interrupted".to_owned()));
            }
            if enough(self.requests()) {
                return Ok(None);
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    fn requests(&self) -> u64 {
        self.sandbox.rules().total.requests()
    }

    fn settled_edge(&self) -> Millis {
        self.sandbox.world().now().minus(UNSETTLED_AGE)
    }
}

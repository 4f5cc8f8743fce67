//! The process that is killed, and started again.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::cli::CliError;
use crate::cli::bench::usage::ProcessUsage;
use crate::domain::time::Millis;
use crate::sandbox::Sandbox;

/// How often a process is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// A kill comes after no more requests of one life than this, or after no more time.
const MAX_REQUESTS_BEFORE_KILL: u64 = 120;
const MAX_TIME_BEFORE_KILL: Duration = Duration::from_secs(3);
/// How often, after the last kill, it may end without everything being there, before it is given up.
const MAX_FINAL_RUNS: u32 = 20;
/// No life is longer: a process that hangs is a finding, and no reason to wait for ever.
const MAX_RUN_TIME: Duration = Duration::from_hours(1);
/// What is younger than this when the last sync begins may be left to a later one.
const UNSETTLED_AGE: Duration = Duration::from_secs(5);

/// What was done to the process, and what it took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RunCost {
    pub(super) kills: u32,
    /// How often an account had to be set free that was refused as soon as it was tried.
    pub(super) checks: u32,
    /// The most memory that was resident, in bytes.
    pub(super) peak: u64,
    /// Whether it came to its end by itself, with everything sealed.
    pub(super) ended_well: bool,
}

/// One process after the other.
pub(super) struct RestartLoop<'a> {
    sandbox: &'a Sandbox,
    config: &'a Path,
    binary: PathBuf,
    /// What the processes say.
    log: PathBuf,
    dice: fastrand::Rng,
    cost: RunCost,
}

impl<'a> RestartLoop<'a> {
    pub(super) fn new(
        sandbox: &'a Sandbox,
        config: &'a Path,
        scratch: &Path,
        seed: u64,
    ) -> Result<Self, CliError> {
        let (binary, log) = (std::env::current_exe()?, scratch.join("drill.log"));
        Ok(Self {
            sandbox,
            config,
            binary,
            log,
            dice: fastrand::Rng::with_seed(seed),
            cost: RunCost::default(),
        })
    }

    pub(super) fn cost(&self) -> RunCost {
        self.cost
    }

    /// Kills it so many times, each at a moment of its own: while it starts, while it waits, reads or writes.
    pub(super) async fn run_with_kills(
        &mut self,
        times: u32,
        stop: &CancellationToken,
    ) -> Result<(), CliError> {
        while self.cost.kills < times {
            let mut child = self.start("sync")?;
            let enough = self.requests() + self.dice.u64(1..=MAX_REQUESTS_BEFORE_KILL);
            let late = Instant::now() + MAX_TIME_BEFORE_KILL.mul_f64(self.dice.f64());
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
                // It came to its end before its time: of what is written meanwhile there is always more.
                Some(status) => self.check_accounts(status, stop).await?,
            }
        }
        Ok(())
    }

    /// Lets it come to its end; answers with the moment up to which everything must be there.
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

    /// The end of what was said last.
    pub(super) fn log_tail(&self) -> String {
        const LINES: usize = 20;
        let said = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        lines
            .get(lines.len().saturating_sub(LINES)..)
            .unwrap_or_default()
            .join("\n")
    }

    /// An account whose credentials were refused at once is left alone until somebody has looked: that is us.
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

    /// Looks at it until it ends; nothing where `enough` says so first.
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
                return Err(CliError::Usage("the drill was broken off".to_owned()));
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

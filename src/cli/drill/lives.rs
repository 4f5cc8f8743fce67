//! The process that is killed, and started again.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::cli::Failure;
use crate::cli::bench::usage::Usage;
use crate::domain::time::Millis;
use crate::sandbox::Sandbox;

/// How often a process is looked at.
const LOOK: Duration = Duration::from_millis(5);
/// A kill comes after no more requests of one life than this, or after no more time.
const REQUESTS: u64 = 120;
const TIME: Duration = Duration::from_secs(3);
/// How often, after the last kill, it may end without everything being there, before it is given up.
const ENDINGS: u32 = 20;
/// No life is longer: a process that hangs is a finding, and no reason to wait for ever.
const LONGEST: Duration = Duration::from_hours(1);
/// What is younger than this when the last sync begins may be left to a later one.
const EDGE: Duration = Duration::from_secs(5);

/// What was done to the process, and what it took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Toll {
    pub(super) kills: u32,
    /// How often an account had to be set free that was refused as soon as it was tried.
    pub(super) checks: u32,
    /// The most memory that was resident, in bytes.
    pub(super) peak: u64,
    /// Whether it came to its end by itself, with everything sealed.
    pub(super) ended_well: bool,
}

/// One process after the other.
pub(super) struct Lives<'a> {
    sandbox: &'a Sandbox,
    config: &'a Path,
    binary: PathBuf,
    /// What the processes say.
    log: PathBuf,
    dice: fastrand::Rng,
    toll: Toll,
}

impl<'a> Lives<'a> {
    pub(super) fn new(
        sandbox: &'a Sandbox,
        config: &'a Path,
        scratch: &Path,
        seed: u64,
    ) -> Result<Self, Failure> {
        let (binary, log) = (std::env::current_exe()?, scratch.join("drill.log"));
        Ok(Self {
            sandbox,
            config,
            binary,
            log,
            dice: fastrand::Rng::with_seed(seed),
            toll: Toll::default(),
        })
    }

    pub(super) fn toll(&self) -> Toll {
        self.toll
    }

    /// Kills it so many times, each at a moment of its own: while it starts, while it waits, reads or writes.
    pub(super) async fn killed(
        &mut self,
        times: u32,
        stop: &CancellationToken,
    ) -> Result<(), Failure> {
        while self.toll.kills < times {
            let mut child = self.start("sync")?;
            let enough = self.requests() + self.dice.u64(1..=REQUESTS);
            let late = Instant::now() + TIME.mul_f64(self.dice.f64());
            let ended = self
                .watch(&mut child, stop, |requests| {
                    requests >= enough || Instant::now() >= late
                })
                .await?;
            match ended {
                None => {
                    child.kill().await?;
                    self.toll.kills += 1;
                }
                // It came to its end before its time: of what is written meanwhile there is always more.
                Some(status) => self.set_free(status, stop).await?,
            }
        }
        Ok(())
    }

    /// Lets it come to its end; answers with the moment up to which everything must be there.
    pub(super) async fn unharmed(&mut self, stop: &CancellationToken) -> Result<Millis, Failure> {
        let mut edge = self.edge();
        for _ in 0..ENDINGS {
            edge = self.edge();
            let mut child = self.start("sync")?;
            let late = Instant::now() + LONGEST;
            let Some(status) = self
                .watch(&mut child, stop, |_| Instant::now() >= late)
                .await?
            else {
                child.kill().await?;
                break;
            };
            self.toll.ended_well = status.success();
            if self.toll.ended_well {
                break;
            }
            self.set_free(status, stop).await?;
        }
        Ok(edge)
    }

    /// The end of what was said last.
    pub(super) fn last_words(&self) -> String {
        const LINES: usize = 20;
        let said = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        lines
            .get(lines.len().saturating_sub(LINES)..)
            .unwrap_or_default()
            .join("\n")
    }

    /// An account whose credentials were refused at once is left alone until somebody has looked: that is us.
    async fn set_free(
        &mut self,
        status: ExitStatus,
        stop: &CancellationToken,
    ) -> Result<(), Failure> {
        if !status.success() {
            let mut child = self.start("check")?;
            let late = Instant::now() + LONGEST;
            if self
                .watch(&mut child, stop, |_| Instant::now() >= late)
                .await?
                .is_none()
            {
                child.kill().await?;
            }
            self.toll.checks += 1;
        }
        Ok(())
    }

    fn start(&self, command: &str) -> Result<Child, Failure> {
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
    async fn watch(
        &mut self,
        child: &mut Child,
        stop: &CancellationToken,
        enough: impl Fn(u64) -> bool,
    ) -> Result<Option<ExitStatus>, Failure> {
        loop {
            if let Some(usage) = child.id().and_then(Usage::of) {
                self.toll.peak = self.toll.peak.max(usage.peak);
            }
            if let Some(status) = child.try_wait()? {
                return Ok(Some(status));
            }
            if stop.is_cancelled() {
                return Err(Failure::Usage("the drill was broken off".to_owned()));
            }
            if enough(self.requests()) {
                return Ok(None);
            }
            sleep(LOOK).await;
        }
    }

    fn requests(&self) -> u64 {
        self.sandbox.rules().total.requests()
    }

    fn edge(&self) -> Millis {
        self.sandbox.world().now().minus(EDGE)
    }
}

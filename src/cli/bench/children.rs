//! The sandbox, and the process that archives it: each a child of ours, so that neither's work is taken for another's.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::super::CliError;
use super::place::ScratchDatabase;
use super::usage::ProcessUsage;

/// How often a child's memory is looked at.
const USAGE_POLL_INTERVAL: Duration = Duration::from_millis(5);
/// What the sandbox says once it serves, before and after its address.
const READY_LINE: (&str, &str) = ("Rules kept and broken: curl ", "/sandbox/rules");

/// A child that ends with us.
#[derive(Debug)]
struct ChildGuard(std::process::Child);

impl Drop for ChildGuard {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A sandbox that serves.
#[derive(Debug)]
pub(super) struct SandboxProcess {
    /// `http://127.0.0.1:PORT`.
    pub(super) base_url: String,
    /// Stops it, when dropped.
    _child: ChildGuard,
}

/// Starts a sandbox; it serves, and has written the configuration, when this returns.
pub(super) async fn start_sandbox(
    place: &ScratchDatabase,
    config: &Path,
    flags: &[&str],
) -> Result<SandboxProcess, CliError> {
    let mut child = ChildGuard(
        Command::new(std::env::current_exe()?)
            .args([
                "sandbox",
                "--listen",
                "127.0.0.1:0",
                "--users",
                "0",
                "--database",
                &place.url,
            ])
            .args(flags)
            .args(["--log", "warn", "--write-config"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?,
    );
    let stdout = child.0.stdout.take();
    let started = tokio::task::spawn_blocking(move || {
        let mut lines = stdout
            .into_iter()
            .flat_map(|stdout| BufReader::new(stdout).lines())
            .map_while(Result::ok);
        lines.find_map(|line| {
            Some(
                line.strip_prefix(READY_LINE.0)?
                    .strip_suffix(READY_LINE.1)?
                    .to_owned(),
            )
        })
    });
    match started.await {
        Ok(Some(base_url)) => Ok(SandboxProcess {
            base_url,
            _child: child,
        }),
        _ => Err(CliError::Usage("the sandbox did not start".to_owned())),
    }
}

/// What a process took.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProcessCost {
    pub(super) time: Duration,
    pub(super) used: ProcessUsage,
}

/// Runs `backscroll sync` to its end.
pub(super) async fn run_sync(config: &Path, flags: &[&str]) -> Result<ProcessCost, CliError> {
    let begun = Instant::now();
    let sync = Command::new(std::env::current_exe()?)
        .arg("sync")
        .args(flags)
        .arg("--config")
        .arg(config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()?;
    let mut sync = ChildGuard(sync);
    let mut used = ProcessUsage::default();
    let status = loop {
        if let Some(status) = sync.0.try_wait()? {
            break status;
        }
        if let Some(now) = ProcessUsage::read(sync.0.id()) {
            used = now;
        }
        sleep(USAGE_POLL_INTERVAL).await;
    };
    // Exit 1 says that something is not sealed: the last minutes never are.
    if !matches!(status.code(), Some(0 | 1)) {
        return Err(CliError::Usage(format!(
            "`backscroll sync` ended with {status}"
        )));
    }
    Ok(ProcessCost {
        time: begun.elapsed(),
        used,
    })
}

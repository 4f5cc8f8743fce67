//! The child processes: a sandbox, a sync that archives it, exports, a service, and other programs. Separate processes keep the
//! resources of one out of the figures of the other.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use backscroll::cli::scratch::{ProcessUsage, ScratchDatabase};
use backscroll::provider::client_builder;
use reqwest::Url;
use tokio::time::{Instant, sleep};

use super::error::BenchError;

/// The program that is measured.
const BACKSCROLL: &str = env!("CARGO_BIN_EXE_backscroll");
/// The interval at which the memory of a child is read.
const USAGE_POLL_INTERVAL: Duration = Duration::from_millis(5);
/// The line that the sandbox prints when it is ready: the text before and after its address.
const READY_LINE: (&str, &str) = ("Rules kept and broken: curl ", "/sandbox/rules");

/// A child process that is killed when dropped.
#[derive(Debug)]
struct ChildGuard(Child);

impl Drop for ChildGuard {
    fn drop(&mut self) {
        // An error is ignored: the child may have exited.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running sandbox. It stops when dropped.
#[derive(Debug)]
pub(super) struct SandboxProcess {
    /// `http://127.0.0.1:PORT`.
    pub(super) base_url: String,
    _child: ChildGuard,
}

/// Starts a sandbox. When this returns, it is ready and has written the configuration.
pub(super) async fn start_sandbox(
    database: &ScratchDatabase,
    config: &Path,
    flags: &[&str],
) -> Result<SandboxProcess, BenchError> {
    let mut command = Command::new(BACKSCROLL);
    command
        .args(["sandbox", "--listen", "127.0.0.1:0", "--users", "0"])
        .args(["--database", database.url()])
        .args(flags)
        .args(["--log", "warn", "--write-config"])
        .arg(config)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut child = ChildGuard(command.spawn()?);
    let stdout = child.0.stdout.take();
    let base_url = tokio::task::spawn_blocking(move || stdout.and_then(read_base_url)).await;
    match base_url {
        Ok(Some(base_url)) => Ok(SandboxProcess {
            base_url,
            _child: child,
        }),
        _ => Err(BenchError::WrongResult(
            "the sandbox did not start".to_owned(),
        )),
    }
}

/// Waits for the sandbox to be ready; `None` if it exits before.
fn read_base_url(stdout: ChildStdout) -> Option<String> {
    let (before, after) = READY_LINE;
    let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
    lines.find_map(|line| Some(line.strip_prefix(before)?.strip_suffix(after)?.to_owned()))
}

/// Returns an HTTP client for a child that serves this address.
pub(crate) fn http_client(url: &str) -> Result<reqwest::Client, BenchError> {
    let url: Url = url
        .parse()
        .map_err(|error| BenchError::WrongResult(format!("{url}: {error}")))?;
    Ok(client_builder(&url).build()?)
}

/// The time and resources of a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProcessCost {
    pub(crate) time: Duration,
    pub(crate) used: ProcessUsage,
}

/// Runs `backscroll sync` to its end.
pub(super) async fn run_sync(config: &Path, flags: &[&str]) -> Result<ProcessCost, BenchError> {
    let mut command = command("sync", config);
    command.args(flags);
    // Exit status 1 means that a range is not sealed, as the last minutes never are.
    run_to_status(command, &[0, 1]).await
}

/// Runs `backscroll export` into a folder.
pub(super) async fn run_export(
    config: &Path,
    format: &str,
    folder: &Path,
) -> Result<ProcessCost, BenchError> {
    let mut command = command("export", config);
    command
        .args(["--log", "warn", "--format", format, "--out"])
        .arg(folder);
    run_to_status(command, &[0]).await
}

/// Runs `backscroll status` to its end.
pub(super) async fn run_status(config: &Path) -> Result<ProcessCost, BenchError> {
    let mut command = command("status", config);
    command.args(["--log", "error"]);
    run_to_status(command, &[0]).await
}

/// Starts `backscroll run`. It is killed when dropped.
pub(super) fn start_service(config: &Path) -> Result<impl Drop, BenchError> {
    let mut command = command("run", config);
    command.args(["--log", "off"]);
    Ok(ChildGuard(command.spawn()?))
}

/// Returns a command of `backscroll` that reads and prints nothing.
fn command(name: &str, config: &Path) -> Command {
    let mut command = Command::new(BACKSCROLL);
    command
        .args([name, "--config"])
        .arg(config)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

/// Runs a command of `backscroll` to its end. Errors unless its exit status is an `expected` one.
async fn run_to_status(command: Command, expected: &[i32]) -> Result<ProcessCost, BenchError> {
    let name = command.get_args().next().unwrap_or_default().to_owned();
    let (cost, status) = run_to_end(command).await?;
    if !status.code().is_some_and(|code| expected.contains(&code)) {
        let error = format!("`backscroll {}` ended with {status}", name.display());
        return Err(BenchError::WrongResult(error));
    }
    Ok(cost)
}

/// Runs another program. `None`: it is not installed, or has failed.
pub(super) async fn run_if_installed(command: Command) -> Result<Option<ProcessCost>, BenchError> {
    match run_to_end(command).await {
        Ok((cost, status)) => Ok(status.success().then_some(cost)),
        Err(BenchError::System(error)) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Runs a program to its end.
async fn run_to_end(mut command: Command) -> Result<(ProcessCost, ExitStatus), BenchError> {
    let begun = Instant::now();
    let mut child = ChildGuard(command.spawn()?);
    let mut used = ProcessUsage::default();
    let status = loop {
        if let Some(status) = child.0.try_wait()? {
            break status;
        }
        if let Some(now) = ProcessUsage::read(child.0.id()) {
            used = now;
        }
        sleep(USAGE_POLL_INTERVAL).await;
    };
    let time = begun.elapsed();
    Ok((ProcessCost { time, used }, status))
}

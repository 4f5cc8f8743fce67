//! One query: its result, its interrupt and its limit of time.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::format::{ResultFormat, ResultWriter};
use super::mistake;
use crate::cli::error::CliError;
use crate::cli::exit_outcome::ExitOutcome;
use crate::cli::table::duration;
use crate::store::query::{QueryConnection, QueryError};

/// A connection, and how its queries are run.
pub(super) struct Session {
    pub(super) connection: QueryConnection,
    pub(super) format: ResultFormat,
    pub(super) timeout: Duration,
}

impl Session {
    /// Runs a query and prints its result.
    pub(super) async fn run(&mut self, query: &str) -> Result<ExitOutcome, CliError> {
        let watch = Watch::start(self.timeout);
        let mut writer = self.format.writer();
        let outcome = self.connection.run(query, &watch.stop, &mut *writer).await;
        let written = self.finish(query, outcome, &watch, &mut *writer);
        match written {
            // The reader has seen enough (`| head`).
            Err(CliError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                Ok(ExitOutcome::Success)
            }
            written => written,
        }
    }

    fn finish(
        &self,
        query: &str,
        outcome: Result<(), QueryError>,
        watch: &Watch,
        writer: &mut dyn ResultWriter,
    ) -> Result<ExitOutcome, CliError> {
        match outcome {
            Ok(()) => {
                writer.finish().map_err(CliError::Output)?;
                return Ok(ExitOutcome::Success);
            }
            Err(QueryError::Output(error)) => return Err(CliError::Output(error)),
            _ => {}
        }
        // The rows before the error, without the end of a result that is complete.
        writer.flush().map_err(CliError::Output)?;
        Err(match outcome {
            Err(QueryError::Rejected(rejected)) => CliError::Usage(mistake::show(&rejected, query)),
            Err(QueryError::Store(error)) => error.into(),
            _ if watch.is_interrupted() => {
                CliError::Query("interrupted: the result is not complete".to_owned())
            }
            _ => CliError::Query(format!(
                "the query was stopped after {}: the result is not complete; --timeout allows more",
                duration(self.timeout.as_secs())
            )),
        })
    }
}

/// Stops a query at ^C and after its limit of time.
struct Watch {
    stop: CancellationToken,
    interrupted: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Watch {
    fn start(timeout: Duration) -> Self {
        let stop = CancellationToken::new();
        let interrupted = Arc::new(AtomicBool::new(false));
        // From here on ^C stops the query and not the process, even if the task runs later.
        let interrupts = signal(SignalKind::interrupt());
        let task = watch(timeout, interrupts, stop.clone(), interrupted.clone());
        let task = tokio::spawn(task);
        Self {
            stop,
            interrupted,
            task,
        }
    }

    fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn watch(
    timeout: Duration,
    interrupts: io::Result<Signal>,
    stop: CancellationToken,
    interrupted: Arc<AtomicBool>,
) {
    let interrupt = async {
        match interrupts {
            Ok(mut interrupts) => drop(interrupts.recv().await),
            Err(_) => pending().await,
        }
    };
    tokio::select! {
        () = interrupt => interrupted.store(true, Ordering::Relaxed),
        () = tokio::time::sleep(timeout), if !timeout.is_zero() => {}
    }
    stop.cancel();
}

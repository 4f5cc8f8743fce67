//! Signal handling: the first SIGTERM or SIGINT requests a graceful shutdown, the second exits at
//! once. SIGHUP asks the service to reload its configuration.
//!
//! The steps of a shutdown and their time limits are in [`crate::daemon`].

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::limits::{COMMIT_GRACE, SIGNAL_REPEAT};

/// The exit code after a second signal: that of a process ended by SIGINT.
const EXIT_INTERRUPTED: i32 = 130;

/// Cancels `stop` at the first SIGTERM or SIGINT. Errors if the handlers cannot be installed.
///
/// A second signal that follows at once is part of the same request: a supervisor and its process
/// group often send one each.
pub fn cancel_on_signal(stop: CancellationToken) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        let mut requested: Option<Instant> = None;
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            match requested {
                None => {
                    tracing::info!(
                        "stopping: finishing windows in flight; a second signal exits at once"
                    );
                    stop.cancel();
                    requested = Some(Instant::now());
                }
                Some(first) if first.elapsed() < SIGNAL_REPEAT => {}
                Some(_) => std::process::exit(EXIT_INTERRUPTED),
            }
        }
    });
    Ok(())
}

/// Returns the stream of SIGHUPs. Errors if the handler cannot be installed.
pub fn hangup_signals() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}

/// A shutdown request, in two steps.
#[derive(Clone, Debug)]
pub struct Shutdown {
    /// Cancelled at the request: windows in flight are finished, and no others begin.
    pub graceful: CancellationToken,
    /// Cancelled when the grace period is over: windows in flight are abandoned.
    pub abort: CancellationToken,
}

impl Shutdown {
    /// Requests shutdown at SIGTERM or SIGINT. Windows in flight have `grace` to finish. Errors if
    /// the handlers cannot be installed.
    pub fn on_signals(grace: Duration) -> io::Result<Self> {
        let shutdown = Self {
            graceful: CancellationToken::new(),
            abort: CancellationToken::new(),
        };
        cancel_on_signal(shutdown.graceful.clone())?;
        let tokens = shutdown.clone();
        tokio::spawn(async move {
            tokens.graceful.cancelled().await;
            sleep(grace).await;
            tokens.abort.cancel();
        });
        Ok(shutdown)
    }

    /// Returns a request that can also be cancelled on its own, for the work of one configuration.
    pub fn child(&self) -> Self {
        Self {
            graceful: self.graceful.child_token(),
            abort: self.abort.clone(),
        }
    }

    /// Waits until the whole shutdown time is over. An archive that does not answer must not delay
    /// the exit.
    pub async fn wait_for_deadline(&self) {
        self.abort.cancelled().await;
        sleep(COMMIT_GRACE).await;
    }
}

//! Signal handling: the first SIGTERM or SIGINT requests a graceful shutdown, the second exits at
//! once. SIGHUP asks the service to reload its configuration.
//!
//! The steps of a shutdown and their time limits are in [`crate::daemon`].

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::limits::{COMMIT_GRACE, WINDOW_GRACE};

/// The exit code after a second signal: that of a process ended by SIGINT.
const EXIT_INTERRUPTED: i32 = 130;

/// Cancels `stop` at the first SIGTERM or SIGINT. Errors if the handlers cannot be installed.
pub fn cancel_on_signal(stop: CancellationToken) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        for first in [true, false] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if first {
                tracing::info!(
                    "stopping: finishing windows in flight; a second signal exits at once"
                );
                stop.cancel();
            } else {
                std::process::exit(EXIT_INTERRUPTED);
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
    /// Requests shutdown at SIGTERM or SIGINT. Errors if the handlers cannot be installed.
    pub fn on_signals() -> io::Result<Self> {
        let shutdown = Self {
            graceful: CancellationToken::new(),
            abort: CancellationToken::new(),
        };
        cancel_on_signal(shutdown.graceful.clone())?;
        let tokens = shutdown.clone();
        tokio::spawn(async move {
            tokens.graceful.cancelled().await;
            sleep(WINDOW_GRACE).await;
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
    pub(super) async fn wait_for_deadline(&self) {
        self.abort.cancelled().await;
        sleep(COMMIT_GRACE).await;
    }
}

//! SIGTERM and SIGINT: the first asks for an end in order, the second ends at once. SIGHUP, to the service: its
//! configuration is to be read again.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// The status with which a second signal ends the program: that of one that was interrupted.
const EXIT_INTERRUPTED: i32 = 130;
/// How long the windows in hand have when the service is to end. Whoever stops a service does not want to wait, and a
/// window that is left is fetched again.
const WINDOW_GRACE: Duration = Duration::from_secs(1);
/// After that, how long the archive has to take what was fetched.
const COMMIT_GRACE: Duration = Duration::from_millis(500);

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
                    "stopping: finishing the windows in hand; a second signal stops at once"
                );
                stop.cancel();
            } else {
                std::process::exit(EXIT_INTERRUPTED);
            }
        }
    });
    Ok(())
}

/// The SIGHUPs to come. Errors if the handler cannot be installed.
pub fn hangup_signals() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}

/// The word to stop, which gets sharper when it is for good.
#[derive(Clone, Debug)]
pub struct Shutdown {
    /// The windows in hand are finished.
    pub graceful: CancellationToken,
    /// Even those are left.
    pub abort: CancellationToken,
}

impl Shutdown {
    /// The word that SIGTERM and SIGINT give. Errors if the handlers cannot be installed.
    pub fn on_signals() -> io::Result<Self> {
        let (soft, hard) = (CancellationToken::new(), CancellationToken::new());
        cancel_on_signal(soft.clone())?;
        let stop = Self {
            graceful: soft,
            abort: hard,
        };
        let word = stop.clone();
        tokio::spawn(async move {
            word.graceful.cancelled().await;
            sleep(WINDOW_GRACE).await;
            word.abort.cancel();
        });
        Ok(stop)
    }

    /// A word that is given with this one, or before.
    pub fn child(&self) -> Self {
        Self {
            graceful: self.graceful.child_token(),
            abort: self.abort.clone(),
        }
    }

    /// Waits until nothing may be waited for any more: an archive that does not answer must not hold up the end.
    pub(super) async fn wait_for_deadline(&self) {
        self.abort.cancelled().await;
        sleep(COMMIT_GRACE).await;
    }
}

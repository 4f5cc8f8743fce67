//! SIGTERM and SIGINT: the first asks for an end in order, the second ends at once. SIGHUP, to the service: its
//! configuration is to be read again.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// The status with which a second signal ends the program: that of one that was interrupted.
const INTERRUPTED: i32 = 130;
/// How long the windows in hand have when the service is to end. Whoever stops a service does not want to wait, and a
/// window that is left is fetched again.
const GRACE: Duration = Duration::from_secs(1);
/// After that, how long the archive has to take what was fetched.
const LAST: Duration = Duration::from_millis(500);

/// Cancels `stop` at the first SIGTERM or SIGINT. Errors if the handlers cannot be installed.
pub fn listen(stop: CancellationToken) -> io::Result<()> {
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
                std::process::exit(INTERRUPTED);
            }
        }
    });
    Ok(())
}

/// The SIGHUPs to come. Errors if the handler cannot be installed.
pub fn hangups() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}

/// The word to stop, which gets sharper when it is for good.
#[derive(Clone, Debug)]
pub struct Stop {
    /// The windows in hand are finished.
    pub soft: CancellationToken,
    /// Even those are left.
    pub hard: CancellationToken,
}

impl Stop {
    /// The word that SIGTERM and SIGINT give. Errors if the handlers cannot be installed.
    pub fn listen() -> io::Result<Self> {
        let (soft, hard) = (CancellationToken::new(), CancellationToken::new());
        listen(soft.clone())?;
        let stop = Self { soft, hard };
        let word = stop.clone();
        tokio::spawn(async move {
            word.soft.cancelled().await;
            sleep(GRACE).await;
            word.hard.cancel();
        });
        Ok(stop)
    }

    /// A word that is given with this one, or before.
    pub fn earlier(&self) -> Self {
        Self {
            soft: self.soft.child_token(),
            hard: self.hard.clone(),
        }
    }

    /// Waits until nothing may be waited for any more: an archive that does not answer must not hold up the end.
    pub(super) async fn overdue(&self) {
        self.hard.cancelled().await;
        sleep(LAST).await;
    }
}

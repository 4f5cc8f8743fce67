//! SIGTERM and SIGINT: the first asks for an end in order, the second ends at once.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The status with which a second signal ends the program: that of one that was interrupted.
const INTERRUPTED: i32 = 130;

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
                tracing::info!("stopping: finishing the windows in hand; a second signal stops at once");
                stop.cancel();
            } else {
                std::process::exit(INTERRUPTED);
            }
        }
    });
    Ok(())
}

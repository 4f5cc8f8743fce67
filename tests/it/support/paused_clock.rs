//! A runtime whose clock stands still until a test moves it.

use std::sync::mpsc::{Sender, channel};

use tokio::runtime::{Builder, Runtime};
use tokio::task::spawn_blocking;

/// Stops the clock of a paused runtime until the result is dropped.
pub(crate) fn hold_clock() -> Sender<()> {
    // While a blocking task runs, tokio does not advance its paused clock.
    let (hold, held) = channel();
    drop(spawn_blocking(move || held.recv()));
    hold
}

/// Returns a runtime of this thread with a paused clock.
pub(crate) fn paused_runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime")
}

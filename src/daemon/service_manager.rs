//! What the service manager is told, where there is one that listens: that the service is up, what it is doing, that it
//! is alive, that it stops.
//!
//! `sd-notify` is a small crate without dependencies to speak of, and reads the monotonic clock that a reload has to
//! name, which takes code that this crate forbids itself.

use std::time::Duration;

use sd_notify::NotifyState;

/// The way to the service manager.
#[derive(Clone, Copy, Debug)]
pub struct ServiceManager {
    /// How long after the last sign of life it restarts the service; nothing where it does not.
    watchdog_timeout: Option<Duration>,
}

impl ServiceManager {
    /// As `NOTIFY_SOCKET` and `WATCHDOG_USEC` say; without them, nobody is told anything.
    pub fn from_environment() -> Self {
        Self {
            watchdog_timeout: sd_notify::watchdog_enabled().filter(|after| !after.is_zero()),
        }
    }

    /// How long after the last [`Self::alive`] the service is restarted; nothing where it is not.
    pub fn watchdog_timeout(self) -> Option<Duration> {
        self.watchdog_timeout
    }

    /// The service does what it is there for: it has begun, or it goes on after a reload.
    pub fn notify_ready(self) {
        send(&[NotifyState::Ready]);
    }

    /// The configuration is read again. [`Self::ready`] ends it, whatever came of it.
    pub fn notify_reloading(self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => send(&[NotifyState::Reloading, now]),
            Err(error) => tracing::debug!(%error, "the monotonic clock cannot be read"),
        }
    }

    /// What `systemctl status` shows, in one line.
    pub fn status(self, line: &str) {
        // Another line would be taken for another message.
        let line = line.replace(char::is_control, " ");
        send(&[NotifyState::Status(&line)]);
    }

    /// Nothing is stuck.
    pub fn notify_alive(self) {
        send(&[NotifyState::Watchdog]);
    }

    /// The service is about to end.
    pub fn notify_stopping(self) {
        send(&[
            NotifyState::Stopping,
            NotifyState::Status("stopping: finishing the windows in hand"),
        ]);
    }
}

/// Whoever does not listen is not waited for: a service manager that is restarted loses nothing by it.
fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager cannot be told");
    }
}

//! Notifications to the service manager: ready, status, watchdog and stopping.
//!
//! Without a service manager they do nothing. `sd-notify` is a small crate with few dependencies.
//! It reads the monotonic clock that a reload notification needs, which takes unsafe code that this
//! crate forbids.

use std::time::Duration;

use sd_notify::NotifyState;

/// The connection to the service manager.
#[derive(Clone, Copy, Debug)]
pub struct ServiceManager {
    /// The service manager restarts the service after this time without a watchdog notification;
    /// `None` if its watchdog is off.
    watchdog_timeout: Option<Duration>,
}

impl ServiceManager {
    /// Reads `NOTIFY_SOCKET` and `WATCHDOG_USEC`. Without them, all notifications do nothing.
    pub fn from_environment() -> Self {
        Self {
            watchdog_timeout: sd_notify::watchdog_enabled().filter(|after| !after.is_zero()),
        }
    }

    /// The time without [`Self::notify_alive`] after which the service is restarted; `None` if the
    /// watchdog is off.
    pub fn watchdog_timeout(self) -> Option<Duration> {
        self.watchdog_timeout
    }

    /// Reports that the service works: after the start, or after a reload.
    pub fn notify_ready(self) {
        send(&[NotifyState::Ready]);
    }

    /// Reports that the configuration is being reloaded. [`Self::notify_ready`] must follow, also
    /// if the reload fails.
    pub fn notify_reloading(self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => send(&[NotifyState::Reloading, now]),
            Err(error) => tracing::debug!(%error, "the monotonic clock could not be read"),
        }
    }

    /// Sets the line that `systemctl status` shows.
    pub fn notify_status(self, line: &str) {
        // A line break would start another message.
        let line = line.replace(char::is_control, " ");
        send(&[NotifyState::Status(&line)]);
    }

    /// Resets the watchdog: no account is stuck.
    pub fn notify_alive(self) {
        send(&[NotifyState::Watchdog]);
    }

    /// Reports that the service is about to end.
    pub fn notify_stopping(self) {
        send(&[
            NotifyState::Stopping,
            NotifyState::Status("stopping: finishing windows in flight"),
        ]);
    }
}

/// Sends without waiting. A lost notification does no harm, so errors are only logged.
fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager could not be notified");
    }
}

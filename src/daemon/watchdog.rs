//! Reports to the service manager: the watchdog notification while no account is stuck, and the
//! status line of `systemctl status`.
//!
//! One stuck account is enough to withhold the notification, and the service manager then restarts
//! the service.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::heartbeat::{DriverState, Heartbeat, StallDetector};
use super::limits::STALL_CHECK_INTERVAL;
use super::service_manager::ServiceManager;
use crate::domain::format::{counted, thousands};
use crate::sync::progress::{EngineProgress, ProgressSnapshot};

/// Checks for stalls and reports to the service manager. Never returns.
pub(super) async fn run_watchdog(
    service_manager: ServiceManager,
    heartbeats: &[Arc<Heartbeat>],
    progress: &EngineProgress,
) {
    let interval = check_interval(service_manager.watchdog_timeout());
    let mut detector = StallDetector::new(heartbeats.len());
    let mut last_status = String::new();
    let mut was_stuck = false;
    loop {
        let stalled = detector.find_stalled(heartbeats.iter().map(AsRef::as_ref));
        progress.set_stalled(&stalled);
        let is_stuck = !stalled.is_empty();
        if !is_stuck {
            service_manager.notify_alive();
        } else if !was_stuck {
            for (position, time) in &stalled {
                log_stall(&heartbeats[*position], *time);
            }
        }
        was_stuck = is_stuck;
        let accounts = heartbeats
            .iter()
            .map(|heartbeat| (heartbeat.name(), heartbeat.state()));
        let status = status_line(accounts, progress.snapshot());
        if status != last_status {
            service_manager.notify_status(&status);
            last_status = status;
        }
        sleep(interval).await;
    }
}

/// Returns a third of the watchdog's time at most, so that one late notification does no harm.
fn check_interval(watchdog_timeout: Option<Duration>) -> Duration {
    watchdog_timeout.map_or(STALL_CHECK_INTERVAL, |timeout| {
        STALL_CHECK_INTERVAL.min(timeout / 3)
    })
}

fn log_stall(heartbeat: &Heartbeat, time: Duration) {
    let (account, silent_s) = (heartbeat.name(), time.as_secs());
    tracing::error!(
        account,
        silent_s,
        "stuck: no request or commit has ended for too long"
    );
}

/// Returns the status line, failures first.
fn status_line<'a>(
    accounts: impl Iterator<Item = (&'a str, DriverState)>,
    progress: ProgressSnapshot,
) -> String {
    let mut failing = Vec::new();
    let (mut catching_up, mut up_to_date, mut standby) = (0, 0, 0);
    for (name, state) in accounts {
        match state {
            DriverState::Starting | DriverState::CatchingUp => catching_up += 1,
            DriverState::UpToDate => up_to_date += 1,
            DriverState::Standby => standby += 1,
            DriverState::Failing(error) => failing.push(format!("{name}: {error}")),
        }
    }
    let mut parts = Vec::new();
    if !failing.is_empty() {
        parts.push(format!("failing: {}", failing.join("; ")));
    }
    let states = [
        (catching_up, "catching up"),
        (up_to_date, "up to date"),
        (standby, "standby"),
    ];
    for (count, state) in states {
        if count > 0 {
            let accounts = counted(count, "account", "accounts");
            parts.push(format!("{state}: {accounts}"));
        }
    }
    parts.push(progress_text(progress));
    parts.join(" · ")
}

fn progress_text(progress: ProgressSnapshot) -> String {
    let (fetched, expected) = (progress.fetched, progress.expected);
    if fetched >= expected {
        return counted(progress.new, "new message", "new messages");
    }
    let about = if progress.is_estimate { "about " } else { "" };
    let left = match progress.left {
        Duration::ZERO => String::new(),
        left => format!(", {}", time_left(left)),
    };
    let fetched = thousands(fetched);
    let expected = counted(expected, "message", "messages");
    format!("{fetched} of {about}{expected} fetched{left}")
}

fn time_left(time: Duration) -> String {
    match time.as_secs() {
        0..90 => "nearly done".to_owned(),
        seconds @ 90..5400 => format!("about {} minutes left", seconds.div_ceil(60)),
        seconds => format!("about {} hours left", seconds.div_ceil(3600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status<const N: usize>(
        accounts: [(&str, DriverState); N],
        reading: ProgressSnapshot,
    ) -> String {
        status_line(accounts.into_iter(), reading)
    }

    #[test]
    fn status_line_names_failures_before_progress() {
        let quiet = ProgressSnapshot {
            fetched: 57,
            expected: 57,
            new: 57,
            ..ProgressSnapshot::default()
        };
        assert_eq!(
            status(
                [
                    ("shop", DriverState::UpToDate),
                    ("alice", DriverState::UpToDate)
                ],
                quiet
            ),
            "up to date: 2 accounts · 57 new messages"
        );
        let refused = DriverState::Failing("check: credentials refused with status 401".to_owned());
        assert_eq!(
            status(
                [
                    ("shop", refused),
                    ("alice", DriverState::Standby),
                    ("bob", DriverState::UpToDate)
                ],
                quiet
            ),
            "failing: shop: check: credentials refused with status 401 · up to date: 1 account · \
             standby: 1 account · 57 new messages"
        );
        let left = Duration::from_mins(42);
        let busy = ProgressSnapshot {
            fetched: 3400,
            expected: 60_000,
            is_estimate: true,
            left,
            ..ProgressSnapshot::default()
        };
        let unknown = ProgressSnapshot {
            left: Duration::ZERO,
            ..busy
        };
        assert_eq!(
            status([("shop", DriverState::Starting)], unknown),
            "catching up: 1 account · 3,400 of about 60,000 messages fetched"
        );
        assert_eq!(
            status([("shop", DriverState::Starting)], busy),
            "catching up: 1 account · 3,400 of about 60,000 messages fetched, about 42 minutes left"
        );
    }
}

//! The service manager's watchdog is fed while every account is alive; one that is stuck is enough to starve it. And
//! what is told to whoever asks `systemctl status`.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::heartbeat::{DriverState, Heartbeat, StallDetector};
use super::service_manager::ServiceManager;
use crate::sync::progress::{EngineProgress, ProgressSnapshot};

/// How often it is looked at, unless the watchdog wants more.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Tells the service manager how things are, for ever.
pub(super) async fn run_watchdog(
    notify: ServiceManager,
    pulses: &[Arc<Heartbeat>],
    progress: &EngineProgress,
) {
    // A third: one that comes late is not missed.
    let every = notify
        .watchdog_timeout()
        .map_or(CHECK_INTERVAL, |after| CHECK_INTERVAL.min(after / 3));
    let mut watch = StallDetector::new(pulses.len());
    let mut told = String::new();
    let mut is_stuck = false;
    loop {
        let silent = watch.find_stalled(pulses.iter().map(AsRef::as_ref));
        progress.set_stalled(&silent);
        if silent.is_empty() {
            notify.notify_alive();
        } else if !is_stuck {
            for (position, silence) in &silent {
                let (account, silent_s) = (pulses[*position].name(), silence.as_secs());
                tracing::error!(
                    account,
                    silent_s,
                    "stuck: nothing has come to its end for too long"
                );
            }
        }
        is_stuck = !silent.is_empty();
        let line = status_line(
            pulses.iter().map(|pulse| (pulse.name(), pulse.state())),
            progress.snapshot(),
        );
        if line != told {
            notify.status(&line);
            told = line;
        }
        sleep(every).await;
    }
}

/// How things are, in one line for people: what is wrong first.
fn status_line<'a>(
    accounts: impl Iterator<Item = (&'a str, DriverState)>,
    reading: ProgressSnapshot,
) -> String {
    let (mut wrong, mut begins, mut whole, mut behind, mut standing_by) = (Vec::new(), 0, 0, 0, 0);
    for (name, doing) in accounts {
        match doing {
            DriverState::Starting => begins += 1,
            DriverState::UpToDate => whole += 1,
            DriverState::CatchingUp => behind += 1,
            DriverState::Standby => standing_by += 1,
            DriverState::Failing(error) => wrong.push(format!("{name}: {error}")),
        }
    }
    let mut parts = Vec::new();
    if !wrong.is_empty() {
        parts.push(format!("in trouble: {}", wrong.join("; ")));
    }
    for (count, what) in [
        (begins + behind, "catching up"),
        (whole, "up to date"),
        (standing_by, "standing by"),
    ] {
        if count > 0 {
            parts.push(format!(
                "{what}: {count} {}",
                if count == 1 { "account" } else { "accounts" }
            ));
        }
    }
    let about = if reading.is_estimate { "about " } else { "" };
    parts.push(match reading.expected.saturating_sub(reading.fetched) {
        0 => format!("{} new messages", reading.new),
        _ => format!(
            "{} of {about}{} messages fetched, {}",
            reading.fetched,
            reading.expected,
            time_left(reading.left)
        ),
    });
    parts.join(" · ")
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
    fn the_line_says_what_is_wrong_first_and_how_far_it_has_come() {
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
            "in trouble: shop: check: credentials refused with status 401 · up to date: 1 account · standing by: 1 \
             account · 57 new messages"
        );
        let left = Duration::from_mins(42);
        let busy = ProgressSnapshot {
            fetched: 3400,
            expected: 60_000,
            is_estimate: true,
            left,
            ..ProgressSnapshot::default()
        };
        assert_eq!(
            status([("shop", DriverState::Starting)], busy),
            "catching up: 1 account · 3400 of about 60000 messages fetched, about 42 minutes left"
        );
    }
}

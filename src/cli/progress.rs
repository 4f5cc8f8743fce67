//! The progress output of a sync: a bar on a terminal, log lines elsewhere.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::limits::{BAR_INTERVAL, LOG_INTERVAL};
use super::table::{counted, duration, thousands};
use crate::sync::progress::{EngineProgress, ProgressSnapshot};

/// A task that displays progress until it is told to finish.
#[derive(Debug)]
pub(super) struct ProgressDisplay {
    task: JoinHandle<()>,
    finished: CancellationToken,
}

impl ProgressDisplay {
    pub(super) fn start(progress: Arc<EngineProgress>) -> Self {
        let finished = CancellationToken::new();
        let output: Box<dyn ProgressOutput> = if std::io::stderr().is_terminal() {
            Box::new(progress_bar())
        } else {
            Box::new(LogOutput)
        };
        let task = tokio::spawn(run_display(progress, output, finished.clone()));
        Self { task, finished }
    }

    pub(super) async fn finish(self) {
        self.finished.cancel();
        // The only possible error is a panic of the bar, which must not fail the sync.
        let _ = self.task.await;
    }
}

/// A destination of progress snapshots.
trait ProgressOutput: Send {
    /// Returns the interval between snapshots.
    fn interval(&self) -> Duration;
    /// Displays a snapshot.
    fn display(&self, snapshot: ProgressSnapshot);
    /// Displays the final snapshot, if there is one.
    fn close(&self, last: Option<ProgressSnapshot>);
}

async fn run_display(
    progress: Arc<EngineProgress>,
    output: Box<dyn ProgressOutput>,
    finished: CancellationToken,
) {
    // There is nothing to display before the first survey has returned.
    let read = || Some(progress.snapshot()).filter(|snapshot| snapshot.expected > 0);
    let mut last = None;
    while tokio::time::timeout(output.interval(), finished.cancelled())
        .await
        .is_err()
    {
        let snapshot = read();
        if let Some(snapshot) = snapshot.filter(|_| last != snapshot) {
            output.display(snapshot);
        }
        last = snapshot;
    }
    output.close(read());
}

/// Output as log lines.
struct LogOutput;

impl ProgressOutput for LogOutput {
    fn interval(&self) -> Duration {
        LOG_INTERVAL
    }

    fn display(&self, snapshot: ProgressSnapshot) {
        let ProgressSnapshot {
            fetched,
            new,
            windows,
            requests,
            ..
        } = snapshot;
        tracing::info!(
            messages = fetched,
            expected = expected_text(snapshot),
            new,
            windows,
            requests,
            left = remaining_text(snapshot),
            "archiving"
        );
    }

    fn close(&self, last: Option<ProgressSnapshot>) {
        if let Some(ProgressSnapshot {
            fetched,
            new,
            windows,
            requests,
            ..
        }) = last
        {
            tracing::info!(messages = fetched, new, windows, requests, "archived");
        }
    }
}

fn progress_bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{bar:32} {msg}  {speed}") {
        let speed = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            // The callback cannot return an error.
            let _ = write!(out, "{:.0}/s", state.per_sec());
        };
        bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏ ").with_key("speed", speed));
    }
    bar
}

impl ProgressOutput for ProgressBar {
    fn interval(&self) -> Duration {
        BAR_INTERVAL
    }

    fn display(&self, snapshot: ProgressSnapshot) {
        self.set_length(snapshot.expected);
        self.set_position(snapshot.fetched);
        let fetched = thousands(snapshot.fetched);
        let requests = counted(snapshot.requests, "request", "requests");
        let (expected, left) = (expected_text(snapshot), remaining_text(snapshot));
        let left = left.map_or_else(String::new, |left| format!("  {left} left"));
        self.set_message(format!("{fetched} of {expected}  {requests}{left}"));
    }

    fn close(&self, _: Option<ProgressSnapshot>) {
        self.finish_and_clear();
    }
}

/// Returns the number of expected messages. `~` marks an estimate: some ranges are not counted yet.
fn expected_text(snapshot: ProgressSnapshot) -> String {
    approximate(snapshot, counted(snapshot.expected, "message", "messages"))
}

/// Returns the estimated time until all is fetched; `None` while nothing is known about it.
fn remaining_text(snapshot: ProgressSnapshot) -> Option<String> {
    let left_s = snapshot.left.as_secs().max(1);
    (!snapshot.left.is_zero()).then(|| approximate(snapshot, duration(left_s)))
}

fn approximate(snapshot: ProgressSnapshot, figure: String) -> String {
    if snapshot.is_estimate {
        format!("~{figure}")
    } else {
        figure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_are_marked_with_a_tilde() {
        let snapshot = ProgressSnapshot {
            expected: 12_400,
            left: Duration::from_secs(83),
            ..ProgressSnapshot::default()
        };
        assert_eq!(
            (expected_text(snapshot), remaining_text(snapshot)),
            ("12,400 messages".to_owned(), Some("1m 23s".to_owned()))
        );
        let guess = ProgressSnapshot {
            is_estimate: true,
            ..snapshot
        };
        assert_eq!(
            (expected_text(guess), remaining_text(guess)),
            ("~12,400 messages".to_owned(), Some("~1m 23s".to_owned()))
        );
        let unknown = ProgressSnapshot {
            left: Duration::ZERO,
            ..guess
        };
        assert_eq!(remaining_text(unknown), None);
    }
}

//! The progress output of a sync: a bar on a terminal, log lines elsewhere.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::table::{duration, thousands};
use crate::sync::progress::{EngineProgress, ProgressSnapshot};

const BAR_INTERVAL: Duration = Duration::from_millis(100);
const LOG_INTERVAL: Duration = Duration::from_secs(30);

/// A task that displays progress until it is told to finish.
#[derive(Debug)]
pub(super) struct ProgressDisplay {
    task: JoinHandle<()>,
    finished: CancellationToken,
}

impl ProgressDisplay {
    pub(super) fn start(progress: Arc<EngineProgress>) -> Self {
        let finished = CancellationToken::new();
        let shown: Box<dyn ProgressOutput> = if std::io::stderr().is_terminal() {
            Box::new(progress_bar())
        } else {
            Box::new(LogOutput)
        };
        let task = tokio::spawn(run_display(progress, shown, finished.clone()));
        Self { task, finished }
    }

    pub(super) async fn finish(self) {
        self.finished.cancel();
        // The only possible error is a panic of the bar, which must not fail the sync.
        let _ = self.task.await;
    }
}

trait ProgressOutput: Send {
    fn interval(&self) -> Duration;
    fn display(&self, reading: ProgressSnapshot);
    /// Displays the final snapshot, if there is one.
    fn close(&self, last: Option<ProgressSnapshot>);
}

async fn run_display(
    progress: Arc<EngineProgress>,
    shown: Box<dyn ProgressOutput>,
    finished: CancellationToken,
) {
    // There is nothing to display before the first survey has returned.
    let read = || Some(progress.snapshot()).filter(|reading| reading.expected > 0);
    let mut last = None;
    while tokio::time::timeout(shown.interval(), finished.cancelled())
        .await
        .is_err()
    {
        let reading = read();
        if let Some(reading) = reading.filter(|_| last != reading) {
            shown.display(reading);
        }
        last = reading;
    }
    shown.close(read());
}

/// Output as log lines.
struct LogOutput;

impl ProgressOutput for LogOutput {
    fn interval(&self) -> Duration {
        LOG_INTERVAL
    }

    fn display(&self, reading: ProgressSnapshot) {
        let ProgressSnapshot {
            fetched,
            new,
            windows,
            requests,
            ..
        } = reading;
        tracing::info!(
            messages = fetched,
            expected = expected_text(reading),
            new,
            windows,
            requests,
            left = remaining_text(reading),
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

    fn display(&self, reading: ProgressSnapshot) {
        self.set_length(reading.expected);
        self.set_position(reading.fetched);
        let (fetched, requests) = (thousands(reading.fetched), thousands(reading.requests));
        let (expected, left) = (expected_text(reading), remaining_text(reading));
        self.set_message(format!(
            "{fetched} of {expected} messages  {requests} requests  {left} left"
        ));
    }

    fn close(&self, _: Option<ProgressSnapshot>) {
        self.finish_and_clear();
    }
}

/// Returns the number of expected messages. `~` marks an estimate: some ranges are not counted yet.
fn expected_text(reading: ProgressSnapshot) -> String {
    approximate(reading, thousands(reading.expected))
}

fn remaining_text(reading: ProgressSnapshot) -> String {
    approximate(reading, duration(reading.left.as_secs()))
}

fn approximate(reading: ProgressSnapshot, figure: String) -> String {
    if reading.is_estimate {
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
        let reading = ProgressSnapshot {
            expected: 12_400,
            left: Duration::from_secs(83),
            ..ProgressSnapshot::default()
        };
        assert_eq!(
            (expected_text(reading), remaining_text(reading)),
            ("12,400".to_owned(), "1m 23s".to_owned())
        );
        let guess = ProgressSnapshot {
            is_estimate: true,
            ..reading
        };
        assert_eq!(
            (expected_text(guess), remaining_text(guess)),
            ("~12,400".to_owned(), "~1m 23s".to_owned())
        );
    }
}

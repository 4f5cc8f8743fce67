//! What a person sees while a sync goes on: a bar on a terminal, now and then a line elsewhere.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::table::{grouped, span};
use crate::sync::progress::{Progress, Reading};

const ON_TERMINAL: Duration = Duration::from_millis(100);
const ELSEWHERE: Duration = Duration::from_secs(30);

/// Shows progress until it is finished.
#[derive(Debug)]
pub(super) struct Watch {
    task: JoinHandle<()>,
    finished: CancellationToken,
}

impl Watch {
    pub(super) fn start(progress: Arc<Progress>) -> Self {
        let finished = CancellationToken::new();
        let shown: Box<dyn Show> = if std::io::stderr().is_terminal() {
            Box::new(bar())
        } else {
            Box::new(Lines)
        };
        let task = tokio::spawn(watch(progress, shown, finished.clone()));
        Self { task, finished }
    }

    pub(super) async fn finish(self) {
        self.finished.cancel();
        // All it could have is a panic of the bar's, which is no reason to fail a sync.
        let _ = self.task.await;
    }
}

trait Show: Send {
    fn every(&self) -> Duration;
    fn show(&self, reading: Reading);
    /// Shows the last reading, if there was anything to show.
    fn end(&self, last: Option<Reading>);
}

async fn watch(progress: Arc<Progress>, shown: Box<dyn Show>, finished: CancellationToken) {
    // Before the first survey is back there is nothing to show.
    let read = || Some(progress.read()).filter(|reading| reading.expected > 0);
    let mut last = None;
    while tokio::time::timeout(shown.every(), finished.cancelled())
        .await
        .is_err()
    {
        let reading = read();
        if let Some(reading) = reading.filter(|_| last != reading) {
            shown.show(reading);
        }
        last = reading;
    }
    shown.end(read());
}

/// Lines of the log.
struct Lines;

impl Show for Lines {
    fn every(&self) -> Duration {
        ELSEWHERE
    }

    fn show(&self, reading: Reading) {
        let Reading {
            fetched,
            new,
            windows,
            requests,
            ..
        } = reading;
        tracing::info!(
            messages = fetched,
            expected = expected(reading),
            new,
            windows,
            requests,
            left = left(reading),
            "archiving"
        );
    }

    fn end(&self, last: Option<Reading>) {
        if let Some(Reading {
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

fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{bar:32} {msg}  {speed}") {
        let speed = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            // The bar has no place for an error.
            let _ = write!(out, "{:.0}/s", state.per_sec());
        };
        bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏ ").with_key("speed", speed));
    }
    bar
}

impl Show for ProgressBar {
    fn every(&self) -> Duration {
        ON_TERMINAL
    }

    fn show(&self, reading: Reading) {
        self.set_length(reading.expected);
        self.set_position(reading.fetched);
        let (fetched, requests) = (grouped(reading.fetched), grouped(reading.requests));
        let (expected, left) = (expected(reading), left(reading));
        self.set_message(format!(
            "{fetched} of {expected} messages  {requests} requests  {left} left"
        ));
    }

    fn end(&self, _: Option<Reading>) {
        self.finish_and_clear();
    }
}

/// How many messages are expected: about so many, while nobody knows yet what some of the ranges hold.
fn expected(reading: Reading) -> String {
    about(reading, grouped(reading.expected))
}

fn left(reading: Reading) -> String {
    about(reading, span(reading.left.as_secs()))
}

fn about(reading: Reading, figure: String) -> String {
    if reading.is_guess {
        format!("~{figure}")
    } else {
        figure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guess_is_said_to_be_one() {
        let reading = Reading {
            expected: 12_400,
            left: Duration::from_secs(83),
            ..Reading::default()
        };
        assert_eq!(
            (expected(reading), left(reading)),
            ("12,400".to_owned(), "1m 23s".to_owned())
        );
        let guess = Reading {
            is_guess: true,
            ..reading
        };
        assert_eq!(
            (expected(guess), left(guess)),
            ("~12,400".to_owned(), "~1m 23s".to_owned())
        );
    }
}

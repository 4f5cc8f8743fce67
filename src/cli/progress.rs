//! What a person sees while a sync goes on: a bar on a terminal, now and then a line elsewhere.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::sync::progress::{Progress, Reading};

const ON_TERMINAL: Duration = Duration::from_millis(100);
const ELSEWHERE: Duration = Duration::from_secs(10);

/// Shows progress until it is finished.
#[derive(Debug)]
pub(super) struct Watch {
    task: JoinHandle<()>,
    finished: CancellationToken,
}

impl Watch {
    pub(super) fn start(progress: Arc<Progress>) -> Self {
        let finished = CancellationToken::new();
        let shown: Box<dyn Show> = if std::io::stderr().is_terminal() { Box::new(bar()) } else { Box::new(Lines) };
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
    fn end(&self);
}

async fn watch(progress: Arc<Progress>, shown: Box<dyn Show>, finished: CancellationToken) {
    let mut last = None;
    while tokio::time::timeout(shown.every(), finished.cancelled()).await.is_err() {
        let reading = progress.read();
        // Before the first survey is back there is nothing to show.
        if reading.expected > 0 && last.replace(reading) != Some(reading) {
            shown.show(reading);
        }
    }
    shown.end();
}

struct Lines;

impl Show for Lines {
    fn every(&self) -> Duration {
        ELSEWHERE
    }

    fn show(&self, Reading { expected, fetched, new, windows }: Reading) {
        let line = format!("{fetched} of about {expected} messages in {windows} windows, {new} of them new");
        let _ = writeln!(std::io::stderr(), "{line}");
    }

    fn end(&self) {}
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    let style = "{bar:32} {human_pos} of {human_len} messages  {speed}  {eta} left";
    if let Ok(style) = ProgressStyle::with_template(style) {
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
        self.set_length(reading.expected.max(reading.fetched));
        self.set_position(reading.fetched);
    }

    fn end(&self) {
        self.finish_and_clear();
    }
}

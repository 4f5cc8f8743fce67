//! What a pass lets run beside itself: windows that are fetched, and batches of them that are committed.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::Instant;

use super::REREAD;
use super::planner::{Job, Look};
use super::progress::Course;
use crate::domain::identity::{Identified, identify};
use crate::domain::time::Millis;
use crate::domain::window::Window;
use crate::provider::{Fetched, Provider, ProviderError, Survey};
use crate::store::{Commit, Store, StoreError, Written};

/// What became of a job.
pub(super) enum Outcome {
    /// The messages have been taken out, and are what they were identified as.
    Fetched(Fetched, Vec<Identified>),
    Split {
        count: u64,
        pieces: Vec<Job>,
    },
}

/// With how long it took.
pub(super) type Worked = (Job, Duration, Result<Outcome, ProviderError>);
pub(super) type Committed = (Vec<(Job, Commit)>, Result<Vec<Written>, StoreError>);

/// Surveys a range, and fetches it if it is one window's worth.
pub(super) async fn work(provider: Arc<dyn Provider>, job: Job, target: u64) -> Worked {
    let begun = Instant::now();
    let outcome = async {
        // A row that is read again has been one window before.
        let target = if job.again.is_some() { target * REREAD } else { target };
        let survey = match job.look {
            Some(Look::Peek) => provider.peek(job.stream, job.range, target).await?,
            _ => provider.survey(job.stream, job.range, target).await?,
        };
        let mut fetched = match survey {
            Survey::Done(fetched) => fetched,
            Survey::Sized(count) => provider.fetch(job.stream, job.range, count).await?,
            Survey::Split { count, cuts } => return Ok(Outcome::Split { count, pieces: job.pieces(&cuts) }),
        };
        let messages = identify(std::mem::take(&mut fetched.messages));
        Ok(Outcome::Fetched(fetched, messages))
    };
    let outcome = outcome.await;
    (job, begun.elapsed(), outcome)
}

pub(super) async fn commit(
    store: Arc<dyn Store>,
    course: Arc<Course>,
    batch: Vec<(Job, Commit)>,
    now: Millis,
) -> Committed {
    let (jobs, commits): (Vec<Job>, Vec<Commit>) = batch.into_iter().unzip();
    let begun = Instant::now();
    let written = store.commit(&commits, now).await;
    course.commit_took(begun.elapsed());
    (jobs.into_iter().zip(commits).collect(), written)
}

/// The time within which a commit writes, or counts what is there: its window, the ledger row that it replaces, and
/// messages that came with it from elsewhere.
pub(super) fn reach(commit: &Commit) -> Window {
    let window = commit.seal.as_ref().map_or(commit.window, |seal| seal.window.hull(commit.window));
    let times = || commit.messages.iter().map(|known| known.message.sent_at.second());
    let from = times().min().map_or(window.from(), |first| first.min(window.from()));
    let to = times().max().map_or(window.to(), |last| last.plus(1).max(window.to()));
    Window::new(from, to).unwrap_or(window)
}

/// What a task came to. None is aborted while it is waited for: one without a result has panicked.
pub(super) fn ended<T>(task: Result<T, JoinError>) -> T {
    task.unwrap_or_else(|panic| resume_unwind(panic.into_panic()))
}

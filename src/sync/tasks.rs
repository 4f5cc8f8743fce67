//! What a pass lets run beside itself: windows that are fetched, and batches of them that are committed.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::Instant;

use super::REREAD;
use super::planner::{Job, Look};
use super::progress::Course;
use super::room::{Held, Room};
use crate::domain::identity::{Identified, identify};
use crate::domain::time::Millis;
use crate::domain::window::Window;
use crate::provider::{Fetched, Provider, ProviderError, Survey};
use crate::store::{Commit, Store, StoreError, Written};

/// What became of a job.
pub(super) enum Outcome {
    /// The messages have been taken out, and are what they were identified as.
    Fetched(Fetched, Vec<Identified>, Option<Held>),
    Split {
        count: u64,
        pieces: Vec<Job>,
    },
}

/// A window that waits to be written, or is.
pub(super) struct Ready {
    pub(super) job: Job,
    pub(super) commit: Commit,
    pub(super) held: Option<Held>,
}

/// With how long it took.
pub(super) type Worked = (Job, Duration, Result<Outcome, ProviderError>);
pub(super) type Committed = (Vec<(Job, Commit)>, Result<Vec<Written>, StoreError>);

/// Surveys a range, and fetches it if it is one window's worth, once there is room for it.
pub(super) async fn work(provider: Arc<dyn Provider>, job: Job, target: u64, room: Room) -> Worked {
    let begun = Instant::now();
    let outcome = async {
        // A row that is read again has been one window before.
        let target = if job.again.is_some() {
            target * REREAD
        } else {
            target
        };
        let survey = match job.look {
            Some(Look::Peek) => provider.peek(job.stream, job.range, target).await?,
            _ => provider.survey(job.stream, job.range, target).await?,
        };
        let (mut fetched, held) = match survey {
            Survey::Done(fetched) => (fetched, None),
            Survey::Sized(count) => {
                let held = room.take(count).await;
                (provider.fetch(job.stream, job.range, count).await?, held)
            }
            Survey::Split { count, cuts } => {
                return Ok(Outcome::Split {
                    count,
                    pieces: job.pieces(&cuts),
                });
            }
        };
        let messages = identify(std::mem::take(&mut fetched.messages));
        Ok(Outcome::Fetched(fetched, messages, held))
    };
    let outcome = outcome.await;
    (job, begun.elapsed(), outcome)
}

pub(super) async fn commit(
    store: Arc<dyn Store>,
    course: Arc<Course>,
    batch: Vec<Ready>,
    now: Millis,
) -> Committed {
    let (mut jobs, mut commits, mut held) = (Vec::new(), Vec::new(), Vec::new());
    for ready in batch {
        jobs.push(ready.job);
        commits.push(ready.commit);
        held.push(ready.held);
    }
    let begun = Instant::now();
    let written = store.commit(&commits, now).await;
    drop(held);
    course.commit_took(begun.elapsed());
    (jobs.into_iter().zip(commits).collect(), written)
}

/// The time within which a commit writes, or counts what is there: its window, the ledger row that it replaces, and
/// messages that came with it from elsewhere.
pub(super) fn reach(commit: &Commit) -> Window {
    let window = commit
        .seal
        .as_ref()
        .map_or(commit.window, |seal| seal.window.hull(commit.window));
    let times = || {
        commit
            .messages
            .iter()
            .map(|known| known.message.sent_at.second())
    };
    let from = times()
        .min()
        .map_or(window.from(), |first| first.min(window.from()));
    let to = times()
        .max()
        .map_or(window.to(), |last| last.plus(1).max(window.to()));
    Window::new(from, to).unwrap_or(window)
}

/// What a task came to. None is aborted while it is waited for: one without a result has panicked.
pub(super) fn ended<T>(task: Result<T, JoinError>) -> T {
    task.unwrap_or_else(|panic| resume_unwind(panic.into_panic()))
}

//! What a pass lets run beside itself: windows that are fetched, and batches of them that are committed.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::Instant;

use super::REFETCH_SIZE_FACTOR;
use super::memory::{MemoryBudget, MemoryPermit};
use super::plan::{Job, TailPoll};
use super::progress::AccountProgress;
use crate::domain::identity::{IdentifiedMessage, identify};
use crate::domain::time::Millis;
use crate::domain::window::Window;
use crate::provider::{FetchedWindow, Provider, ProviderError, Survey};
use crate::store::{Archive, Commit, StoreError, WriteCounts};

/// What became of a job.
pub(super) enum JobResult {
    /// The messages have been taken out, and are what they were identified as.
    Fetched(FetchedWindow, Vec<IdentifiedMessage>, Option<MemoryPermit>),
    Split {
        count: u64,
        pieces: Vec<Job>,
    },
}

/// A window that waits to be written, or is.
pub(super) struct PendingCommit {
    pub(super) job: Job,
    pub(super) commit: Commit,
    pub(super) memory: Option<MemoryPermit>,
}

/// With how long it took.
pub(super) type FinishedJob = (Job, Duration, Result<JobResult, ProviderError>);
pub(super) type FinishedBatch = (Vec<(Job, Commit)>, Result<Vec<WriteCounts>, StoreError>);

/// Surveys a range, and fetches it if it is one window's worth, once there is room for it.
pub(super) async fn process_job(
    provider: Arc<dyn Provider>,
    job: Job,
    target: u64,
    room: MemoryBudget,
) -> FinishedJob {
    let begun = Instant::now();
    let outcome = async {
        // A row that is read again has been one window before.
        let target = if job.refetch.is_some() {
            target * REFETCH_SIZE_FACTOR
        } else {
            target
        };
        let survey = match job.poll {
            Some(TailPoll::Peek) => provider.peek(job.stream, job.range, target).await?,
            _ => provider.survey(job.stream, job.range, target).await?,
        };
        let (mut fetched, held) = match survey {
            Survey::Complete(fetched) => (fetched, None),
            Survey::OneWindow(count) => {
                let held = room.acquire(count).await;
                (provider.fetch(job.stream, job.range, count).await?, held)
            }
            Survey::Split { count, cuts } => {
                return Ok(JobResult::Split {
                    count,
                    pieces: job.pieces(&cuts),
                });
            }
        };
        let messages = identify(std::mem::take(&mut fetched.messages));
        Ok(JobResult::Fetched(fetched, messages, held))
    };
    let outcome = outcome.await;
    (job, begun.elapsed(), outcome)
}

pub(super) async fn commit_batch(
    store: Arc<dyn Archive>,
    course: Arc<AccountProgress>,
    batch: Vec<PendingCommit>,
    now: Millis,
) -> FinishedBatch {
    let (mut jobs, mut commits, mut held) = (Vec::new(), Vec::new(), Vec::new());
    for ready in batch {
        jobs.push(ready.job);
        commits.push(ready.commit);
        held.push(ready.memory);
    }
    let begun = Instant::now();
    let written = store.commit(&commits, now).await;
    drop(held);
    course.record_commit_time(begun.elapsed());
    (jobs.into_iter().zip(commits).collect(), written)
}

/// The time within which a commit writes, or counts what is there: its window, the ledger row that it replaces, and
/// messages that came with it from elsewhere.
pub(super) fn write_span(commit: &Commit) -> Window {
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
pub(super) fn unwrap_task<T>(task: Result<T, JoinError>) -> T {
    task.unwrap_or_else(|panic| resume_unwind(panic.into_panic()))
}

//! The fetching half of a pass: windows that are surveyed and read, each in a task of its own.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use super::memory::{MemoryBudget, MemoryPermit};
use crate::domain::identity::{IdentifiedMessage, identify};
use crate::provider::{FetchedWindow, Provider, ProviderError, Survey};
use crate::sync::limits::REFETCH_SIZE_FACTOR;
use crate::sync::plan::job::{Job, TailPoll};

/// The result of a job.
pub(super) enum JobResult {
    /// The range was fetched.
    Fetched(FetchedMessages),
    /// The range is more than one window. It holds about `count` messages.
    Split { count: u64, pieces: Vec<Job> },
}

/// A fetched window, its messages identified.
pub(super) struct FetchedMessages {
    /// Its `messages` are moved out; they are the identified ones below.
    pub(super) window: FetchedWindow,
    pub(super) messages: Vec<IdentifiedMessage>,
    /// The memory that the messages occupy. `None` if they were too few to ask for.
    pub(super) memory: Option<MemoryPermit>,
}

/// A job that has ended.
pub(super) struct FinishedJob {
    pub(super) job: Job,
    pub(super) took: Duration,
    pub(super) result: Result<JobResult, ProviderError>,
}

/// The windows of a pass that are being fetched. All tasks end when this is dropped.
pub(super) struct FetchTasks {
    provider: Arc<dyn Provider>,
    tasks: JoinSet<FinishedJob>,
}

impl FetchTasks {
    pub(super) fn new(provider: Arc<dyn Provider>) -> Self {
        Self {
            provider,
            tasks: JoinSet::new(),
        }
    }

    /// Starts a job. Windows of up to `target` messages are fetched as one.
    pub(super) fn start(&mut self, job: Job, target: u64, memory: MemoryBudget) {
        self.tasks
            .spawn(process_job(self.provider.clone(), job, target, memory));
    }

    /// Returns the number of windows that are being fetched.
    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Waits for the next job that ends. `None` if none is in flight. A task that panicked panics
    /// here.
    pub(super) async fn next_finished(&mut self) -> Option<FinishedJob> {
        self.tasks.join_next().await.map(unwrap_task)
    }

    /// Drops all jobs in flight. Their windows are fetched again by a later pass.
    pub(super) async fn abort(&mut self) {
        self.tasks.shutdown().await;
    }
}

/// Surveys the range of a job, and fetches it if it is one window, once there is memory for it.
async fn process_job(
    provider: Arc<dyn Provider>,
    job: Job,
    target: u64,
    memory: MemoryBudget,
) -> FinishedJob {
    let begun = Instant::now();
    let result = survey_and_fetch(&*provider, job, target, &memory).await;
    FinishedJob {
        job,
        took: begun.elapsed(),
        result,
    }
}

async fn survey_and_fetch(
    provider: &dyn Provider,
    job: Job,
    target: u64,
    memory: &MemoryBudget,
) -> Result<JobResult, ProviderError> {
    // A row that is refetched was one window before.
    let target = if job.refetch.is_some() {
        target * REFETCH_SIZE_FACTOR
    } else {
        target
    };
    let survey = match job.poll {
        Some(TailPoll::Peek) => provider.peek(job.stream, job.range, target).await?,
        _ => provider.survey(job.stream, job.range, target).await?,
    };
    let (mut window, memory) = match survey {
        Survey::Complete(window) => (window, None),
        Survey::OneWindow(count) => {
            let permit = memory.acquire(count).await;
            (provider.fetch(job.stream, job.range, count).await?, permit)
        }
        Survey::Split { count, cuts } => {
            return Ok(JobResult::Split {
                count,
                pieces: job.pieces(&cuts),
            });
        }
    };
    let messages = identify(std::mem::take(&mut window.messages));
    Ok(JobResult::Fetched(FetchedMessages {
        window,
        messages,
        memory,
    }))
}

/// Returns the result of a task. Tasks are never aborted while they are waited for, so that one
/// without a result has panicked.
pub(super) fn unwrap_task<T>(task: Result<T, JoinError>) -> T {
    task.unwrap_or_else(|panic| resume_unwind(panic.into_panic()))
}

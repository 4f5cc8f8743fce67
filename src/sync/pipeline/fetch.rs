//! The fetching half of a pass: windows that are surveyed and read, each in a task of its own.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::memory::{MemoryBudget, MemoryPermit};
use super::partial_window::{PartialWindow, is_large};
use crate::domain::identity::{IdentifiedMessage, identify, identify_after};
use crate::domain::task::unwrap_task;
use crate::provider::{
    FetchedWindow, Provider, ProviderError, ReadPosition, ReadReason, ReadRoom, Survey,
    WindowRequest,
};
use crate::sync::limits::{
    MESSAGE_OVERHEAD_BYTES, READ_ROOM_BYTES, READ_ROOM_WINDOWS, REFETCH_SIZE_FACTOR,
};
use crate::sync::plan::job::{Job, TailPoll};

/// The result of a job.
pub(super) enum JobResult {
    /// The range was fetched.
    Fetched(FetchedMessages),
    /// A part of the range was fetched: the last one, if it has no next position.
    Part(FetchedMessages, PartialWindow),
    /// The range is one window that is to be read in parts. It holds about `expected` messages.
    Large { expected: Option<u64> },
    /// The position of the part has shifted.
    Shifted(PartialWindow),
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

    /// Starts a job. Windows of up to `target` messages are fetched as one. A window of which
    /// parts were read is continued.
    pub(super) fn start(
        &mut self,
        job: Job,
        partial: Option<PartialWindow>,
        target: u64,
        memory: MemoryBudget,
    ) {
        let provider = self.provider.clone();
        self.tasks
            .spawn(process_job(provider, job, partial, target, memory));
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
    partial: Option<PartialWindow>,
    target: u64,
    memory: MemoryBudget,
) -> FinishedJob {
    let begun = Instant::now();
    // A row that is refetched was one window before.
    let target = if job.refetch.is_some() {
        target * REFETCH_SIZE_FACTOR
    } else {
        target
    };
    let result = match partial {
        Some(partial) => fetch_part(&*provider, job, partial, target, &memory).await,
        None => survey_and_fetch(&*provider, job, target, &memory).await,
    };
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
    let survey = survey(provider, job, target).await?;
    let room = read_room(target);
    let (mut window, permit, expected) = match survey {
        Survey::Complete(window) => (window, None, None),
        Survey::OneWindow(expected) if is_large(expected, room) => {
            return Ok(JobResult::Large { expected });
        }
        Survey::OneWindow(expected) => {
            let permit = memory.acquire(expected.unwrap_or(room.messages)).await;
            let request = WindowRequest {
                expected,
                from: ReadPosition::default(),
                room,
                reason: read_reason(job),
            };
            let window = provider.fetch(job.stream, job.range, request).await?;
            (window, permit, expected)
        }
        Survey::Split { count, cuts } => {
            return Ok(JobResult::Split {
                count,
                pieces: job.pieces(&cuts),
            });
        }
    };
    let messages = identify(std::mem::take(&mut window.messages));
    let is_part = window.next.is_some();
    let mut fetched = FetchedMessages::new(window, messages, permit, memory);
    if !is_part {
        return Ok(JobResult::Fetched(fetched));
    }
    let mut partial = PartialWindow::new(expected);
    partial.record(&mut fetched.window, &fetched.messages);
    Ok(JobResult::Part(fetched, partial))
}

/// Surveys the range of a job. A range that is refetched of a stream that is read in order of arrival
/// is one window: a survey would find the messages that were not read yet.
async fn survey(provider: &dyn Provider, job: Job, target: u64) -> Result<Survey, ProviderError> {
    let is_by_arrival = || provider.arrival_mark(job.stream).is_some();
    let is_known = |by_arrival: bool| by_arrival && job.refetch.is_some();
    if !is_known(is_by_arrival()) {
        let survey = match job.poll {
            Some(TailPoll::Peek) => provider.peek(job.stream, job.range, target).await?,
            _ => provider.survey(job.stream, job.range, target).await?,
        };
        if !is_known(is_by_arrival()) {
            return Ok(survey);
        }
    }
    Ok(Survey::OneWindow(Some(target)))
}

fn read_reason(job: Job) -> ReadReason {
    if job.refetch.is_some() {
        ReadReason::Refresh
    } else {
        ReadReason::Missing
    }
}

/// Fetches the next part of a window.
async fn fetch_part(
    provider: &dyn Provider,
    job: Job,
    mut partial: PartialWindow,
    target: u64,
    memory: &MemoryBudget,
) -> Result<JobResult, ProviderError> {
    let room = ReadRoom {
        messages: 2 * target,
        ..read_room(target)
    };
    let request = WindowRequest {
        reason: read_reason(job),
        ..partial.request(room)
    };
    let permit = memory.acquire(room.messages).await;
    let mut window = match provider.fetch(job.stream, job.range, request).await {
        Err(ProviderError::HistoryChanged { .. }) => return Ok(JobResult::Shifted(partial)),
        window => window?,
    };
    let messages = identify_after(std::mem::take(&mut window.messages), &partial.occurrences);
    let mut fetched = FetchedMessages::new(window, messages, permit, memory);
    partial.record(&mut fetched.window, &fetched.messages);
    Ok(JobResult::Part(fetched, partial))
}

/// Returns the room for a window of about `target` messages that is read at once.
fn read_room(target: u64) -> ReadRoom {
    ReadRoom {
        messages: target * READ_ROOM_WINDOWS,
        bytes: READ_ROOM_BYTES,
    }
}

impl FetchedMessages {
    /// Accounts for the memory that the messages really occupy.
    fn new(
        window: FetchedWindow,
        messages: Vec<IdentifiedMessage>,
        permit: Option<MemoryPermit>,
        memory: &MemoryBudget,
    ) -> Self {
        let bytes = messages
            .iter()
            .map(|message| message.message.content_bytes());
        let held = bytes.sum::<u64>() + messages.len() as u64 * MESSAGE_OVERHEAD_BYTES;
        Self {
            window,
            messages,
            memory: memory.extend(permit, held),
        }
    }
}

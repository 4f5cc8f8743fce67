//! The committing half of a pass: fetched windows that are written in batches, each in a task of
//! its own.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::task::{self, JoinSet};
use tokio::time::Instant;

use super::memory::MemoryPermit;
use super::partial_window::PartialWindow;
use crate::domain::task::unwrap_task;
use crate::domain::time::Millis;
use crate::domain::window::Window;
use crate::provider::{ArrivalPart, Provider};
use crate::store::{Archive, Commit, StoreError, WriteCounts};
use crate::sync::plan::job::Job;
use crate::sync::progress::AccountProgress;

/// A window that waits for its commit, or is being committed.
pub(super) struct PendingCommit {
    pub(super) job: Job,
    pub(super) commit: Commit,
    /// The memory that its messages occupy until they are committed.
    pub(super) memory: Option<MemoryPermit>,
    /// The window whose next part is read after the commit; `None` if this was all of it.
    pub(super) rest: Option<PartialWindow>,
    /// The part of the stream that this is, if it is read in order of arrival.
    pub(super) arrivals: Option<ArrivedWindow>,
}

/// A part that was read in order of arrival, and the job for what is behind it.
pub(super) struct ArrivedWindow {
    pub(super) part: ArrivalPart,
    pub(super) rest: Option<Job>,
}

/// A window that was committed.
pub(super) struct CommittedWindow {
    pub(super) job: Job,
    pub(super) commit: Commit,
    pub(super) rest: Option<PartialWindow>,
    pub(super) arrivals: Option<ArrivedWindow>,
    pub(super) written: WriteCounts,
}

impl CommittedWindow {
    /// Logs the window, and what the operator should know of it.
    pub(super) fn log(&self, provider: &dyn Provider) {
        let account = &provider.account().name;
        let stream = &provider.stream(self.job.stream).key;
        let CommittedWindow {
            commit, written, ..
        } = self;
        let range = commit.window;
        if let Some(doubt) = commit.seal.as_ref().and_then(|seal| seal.doubt.as_ref()) {
            tracing::warn!(account, stream, window = %range, doubt, "sealed as suspect");
        }
        if !commit.unreadable.is_empty() {
            let count = commit.unreadable.len();
            tracing::warn!(
                account, stream, window = %range, count,
                "messages could not be read; kept in quarantine"
            );
        }
        let (messages, new) = (commit.messages.len(), written.new);
        tracing::debug!(account, stream, window = %range, messages, new, "window committed");
    }
}

/// The origin of a commit, and what is left to do after it.
struct CommitOrigin {
    job: Job,
    rest: Option<PartialWindow>,
    arrivals: Option<ArrivedWindow>,
}

/// A batch that has ended: its windows, and what they have changed in the archive.
struct FinishedBatch {
    windows: Vec<(CommitOrigin, Commit)>,
    written: Result<Vec<WriteCounts>, StoreError>,
}

/// The windows of a pass that wait for their commit, and the commits in flight. All tasks end when
/// this is dropped.
pub(super) struct CommitTasks {
    archive: Arc<dyn Archive>,
    progress: Arc<AccountProgress>,
    /// Fetched windows that wait for a commit.
    pending: Vec<PendingCommit>,
    tasks: JoinSet<FinishedBatch>,
    /// The time spans that each of the commits in flight writes to.
    spans_in_flight: HashMap<task::Id, Vec<Window>>,
}

impl CommitTasks {
    pub(super) fn new(archive: Arc<dyn Archive>, progress: Arc<AccountProgress>) -> Self {
        Self {
            archive,
            progress,
            pending: Vec::new(),
            tasks: JoinSet::new(),
            spans_in_flight: HashMap::new(),
        }
    }

    /// Adds a fetched window. It is committed by a later [`Self::start_batch`].
    pub(super) fn add(&mut self, window: PendingCommit) {
        self.pending.push(window);
    }

    /// Returns the number of windows that wait for a commit.
    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// True if no commit is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Starts a commit of all pending windows that conflict with no commit in flight, unless as
    /// many are in flight as the archive gains by.
    pub(super) fn start_batch(&mut self, now: Millis) {
        if self.tasks.len() >= self.archive.max_parallel_commits() {
            return;
        }
        let batch = self.take_disjoint();
        if batch.is_empty() {
            return;
        }
        let spans = batch
            .iter()
            .map(|window| write_span(&window.commit))
            .collect();
        let (archive, progress) = (self.archive.clone(), self.progress.clone());
        let task = self
            .tasks
            .spawn(commit_batch(archive, progress, batch, now));
        self.spans_in_flight.insert(task.id(), spans);
    }

    /// Waits for the next commit that ends. `None` if none is in flight. A task that panicked
    /// panics here.
    pub(super) async fn next_committed(
        &mut self,
    ) -> Option<Result<Vec<CommittedWindow>, StoreError>> {
        let (id, batch) = self.tasks.join_next_with_id().await.map(unwrap_task)?;
        self.spans_in_flight.remove(&id);
        Some(batch.written.map(|written| {
            let windows = batch.windows.into_iter().zip(written);
            windows
                .map(|((origin, commit), written)| CommittedWindow {
                    job: origin.job,
                    commit,
                    rest: origin.rest,
                    arrivals: origin.arrivals,
                    written,
                })
                .collect()
        }))
    }

    /// Takes the pending windows that overlap no commit in flight. Two transactions that add the
    /// same messages, of streams that overlap, would wait for each other's locks.
    fn take_disjoint(&mut self) -> Vec<PendingCommit> {
        let busy: Vec<Window> = self.spans_in_flight.values().flatten().copied().collect();
        let overlaps_commit = |window: &PendingCommit| {
            let span = write_span(&window.commit);
            busy.iter().any(|busy| busy.intersect(span).is_some())
        };
        let pending = std::mem::take(&mut self.pending);
        let (waiting, disjoint) = pending.into_iter().partition(overlaps_commit);
        self.pending = waiting;
        disjoint
    }
}

/// Commits windows in one transaction, and frees the memory of their messages.
async fn commit_batch(
    archive: Arc<dyn Archive>,
    progress: Arc<AccountProgress>,
    batch: Vec<PendingCommit>,
    now: Millis,
) -> FinishedBatch {
    let mut origins = Vec::with_capacity(batch.len());
    let mut commits = Vec::with_capacity(batch.len());
    let mut permits = Vec::with_capacity(batch.len());
    for window in batch {
        origins.push(CommitOrigin {
            job: window.job,
            rest: window.rest,
            arrivals: window.arrivals,
        });
        commits.push(window.commit);
        permits.push(window.memory);
    }
    let begun = Instant::now();
    let written = archive.commit(&commits, now).await;
    drop(permits);
    progress.record_commit_time(begun.elapsed());
    FinishedBatch {
        windows: origins.into_iter().zip(commits).collect(),
        written,
    }
}

/// Returns the time span in which a commit writes or counts: its window, the ledger row that it
/// replaces, and the messages that came with it from outside of the window.
fn write_span(commit: &Commit) -> Window {
    let window = match &commit.seal {
        Some(seal) => seal.window.hull(commit.window),
        None => commit.window,
    };
    let seconds = || {
        commit
            .messages
            .iter()
            .map(|message| message.message.sent_at.second())
    };
    let from = seconds()
        .min()
        .map_or(window.from(), |first| first.min(window.from()));
    let to = seconds()
        .max()
        .map_or(window.to(), |last| last.plus(1).max(window.to()));
    Window::new(from, to).unwrap_or(window)
}

//! One pass over an account's streams: windows are fetched on one side and committed on the other.
//!
//! The loop in [`Pipeline::run`] takes jobs from the plan, starts them ([`fetch`]), turns fetched
//! windows into commits ([`seal`] decides what of them is sealed) and commits them in batches
//! ([`commit`]). The memory of the messages in flight is bounded ([`memory`]); a window that holds
//! more is read in parts ([`parts`]). A stream that is not in order of time is read in order of
//! arrival ([`arrivals`]).

mod commit;
mod fetch;
pub(super) mod memory;
pub(super) mod outcome;
pub(super) mod partial_window;
mod parts;
mod seal;

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use self::commit::{CommitTasks, CommittedWindow, PendingCommit};
use self::fetch::{FetchTasks, FetchedMessages, FinishedJob, JobResult};
use self::memory::MemoryBudget;
use self::outcome::{PassContext, PassOutcome};
use self::seal::{SealDecision, WindowFacts};
use super::limits::{
    FRONTIER_SAVE_INTERVAL, MAX_IN_FLIGHT, MAX_PASS, MAX_SHORT_PASS, STOP_GRACE,
    UNLIMITED_IN_FLIGHT,
};
use super::plan::Plan;
use super::plan::job::{Job, TailPoll};
use super::session::Session;
use crate::domain::identity::IdentifiedMessage;
use crate::domain::stream::StreamIndex;
use crate::domain::window::Window;
use crate::provider::{Disposition, ProviderError};
use crate::store::{Commit, StoreError, StreamId};

/// A pass in progress.
pub(super) struct Pipeline<'a> {
    session: &'a mut Session,
    plan: &'a mut Plan,
    context: &'a mut PassContext,
    outcome: PassOutcome,
    /// Failures of streams that are not recorded yet.
    unrecorded_errors: Vec<(StreamIndex, ProviderError)>,
    /// Ledger rows that outgrew one window and are still to be unsealed.
    outgrown_rows: Vec<(StreamId, Window)>,
    /// Windows that are to be read in parts, with the number of messages expected.
    large_windows: Vec<(Job, Option<u64>)>,
    /// The streams that failed in this pass. Commits of them do not clear the recorded error.
    failed_streams: HashSet<StreamIndex>,
}

impl<'a> Pipeline<'a> {
    pub(super) fn new(
        session: &'a mut Session,
        plan: &'a mut Plan,
        context: &'a mut PassContext,
    ) -> Self {
        context.partial_windows.begin_pass();
        Self {
            session,
            plan,
            context,
            outcome: PassOutcome::default(),
            unrecorded_errors: Vec::new(),
            outgrown_rows: Vec::new(),
            large_windows: Vec::new(),
            failed_streams: HashSet::new(),
        }
    }

    /// Works off the plan. Ends when the plan is empty or the time is up; after `stop`, when the
    /// windows in flight are committed or their grace is over.
    ///
    /// Dropping the future is safe: what was not committed is fetched again.
    pub(super) async fn run(mut self, stop: &CancellationToken) -> Result<PassOutcome, StoreError> {
        self.context.progress.begin_pass(self.plan.len());
        let provider = self.session.provider.clone();
        let abort = self.context.abort.clone();
        // Tasks of their own, so that answers are parsed on one core while windows are written on
        // another. All end with this pass.
        let mut fetches = FetchTasks::new(provider.clone());
        let (archive, progress) = (self.session.archive.clone(), self.context.progress.clone());
        let mut commits = CommitTasks::new(archive, progress);
        let begun = Instant::now();
        let mut frontier_saved_at = begun;
        // `None` until the stop signal.
        let mut deadline: Option<Instant> = None;
        loop {
            if deadline.is_none() {
                self.resume_large_windows().await?;
            }
            let may_start = deadline.is_none() && begun.elapsed() < self.max_duration();
            let in_flight =
                |fetches: &FetchTasks, commits: &CommitTasks| fetches.len() + commits.pending();
            while may_start
                && in_flight(&fetches, &commits) < self.min_in_flight()
                && self.has_memory()
            {
                if !self.start_next_job(&mut fetches) {
                    break;
                }
            }
            if frontier_saved_at.elapsed() >= FRONTIER_SAVE_INTERVAL {
                frontier_saved_at = Instant::now();
                self.save_frontier().await?;
            }
            self.record_errors().await?;
            self.unseal_outgrown().await?;
            commits.start_batch(self.session.clock.now());
            if fetches.is_empty() && commits.is_idle() {
                return Ok(self.outcome);
            }
            let may_start_another = may_start
                && !self.plan.is_empty()
                && in_flight(&fetches, &commits) < MAX_IN_FLIGHT
                && self.has_memory();
            tokio::select! {
                Some(finished) = fetches.next_finished() => {
                    if let Some(window) = self.finish_job(finished, stop).await {
                        commits.add(window);
                    }
                }
                Some(committed) = commits.next_committed() => {
                    self.finish_commits(committed?).await?;
                }
                () = provider.spare_slot(), if may_start_another => {
                    self.start_next_job(&mut fetches);
                }
                () = stop.cancelled(), if deadline.is_none() => {
                    deadline = Some(Instant::now() + STOP_GRACE);
                }
                () = grace_over(deadline, &abort), if deadline.is_some() && !fetches.is_empty() => {
                    fetches.abort().await;
                }
            }
        }
    }

    /// Starts the most urgent job of the plan. False if there is none.
    fn start_next_job(&mut self, fetches: &mut FetchTasks) -> bool {
        // The current second is still being written at the provider.
        let now = self.session.provider.now().second().plus(-1);
        let Some(job) = self.plan.pop(now, self.session.horizon()) else {
            return false;
        };
        let partial = self.context.partial_windows.take(job);
        fetches.start(job, partial, self.target_messages(), self.memory());
        true
    }

    /// Returns the time after which the pass starts no more windows.
    fn max_duration(&self) -> Duration {
        let is_short = self.plan.is_refetch() || !self.outcome.discovered.is_empty();
        if is_short { MAX_SHORT_PASS } else { MAX_PASS }
    }

    /// Returns the number of windows in flight that do not wait for a spare slot of the rate limit.
    fn min_in_flight(&self) -> usize {
        let is_limited = self
            .session
            .provider
            .gate()
            .rate_limiter()
            .requests_per_second()
            .is_some();
        if is_limited { 1 } else { UNLIMITED_IN_FLIGHT }
    }

    /// Returns the memory budget, for messages of the size seen lately.
    fn memory(&self) -> MemoryBudget {
        self.context
            .memory
            .with_payload_size(self.context.payload_size.mean_bytes())
    }

    /// True if there is memory for another window.
    fn has_memory(&self) -> bool {
        self.memory().has_room_for(self.target_messages())
    }

    /// Returns the number of messages that a window should hold.
    fn target_messages(&self) -> u64 {
        let usual = self.session.provider.messages_per_window();
        self.context.payload_size.messages_per_window(usual)
    }

    async fn save_frontier(&self) -> Result<(), StoreError> {
        let frontier = self.session.frontier(self.plan.until());
        self.session.save_frontier(frontier).await
    }

    /// Takes the result of a job. Returns the window that is to be committed, if it has fetched
    /// one.
    async fn finish_job(
        &mut self,
        finished: FinishedJob,
        stop: &CancellationToken,
    ) -> Option<PendingCommit> {
        let FinishedJob { job, took, result } = finished;
        self.outcome.has_answers |= result.is_ok();
        match result {
            Ok(JobResult::Fetched(fetched) | JobResult::Part(fetched, _))
                if fetched.window.arrivals.is_some() =>
            {
                Some(self.finish_arrivals(job, took, fetched))
            }
            Ok(JobResult::Split { count, pieces }) => {
                self.split_job(job, count, pieces);
                None
            }
            Ok(JobResult::Fetched(fetched)) => Some(self.finish_window(job, took, fetched, false)),
            Ok(JobResult::Part(fetched, partial)) => {
                Some(self.finish_part(job, took, fetched, partial))
            }
            Ok(JobResult::Large { expected }) => {
                self.plan_parts(job, expected);
                None
            }
            Ok(JobResult::Shifted(partial)) => {
                self.restart_window(job, partial);
                None
            }
            Err(failure) => {
                let failure = if self.outcome.has_failed_account {
                    failure
                } else {
                    self.session.attribute(job.stream, failure, stop).await
                };
                self.fail_job(job, failure);
                None
            }
        }
    }

    /// Plans the pieces of a range that is more than one window.
    fn split_job(&mut self, job: Job, count: u64, pieces: Vec<Job>) {
        if job.is_peek() {
            self.plan.reset_poll(job.stream);
            return;
        }
        self.announce(job, count);
        if let Some(refetch) = job.refetch {
            self.outgrown_rows
                .push((self.session.stream(job.stream).id, refetch.row));
        }
        for piece in pieces {
            self.plan.push(piece);
        }
    }

    /// Learns from a fetched window, or the last part of one, and builds its commit.
    fn finish_window(
        &mut self,
        job: Job,
        took: Duration,
        mut fetched: FetchedMessages,
        is_parted: bool,
    ) -> PendingCommit {
        let unreadable = fetched.window.unreadable.len();
        let unreadable_doubt = seal::unreadable_doubt(fetched.messages.len(), unreadable);
        fetched.window.doubt = fetched.window.doubt.or(unreadable_doubt);
        self.learn_from(job, &fetched.messages);
        let wanted_from = self.session.stream(job.stream).wanted_from;
        let overtaken_to = seal::overtaken_to(&job, wanted_from, self.session.horizon());
        if self.plan.is_expiring(job.range.from()) {
            self.plan
                .learn_lead(took.as_secs_f64(), overtaken_to.is_some());
        }
        self.outcome.stragglers += u64::from(self.is_straggler(job, &fetched));
        let settled_to = fetched
            .window
            .requested_at
            .second()
            .minus(self.session.settle());
        // It is not known in which part of the window an unreadable message lies.
        let is_doubtful = fetched.window.doubt.is_some() || unreadable > 0;
        let facts = WindowFacts {
            settled_to,
            is_doubtful,
            is_parted,
            overtaken_to,
        };
        let decision = seal::decide(&job, &facts);
        if let SealDecision::RefetchSettledPart(range) = decision {
            self.plan.push(Job {
                range,
                is_piece: true,
                poll: None,
                ..job
            });
        }
        self.build_commit(job, decision, fetched)
    }

    /// Announces messages that were fetched, and learns their cost and their size.
    fn learn_from(&mut self, job: Job, messages: &[IdentifiedMessage]) {
        let count = messages.len() as u64;
        self.announce(job, count);
        let requests = self.session.provider.request_cost(count);
        self.plan.account_for(job, requests);
        self.context.payload_size.observe(messages);
    }

    /// True if a refetched range holds a message that a longer settle age would have caught.
    fn is_straggler(&mut self, job: Job, fetched: &FetchedMessages) -> bool {
        let Some(refetch) = job.refetch else {
            return false;
        };
        let known_times = self.plan.take_known_times(job.stream, refetch.row);
        known_times.is_some_and(|known_times| {
            let (sealed_at, settle) = (refetch.sealed_at, self.session.settle());
            let known = (job.range, &known_times[..]);
            seal::argues_for_longer_settle(sealed_at, known, &fetched.messages, settle)
        })
    }

    /// Returns the commit of a fetched window, with the seal that was decided.
    fn build_commit(
        &self,
        job: Job,
        decision: SealDecision,
        fetched: FetchedMessages,
    ) -> PendingCommit {
        let FetchedMessages {
            window,
            messages,
            memory,
        } = fetched;
        let seal = match decision {
            SealDecision::Seal(sealed) => {
                let scope = self.session.provider.stream(job.stream).scope.clone();
                let (count, doubt) = (window.provider_count, window.doubt);
                Some(seal::seal_of(&job, sealed, &messages, count, doubt, scope))
            }
            SealDecision::RefetchSettledPart(_) | SealDecision::Nothing => None,
        };
        let commit = Commit {
            account: self.session.account,
            stream: self.session.stream(job.stream).id,
            window: job.range,
            seal,
            messages,
            unreadable: window.unreadable,
        };
        PendingCommit {
            job,
            commit,
            memory,
            rest: None,
            arrivals: None,
        }
    }

    /// Tells the progress how many messages a range holds. Pieces were announced with the whole.
    fn announce(&self, job: Job, messages: u64) {
        if !job.is_piece {
            self.context.progress.add_announced(messages);
        }
    }

    /// Leaves the work that cannot succeed now to another pass.
    fn fail_job(&mut self, job: Job, failure: ProviderError) {
        if matches!(failure, ProviderError::Stopped) {
            self.plan.clear();
            return;
        }
        self.outcome.tally.errors += 1;
        self.outcome.tally.last_error = Some(failure.to_string());
        match failure.disposition() {
            Disposition::SkipStream => self.plan.drop_stream(job.stream),
            Disposition::SkipAccount | Disposition::Park => {
                self.plan.clear();
                self.outcome.has_failed_account = true;
            }
        }
        self.failed_streams.insert(job.stream);
        self.unrecorded_errors.push((job.stream, failure));
    }

    /// Records the failures of streams in the archive, and reports them.
    async fn record_errors(&mut self) -> Result<(), StoreError> {
        for (stream, failure) in std::mem::take(&mut self.unrecorded_errors) {
            self.session.record_stream_error(stream, &failure).await?;
            self.outcome.report_failure(failure);
        }
        Ok(())
    }

    /// Unseals the ledger rows that outgrew one window: their pieces are fetched like missing
    /// history.
    async fn unseal_outgrown(&mut self) -> Result<(), StoreError> {
        for (stream, row) in std::mem::take(&mut self.outgrown_rows) {
            self.session.archive.unseal(stream, row).await?;
        }
        Ok(())
    }

    /// Takes the windows of a commit that has ended.
    async fn finish_commits(&mut self, windows: Vec<CommittedWindow>) -> Result<(), StoreError> {
        for window in windows {
            self.count_commit(&window);
            window.log(&*self.session.provider);
            if let Some(arrivals) = window.arrivals {
                self.continue_arrivals(window.job, arrivals).await?;
            } else if let Some(rest) = window.rest {
                self.continue_window(window.job, rest);
            } else if !self.is_failing(window.job.stream) {
                self.session.clear_stream_error(window.job.stream).await?;
            }
        }
        Ok(())
    }

    /// True if a part of the stream could not be read, in this pass or since one before.
    fn is_failing(&self, stream: StreamIndex) -> bool {
        let has_suspended = self.context.partial_windows.has_suspended(stream);
        has_suspended || self.failed_streams.contains(&stream)
    }

    /// Counts a committed window, and learns from it.
    fn count_commit(&mut self, window: &CommittedWindow) {
        let CommittedWindow {
            job,
            commit,
            rest,
            written,
            ..
        } = window;
        let tally = &mut self.outcome.tally;
        tally.new += written.new;
        tally.changed += written.changed;
        tally.windows += u64::from(commit.seal.is_some());
        if let Some(poll) = job.poll.filter(|_| rest.is_none()) {
            let sealed_to = commit.seal.as_ref().map(|seal| seal.window.to());
            let unsealed_from = match poll {
                TailPoll::Seal => sealed_to.or(Some(job.range.from())),
                TailPoll::Peek => sealed_to,
            };
            self.plan.record_poll(*job, unsealed_from, written.new);
        }
        let provider = &*self.session.provider;
        self.outcome
            .discovered
            .add_from_messages(provider, &commit.messages);
        self.context
            .progress
            .record_commit(commit, *written, self.plan.is_refetch());
    }
}

/// Waits until the windows in flight are to be dropped: at the deadline, or at the abort signal.
async fn grace_over(deadline: Option<Instant>, abort: &CancellationToken) {
    match deadline {
        Some(deadline) => {
            let _ = timeout_at(deadline, abort.cancelled()).await;
        }
        None => std::future::pending().await,
    }
}

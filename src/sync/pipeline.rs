//! One round over an account's streams: windows in flight on one side, commits on the other.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::task::{self, JoinSet};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::account::{AccountSync, Session};
use super::discovery::{DiscoveredStreams, discover_from_messages};
use super::fetch::{
    FinishedBatch, FinishedJob, JobResult, PendingCommit, commit_batch, process_job, unwrap_task,
    write_span,
};
use super::plan::{HORIZON_TOLERANCE_S, Job, Plan, Refetch, TailPoll};
use super::tails::TailScheduler;
use super::{
    FRONTIER_SAVE_INTERVAL, MAX_IN_FLIGHT, MAX_PASS, MAX_SHORT_PASS, STOP_GRACE,
    UNLIMITED_IN_FLIGHT, WINDOW_PAYLOAD_BYTES,
};
use crate::domain::identity::IdentifiedMessage;
use crate::domain::stream::StreamIndex;
use crate::domain::time::{Millis, Second};
use crate::domain::window::Window;
use crate::provider::{Disposition, FetchedWindow, ProviderError};
use crate::store::{Commit, Seal, StoreError, StreamId, Tally, WriteCounts};

/// A message that came within so many times the settle age, seen from when its window was sealed, is a reason to wait
/// longer: it might have been caught.
const LATE_WITHIN_SETTLES: u32 = 8;

/// A pass under way.
pub(super) struct Pipeline<'a> {
    account: &'a mut AccountSync,
    place: &'a mut Session,
    plan: Plan,
    tally: Tally,
    failure: Option<ProviderError>,
    /// Fetched, identified and waiting for a commit under way.
    ready: Vec<PendingCommit>,
    /// The times within which each of the commits under way writes.
    committing_spans: HashMap<task::Id, Vec<Window>>,
    /// Failures of streams that are not on record yet.
    unrecorded_errors: Vec<(StreamIndex, ProviderError)>,
    /// Ledger rows that hold too much by now to be read again as one, and are not opened yet.
    outgrown_rows: Vec<(StreamId, Window)>,
    /// Streams that failed in this pass. What else of them is committed does not mean that they are well.
    failed_streams: HashSet<StreamIndex>,
    /// What the archive held of the rows that are read again, before that.
    known_times: KnownTimes,
    /// Whether it reads again what was read before.
    is_refetch: bool,
    /// Messages that came so soon after their window was sealed that it was sealed too early.
    stragglers: u64,
    /// Streams that messages of this pass lead to.
    found: DiscoveredStreams,
}

/// When the messages were sent that the archive holds of a stretch that is read again, by stream and row.
pub(super) type KnownTimes = HashMap<(StreamIndex, Window), Vec<Millis>>;

/// What a pass came to.
pub(super) struct PassOutcome {
    pub(super) tally: Tally,
    pub(super) failure: Option<ProviderError>,
    pub(super) stragglers: u64,
    pub(super) found: DiscoveredStreams,
    /// What is known of the streams' rhythm.
    pub(super) scheduler: TailScheduler,
}

impl<'a> Pipeline<'a> {
    pub(super) fn new(account: &'a mut AccountSync, place: &'a mut Session, plan: Plan) -> Self {
        Self {
            account,
            place,
            plan,
            tally: Tally::default(),
            failure: None,
            ready: Vec::new(),
            committing_spans: HashMap::new(),
            unrecorded_errors: Vec::new(),
            outgrown_rows: Vec::new(),
            failed_streams: HashSet::new(),
            known_times: KnownTimes::default(),
            is_refetch: false,
            stragglers: 0,
            found: DiscoveredStreams::new(),
        }
    }

    /// Told what the archive holds of what is read again, it tells how late came what it finds.
    pub(super) fn with_known_times(self, known: KnownTimes) -> Self {
        Self {
            known_times: known,
            is_refetch: true,
            ..self
        }
    }

    /// Works off the plan. Ends when it is empty, when time is up, or, with the windows in hand, after `stop`.
    pub(super) async fn run(mut self, stop: &CancellationToken) -> Result<PassOutcome, StoreError> {
        self.account.progress.begin_pass(self.plan.len());
        let (provider, store, clock) = (
            self.account.provider.clone(),
            self.account.store.clone(),
            self.account.clock.clone(),
        );
        let hurry = self.account.abort.clone();
        // Tasks of their own, so that answers are read on one core while windows are written on another. All end with
        // this pass, however that ends.
        let mut working: JoinSet<FinishedJob> = JoinSet::new();
        let mut committing: JoinSet<FinishedBatch> = JoinSet::new();
        let begun = Instant::now();
        let mut stood = begun;
        // Never, unless the word to stop comes.
        let mut deadline: Option<Instant> = None;
        loop {
            let may_begin = deadline.is_none() && begun.elapsed() < self.max_duration();
            while may_begin
                && working.len() + self.ready.len() < self.min_in_flight()
                && self.has_memory()
            {
                let Some(job) = self.next_job() else { break };
                working.spawn(self.process(job));
            }
            if stood.elapsed() >= FRONTIER_SAVE_INTERVAL {
                stood = Instant::now();
                self.save_frontier().await?;
            }
            self.record_errors().await?;
            self.unseal_outgrown().await?;
            if committing.len() < store.max_parallel_commits() {
                let batch = self.take_disjoint();
                if !batch.is_empty() {
                    let reach = batch
                        .iter()
                        .map(|ready| write_span(&ready.commit))
                        .collect();
                    let task = committing.spawn(commit_batch(
                        store.clone(),
                        self.account.progress.clone(),
                        batch,
                        clock.now(),
                    ));
                    self.committing_spans.insert(task.id(), reach);
                }
            }
            if working.is_empty() && committing.is_empty() {
                let Self {
                    tally,
                    failure,
                    stragglers,
                    found,
                    plan,
                    ..
                } = self;
                return Ok(PassOutcome {
                    tally,
                    failure,
                    stragglers,
                    found,
                    scheduler: plan.into_scheduler(),
                });
            }
            tokio::select! {
                Some(worked) = working.join_next() => {
                    let (job, took, outcome) = unwrap_task(worked);
                    self.finish_job(job, took, outcome);
                }
                Some(committed) = committing.join_next_with_id() => {
                    let (task, (batch, written)) = unwrap_task(committed);
                    self.committing_spans.remove(&task);
                    self.finish_commits(batch, written?).await?;
                }
                () = provider.spare_slot(), if may_begin && !self.plan.is_empty() && working.len() + self.ready.len() < MAX_IN_FLIGHT && self.has_memory() => {
                    if let Some(job) = self.next_job() {
                        working.spawn(self.process(job));
                    }
                }
                () = stop.cancelled(), if deadline.is_none() => deadline = Some(Instant::now() + STOP_GRACE),
                () = grace_over(deadline, &hurry), if deadline.is_some() && !working.is_empty() => working.shutdown().await,
            }
        }
    }

    fn next_job(&mut self) -> Option<Job> {
        let now = self.account.provider.now().second();
        // The last second is still being written.
        self.plan.pop(now.plus(-1), self.account.horizon())
    }

    /// How long the pass may begin windows.
    fn max_duration(&self) -> Duration {
        if self.is_refetch || !self.found.is_empty() {
            MAX_SHORT_PASS
        } else {
            MAX_PASS
        }
    }

    /// How many windows are begun without being asked for by an idle budget.
    fn min_in_flight(&self) -> usize {
        if self
            .account
            .provider
            .gate()
            .rate_limiter()
            .requests_per_second()
            .is_some()
        {
            1
        } else {
            UNLIMITED_IN_FLIGHT
        }
    }

    fn process(&self, job: Job) -> impl Future<Output = FinishedJob> + use<> {
        process_job(
            self.account.provider.clone(),
            job,
            self.target_messages(),
            self.account
                .memory
                .with_payload_size(self.account.payload_size),
        )
    }

    /// Whether there is room in memory for another window.
    fn has_memory(&self) -> bool {
        self.account
            .memory
            .with_payload_size(self.account.payload_size)
            .has_room_for(self.target_messages())
    }

    async fn save_frontier(&self) -> Result<(), StoreError> {
        let edges = self.plan.edges();
        self.account
            .save_frontier(
                self.place,
                Some(edges.wanted_to).filter(|_| !edges.follows_now),
            )
            .await
    }

    /// Takes what is ready and cannot meet what is being committed: two transactions that add the same messages, of
    /// streams that overlap, would wait for each other.
    fn take_disjoint(&mut self) -> Vec<PendingCommit> {
        let busy: Vec<Window> = self.committing_spans.values().flatten().copied().collect();
        let meets = |ready: &PendingCommit| {
            let reach = write_span(&ready.commit);
            busy.iter().any(|busy| busy.intersect(reach).is_some())
        };
        let (met, apart) = std::mem::take(&mut self.ready).into_iter().partition(meets);
        self.ready = met;
        apart
    }

    /// How many messages a window should hold.
    fn target_messages(&self) -> u64 {
        let window = self.account.provider.messages_per_window();
        (WINDOW_PAYLOAD_BYTES / self.account.payload_size.max(1)).clamp(window / 10, window)
    }

    fn finish_job(&mut self, job: Job, took: Duration, outcome: Result<JobResult, ProviderError>) {
        match outcome {
            Ok(JobResult::Split { .. }) if job.poll == Some(TailPoll::Peek) => {
                self.plan.scheduler().reset_poll(job.stream);
            }
            Ok(JobResult::Split { count, pieces }) => {
                self.announce(job, count);
                if let Some(again) = job.refetch {
                    self.outgrown_rows
                        .push((self.place.streams[job.stream.get()].0, again.row));
                }
                for piece in pieces {
                    self.plan.push(piece);
                }
            }
            Ok(JobResult::Fetched(fetched, messages, held)) => {
                self.announce(job, messages.len() as u64);
                self.plan.account_for(
                    job,
                    self.account.provider.request_cost(messages.len() as u64),
                );
                let edge = self.overtaken_to(job);
                if self.plan.is_expiring(job.range.from()) {
                    self.plan.learn_lead(took.as_secs_f64(), edge.is_some());
                }
                let commit = self.build_commit(job, edge, fetched, messages);
                self.ready.push(PendingCommit {
                    job,
                    commit,
                    memory: held,
                });
            }
            Err(failure) => self.fail_job(job, failure),
        }
    }

    /// Up to where a range has fallen behind the horizon while it was fetched; nothing where that is hardly any of it.
    /// Where its stream's history begins nothing is missed: it reaches as far as it does.
    fn overtaken_to(&self, job: Job) -> Option<Second> {
        let begins = self.place.streams[job.stream.get()].1;
        let edge = self.account.horizon()?;
        let is_late =
            begins < job.range.from() && job.range.from().plus(HORIZON_TOLERANCE_S) < edge;
        (job.refetch.is_none() && is_late).then_some(edge)
    }

    fn announce(&self, job: Job, count: u64) {
        if !job.is_piece {
            self.account.progress.add_announced(count);
        }
    }

    fn fail_job(&mut self, job: Job, failure: ProviderError) {
        self.tally.errors += 1;
        self.tally.last_error = Some(failure.to_string());
        match failure.disposition() {
            Disposition::SkipStream => self.plan.drop_stream(job.stream),
            Disposition::SkipAccount | Disposition::Park => self.plan.clear(),
        }
        self.failed_streams.insert(job.stream);
        self.unrecorded_errors.push((job.stream, failure));
    }

    /// Puts on record what failed, and keeps the gravest failure for the report.
    async fn record_errors(&mut self) -> Result<(), StoreError> {
        for (stream, failure) in std::mem::take(&mut self.unrecorded_errors) {
            self.account
                .record_stream_error(self.place, stream, &failure)
                .await?;
            let graver = self
                .failure
                .as_ref()
                .is_none_or(|known| known.disposition() != Disposition::Park);
            if graver {
                self.failure = Some(failure);
            }
        }
        Ok(())
    }

    /// Opens the rows whose pieces are fetched like anything else that is missing.
    async fn unseal_outgrown(&mut self) -> Result<(), StoreError> {
        for (stream, row) in std::mem::take(&mut self.outgrown_rows) {
            self.account.store.unseal(stream, row).await?;
        }
        Ok(())
    }

    /// The window as it goes into the archive. Only what is settled is sealed; and where the provider contradicts
    /// itself about a window that is not all settled, its settled part is read again by itself. Nor is sealed what lies
    /// before the `edge` with which the horizon has caught up.
    fn build_commit(
        &mut self,
        job: Job,
        edge: Option<Second>,
        fetched: FetchedWindow,
        messages: Vec<IdentifiedMessage>,
    ) -> Commit {
        let FetchedWindow {
            unreadable,
            provider_count,
            requested_at: as_of,
            doubt,
            ..
        } = fetched;
        self.observe_payload_size(&messages);
        self.stragglers += u64::from(self.argues_for_longer_settle(job, &messages));
        let settled = job.range.up_to(as_of.second().minus(self.place.settle));
        let seal = match settled {
            _ if job.refetch.is_some() => Some(job.range),
            _ if job.poll == Some(TailPoll::Peek) => None,
            Some(part) if part != job.range && doubt.is_some() => {
                self.plan.push(Job {
                    range: part,
                    is_piece: true,
                    poll: None,
                    ..job
                });
                None
            }
            settled => settled,
        };
        let seal =
            seal.and_then(|window| edge.map_or(Some(window), |edge| window.starting_at(edge)));
        let seal = seal.map(|window| {
            let inside = messages
                .iter()
                .filter(|known| window.contains(known.message.sent_at))
                .count() as u64;
            // The pages added up: what lies in the settled part is what the provider counted there.
            let provider_count = if window == job.range {
                provider_count
            } else {
                provider_count.map(|_| inside)
            };
            let scope = self.account.provider.stream(job.stream).scope.clone();
            match job.refetch {
                None => Seal {
                    window,
                    scope,
                    provider_count,
                    doubt,
                    replaces: false,
                },
                Some(Refetch { row, outside, .. }) => {
                    let provider_count = provider_count.map(|count| count + outside);
                    Seal {
                        window: row,
                        scope,
                        provider_count,
                        doubt,
                        replaces: true,
                    }
                }
            }
        });
        let (stream, account) = (self.place.streams[job.stream.get()].0, self.place.account);
        Commit {
            account,
            stream,
            window: job.range,
            seal,
            messages,
            unreadable,
        }
    }

    /// Whether what was read again holds a message that a longer settle age would have caught. Those that came even
    /// later say nothing of it.
    fn argues_for_longer_settle(&mut self, job: Job, messages: &[IdentifiedMessage]) -> bool {
        let Some(Refetch { row, sealed_at, .. }) = job.refetch else {
            return false;
        };
        let Some(known) = self.known_times.remove(&(job.stream, row)) else {
            return false;
        };
        let times = messages.iter().map(|identified| identified.message.sent_at);
        let newest = times.filter(|at| known.binary_search(at).is_err()).max();
        newest
            .is_some_and(|newest| sealed_at.since(newest) < self.place.settle * LATE_WITHIN_SETTLES)
    }

    fn observe_payload_size(&mut self, messages: &[IdentifiedMessage]) {
        let bytes: u64 = messages
            .iter()
            .map(|known| known.message.payload.bytes.len() as u64)
            .sum();
        if let Some(mean) = bytes.checked_div(messages.len() as u64) {
            let known = &mut self.account.payload_size;
            *known = if mean > *known {
                mean
            } else {
                (*known * 7 + mean) / 8
            };
        }
    }

    async fn finish_commits(
        &mut self,
        batch: Vec<(Job, Commit)>,
        written: Vec<WriteCounts>,
    ) -> Result<(), StoreError> {
        for ((job, commit), written) in batch.into_iter().zip(written) {
            self.tally.new += written.new;
            self.tally.changed += written.changed;
            self.tally.windows += u64::from(commit.seal.is_some());
            if let Some(look) = job.poll {
                let sealed_to = commit.seal.as_ref().map(|seal| seal.window.to());
                let from = sealed_to.or((look == TailPoll::Seal).then(|| job.range.from()));
                self.plan.scheduler().record_poll(job, from, written.new);
            }
            discover_from_messages(&*self.account.provider, &commit.messages, &mut self.found);
            self.account
                .progress
                .record_commit(&commit, written, self.is_refetch);
            self.log_commit(job, &commit, written);
            if !self.failed_streams.contains(&job.stream) {
                self.account
                    .clear_stream_error(self.place, job.stream)
                    .await?;
            }
        }
        Ok(())
    }

    fn log_commit(&self, job: Job, commit: &Commit, written: WriteCounts) {
        let account = &self.account.provider.account().name;
        let stream = &self.account.provider.stream(job.stream).key;
        let window = commit.window;
        if let Some(doubt) = commit.seal.as_ref().and_then(|seal| seal.doubt.as_ref()) {
            tracing::warn!(account, stream, %window, doubt, "sealed as suspect");
        }
        if !commit.unreadable.is_empty() {
            let count = commit.unreadable.len();
            tracing::warn!(account, stream, %window, count, "messages could not be read; kept in quarantine");
        }
        tracing::debug!(account, stream, %window, messages = commit.messages.len(), new = written.new, "window committed");
    }
}

/// How long the windows in hand have.
async fn grace_over(deadline: Option<Instant>, hurry: &CancellationToken) {
    match deadline {
        Some(deadline) => {
            let _ = timeout_at(deadline, hurry.cancelled()).await;
        }
        None => std::future::pending().await,
    }
}

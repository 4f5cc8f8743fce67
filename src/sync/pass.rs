//! One round over an account's streams: windows in flight on one side, commits on the other.

use std::collections::HashSet;

use futures_util::future::{BoxFuture, FutureExt, OptionFuture};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::account::{AccountSync, Place};
use super::planner::{Job, Plan};
use super::{GRACE, IN_FLIGHT, PASS, TARGET, TARGET_BYTES};
use crate::domain::identity::identify;
use crate::provider::{Advice, Fetched, Provider, ProviderError, Survey};
use crate::store::{Commit, Seal, StoreError, Tally, Written};

/// What became of a job.
enum Outcome {
    Fetched(Fetched),
    Split { count: u64, pieces: Vec<Job> },
}

type Working<'a> = FuturesUnordered<BoxFuture<'a, (Job, Result<Outcome, ProviderError>)>>;
type Committing<'a> = BoxFuture<'a, (Vec<(Job, Commit)>, Result<Vec<Written>, StoreError>)>;

/// A pass under way.
pub(super) struct Pass<'a> {
    account: &'a mut AccountSync,
    place: &'a mut Place,
    plan: Plan,
    tally: Tally,
    failure: Option<ProviderError>,
    /// Fetched, identified and waiting for the commit under way.
    ready: Vec<(Job, Commit)>,
    /// Failures of streams that are not on record yet. While a commit is under way, nothing but its completion may be
    /// waited for: it may hold the very connection that whatever else is to be written would wait for.
    troubles: Vec<(usize, ProviderError)>,
    /// Streams that failed in this pass. What else of them is committed does not mean that they are well.
    ill: HashSet<usize>,
}

impl<'a> Pass<'a> {
    pub(super) fn new(account: &'a mut AccountSync, place: &'a mut Place, plan: Plan) -> Self {
        let (ready, troubles, ill) = (Vec::new(), Vec::new(), HashSet::new());
        Self { account, place, plan, tally: Tally::default(), failure: None, ready, troubles, ill }
    }

    /// Works off the plan. Ends when it is empty, when time is up, or, with the windows in hand, after `stop`.
    pub(super) async fn run(mut self, stop: &CancellationToken) -> Result<(Tally, Option<ProviderError>), StoreError> {
        let (provider, store, clock) =
            (self.account.provider.clone(), self.account.store.clone(), self.account.clock.clone());
        let (provider, store) = (&*provider, &*store);
        let mut working: Working = FuturesUnordered::new();
        let mut committing: OptionFuture<Committing> = None.into();
        let mut committing_now = false;
        let time_up = Instant::now() + PASS;
        // Never, unless the word to stop comes.
        let mut deadline: Option<Instant> = None;
        loop {
            let may_begin = deadline.is_none() && Instant::now() < time_up;
            while may_begin && working.len() + self.ready.len() < IN_FLIGHT {
                let Some(job) = self.plan.pop() else { break };
                working.push(work(provider, job, self.target()).boxed());
            }
            if !committing_now {
                self.note_troubles().await?;
            }
            if !committing_now && !self.ready.is_empty() {
                let (batch, now) = (std::mem::take(&mut self.ready), clock.now());
                committing = Some(commit(store, batch, now).boxed()).into();
                committing_now = true;
            }
            if working.is_empty() && !committing_now {
                return Ok((self.tally, self.failure));
            }
            tokio::select! {
                Some((job, outcome)) = working.next(), if !working.is_empty() => self.done(job, outcome),
                Some((batch, written)) = &mut committing, if committing_now => {
                    committing_now = false;
                    self.committed(batch, written?).await?;
                }
                () = stop.cancelled(), if deadline.is_none() => deadline = Some(Instant::now() + GRACE),
                () = sleep_until(deadline), if deadline.is_some() && !working.is_empty() => working.clear(),
            }
        }
    }

    /// How many messages a window should hold.
    fn target(&self) -> u64 {
        (TARGET_BYTES / self.account.payload_size.max(1)).clamp(TARGET / 10, TARGET)
    }

    fn done(&mut self, job: Job, outcome: Result<Outcome, ProviderError>) {
        match outcome {
            Ok(Outcome::Split { count, pieces }) => {
                self.expect(job, count);
                for piece in pieces {
                    self.plan.push(piece);
                }
            }
            Ok(Outcome::Fetched(fetched)) => {
                self.expect(job, fetched.messages.len() as u64);
                let commit = self.commit_of(job, fetched);
                self.ready.push((job, commit));
            }
            Err(failure) => self.failed(job, failure),
        }
    }

    fn expect(&self, job: Job, count: u64) {
        if !job.is_piece {
            self.account.progress.expect(count);
        }
    }

    fn failed(&mut self, job: Job, failure: ProviderError) {
        self.tally.errors += 1;
        self.tally.last_error = Some(failure.to_string());
        match failure.advice() {
            Advice::SkipStream => self.plan.drop_stream(job.stream),
            Advice::SkipAccount | Advice::Park => self.plan.clear(),
        }
        self.ill.insert(job.stream);
        self.troubles.push((job.stream, failure));
    }

    /// Puts on record what failed, and keeps the gravest failure for the report.
    async fn note_troubles(&mut self) -> Result<(), StoreError> {
        for (stream, failure) in std::mem::take(&mut self.troubles) {
            self.account.note_trouble(self.place, stream, &failure).await?;
            let graver = self.failure.as_ref().is_none_or(|known| known.advice() != Advice::Park);
            if graver {
                self.failure = Some(failure);
            }
        }
        Ok(())
    }

    /// The window as it goes into the archive. Only what is settled is sealed; and where the provider contradicts
    /// itself about a window that is not all settled, its settled part is read again by itself.
    fn commit_of(&mut self, job: Job, fetched: Fetched) -> Commit {
        let Fetched { messages, unreadable, provider_count, as_of, doubt } = fetched;
        self.learn_size(&messages);
        let settled = job.range.before(as_of.second().minus(self.account.provider.account().settle));
        let seal = match settled {
            Some(part) if part != job.range && doubt.is_some() => {
                self.plan.push(Job { range: part, is_piece: true, ..job });
                None
            }
            settled => settled,
        };
        let seal = seal.map(|window| {
            let inside = messages.iter().filter(|message| window.contains(message.sent_at)).count() as u64;
            // The pages added up: what lies in the settled part is what the provider counted there.
            let provider_count = if window == job.range { provider_count } else { provider_count.map(|_| inside) };
            let scope = self.account.provider.streams()[job.stream].scope.clone();
            Seal { window, scope, provider_count, doubt, replaces: false }
        });
        let (stream, account) = (self.place.streams[job.stream].0, self.place.account);
        Commit { account, stream, window: job.range, seal, messages: identify(messages), unreadable }
    }

    fn learn_size(&mut self, messages: &[crate::domain::message::Message]) {
        let bytes: u64 = messages.iter().map(|message| message.payload.bytes.len() as u64).sum();
        if let Some(mean) = bytes.checked_div(messages.len() as u64) {
            let known = &mut self.account.payload_size;
            *known = if mean > *known { mean } else { (*known * 7 + mean) / 8 };
        }
    }

    async fn committed(&mut self, batch: Vec<(Job, Commit)>, written: Vec<Written>) -> Result<(), StoreError> {
        for ((job, commit), written) in batch.into_iter().zip(written) {
            self.tally.new += written.new;
            self.tally.changed += written.changed;
            self.tally.windows += u64::from(commit.seal.is_some());
            self.account.progress.committed(commit.messages.len() as u64, written.new);
            self.report(job, &commit, written);
            if !self.ill.contains(&job.stream) {
                self.account.note_well(self.place, job.stream).await?;
            }
        }
        Ok(())
    }

    fn report(&self, job: Job, commit: &Commit, written: Written) {
        let account = &self.account.provider.account().name;
        let stream = &self.account.provider.streams()[job.stream].key;
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

/// Surveys a range, and fetches it if it is one window's worth.
async fn work(provider: &dyn Provider, job: Job, target: u64) -> (Job, Result<Outcome, ProviderError>) {
    let outcome = async {
        match provider.survey(job.stream, job.range, target).await? {
            Survey::Done(fetched) => Ok(Outcome::Fetched(fetched)),
            Survey::Sized(count) => provider.fetch(job.stream, job.range, count).await.map(Outcome::Fetched),
            Survey::Split { count, cuts } => {
                let pieces = job.range.cut_at(&cuts).into_iter();
                Ok(Outcome::Split { count, pieces: pieces.map(|range| Job { range, is_piece: true, ..job }).collect() })
            }
        }
    };
    (job, outcome.await)
}

async fn commit(
    store: &dyn crate::store::Store,
    batch: Vec<(Job, Commit)>,
    now: crate::domain::time::Millis,
) -> (Vec<(Job, Commit)>, Result<Vec<Written>, StoreError>) {
    let (jobs, commits): (Vec<Job>, Vec<Commit>) = batch.into_iter().unzip();
    let written = store.commit(&commits, now).await;
    (jobs.into_iter().zip(commits).collect(), written)
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

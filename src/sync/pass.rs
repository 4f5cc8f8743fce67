//! One round over an account's streams: windows in flight on one side, commits on the other.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::task::{self, JoinSet};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::account::{AccountSync, Place};
use super::discovery::{Found, look_at};
use super::live::Live;
use super::planner::{Again, HARDLY_S, Job, Look, Plan};
use super::tasks::{Committed, Outcome, Ready, Worked, commit, ended, reach, work};
use super::{GRACE, IN_FLIGHT, MOST_IN_FLIGHT, PASS, SHORT_PASS, STANDING, TARGET_BYTES};
use crate::domain::identity::Identified;
use crate::domain::time::{Millis, Second};
use crate::domain::window::Window;
use crate::provider::{Advice, Fetched, ProviderError};
use crate::store::{Commit, Seal, StoreError, StreamId, Tally, Written};

/// A message that came within so many times the settle age, seen from when its window was sealed, is a reason to wait
/// longer: it might have been caught.
const TELLING: u32 = 8;

/// A pass under way.
pub(super) struct Pass<'a> {
    account: &'a mut AccountSync,
    place: &'a mut Place,
    plan: Plan,
    tally: Tally,
    failure: Option<ProviderError>,
    /// Fetched, identified and waiting for a commit under way.
    ready: Vec<Ready>,
    /// The times within which each of the commits under way writes.
    under_way: HashMap<task::Id, Vec<Window>>,
    /// Failures of streams that are not on record yet.
    troubles: Vec<(usize, ProviderError)>,
    /// Ledger rows that hold too much by now to be read again as one, and are not opened yet.
    outgrown: Vec<(StreamId, Window)>,
    /// Streams that failed in this pass. What else of them is committed does not mean that they are well.
    ill: HashSet<usize>,
    /// What the archive held of the rows that are read again, before that.
    known: Known,
    /// Whether it reads again what was read before.
    is_again: bool,
    /// Messages that came so soon after their window was sealed that it was sealed too early.
    stragglers: u64,
    /// Streams that messages of this pass lead to.
    found: Found,
}

/// When the messages were sent that the archive holds of a stretch that is read again, by stream and row.
pub(super) type Known = HashMap<(usize, Window), Vec<Millis>>;

/// What a pass came to.
pub(super) struct Done {
    pub(super) tally: Tally,
    pub(super) failure: Option<ProviderError>,
    pub(super) stragglers: u64,
    pub(super) found: Found,
    /// What is known of the streams' rhythm.
    pub(super) live: Live,
}

impl<'a> Pass<'a> {
    pub(super) fn new(account: &'a mut AccountSync, place: &'a mut Place, plan: Plan) -> Self {
        Self {
            account,
            place,
            plan,
            tally: Tally::default(),
            failure: None,
            ready: Vec::new(),
            under_way: HashMap::new(),
            troubles: Vec::new(),
            outgrown: Vec::new(),
            ill: HashSet::new(),
            known: Known::default(),
            is_again: false,
            stragglers: 0,
            found: Found::new(),
        }
    }

    /// Told what the archive holds of what is read again, it tells how late came what it finds.
    pub(super) fn knowing(self, known: Known) -> Self {
        Self {
            known,
            is_again: true,
            ..self
        }
    }

    /// Works off the plan. Ends when it is empty, when time is up, or, with the windows in hand, after `stop`.
    pub(super) async fn run(mut self, stop: &CancellationToken) -> Result<Done, StoreError> {
        self.account.progress.begin(self.plan.len());
        let (provider, store, clock) = (
            self.account.provider.clone(),
            self.account.store.clone(),
            self.account.clock.clone(),
        );
        let hurry = self.account.hurry.clone();
        // Tasks of their own, so that answers are read on one core while windows are written on another. All end with
        // this pass, however that ends.
        let mut working: JoinSet<Worked> = JoinSet::new();
        let mut committing: JoinSet<Committed> = JoinSet::new();
        let begun = Instant::now();
        let mut stood = begun;
        // Never, unless the word to stop comes.
        let mut deadline: Option<Instant> = None;
        loop {
            let may_begin = deadline.is_none() && begun.elapsed() < self.lasts();
            while may_begin && working.len() + self.ready.len() < self.eagerly() && self.has_room()
            {
                let Some(job) = self.next() else { break };
                working.spawn(self.work(job));
            }
            if stood.elapsed() >= STANDING {
                stood = Instant::now();
                self.stand().await?;
            }
            self.note_troubles().await?;
            self.open_outgrown().await?;
            if committing.len() < store.lanes() {
                let batch = self.apart();
                if !batch.is_empty() {
                    let reach = batch.iter().map(|ready| reach(&ready.commit)).collect();
                    let task = committing.spawn(commit(
                        store.clone(),
                        self.account.progress.clone(),
                        batch,
                        clock.now(),
                    ));
                    self.under_way.insert(task.id(), reach);
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
                return Ok(Done {
                    tally,
                    failure,
                    stragglers,
                    found,
                    live: plan.into_live(),
                });
            }
            tokio::select! {
                Some(worked) = working.join_next() => {
                    let (job, took, outcome) = ended(worked);
                    self.done(job, took, outcome);
                }
                Some(committed) = committing.join_next_with_id() => {
                    let (task, (batch, written)) = ended(committed);
                    self.under_way.remove(&task);
                    self.committed(batch, written?).await?;
                }
                () = provider.idle(), if may_begin && !self.plan.is_empty() && working.len() + self.ready.len() < MOST_IN_FLIGHT && self.has_room() => {
                    if let Some(job) = self.next() {
                        working.spawn(self.work(job));
                    }
                }
                () = stop.cancelled(), if deadline.is_none() => deadline = Some(Instant::now() + GRACE),
                () = grace(deadline, &hurry), if deadline.is_some() && !working.is_empty() => working.shutdown().await,
            }
        }
    }

    fn next(&mut self) -> Option<Job> {
        let now = self.account.provider.now().second();
        // The last second is still being written.
        self.plan.pop(now.plus(-1), self.account.horizon())
    }

    /// How long the pass may begin windows.
    fn lasts(&self) -> Duration {
        if self.is_again || !self.found.is_empty() {
            SHORT_PASS
        } else {
            PASS
        }
    }

    /// How many windows are begun without being asked for by an idle budget.
    fn eagerly(&self) -> usize {
        if self.account.provider.http().budget().rate().is_some() {
            1
        } else {
            IN_FLIGHT
        }
    }

    fn work(&self, job: Job) -> impl Future<Output = Worked> + use<> {
        work(
            self.account.provider.clone(),
            job,
            self.target(),
            self.account.room.of(self.account.payload_size),
        )
    }

    /// Whether there is room in memory for another window.
    fn has_room(&self) -> bool {
        self.account
            .room
            .of(self.account.payload_size)
            .is_left(self.target())
    }

    async fn stand(&self) -> Result<(), StoreError> {
        let edges = self.plan.edges();
        self.account
            .stand(self.place, Some(edges.wanted_to).filter(|_| !edges.goes_on))
            .await
    }

    /// Takes what is ready and cannot meet what is being committed: two transactions that add the same messages, of
    /// streams that overlap, would wait for each other.
    fn apart(&mut self) -> Vec<Ready> {
        let busy: Vec<Window> = self.under_way.values().flatten().copied().collect();
        let meets = |ready: &Ready| {
            let reach = reach(&ready.commit);
            busy.iter().any(|busy| busy.intersect(reach).is_some())
        };
        let (met, apart) = std::mem::take(&mut self.ready).into_iter().partition(meets);
        self.ready = met;
        apart
    }

    /// How many messages a window should hold.
    fn target(&self) -> u64 {
        let window = self.account.provider.window();
        (TARGET_BYTES / self.account.payload_size.max(1)).clamp(window / 10, window)
    }

    fn done(&mut self, job: Job, took: Duration, outcome: Result<Outcome, ProviderError>) {
        match outcome {
            Ok(Outcome::Split { .. }) if job.look == Some(Look::Peek) => {
                self.plan.live().overwhelmed(job.stream)
            }
            Ok(Outcome::Split { count, pieces }) => {
                self.expect(job, count);
                if let Some(again) = job.again {
                    self.outgrown
                        .push((self.place.streams[job.stream].0, again.row));
                }
                for piece in pieces {
                    self.plan.push(piece);
                }
            }
            Ok(Outcome::Fetched(fetched, messages, held)) => {
                self.expect(job, messages.len() as u64);
                self.plan
                    .spent(job, self.account.provider.cost(messages.len() as u64));
                let edge = self.caught_up(job);
                if self.plan.is_dying(job.range.from()) {
                    self.plan.learn_lead(took.as_secs_f64(), edge.is_some());
                }
                let commit = self.commit_of(job, edge, fetched, messages);
                self.ready.push(Ready { job, commit, held });
            }
            Err(failure) => self.failed(job, failure),
        }
    }

    /// Up to where a range has fallen behind the horizon while it was fetched; nothing where that is hardly any of it.
    /// Where its stream's history begins nothing is missed: it reaches as far as it does.
    fn caught_up(&self, job: Job) -> Option<Second> {
        let begins = self.place.streams[job.stream].1;
        let edge = self.account.horizon()?;
        let is_late = begins < job.range.from() && job.range.from().plus(HARDLY_S) < edge;
        (job.again.is_none() && is_late).then_some(edge)
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
            self.account
                .note_trouble(self.place, stream, &failure)
                .await?;
            let graver = self
                .failure
                .as_ref()
                .is_none_or(|known| known.advice() != Advice::Park);
            if graver {
                self.failure = Some(failure);
            }
        }
        Ok(())
    }

    /// Opens the rows whose pieces are fetched like anything else that is missing.
    async fn open_outgrown(&mut self) -> Result<(), StoreError> {
        for (stream, row) in std::mem::take(&mut self.outgrown) {
            self.account.store.unseal(stream, row).await?;
        }
        Ok(())
    }

    /// The window as it goes into the archive. Only what is settled is sealed; and where the provider contradicts
    /// itself about a window that is not all settled, its settled part is read again by itself. Nor is sealed what lies
    /// before the `edge` with which the horizon has caught up.
    fn commit_of(
        &mut self,
        job: Job,
        edge: Option<Second>,
        fetched: Fetched,
        messages: Vec<Identified>,
    ) -> Commit {
        let Fetched {
            unreadable,
            provider_count,
            as_of,
            doubt,
            ..
        } = fetched;
        self.learn_size(&messages);
        self.stragglers += u64::from(self.is_telling(job, &messages));
        let settled = job.range.before(as_of.second().minus(self.place.settle));
        let seal = match settled {
            _ if job.again.is_some() => Some(job.range),
            _ if job.look == Some(Look::Peek) => None,
            Some(part) if part != job.range && doubt.is_some() => {
                self.plan.push(Job {
                    range: part,
                    is_piece: true,
                    look: None,
                    ..job
                });
                None
            }
            settled => settled,
        };
        let seal = seal.and_then(|window| edge.map_or(Some(window), |edge| window.starting(edge)));
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
            match job.again {
                None => Seal {
                    window,
                    scope,
                    provider_count,
                    doubt,
                    replaces: false,
                },
                Some(Again { row, outside, .. }) => {
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
        let (stream, account) = (self.place.streams[job.stream].0, self.place.account);
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
    fn is_telling(&mut self, job: Job, messages: &[Identified]) -> bool {
        let Some(Again { row, sealed_at, .. }) = job.again else {
            return false;
        };
        let Some(known) = self.known.remove(&(job.stream, row)) else {
            return false;
        };
        let times = messages.iter().map(|identified| identified.message.sent_at);
        let newest = times.filter(|at| known.binary_search(at).is_err()).max();
        newest.is_some_and(|newest| sealed_at.since(newest) < self.place.settle * TELLING)
    }

    fn learn_size(&mut self, messages: &[Identified]) {
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

    async fn committed(
        &mut self,
        batch: Vec<(Job, Commit)>,
        written: Vec<Written>,
    ) -> Result<(), StoreError> {
        for ((job, commit), written) in batch.into_iter().zip(written) {
            self.tally.new += written.new;
            self.tally.changed += written.changed;
            self.tally.windows += u64::from(commit.seal.is_some());
            if let Some(look) = job.look {
                let sealed_to = commit.seal.as_ref().map(|seal| seal.window.to());
                let from = sealed_to.or((look == Look::Full).then(|| job.range.from()));
                self.plan.live().looked_at(job, from, written.new);
            }
            look_at(&*self.account.provider, &commit.messages, &mut self.found);
            self.account
                .progress
                .committed(&commit, written, self.is_again);
            self.report(job, &commit, written);
            if !self.ill.contains(&job.stream) {
                self.account.note_well(self.place, job.stream).await?;
            }
        }
        Ok(())
    }

    fn report(&self, job: Job, commit: &Commit, written: Written) {
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
async fn grace(deadline: Option<Instant>, hurry: &CancellationToken) {
    match deadline {
        Some(deadline) => {
            let _ = timeout_at(deadline, hurry.cancelled()).await;
        }
        None => std::future::pending().await,
    }
}

//! One account between passes: its place in the archive, and its pauses.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::discovery::{StreamDiscovery, read_directories};
use super::memory::MemoryBudget;
use super::pipeline::{PassOutcome, Pipeline};
use super::plan::{Plan, PlanEdges};
use super::progress::AccountProgress;
use super::tails::TailScheduler;
use super::{HistoryBounds, PassReport, Purpose, REFUSED_CREDENTIALS_PAUSE};
use crate::domain::clock::Clock;
use crate::domain::frontier::Frontier;
use crate::domain::stream::StreamIndex;
use crate::domain::time::{Millis, Second};
use crate::domain::window::{Runs, Window};
use crate::provider::{AccountSettings, Disposition, Provider, ProviderError};
use crate::store::{
    AccountId, Archive, Lease, NewAccount, Pause, RecordedError, StoreError, StreamId, Tally,
};

/// Ranges that fall behind the horizon within this share of the retention go first.
const EXPIRING_SHARE: u32 = 8;
/// So long before it is forgotten a message is given up.
const RETENTION_MARGIN: Duration = Duration::from_secs(7);
/// How far two readings of the provider's clock may lie apart, in seconds: `Date` says no more than the second.
const CLOCK_UNCERTAINTY_S: i64 = 2;
/// After an account has changed hands: what its last holder has asked for within a second counts against its quota.
const HANDOVER_PAUSE: Duration = Duration::from_secs(1);
/// Shorter pauses are waited out, and not worth remembering.
const MIN_RECORDED_PAUSE: Duration = Duration::from_secs(10);
/// So many stragglers are no accident any more: the settle age is doubled.
const STRAGGLERS_TO_WIDEN: u64 = 3;
/// As many times as it was configured it may become at the most: while it has not passed, a range is fetched at every
/// pass, and what comes even later is found by counting.
const MAX_SETTLE_FACTOR: u32 = 8;

/// The edge from which on history can be fetched, where the provider forgets.
pub(super) fn horizon(provider: &dyn Provider) -> Option<Second> {
    Some(
        provider
            .now()
            .second()
            .minus(fetchable_retention(provider.account().retention?)),
    )
}

/// How long what a provider keeps for so long is to be had. What is asked for must still be there when it is answered, or
/// the pages of a window never add up: so nothing is asked for that the provider is about to forget.
pub(super) fn fetchable_retention(retention: Duration) -> Duration {
    retention.saturating_sub(RETENTION_MARGIN.min(retention / EXPIRING_SHARE))
}

/// An account, its provider and its place in the archive.
pub struct AccountSync {
    pub(super) provider: Arc<dyn Provider>,
    pub(super) store: Arc<dyn Archive>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) progress: Arc<AccountProgress>,
    /// What others are told who ask for the account meanwhile.
    process_name: Arc<str>,
    /// Whether another process was found to work on it.
    is_standby: bool,
    /// Nothing before the first pass.
    session: Option<Session>,
    /// How many streams were compared with the provider's counts so far, round and round. It begins anywhere, so that
    /// a process that is started often gets round as well.
    pub(super) compare_cursor: usize,
    /// Up to when messages were refreshed.
    pub(super) refreshed_to: Option<Second>,
    pub(super) discovery: StreamDiscovery,
    /// What is known of the streams' rhythm, while no pass has it.
    pub(super) scheduler: TailScheduler,
    /// The mean size of payloads seen lately, in bytes.
    pub(super) payload_size: u64,
    pub(super) memory: MemoryBudget,
    /// The word to leave even the windows in hand.
    pub(super) abort: CancellationToken,
}

/// Where the archive keeps the account.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) account: AccountId,
    /// By position: the stream's number, and from when on its history is wanted.
    pub(super) streams: Vec<(StreamId, Second)>,
    /// Streams that are known to have no trouble on record.
    pub(super) known_healthy: HashSet<StreamId>,
    /// The age at which the provider is trusted to show everything, by what it has shown so far.
    pub(super) settle: Duration,
    /// Whether a pause is on record.
    is_paused: bool,
}

impl std::fmt::Debug for AccountSync {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccountSync")
            .field("account", &self.provider.account().name)
            .finish_non_exhaustive()
    }
}

impl AccountSync {
    pub(super) fn new(
        provider: Arc<dyn Provider>,
        store: Arc<dyn Archive>,
        clock: Arc<dyn Clock>,
        process_name: Arc<str>,
        memory: MemoryBudget,
    ) -> Self {
        let compare_cursor = fastrand::usize(..=u16::MAX as usize);
        let progress = Arc::new(AccountProgress::new(provider.clone()));
        Self {
            provider,
            store,
            clock,
            progress,
            process_name,
            is_standby: false,
            session: None,
            compare_cursor,
            refreshed_to: None,
            discovery: StreamDiscovery::default(),
            scheduler: TailScheduler::default(),
            payload_size: 0,
            memory,
            abort: CancellationToken::new(),
        }
    }

    /// The account's name.
    pub fn name(&self) -> &str {
        &self.provider.account().name
    }

    /// How far it has come.
    pub fn progress(&self) -> &Arc<AccountProgress> {
        &self.progress
    }

    /// Whether its messages have a status that is followed.
    pub fn has_statuses(&self) -> bool {
        self.provider.account().refresh_for.is_some()
    }

    /// One round over the account's streams. Ends early, with the windows in hand, once `stop` is given.
    ///
    /// Dropping the future is safe at any point: what was not committed is fetched again.
    pub async fn pass(
        &mut self,
        purpose: Purpose,
        stop: &CancellationToken,
    ) -> Result<PassReport, StoreError> {
        let outcome = self.run_pass(purpose, stop).await;
        self.progress.end_pass(purpose, &outcome, self.clock.now());
        outcome
    }

    async fn run_pass(
        &mut self,
        purpose: Purpose,
        stop: &CancellationToken,
    ) -> Result<PassReport, StoreError> {
        let requests_before = self.provider.requests_sent();
        let mut place = match self.open_session(stop).await? {
            Ok(place) => place,
            Err(failure) => {
                let tally = Tally {
                    requests: self.provider.requests_sent() - requests_before,
                    ..Tally::default()
                };
                return Ok(self.report(tally, u64::MAX, Some(failure)));
            }
        };
        let report = self
            .run_in_session(&mut place, requests_before, purpose, stop)
            .await?;
        // After a failure of the database the place is looked up anew: a server that took over from another may not
        // have heard of it.
        self.return_session(place);
        Ok(report)
    }

    /// The account's place in the archive, to be given back with [`Self::keep`].
    pub(super) async fn open_session(
        &mut self,
        stop: &CancellationToken,
    ) -> Result<Result<Session, ProviderError>, StoreError> {
        match self.session.take() {
            // Where another may have worked on it in between, nothing that was known is relied upon.
            Some(place) if self.renew_lease(place.account).await? == Lease::Kept => Ok(Ok(place)),
            _ => self.start_session(stop).await,
        }
    }

    pub(super) fn return_session(&mut self, place: Session) {
        self.session = Some(place);
    }

    /// Finds the account's place in the archive, and learns what time it is at the provider: a history that is wanted
    /// "from now on" or "as far as it reaches" must not be judged by a wrong clock.
    async fn start_session(
        &mut self,
        stop: &CancellationToken,
    ) -> Result<Result<Session, ProviderError>, StoreError> {
        let provider = self.provider.clone();
        let account = provider.account();
        let new = |horizon| NewAccount {
            name: &account.name,
            provider: account.provider.name(),
            streams: None,
            since: account.since.map(Millis::second),
            horizon,
        };
        let id = self.store.register(&new(None)).await?.account;
        self.renew_lease(id).await?;
        // Only now: whoever had the account before may have been given a pause.
        let known = self.store.register(&new(None)).await?;
        if let Some(pause) = &known.pause {
            self.provider.pause_for(pause.until.since(self.clock.now()));
        }
        if let Some(left) = self
            .provider
            .paused_for()
            .filter(|left| *left > MIN_RECORDED_PAUSE)
        {
            return Ok(Err(ProviderError::Paused { remaining: left }));
        }
        if let Err(failure) = self.check_credentials(stop).await {
            self.record_pause(known.account, &failure).await?;
            return Ok(Err(failure));
        }
        if let Some(skew) = self.provider.clock_skew() {
            tracing::warn!(
                account = account.name,
                skew_s = skew.as_secs(),
                "this machine's clock is off; going by the provider's"
            );
        }
        self.follow_archived(known.account).await?;
        let streams = self.provider.streams();
        let known = self
            .store
            .register(&NewAccount {
                streams: Some(&streams),
                ..new(self.horizon())
            })
            .await?;
        let paused = known.pause.is_some();
        let settle = known
            .settle
            .map_or(account.settle, |known| known.max(account.settle));
        self.discover_from_archive(known.account).await?;
        Ok(Ok(Session {
            account: known.account,
            streams: known.streams,
            known_healthy: HashSet::new(),
            settle,
            is_paused: paused,
        }))
    }

    /// Makes sure that no other process works on the account.
    async fn renew_lease(&mut self, account: AccountId) -> Result<Lease, StoreError> {
        let name = &self.provider.account().name;
        let lease = self.store.acquire_lease(account, &self.process_name).await;
        match &lease {
            Ok(_) if self.is_standby => {
                self.is_standby = false;
                self.provider.pause_for(HANDOVER_PAUSE);
                tracing::info!(account = name, "taken over");
            }
            Err(StoreError::InUse { holder, .. }) if !self.is_standby => {
                self.is_standby = true;
                tracing::info!(
                    account = name,
                    holder,
                    "another process works on this account; standing by"
                );
            }
            _ => {}
        }
        lease
    }

    /// Makes sure that the credentials are accepted; gives up when told to stop.
    async fn check_credentials(&self, stop: &CancellationToken) -> Result<(), ProviderError> {
        tokio::select! {
            outcome = self.provider.check_credentials() => outcome,
            () = stop.cancelled() => Err(ProviderError::Stopped),
        }
    }

    async fn run_in_session(
        &mut self,
        place: &mut Session,
        requests_before: u64,
        purpose: Purpose,
        stop: &CancellationToken,
    ) -> Result<PassReport, StoreError> {
        if let Some(left) = self
            .provider
            .paused_for()
            .filter(|left| *left > MIN_RECORDED_PAUSE)
        {
            return Ok(self.report(
                Tally::default(),
                u64::MAX,
                Some(ProviderError::Paused { remaining: left }),
            ));
        }
        let bounds = purpose.bounds();
        let run = self
            .store
            .begin_run(place.account, purpose.why(), self.clock.now())
            .await?;
        let edges = self.frontier(place, bounds);
        self.follow_found(place, edges).await?;
        // Before anything is fetched: should this pass not come to its end, the archive knows what is missing.
        self.store
            .save_frontier(place.account, self.recorded_frontier(place, edges))
            .await?;
        let listing = self.due_directories(place, purpose);
        let pass = async {
            match purpose {
                Purpose::Sync(_) => self.fetch_missing(place, edges, bounds, stop).await,
                Purpose::Reconcile => self.reconcile(place, edges, stop).await,
                Purpose::Refresh => self.refresh(place, edges, stop).await,
            }
        };
        let (done, listed) = tokio::join!(pass, read_directories(listing, stop));
        let PassOutcome {
            mut tally,
            failure,
            stragglers,
            found,
            ..
        } = done?;
        self.discovery.add_found(found, listed?);
        tally.requests = self.provider.requests_sent() - requests_before;
        match &failure {
            Some(failure) => {
                self.record_pause(place.account, failure).await?;
                place.is_paused |= self.provider.paused_for().is_some();
            }
            None => self.clear_pause(place).await?,
        }
        self.record_stragglers(place, stragglers).await?;
        let (missing, lag) = self.missing_and_lag(place, edges, bounds).await?;
        tally.lag_seconds = Some(lag).filter(|_| bounds.since.is_none() && bounds.until.is_none());
        self.store.end_run(run, &tally, self.clock.now()).await?;
        Ok(PassReport {
            found: self.discovery.pending(),
            ..self.report(tally, missing, failure)
        })
    }

    /// Fetches what is missing.
    async fn fetch_missing(
        &mut self,
        place: &mut Session,
        edges: PlanEdges,
        bounds: HistoryBounds,
        stop: &CancellationToken,
    ) -> Result<PassOutcome, StoreError> {
        let sealed = self.store.sealed_runs(place.account).await?;
        let none = Runs::default();
        let streams =
            StreamIndex::enumerate(&place.streams).map(|(position, &(id, wanted_from))| {
                (
                    position,
                    bounds
                        .since
                        .map_or(wanted_from, |since| wanted_from.max(since)),
                    sealed.get(&id).unwrap_or(&none),
                )
            });
        let plan = Plan::new(edges, std::mem::take(&mut self.scheduler), streams);
        let mut done = Pipeline::new(self, place, plan).run(stop).await?;
        self.scheduler = std::mem::take(&mut done.scheduler);
        Ok(done)
    }

    /// The provider's retention edge, where it has one.
    pub(super) fn horizon(&self) -> Option<Second> {
        horizon(&*self.provider)
    }

    pub(super) fn frontier(&self, place: &Session, bounds: HistoryBounds) -> PlanEdges {
        let account = self.provider.account();
        let now = self.provider.now().second();
        // The last second is still being written; and the padding must not reach into it, or counts never agree.
        let wanted_to = bounds.until.unwrap_or(now).min(now.plus(-1));
        PlanEdges {
            horizon: self.horizon(),
            expiring_within: account
                .retention
                .map_or(Duration::ZERO, |retention| retention / EXPIRING_SHARE),
            wanted_to,
            follows_now: bounds.until.is_none(),
            settled: now.minus(place.settle).min(wanted_to),
        }
    }

    /// Tells the archive where the account stands by now.
    pub(super) async fn save_frontier(
        &self,
        place: &Session,
        until: Option<Second>,
    ) -> Result<(), StoreError> {
        let edges = self.frontier(
            place,
            HistoryBounds {
                until,
                ..HistoryBounds::default()
            },
        );
        self.store
            .save_frontier(place.account, self.recorded_frontier(place, edges))
            .await
    }

    /// Where the account stands. The clock may have been corrected during the pass: nothing that is still to come is
    /// put on record.
    fn recorded_frontier(&self, place: &Session, edges: PlanEdges) -> Frontier {
        let now = self.provider.now().second();
        let settled = edges
            .settled
            .min(now.minus(place.settle))
            .plus(-CLOCK_UNCERTAINTY_S);
        let horizon = edges.horizon.map(|horizon| horizon.min(now));
        let retention = self.provider.account().retention;
        Frontier {
            horizon,
            settled_to: settled,
            wanted_to: edges.wanted_to.min(now),
            retention,
        }
    }

    /// How many seconds of wanted history should be sealed by now and are not, and how many seconds ago the stream that
    /// is furthest behind ceases to be complete.
    async fn missing_and_lag(
        &self,
        place: &Session,
        edges: PlanEdges,
        bounds: HistoryBounds,
    ) -> Result<(u64, u64), StoreError> {
        let settled = self.recorded_frontier(place, edges).settled_to;
        let sealed = self.store.sealed_runs(place.account).await?;
        let none = Runs::default();
        let missing = place.streams.iter().flat_map(|(id, wanted_from)| {
            let from = [edges.horizon, bounds.since]
                .into_iter()
                .flatten()
                .fold(*wanted_from, Second::max);
            let runs = sealed.get(id).unwrap_or(&none);
            Window::new(from, settled)
                .map(|wanted| runs.gaps_in(wanted))
                .unwrap_or_default()
        });
        let all = (0, settled);
        let (seconds, complete_to) = missing.fold(all, |(sum, first), range| {
            (sum + range.seconds(), first.min(range.from()))
        });
        Ok((
            seconds,
            self.provider
                .now()
                .second()
                .0
                .saturating_sub(complete_to.0)
                .unsigned_abs(),
        ))
    }

    /// Puts a pause on record, if the failure asks for one or the provider did.
    pub(super) async fn record_pause(
        &self,
        account: AccountId,
        failure: &ProviderError,
    ) -> Result<(), StoreError> {
        let name = &self.provider.account().name;
        if failure.disposition() == Disposition::Park {
            tracing::error!(account = name, error = %failure, hint = failure.hint(), "account parked");
            self.provider.pause_for(REFUSED_CREDENTIALS_PAUSE);
        }
        if let Some(left) = self
            .provider
            .paused_for()
            .filter(|left| *left > MIN_RECORDED_PAUSE)
        {
            let pause = Pause {
                until: self.clock.now().plus(left),
                reason: failure.to_string(),
            };
            self.store.pause(account, Some(&pause)).await?;
        }
        Ok(())
    }

    /// Waits longer from now on before it seals, where messages keep coming late.
    async fn record_stragglers(
        &self,
        place: &mut Session,
        stragglers: u64,
    ) -> Result<(), StoreError> {
        if stragglers == 0 {
            return Ok(());
        }
        let AccountSettings {
            name,
            settle,
            retention,
            ..
        } = self.provider.account();
        let widest = (*settle * MAX_SETTLE_FACTOR)
            .min(retention.map_or(Duration::MAX, |retention| retention / EXPIRING_SHARE));
        let wider = Duration::from_secs((place.settle * 2).as_secs().max(1)).min(widest);
        let count = self.store.stragglers(place.account, stragglers).await?;
        if count >= STRAGGLERS_TO_WIDEN && wider > place.settle {
            self.store.settle(place.account, wider).await?;
            place.settle = wider;
            let settle_s = wider.as_secs();
            tracing::warn!(
                account = name,
                settle_s,
                "messages keep coming late; ranges are sealed later from now on"
            );
        }
        Ok(())
    }

    async fn clear_pause(&self, place: &mut Session) -> Result<(), StoreError> {
        if std::mem::take(&mut place.is_paused) {
            self.store.pause(place.account, None).await?;
        }
        Ok(())
    }

    /// Puts a stream's failure on record.
    pub(super) async fn record_stream_error(
        &self,
        place: &mut Session,
        stream: StreamIndex,
        failure: &ProviderError,
    ) -> Result<(), StoreError> {
        let id = place.streams[stream.get()].0;
        let (account, stream) = (
            &self.provider.account().name,
            &self.provider.stream(stream).key,
        );
        tracing::warn!(account, stream, error = %failure, hint = failure.hint(), "left for the next pass");
        place.known_healthy.remove(&id);
        let trouble = RecordedError {
            error: failure.to_string(),
            hint: failure.hint().to_owned(),
        };
        self.store
            .record_stream_error(id, Some(&trouble), self.clock.now())
            .await
    }

    /// Takes a stream's failure off the record.
    pub(super) async fn clear_stream_error(
        &self,
        place: &mut Session,
        stream: StreamIndex,
    ) -> Result<(), StoreError> {
        let id = place.streams[stream.get()].0;
        if place.known_healthy.insert(id) {
            self.store
                .record_stream_error(id, None, self.clock.now())
                .await?;
        }
        Ok(())
    }

    fn report(
        &self,
        tally: Tally,
        missing_seconds: u64,
        failure: Option<ProviderError>,
    ) -> PassReport {
        let (account, unlisted) = (self.name().to_owned(), self.discovery.has_failed());
        PassReport {
            account,
            tally,
            missing_seconds,
            found: 0,
            discovery_failed: unlisted,
            failure,
        }
    }
}

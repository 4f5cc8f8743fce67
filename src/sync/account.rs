//! One account between passes: its place in the archive, and its pauses.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::discovery::{Discovery, read};
use super::live::Live;
use super::pass::{Done, Pass};
use super::planner::{Edges, Plan};
use super::progress::Course;
use super::room::Room;
use super::{Bounds, PARKED, PassReport, Purpose};
use crate::domain::clock::Clock;
use crate::domain::time::{Millis, Second};
use crate::domain::window::{Runs, Window};
use crate::provider::{Account, Advice, Provider, ProviderError};
use crate::store::{
    AccountId, Lease, NewAccount, Pause, Standing, Store, StoreError, StreamId, Tally, Trouble,
};

/// Ranges that fall behind the horizon within this share of the retention go first.
const DANGER: u32 = 8;
/// So long before it is forgotten a message is given up.
const LEAD: Duration = Duration::from_secs(7);
/// How far two readings of the provider's clock may lie apart, in seconds: `Date` says no more than the second.
const CLOCK_DOUBT_S: i64 = 2;
/// After an account has changed hands: what its last holder has asked for within a second counts against its quota.
const HANDOVER: Duration = Duration::from_secs(1);
/// Shorter pauses are waited out, and not worth remembering.
const MEMORABLE: Duration = Duration::from_secs(10);
/// So many stragglers are no accident any more: the settle age is doubled.
const STRAGGLERS: u64 = 3;
/// As many times as it was configured it may become at the most: while it has not passed, a range is fetched at every
/// pass, and what comes even later is found by counting.
const WIDEST: u32 = 8;

/// The edge from which on history can be fetched, where the provider forgets.
pub(super) fn horizon(provider: &dyn Provider) -> Option<Second> {
    Some(
        provider
            .now()
            .second()
            .minus(kept(provider.account().retention?)),
    )
}

/// How long what a provider keeps for so long is to be had. What is asked for must still be there when it is answered, or
/// the pages of a window never add up: so nothing is asked for that the provider is about to forget.
pub(super) fn kept(retention: Duration) -> Duration {
    retention.saturating_sub(LEAD.min(retention / DANGER))
}

/// An account, its provider and its place in the archive.
pub struct AccountSync {
    pub(super) provider: Arc<dyn Provider>,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) progress: Arc<Course>,
    /// What others are told who ask for the account meanwhile.
    holder: Arc<str>,
    /// Whether another process was found to work on it.
    standing_by: bool,
    /// Nothing before the first pass.
    place: Option<Place>,
    /// How many streams were compared with the provider's counts so far, round and round. It begins anywhere, so that
    /// a process that is started often gets round as well.
    pub(super) compared: usize,
    /// Up to when messages were refreshed.
    pub(super) refreshed: Option<Second>,
    pub(super) discovery: Discovery,
    /// What is known of the streams' rhythm, while no pass has it.
    pub(super) live: Live,
    /// The mean size of payloads seen lately, in bytes.
    pub(super) payload_size: u64,
    pub(super) room: Room,
    /// The word to leave even the windows in hand.
    pub(super) hurry: CancellationToken,
}

/// Where the archive keeps the account.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) account: AccountId,
    /// By position: the stream's number, and from when on its history is wanted.
    pub(super) streams: Vec<(StreamId, Second)>,
    /// Streams that are known to have no trouble on record.
    pub(super) well: HashSet<StreamId>,
    /// The age at which the provider is trusted to show everything, by what it has shown so far.
    pub(super) settle: Duration,
    /// Whether a pause is on record.
    paused: bool,
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
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        holder: Arc<str>,
        room: Room,
    ) -> Self {
        let compared = fastrand::usize(..=u16::MAX as usize);
        let progress = Arc::new(Course::new(provider.clone()));
        Self {
            provider,
            store,
            clock,
            progress,
            holder,
            standing_by: false,
            place: None,
            compared,
            refreshed: None,
            discovery: Discovery::default(),
            live: Live::default(),
            payload_size: 0,
            room,
            hurry: CancellationToken::new(),
        }
    }

    /// The account's name.
    pub fn name(&self) -> &str {
        &self.provider.account().name
    }

    /// How far it has come.
    pub fn course(&self) -> &Arc<Course> {
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
        let outcome = self.carry_out(purpose, stop).await;
        self.progress
            .pass_ended(purpose, &outcome, self.clock.now());
        outcome
    }

    async fn carry_out(
        &mut self,
        purpose: Purpose,
        stop: &CancellationToken,
    ) -> Result<PassReport, StoreError> {
        let requests_before = self.provider.requests();
        let mut place = match self.place(stop).await? {
            Ok(place) => place,
            Err(failure) => {
                let tally = Tally {
                    requests: self.provider.requests() - requests_before,
                    ..Tally::default()
                };
                return Ok(self.report(tally, u64::MAX, Some(failure)));
            }
        };
        let report = self
            .round(&mut place, requests_before, purpose, stop)
            .await?;
        // After a failure of the database the place is looked up anew: a server that took over from another may not
        // have heard of it.
        self.keep(place);
        Ok(report)
    }

    /// The account's place in the archive, to be given back with [`Self::keep`].
    pub(super) async fn place(
        &mut self,
        stop: &CancellationToken,
    ) -> Result<Result<Place, ProviderError>, StoreError> {
        match self.place.take() {
            // Where another may have worked on it in between, nothing that was known is relied upon.
            Some(place) if self.lease(place.account).await? == Lease::Kept => Ok(Ok(place)),
            _ => self.introduce(stop).await,
        }
    }

    pub(super) fn keep(&mut self, place: Place) {
        self.place = Some(place);
    }

    /// Finds the account's place in the archive, and learns what time it is at the provider: a history that is wanted
    /// "from now on" or "as far as it reaches" must not be judged by a wrong clock.
    async fn introduce(
        &mut self,
        stop: &CancellationToken,
    ) -> Result<Result<Place, ProviderError>, StoreError> {
        let provider = self.provider.clone();
        let account = provider.account();
        let new = |horizon| NewAccount {
            name: &account.name,
            provider: account.provider,
            streams: None,
            since: account.since.map(Millis::second),
            horizon,
        };
        let id = self.store.register(&new(None)).await?.account;
        self.lease(id).await?;
        // Only now: whoever had the account before may have been given a pause.
        let known = self.store.register(&new(None)).await?;
        if let Some(pause) = &known.pause {
            self.provider.pause_for(pause.until.since(self.clock.now()));
        }
        if let Some(left) = self.provider.paused_for().filter(|left| *left > MEMORABLE) {
            return Ok(Err(ProviderError::Blocked { left }));
        }
        if let Err(failure) = self.try_credentials(stop).await {
            self.note_failure(known.account, &failure).await?;
            return Ok(Err(failure));
        }
        if let Some(skew) = self.provider.skew() {
            tracing::warn!(
                account = account.name,
                skew_s = skew.as_secs(),
                "this machine's clock is off; going by the provider's"
            );
        }
        self.recall(known.account).await?;
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
        self.look_up(known.account).await?;
        Ok(Ok(Place {
            account: known.account,
            streams: known.streams,
            well: HashSet::new(),
            settle,
            paused,
        }))
    }

    /// Makes sure that no other process works on the account.
    async fn lease(&mut self, account: AccountId) -> Result<Lease, StoreError> {
        let name = &self.provider.account().name;
        let lease = self.store.lease(account, &self.holder).await;
        match &lease {
            Ok(_) if self.standing_by => {
                self.standing_by = false;
                self.provider.pause_for(HANDOVER);
                tracing::info!(account = name, "taken over");
            }
            Err(StoreError::Held { holder, .. }) if !self.standing_by => {
                self.standing_by = true;
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
    async fn try_credentials(&self, stop: &CancellationToken) -> Result<(), ProviderError> {
        tokio::select! {
            outcome = self.provider.check() => outcome,
            () = stop.cancelled() => Err(ProviderError::Stopped),
        }
    }

    async fn round(
        &mut self,
        place: &mut Place,
        requests_before: u64,
        purpose: Purpose,
        stop: &CancellationToken,
    ) -> Result<PassReport, StoreError> {
        if let Some(left) = self.provider.paused_for().filter(|left| *left > MEMORABLE) {
            return Ok(self.report(
                Tally::default(),
                u64::MAX,
                Some(ProviderError::Blocked { left }),
            ));
        }
        let bounds = purpose.bounds();
        let run = self
            .store
            .begin_run(place.account, purpose.why(), self.clock.now())
            .await?;
        let edges = self.edges(place, bounds);
        self.follow_found(place, edges).await?;
        // Before anything is fetched: should this pass not come to its end, the archive knows what is missing.
        self.store
            .stands(place.account, self.standing(place, edges))
            .await?;
        let listing = self.listing(place, purpose);
        let pass = async {
            match purpose {
                Purpose::Sync(_) => self.sync(place, edges, bounds, stop).await,
                Purpose::Reconcile => self.reconcile(place, edges, stop).await,
                Purpose::Refresh => self.refresh(place, edges, stop).await,
            }
        };
        let (done, listed) = tokio::join!(pass, read(listing, stop));
        let Done {
            mut tally,
            failure,
            stragglers,
            found,
            ..
        } = done?;
        self.discovery.note(found, listed?);
        tally.requests = self.provider.requests() - requests_before;
        match &failure {
            Some(failure) => {
                self.note_failure(place.account, failure).await?;
                place.paused |= self.provider.paused_for().is_some();
            }
            None => self.note_no_pause(place).await?,
        }
        self.note_stragglers(place, stragglers).await?;
        let (missing, lag) = self.missing(place, edges, bounds).await?;
        tally.lag_seconds = Some(lag).filter(|_| bounds.since.is_none() && bounds.until.is_none());
        self.store.end_run(run, &tally, self.clock.now()).await?;
        Ok(PassReport {
            found: self.discovery.pending(),
            ..self.report(tally, missing, failure)
        })
    }

    /// Fetches what is missing.
    async fn sync(
        &mut self,
        place: &mut Place,
        edges: Edges,
        bounds: Bounds,
        stop: &CancellationToken,
    ) -> Result<Done, StoreError> {
        let sealed = self.store.sealed(place.account).await?;
        let none = Runs::default();
        let streams = place
            .streams
            .iter()
            .enumerate()
            .map(|(position, &(id, wanted_from))| {
                (
                    position,
                    bounds
                        .since
                        .map_or(wanted_from, |since| wanted_from.max(since)),
                    sealed.get(&id).unwrap_or(&none),
                )
            });
        let plan = Plan::new(edges, std::mem::take(&mut self.live), streams);
        let mut done = Pass::new(self, place, plan).run(stop).await?;
        self.live = std::mem::take(&mut done.live);
        Ok(done)
    }

    /// The provider's retention edge, where it has one.
    pub(super) fn horizon(&self) -> Option<Second> {
        horizon(&*self.provider)
    }

    pub(super) fn edges(&self, place: &Place, bounds: Bounds) -> Edges {
        let account = self.provider.account();
        let now = self.provider.now().second();
        // The last second is still being written; and the padding must not reach into it, or counts never agree.
        let wanted_to = bounds.until.unwrap_or(now).min(now.plus(-1));
        Edges {
            horizon: self.horizon(),
            danger: account
                .retention
                .map_or(Duration::ZERO, |retention| retention / DANGER),
            wanted_to,
            goes_on: bounds.until.is_none(),
            settled: now.minus(place.settle).min(wanted_to),
        }
    }

    /// Tells the archive where the account stands by now.
    pub(super) async fn stand(
        &self,
        place: &Place,
        until: Option<Second>,
    ) -> Result<(), StoreError> {
        let edges = self.edges(
            place,
            Bounds {
                until,
                ..Bounds::default()
            },
        );
        self.store
            .stands(place.account, self.standing(place, edges))
            .await
    }

    /// Where the account stands. The clock may have been corrected during the pass: nothing that is still to come is
    /// put on record.
    fn standing(&self, place: &Place, edges: Edges) -> Standing {
        let now = self.provider.now().second();
        let settled = edges
            .settled
            .min(now.minus(place.settle))
            .plus(-CLOCK_DOUBT_S);
        let horizon = edges.horizon.map(|horizon| horizon.min(now));
        let retention = self.provider.account().retention;
        Standing {
            horizon,
            settled,
            wanted_to: edges.wanted_to.min(now),
            retention,
        }
    }

    /// How many seconds of wanted history should be sealed by now and are not, and how many seconds ago the stream that
    /// is furthest behind ceases to be complete.
    async fn missing(
        &self,
        place: &Place,
        edges: Edges,
        bounds: Bounds,
    ) -> Result<(u64, u64), StoreError> {
        let settled = self.standing(place, edges).settled;
        let sealed = self.store.sealed(place.account).await?;
        let none = Runs::default();
        let missing = place.streams.iter().flat_map(|(id, wanted_from)| {
            let from = [edges.horizon, bounds.since]
                .into_iter()
                .flatten()
                .fold(*wanted_from, Second::max);
            let runs = sealed.get(id).unwrap_or(&none);
            Window::new(from, settled)
                .map(|wanted| runs.missing_from(wanted))
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
    pub(super) async fn note_failure(
        &self,
        account: AccountId,
        failure: &ProviderError,
    ) -> Result<(), StoreError> {
        let name = &self.provider.account().name;
        if failure.advice() == Advice::Park {
            tracing::error!(account = name, error = %failure, hint = failure.hint(), "account parked");
            self.provider.pause_for(PARKED);
        }
        if let Some(left) = self.provider.paused_for().filter(|left| *left > MEMORABLE) {
            let pause = Pause {
                until: self.clock.now().plus(left),
                reason: failure.to_string(),
            };
            self.store.pause(account, Some(&pause)).await?;
        }
        Ok(())
    }

    /// Waits longer from now on before it seals, where messages keep coming late.
    async fn note_stragglers(&self, place: &mut Place, stragglers: u64) -> Result<(), StoreError> {
        if stragglers == 0 {
            return Ok(());
        }
        let Account {
            name,
            settle,
            retention,
            ..
        } = self.provider.account();
        let widest =
            (*settle * WIDEST).min(retention.map_or(Duration::MAX, |retention| retention / DANGER));
        let wider = Duration::from_secs((place.settle * 2).as_secs().max(1)).min(widest);
        let count = self.store.stragglers(place.account, stragglers).await?;
        if count >= STRAGGLERS && wider > place.settle {
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

    async fn note_no_pause(&self, place: &mut Place) -> Result<(), StoreError> {
        if std::mem::take(&mut place.paused) {
            self.store.pause(place.account, None).await?;
        }
        Ok(())
    }

    /// Puts a stream's failure on record.
    pub(super) async fn note_trouble(
        &self,
        place: &mut Place,
        stream: usize,
        failure: &ProviderError,
    ) -> Result<(), StoreError> {
        let id = place.streams[stream].0;
        let (account, stream) = (
            &self.provider.account().name,
            &self.provider.stream(stream).key,
        );
        tracing::warn!(account, stream, error = %failure, hint = failure.hint(), "left for the next pass");
        place.well.remove(&id);
        let trouble = Trouble {
            error: failure.to_string(),
            hint: failure.hint().to_owned(),
        };
        self.store
            .trouble(id, Some(&trouble), self.clock.now())
            .await
    }

    /// Takes a stream's failure off the record.
    pub(super) async fn note_well(
        &self,
        place: &mut Place,
        stream: usize,
    ) -> Result<(), StoreError> {
        let id = place.streams[stream].0;
        if place.well.insert(id) {
            self.store.trouble(id, None, self.clock.now()).await?;
        }
        Ok(())
    }

    fn report(
        &self,
        tally: Tally,
        missing_seconds: u64,
        failure: Option<ProviderError>,
    ) -> PassReport {
        let (account, unlisted) = (self.name().to_owned(), self.discovery.is_unlisted());
        PassReport {
            account,
            tally,
            missing_seconds,
            found: 0,
            unlisted,
            failure,
        }
    }
}

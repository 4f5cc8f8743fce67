//! One account: its passes, from the session to the report.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::discovery::{AccountDiscovery, read_directories};
use super::error::SyncError;
use super::pipeline::Pipeline;
use super::pipeline::memory::{MemoryBudget, PayloadSize};
use super::pipeline::outcome::{PassContext, PassOutcome};
use super::pipeline::partial_window::PartialWindows;
use super::plan::job::RefetchList;
use super::plan::tails::TailScheduler;
use super::plan::{Plan, StreamHistory};
use super::progress::AccountProgress;
use super::purpose::{AccountFailure, HistoryBounds, PassReport, Purpose};
use super::refetch::compare::CountComparison;
use super::refetch::reconcile::CompareCursor;
use super::refetch::repair_report::RepairReport;
use super::refetch::{compare, doubts, reconcile, refresh, repair};
use super::session::{Session, check_not_paused};
use super::session_keeper::SessionKeeper;
use crate::domain::clock::Clock;
use crate::domain::frontier::Frontier;
use crate::domain::time::Second;
use crate::domain::window::Runs;
use crate::proof::VerifyReport;
use crate::provider::{Disposition, Provider, ProviderError};
use crate::store::{Archive, RunTotals, StoreError};

/// An account, its provider, and what outlasts each of its passes.
pub struct AccountSync {
    provider: Arc<dyn Provider>,
    archive: Arc<dyn Archive>,
    clock: Arc<dyn Clock>,
    sessions: SessionKeeper,
    discovery: AccountDiscovery,
    /// The arrival rates of the streams.
    scheduler: TailScheduler,
    /// The stream that is compared next with the provider's counts.
    compare_cursor: CompareCursor,
    /// The time up to which messages were refreshed.
    refreshed_to: Option<Second>,
    context: PassContext,
}

impl std::fmt::Debug for AccountSync {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccountSync")
            .field("account", &self.name())
            .finish_non_exhaustive()
    }
}

impl AccountSync {
    pub(super) fn new(
        provider: Arc<dyn Provider>,
        archive: Arc<dyn Archive>,
        clock: Arc<dyn Clock>,
        process_name: Arc<str>,
        memory: MemoryBudget,
    ) -> Self {
        let sessions = SessionKeeper::new(
            provider.clone(),
            archive.clone(),
            clock.clone(),
            process_name,
        );
        let context = PassContext {
            progress: Arc::new(AccountProgress::new(provider.clone())),
            memory,
            payload_size: PayloadSize::default(),
            partial_windows: PartialWindows::default(),
            abort: CancellationToken::new(),
        };
        Self {
            provider,
            archive,
            clock,
            sessions,
            discovery: AccountDiscovery::default(),
            scheduler: TailScheduler::default(),
            compare_cursor: CompareCursor::random(),
            refreshed_to: None,
            context,
        }
    }

    /// Sets the signal at which even the windows in flight are dropped.
    pub(super) fn set_abort(&mut self, abort: CancellationToken) {
        self.context.abort = abort;
    }

    /// Returns the account's name.
    pub fn name(&self) -> &str {
        &self.provider.account().name
    }

    /// Returns the account's progress.
    pub fn progress(&self) -> &Arc<AccountProgress> {
        &self.context.progress
    }

    /// True if the account's messages have a status that is refreshed.
    pub fn has_statuses(&self) -> bool {
        self.provider.account().refresh_for.is_some()
    }

    /// Runs one pass over the account's streams. Ends early, with the windows in flight, after
    /// `stop`. Fails only if the archive does; a failure of the provider is part of the report.
    ///
    /// Dropping the future is safe at any point: what was not committed is fetched again.
    pub async fn pass(
        &mut self,
        purpose: Purpose,
        stop: &CancellationToken,
    ) -> Result<PassReport, StoreError> {
        let outcome = self.run_pass(purpose, stop).await;
        self.context
            .progress
            .end_pass(purpose, &outcome, self.clock.now());
        outcome
    }

    async fn run_pass(
        &mut self,
        purpose: Purpose,
        stop: &CancellationToken,
    ) -> Result<PassReport, StoreError> {
        let requests_before = self.provider.requests_sent();
        let mut session = match self.open_session(stop).await {
            Ok(session) => session,
            Err(SyncError::Store(error)) => return Err(error),
            Err(SyncError::Provider(failure)) => {
                let requests = self.provider.requests_sent() - requests_before;
                let tally = RunTotals {
                    requests,
                    ..RunTotals::default()
                };
                return Ok(PassReport::not_begun(self.name(), tally, failure));
            }
        };
        if let Err(paused) = check_not_paused(&*self.provider) {
            return Ok(PassReport::not_begun(
                self.name(),
                RunTotals::default(),
                paused,
            ));
        }
        let report = self
            .run_in_session(&mut session, purpose, requests_before, stop)
            .await?;
        // After a failure of the archive the session is dropped: a database server that took over
        // may not know the account. If nothing of the account works, the next pass begins with the
        // one request that checks the credentials, and not with one for every stream.
        if report.has_answers || report.account_failure().is_none() {
            self.sessions.keep(session);
        }
        Ok(report)
    }

    /// Opens a session. It is to be given back with [`SessionKeeper::keep`].
    async fn open_session(&mut self, stop: &CancellationToken) -> Result<Session, SyncError> {
        if let Some(session) = self.sessions.resume().await? {
            return Ok(session);
        }
        let session = self.sessions.start(stop).await?;
        self.discovery.add_from_archive(&session).await?;
        Ok(session)
    }

    async fn run_in_session(
        &mut self,
        session: &mut Session,
        purpose: Purpose,
        requests_before: u64,
        stop: &CancellationToken,
    ) -> Result<PassReport, StoreError> {
        let bounds = purpose.bounds();
        let provider = self.provider.clone();
        let traffic = provider.gate().traffic();
        let (completed_before, used_before) = (traffic.all_completed(), traffic.used_answers());
        let run = self
            .archive
            .begin_run(session.account, purpose.name(), self.clock.now())
            .await?;
        let frontier = session.frontier(bounds.until);
        self.discovery.follow_pending(session).await?;
        // Saved before anything is fetched: if the pass does not end, the archive knows the gaps.
        session.save_frontier(frontier).await?;
        let directories = self.discovery.due_directories(session, purpose);
        let pass = async {
            match purpose {
                Purpose::Sync(_) => self.sync(session, frontier, bounds, stop).await,
                Purpose::Reconcile => self.reconcile(session, frontier, stop).await,
                Purpose::Refresh => self.refresh(session, frontier, stop).await,
            }
        };
        let (outcome, directories) = tokio::join!(pass, read_directories(directories, stop));
        let PassOutcome {
            mut tally,
            failure,
            has_answers,
            has_failed_account,
            stragglers,
            discovered,
        } = outcome?;
        let clock_failure = session
            .clock_went_back()
            .then_some(ProviderError::ClockWentBack);
        let failure = failure.or(clock_failure);
        self.discovery.add(discovered, directories?);
        self.discovery.apply_limit(session).await?;
        tally.requests = self.provider.requests_sent() - requests_before;
        // Some questions are answered from memory, which proves nothing.
        let is_from_memory =
            traffic.all_completed() > completed_before && traffic.used_answers() == used_before;
        let has_answers = has_answers && tally.requests > 0 && !is_from_memory;
        if let Some(failure) = &failure {
            session.record_pause(failure).await?;
        }
        // A sync pass tries every stream: if all fail, the account does.
        let is_sync = matches!(purpose, Purpose::Sync(_));
        let is_account_failure = has_failed_account || is_sync && !has_answers && failure.is_some();
        session
            .record_condition(match &failure {
                Some(failure) if is_account_failure => Some(Err(failure)),
                _ => has_answers.then_some(Ok(())),
            })
            .await?;
        session.record_stragglers(stragglers).await?;
        let backlog = session.backlog(frontier, bounds.since).await?;
        tally.lag_seconds = bounds
            .is_unbounded()
            .then_some(backlog.lag_seconds)
            .flatten();
        self.archive.end_run(run, &tally, self.clock.now()).await?;
        Ok(PassReport {
            account: self.name().to_owned(),
            tally,
            missing_seconds: Some(backlog.missing_seconds),
            discovered_streams: self.discovery.pending(),
            discovery_failed: self.discovery.has_failed(),
            has_answers,
            is_account_failure,
            failure,
        })
    }

    /// Fetches the wanted history that is missing, and then refetches suspect windows. What is asked
    /// for explicitly is not mixed with others.
    async fn sync(
        &mut self,
        session: &mut Session,
        frontier: Frontier,
        bounds: HistoryBounds,
        stop: &CancellationToken,
    ) -> Result<PassOutcome, StoreError> {
        let mut outcome = self.fetch_missing(session, frontier, bounds, stop).await?;
        if bounds.is_unbounded() && !outcome.has_failed_account && !stop.is_cancelled() {
            let list = doubts::due_suspects(session, frontier, self.clock.now()).await?;
            if !list.jobs.is_empty() {
                outcome.add(self.refetch(session, frontier, list, stop).await?);
            }
        }
        Ok(outcome)
    }

    /// Refetches ranges that are sealed already.
    async fn refetch(
        &mut self,
        session: &mut Session,
        frontier: Frontier,
        list: RefetchList,
        stop: &CancellationToken,
    ) -> Result<PassOutcome, StoreError> {
        let mut plan = Plan::refetching(frontier, list);
        Pipeline::new(session, &mut plan, &mut self.context)
            .run(stop)
            .await
    }

    /// Fetches the wanted history that is missing.
    async fn fetch_missing(
        &mut self,
        session: &mut Session,
        frontier: Frontier,
        bounds: HistoryBounds,
        stop: &CancellationToken,
    ) -> Result<PassOutcome, StoreError> {
        let sealed = session.sealed_runs().await?;
        let none = Runs::default();
        let streams = session.streams().map(|(stream, followed)| StreamHistory {
            stream,
            wanted_from: bounds.since.map_or(followed.wanted_from, |since| {
                followed.wanted_from.max(since)
            }),
            sealed: sealed.get(&followed.id).unwrap_or(&none),
            is_discovered: self.provider.stream(stream).discovered,
        });
        let scheduler = std::mem::take(&mut self.scheduler);
        let mut plan = Plan::missing(frontier, bounds.until, scheduler, streams);
        let outcome = Pipeline::new(session, &mut plan, &mut self.context)
            .run(stop)
            .await;
        self.scheduler = plan.into_scheduler();
        outcome
    }

    /// Refetches suspect windows, and those whose count differs from the provider's.
    async fn reconcile(
        &mut self,
        session: &mut Session,
        frontier: Frontier,
        stop: &CancellationToken,
    ) -> Result<PassOutcome, StoreError> {
        let mut list = doubts::due_suspects(session, frontier, self.clock.now()).await?;
        let compared =
            reconcile::compare(session, frontier, &mut self.compare_cursor, stop).await?;
        let skips_stream =
            |(_, failure): &(_, ProviderError)| failure.disposition() == Disposition::SkipStream;
        if compared.failures.iter().all(skips_stream) {
            list.append(compared.differing);
        } else {
            list = RefetchList::default();
        }
        let mut outcome = self.refetch(session, frontier, list, stop).await?;
        outcome.has_answers |= compared.has_answers;
        for (stream, failure) in compared.failures {
            outcome.has_failed_account |= failure.disposition() != Disposition::SkipStream;
            session.record_stream_error(stream, &failure).await?;
            outcome.tally.errors += 1;
            outcome
                .tally
                .last_error
                .get_or_insert_with(|| failure.to_string());
            outcome.report_failure(failure);
        }
        Ok(outcome)
    }

    /// Refetches messages that their recipients had not read when they were fetched.
    async fn refresh(
        &mut self,
        session: &mut Session,
        frontier: Frontier,
        stop: &CancellationToken,
    ) -> Result<PassOutcome, StoreError> {
        let now = self.provider.now();
        let list = refresh::due_unread(session, frontier, now, self.refreshed_to).await?;
        let outcome = self.refetch(session, frontier, list, stop).await?;
        if outcome.failure.is_none() {
            self.refreshed_to = Some(now.second());
        }
        Ok(outcome)
    }

    /// Compares the sealed history of all streams with the provider's counts, as far as the
    /// provider still has it. Ends early after `stop`.
    pub async fn compare_counts(
        &mut self,
        stop: &CancellationToken,
    ) -> Result<CountComparison, StoreError> {
        let session = match self.open_session(stop).await {
            Ok(session) => session,
            Err(SyncError::Store(error)) => return Err(error),
            Err(SyncError::Provider(failure)) => {
                let failures = vec![self.failure(failure)];
                return Ok(CountComparison {
                    failures,
                    ..CountComparison::default()
                });
            }
        };
        let comparison = compare::compare_counts(&session, stop).await?;
        self.sessions.keep(session);
        Ok(comparison)
    }

    /// Refetches and repairs the windows that do not match their claim, as far as the provider
    /// still has them. Ends early after `stop`.
    pub async fn repair(
        &mut self,
        report: &VerifyReport,
        stop: &CancellationToken,
    ) -> Result<RepairReport, StoreError> {
        let mismatches = &report.mismatches.listed;
        if !mismatches
            .iter()
            .any(|mismatch| mismatch.stream.account == self.name())
        {
            return Ok(RepairReport::default());
        }
        let requests_before = self.provider.requests_sent();
        let mut session = match self.open_session(stop).await {
            Ok(session) => session,
            Err(SyncError::Store(error)) => return Err(error),
            Err(SyncError::Provider(failure)) => {
                let not_opened = Some(self.failure(failure));
                return Ok(RepairReport {
                    not_opened,
                    ..RepairReport::default()
                });
            }
        };
        let run = self
            .archive
            .begin_run(session.account, "repair", self.clock.now())
            .await?;
        let repaired = repair::repair(&mut session, report, stop).await?;
        let tally = RunTotals {
            requests: self.provider.requests_sent() - requests_before,
            new: repaired.restored,
            windows: repaired.windows,
            ..RunTotals::default()
        };
        self.archive.end_run(run, &tally, self.clock.now()).await?;
        self.sessions.keep(session);
        Ok(repaired)
    }

    fn failure(&self, failure: ProviderError) -> AccountFailure {
        AccountFailure {
            account: self.name().to_owned(),
            stream: None,
            failure,
        }
    }
}

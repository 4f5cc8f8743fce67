//! The sessions of an account: opened before a pass, and kept after it.
//!
//! Opening a session acquires or renews the lease of the account. If another process held the lease
//! in between, everything is looked up again.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::clock_check::check_account;
use super::error::SyncError;
use super::horizon::wanted_history;
use super::quota::share_quota;
use super::session::{Session, check_not_paused, record_account_failure, record_pause};
use crate::domain::clock::Clock;
use crate::domain::stream::StreamIndex;
use crate::provider::limits::MAX_RETRY_AFTER;
use crate::provider::{Provider, ProviderError};
use crate::store::{
    AccountId, Archive, ErrorSubject, Lease, NewAccount, Pause, RegisteredAccount, StoreError,
};

/// Opens sessions of one account, and keeps the last one between passes.
pub(super) struct SessionKeeper {
    provider: Arc<dyn Provider>,
    archive: Arc<dyn Archive>,
    clock: Arc<dyn Clock>,
    /// The name of this process, shown to others that ask for the account meanwhile.
    process_name: Arc<str>,
    /// True if another process was found to hold the lease.
    is_standby: bool,
    /// `None` before the first pass, during a pass, and after a failure of the archive.
    kept: Option<Session>,
}

impl SessionKeeper {
    pub(super) fn new(
        provider: Arc<dyn Provider>,
        archive: Arc<dyn Archive>,
        clock: Arc<dyn Clock>,
        process_name: Arc<str>,
    ) -> Self {
        Self {
            provider,
            archive,
            clock,
            process_name,
            is_standby: false,
            kept: None,
        }
    }

    /// Returns the kept session if the lease is still held. It is to be given back with
    /// [`Self::keep`]. `None` if a new one is to be started with [`Self::start`].
    pub(super) async fn resume(&mut self) -> Result<Option<Session>, StoreError> {
        // The wanted history was computed by a clock that has been corrected since.
        let Some(session) = self
            .kept
            .take()
            .filter(|session| !session.clock_went_back())
        else {
            return Ok(None);
        };
        // Where another process worked on the account in between, nothing known is relied upon.
        let lease = self.acquire_lease(session.account).await?;
        Ok((lease == Lease::Kept).then_some(session))
    }

    /// Keeps a session for the next pass.
    pub(super) fn keep(&mut self, session: Session) {
        self.kept = Some(session);
    }

    /// Acquires the lease of the account, checks its credentials and registers it in the archive.
    ///
    /// The credentials come first, since their answer tells the provider's time: a history that is
    /// wanted "from now on" or "as far as it reaches" must not be cut by a wrong clock.
    pub(super) async fn start(&mut self, stop: &CancellationToken) -> Result<Session, SyncError> {
        let provider = self.provider.clone();
        let account = provider.account();
        let known = NewAccount {
            identity: account.identity.as_ref(),
            settle: Some(account.settle),
            ..NewAccount::named(&account.name, account.provider.name())
        };
        let id = self.archive.register(&known).await?.account;
        self.acquire_lease(id).await?;
        share_quota(&*provider, &self.archive, &self.clock).await;
        // Read again under the lease: the process that held it may have recorded a pause.
        let registered = self.archive.register(&known).await?;
        self.adopt_pause(&registered).await?;
        let accepted = registered.accepted_credentials.as_deref();
        let is_known = accepted.is_some_and(|known| provider.credentials().have_fingerprint(known));
        if is_known {
            provider.gate().record_authenticated_before();
        }
        check_not_paused(&*provider)?;
        if let Err(failure) = self.check_credentials(stop).await {
            record_pause(&*provider, &*self.archive, &*self.clock, id, &failure).await?;
            record_account_failure(&*self.archive, id, &failure).await?;
            return Err(failure.into());
        }
        // A token may have been renewed meanwhile.
        if !accepted.is_some_and(|known| provider.credentials().have_fingerprint(known)) {
            let fingerprint = provider.credentials().fingerprint();
            self.archive
                .record_accepted_credentials(id, &fingerprint)
                .await?;
        }
        self.warn_of_clock_skew();
        self.follow_archived(id).await?;
        let streams = provider.streams();
        let with_streams = NewAccount {
            streams: Some((&streams[..], wanted_history(&*provider))),
            ..known
        };
        let registered = self.archive.register(&with_streams).await?;
        let marks = self.archive.arrival_marks(id).await?;
        for (index, (stream, _)) in StreamIndex::enumerate(&registered.streams) {
            provider.set_arrival_mark(index, marks.get(stream).copied());
        }
        let (archive, clock) = (self.archive.clone(), self.clock.clone());
        Ok(Session::new(provider, archive, clock, registered))
    }

    /// Takes over the pause that the archive records: of another process, or none if `backscroll
    /// check` has lifted it. Credentials that have changed since they were refused lift it, too.
    async fn adopt_pause(&self, registered: &RegisteredAccount) -> Result<(), StoreError> {
        let limiter = self.provider.gate().rate_limiter();
        let Some(pause) = &registered.pause else {
            if limiter.long_pause().is_some() {
                limiter.lift_pause();
            }
            return Ok(());
        };
        if let Some(refused) = &pause.refused_credentials {
            self.provider.reload_credentials();
            if !self.provider.credentials().have_fingerprint(refused) {
                let account = &self.provider.account().name;
                tracing::info!(account, "the credentials have changed; the pause is over");
                limiter.lift_pause();
                return self.archive.pause(registered.account, None).await;
            }
        }
        // A clock that was ahead may have recorded an end that is far away: no pause is longer than
        // this, however often it is taken over.
        let now = self.clock.now();
        let left = pause.until.since(now);
        self.provider
            .pause_for(left.min(MAX_RETRY_AFTER), &pause.reason);
        if left > MAX_RETRY_AFTER {
            let until = now.plus(MAX_RETRY_AFTER);
            let shortened = Pause {
                until,
                ..pause.clone()
            };
            self.archive
                .pause(registered.account, Some(&shortened))
                .await?;
        }
        Ok(())
    }

    /// Makes sure that no other process works on the account.
    async fn acquire_lease(&mut self, account: AccountId) -> Result<Lease, StoreError> {
        let name = &self.provider.account().name;
        let lease = self
            .archive
            .acquire_lease(account, &self.process_name)
            .await;
        match &lease {
            Ok(_) if self.is_standby => {
                self.is_standby = false;
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

    /// Checks that the provider accepts the credentials, and learns its time. Fails when told to
    /// stop.
    async fn check_credentials(&self, stop: &CancellationToken) -> Result<(), ProviderError> {
        tokio::select! {
            outcome = check_account(&*self.provider) => outcome,
            () = stop.cancelled() => Err(ProviderError::Stopped),
        }
    }

    fn warn_of_clock_skew(&self) {
        let skew = self.provider.clock_skew();
        if !skew.is_negligible() {
            tracing::warn!(
                account = self.provider.account().name,
                skew_s = skew.0 / 1000,
                "{skew}; the provider's is used instead"
            );
        }
    }

    /// Follows the streams that earlier processes have discovered, if the account still discovers.
    async fn follow_archived(&self, account: AccountId) -> Result<(), StoreError> {
        if self.provider.account().discovers() {
            for stream in self.archive.discovered_streams(account).await? {
                self.provider.follow(&stream);
            }
        }
        if self.provider.directories().count == 0 {
            self.archive
                .record_error(ErrorSubject::Discovery(account), None)
                .await?;
        }
        Ok(())
    }
}

//! A session: the right to work on an account, and its account and stream ids in the archive.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::horizon::horizon;
use super::limits::{
    CLOCK_UNCERTAINTY_S, EXPIRING_SHARE, MAX_SETTLE_FACTOR, REFUSED_CREDENTIALS_PAUSE,
    STRAGGLERS_TO_WIDEN,
};
use crate::domain::clock::Clock;
use crate::domain::frontier::Frontier;
use crate::domain::stream::StreamIndex;
use crate::domain::time::{Second, known_length};
use crate::domain::window::{Runs, Window};
use crate::provider::limits::MAX_SHORT_PAUSE;
use crate::provider::{AccountSettings, Disposition, Provider, ProviderError};
use crate::store::{
    AccountId, Archive, ErrorSubject, Pause, RecordedError, RegisteredAccount, StoreError, StreamId,
};

/// The right to work on an account, and what is known of it in the archive.
pub(super) struct Session {
    pub(super) provider: Arc<dyn Provider>,
    pub(super) archive: Arc<dyn Archive>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) account: AccountId,
    /// The followed streams, by index.
    streams: Vec<FollowedStream>,
    /// The streams that are known to have no recorded error.
    known_healthy: HashSet<StreamId>,
    /// The age at which the provider is trusted to show every message, by what it has shown so far.
    settle: Duration,
    /// True if the archive records a pause of the account.
    is_paused: bool,
    /// The frontier that the archive recorded before the session.
    recorded: Frontier,
    /// The provider's clock minus the timer when the session began, in milliseconds.
    clock_offset_ms: i64,
}

/// A stream of the session.
#[derive(Clone, Copy, Debug)]
pub(super) struct FollowedStream {
    pub(super) id: StreamId,
    /// The start of the wanted history.
    pub(super) wanted_from: Second,
}

/// The wanted and settled history that is not sealed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backlog {
    /// Seconds of history, over all streams.
    pub(super) missing_seconds: u64,
    /// The age, in seconds, of the first moment that is not sealed in all streams. `None` if that
    /// history has no known start.
    pub(super) lag_seconds: Option<u64>,
}

impl Session {
    /// Creates the session of an account that is leased and registered.
    pub(super) fn new(
        provider: Arc<dyn Provider>,
        archive: Arc<dyn Archive>,
        clock: Arc<dyn Clock>,
        registered: RegisteredAccount,
    ) -> Self {
        let configured_settle = provider.account().settle;
        let widened_settle = registered.settle_override.unwrap_or_default();
        let followed = |(id, wanted_from)| FollowedStream { id, wanted_from };
        Self {
            account: registered.account,
            streams: registered.streams.into_iter().map(followed).collect(),
            known_healthy: HashSet::new(),
            settle: configured_settle.max(widened_settle),
            is_paused: registered.pause.is_some(),
            recorded: registered.frontier,
            clock_offset_ms: provider.gate().clock().offset_ms(),
            provider,
            archive,
            clock,
        }
    }

    /// Returns the stream at an index of the provider.
    pub(super) fn stream(&self, index: StreamIndex) -> FollowedStream {
        self.streams[index.get()]
    }

    /// Returns all streams with their indexes.
    pub(super) fn streams(&self) -> impl Iterator<Item = (StreamIndex, FollowedStream)> {
        StreamIndex::enumerate(&self.streams).map(|(index, stream)| (index, *stream))
    }

    /// Returns the number of streams.
    pub(super) fn stream_count(&self) -> usize {
        self.streams.len()
    }

    /// Adds a stream behind all others, at the index that the provider has given it.
    pub(super) fn add_stream(&mut self, stream: FollowedStream) {
        self.streams.push(stream);
    }

    /// Returns the age at which the provider is trusted to show every message.
    pub(super) fn settle(&self) -> Duration {
        self.settle
    }

    /// Returns the time from which on history can be fetched. `None` if nothing expires.
    pub(super) fn horizon(&self) -> Option<Second> {
        horizon(&*self.provider)
    }

    /// Returns the account's frontier now. `until` bounds the wanted history.
    pub(super) fn frontier(&self, until: Option<Second>) -> Frontier {
        let now = self.provider.now().second();
        // The current second is still being written at the provider, and requests are padded by a
        // second: a range that reached into it would be counted differently each time.
        let wanted_to = until.unwrap_or(now).min(now.plus(-1));
        Frontier {
            horizon: self.horizon(),
            settled_to: now.minus(self.settle).min(wanted_to),
            wanted_to,
            retention: self.provider.account().retention,
        }
    }

    /// Saves a frontier in the archive. One that the caller has bounded does not take back what
    /// was recorded before, as far as that is certain by now.
    pub(super) async fn save_frontier(&self, frontier: Frontier) -> Result<(), StoreError> {
        let reached = self.confirmed(frontier);
        let limit = self.confirmed(self.frontier(None));
        let kept = |reached: Second, recorded: Second, limit| reached.max(recorded.min(limit));
        let saved = Frontier {
            settled_to: kept(
                reached.settled_to,
                self.recorded.settled_to,
                limit.settled_to,
            ),
            wanted_to: kept(reached.wanted_to, self.recorded.wanted_to, limit.wanted_to),
            ..reached
        };
        self.archive.save_frontier(self.account, saved).await
    }

    /// True if the provider's clock has gone back by more than the settle age since the session
    /// began: what is wanted was computed by a wrong clock.
    pub(super) fn clock_went_back(&self) -> bool {
        let back_ms = self.clock_offset_ms - self.provider.gate().clock().offset_ms();
        u128::try_from(back_ms).is_ok_and(|back| back > self.clock_tolerance().as_millis())
    }

    /// Returns the error of the provider's clock that seals nothing too early.
    fn clock_tolerance(&self) -> Duration {
        self.settle
            .max(Duration::from_secs(CLOCK_UNCERTAINTY_S.unsigned_abs()))
    }

    /// Returns the sealed runs of the followed streams. What was sealed by a clock that was ahead,
    /// so that it ends in the future, is unsealed first, if this machine's clock confirms the
    /// provider's.
    pub(super) async fn sealed_runs(&self) -> Result<HashMap<StreamId, Runs>, StoreError> {
        let sealed = self.archive.sealed_runs(self.account).await?;
        let now = self.provider.now().second().plus(CLOCK_UNCERTAINTY_S);
        let is_ahead = |runs: &Runs| runs.iter().last().is_some_and(|run| run.to() > now);
        let skew_ms = self.provider.clock_skew().0.unsigned_abs();
        let is_confirmed = u128::from(skew_ms) <= self.clock_tolerance().as_millis();
        if !is_confirmed || !sealed.values().any(is_ahead) {
            return Ok(sealed);
        }
        let windows = self.archive.unseal_after(self.account, now).await?;
        tracing::warn!(
            account = self.provider.account().name,
            windows,
            "windows that a wrong clock had sealed in the future are fetched again"
        );
        self.archive.sealed_runs(self.account).await
    }

    /// Returns the part of a frontier that is certain by now. The clock may have been corrected
    /// since it was taken, and nothing that is still to come may be recorded.
    fn confirmed(&self, frontier: Frontier) -> Frontier {
        let now = self.provider.now().second();
        let settled_to = frontier.settled_to.min(now.minus(self.settle));
        Frontier {
            horizon: frontier.horizon.map(|horizon| horizon.min(now)),
            settled_to: settled_to.plus(-CLOCK_UNCERTAINTY_S),
            wanted_to: frontier.wanted_to.min(now),
            ..frontier
        }
    }

    /// Returns the wanted history that should be sealed by now and is not.
    pub(super) async fn backlog(
        &self,
        frontier: Frontier,
        since: Option<Second>,
    ) -> Result<Backlog, StoreError> {
        let settled_to = self.confirmed(frontier).settled_to;
        let sealed = self.sealed_runs().await?;
        let none = Runs::default();
        let mut backlog_start = settled_to;
        let mut missing_seconds = 0;
        for stream in &self.streams {
            let limits = [frontier.horizon, since];
            let from = limits
                .into_iter()
                .flatten()
                .fold(stream.wanted_from, Second::max);
            let Some(wanted) = Window::new(from, settled_to) else {
                continue;
            };
            for gap in sealed.get(&stream.id).unwrap_or(&none).gaps_in(wanted) {
                missing_seconds += gap.seconds();
                backlog_start = backlog_start.min(gap.from());
            }
        }
        let lag = self
            .provider
            .now()
            .second()
            .0
            .saturating_sub(backlog_start.0);
        Ok(Backlog {
            missing_seconds,
            lag_seconds: known_length(lag.unsigned_abs()),
        })
    }

    /// Records a pause in the archive, if the failure asks for one or the provider did.
    pub(super) async fn record_pause(&mut self, failure: &ProviderError) -> Result<(), StoreError> {
        let (provider, archive, clock) = (&*self.provider, &*self.archive, &*self.clock);
        record_pause(provider, archive, clock, self.account, failure).await?;
        self.is_paused |= self.provider.paused_for().is_some();
        Ok(())
    }

    /// Removes the recorded pause, if there is one.
    async fn clear_pause(&mut self) -> Result<(), StoreError> {
        if std::mem::take(&mut self.is_paused) {
            self.archive.pause(self.account, None).await?;
        }
        Ok(())
    }

    /// Records in the archive what a pass has shown of the account: that it works, or the failure
    /// that concerns it as a whole. `None`: nothing.
    pub(super) async fn record_condition(
        &mut self,
        condition: Option<Result<(), &ProviderError>>,
    ) -> Result<(), StoreError> {
        match condition {
            Some(Ok(())) => {
                self.clear_pause().await?;
                self.archive
                    .record_error(ErrorSubject::Account(self.account), None)
                    .await?;
            }
            Some(Err(failure)) => {
                record_account_failure(&*self.archive, self.account, failure).await?;
            }
            None => {}
        }
        self.archive
            .save_clock_skew(self.account, self.provider.clock_skew())
            .await
    }

    /// Says whose a failure is. Refused credentials are to blame only if a request that was good
    /// before is refused as well; otherwise the refusal is the stream's.
    pub(super) async fn attribute(
        &self,
        stream: StreamIndex,
        failure: ProviderError,
        stop: &CancellationToken,
    ) -> ProviderError {
        if !matches!(failure, ProviderError::Credentials { .. }) {
            return failure;
        }
        let is_good = |(index, followed): &(StreamIndex, FollowedStream)| {
            *index != stream && self.known_healthy.contains(&followed.id)
        };
        let witness = self.streams().find(is_good);
        let probe = match witness {
            Some((index, _)) => self.provider.probe(index),
            None => self.provider.check_credentials(),
        };
        tokio::select! {
            outcome = probe => match outcome {
                Ok(()) => failure.into_stream_refusal(),
                Err(error) => error,
            },
            () = stop.cancelled() => ProviderError::Stopped,
        }
    }

    /// Counts stragglers. Doubles the settle age, up to its maximum, once there are several.
    pub(super) async fn record_stragglers(&mut self, stragglers: u64) -> Result<(), StoreError> {
        if stragglers == 0 {
            return Ok(());
        }
        let count = self
            .archive
            .add_stragglers(self.account, stragglers)
            .await?;
        let wider = wider_settle(self.provider.account(), self.settle);
        if count < STRAGGLERS_TO_WIDEN || wider <= self.settle {
            return Ok(());
        }
        self.archive
            .set_settle_override(self.account, wider)
            .await?;
        self.settle = wider;
        tracing::warn!(
            account = self.provider.account().name,
            settle_s = wider.as_secs(),
            "messages keep coming late; ranges are sealed later from now on"
        );
        Ok(())
    }

    /// Records the failure of a stream in the archive.
    pub(super) async fn record_stream_error(
        &mut self,
        stream: StreamIndex,
        failure: &ProviderError,
    ) -> Result<(), StoreError> {
        let id = self.stream(stream).id;
        let account = &self.provider.account().name;
        let key = &self.provider.stream(stream).key;
        let hint = failure.hint();
        tracing::warn!(account, stream = key, error = %failure, hint, "left for the next pass");
        self.known_healthy.remove(&id);
        let recorded = RecordedError {
            error: failure.to_string(),
            hint: hint.to_owned(),
        };
        let now = self.clock.now();
        self.archive
            .record_error(ErrorSubject::Stream { id, now }, Some(&recorded))
            .await
    }

    /// Removes the recorded failure of a stream, unless it is known to have none.
    pub(super) async fn clear_stream_error(
        &mut self,
        stream: StreamIndex,
    ) -> Result<(), StoreError> {
        let id = self.stream(stream).id;
        if self.known_healthy.insert(id) {
            let now = self.clock.now();
            self.archive
                .record_error(ErrorSubject::Stream { id, now }, None)
                .await?;
        }
        Ok(())
    }
}

/// Fails if the provider has told us to pause for longer than is waited out.
pub(super) fn check_not_paused(provider: &dyn Provider) -> Result<(), ProviderError> {
    match recorded_pause(provider) {
        Some(remaining) => Err(provider.gate().paused(remaining)),
        None => Ok(()),
    }
}

/// Returns the time left of a pause that is long enough to be recorded.
fn recorded_pause(provider: &dyn Provider) -> Option<Duration> {
    provider.paused_for().filter(|left| *left > MAX_SHORT_PAUSE)
}

/// Records a failure of the account as a whole, unless it says nothing about the account.
pub(super) async fn record_account_failure(
    archive: &dyn Archive,
    account: AccountId,
    failure: &ProviderError,
) -> Result<(), StoreError> {
    if matches!(failure, ProviderError::Stopped) {
        return Ok(());
    }
    let recorded = RecordedError {
        error: failure.cause(),
        hint: failure.hint().to_owned(),
    };
    archive
        .record_error(ErrorSubject::Account(account), Some(&recorded))
        .await
}

/// Records a pause in the archive, if the failure asks for one or the provider did.
pub(super) async fn record_pause(
    provider: &dyn Provider,
    archive: &dyn Archive,
    clock: &dyn Clock,
    account: AccountId,
    failure: &ProviderError,
) -> Result<(), StoreError> {
    let mut refused_credentials = None;
    if failure.disposition() == Disposition::Park {
        let name = &provider.account().name;
        tracing::error!(account = name, error = %failure, hint = failure.hint(), "account parked");
        provider.pause_for(REFUSED_CREDENTIALS_PAUSE, &failure.cause());
        refused_credentials = Some(provider.credentials().fingerprint());
    }
    if let Some(left) = recorded_pause(provider) {
        let pause = Pause {
            until: clock.now().plus(left),
            reason: failure.cause(),
            refused_credentials,
        };
        archive.pause(account, Some(&pause)).await?;
    }
    Ok(())
}

/// Returns twice the settle age, up to its maximum for the account.
fn wider_settle(account: &AccountSettings, settle: Duration) -> Duration {
    let max_by_config = account.settle * MAX_SETTLE_FACTOR;
    let max_by_retention = account
        .retention
        .map_or(Duration::MAX, |kept| kept / EXPIRING_SHARE);
    let doubled = Duration::from_secs((settle * 2).as_secs().max(1));
    doubled.min(max_by_config).min(max_by_retention)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::ProviderKind;

    fn settings(settle_s: u64, retention_s: Option<u64>) -> AccountSettings {
        AccountSettings {
            name: "shop".to_owned(),
            provider: ProviderKind::Agora,
            identity: None,
            settle: Duration::from_secs(settle_s),
            retention: retention_s.map(Duration::from_secs),
            since: None,
            refresh_for: None,
            discover_limit: None,
        }
    }

    #[test]
    fn settle_age_doubles_up_to_its_maximum() {
        let wider = |settings: &AccountSettings, settle_s| {
            wider_settle(settings, Duration::from_secs(settle_s)).as_secs()
        };
        let unlimited = settings(120, None);
        assert_eq!(wider(&unlimited, 120), 240);
        assert_eq!(wider(&unlimited, 700), 960, "eight times the configured");
        assert_eq!(
            wider(&settings(120, Some(1600)), 120),
            200,
            "an eighth of the retention"
        );
        assert_eq!(wider(&settings(1, None), 0), 1, "at least a second");
    }
}

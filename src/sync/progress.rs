//! The progress of a sync: how far it has come, and how long it will take.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

use super::counters::SyncCounters;
use super::forecast::model::request_time;
use super::limits::{MAX_ARCHIVE_WAIT, MIN_RATE_SAMPLE};
use super::purpose::{PassReport, Purpose};
use crate::domain::lock::lock;
use crate::domain::time::Millis;
use crate::provider::Provider;
use crate::store::{Commit, StoreError, WriteCounts};

/// The progress of all accounts.
#[derive(Debug)]
pub struct EngineProgress(Vec<Arc<AccountProgress>>);

/// The progress of an account.
pub struct AccountProgress {
    provider: Arc<dyn Provider>,
    counts: Mutex<PassCounts>,
}

#[derive(Debug, Default)]
struct PassCounts {
    /// Requests sent before the first pass.
    before: Option<u64>,
    /// The start of the current pass, and the requests sent before it.
    begun: Option<(Instant, u64)>,
    /// Messages that were fetched and committed, new or not.
    fetched: u64,
    windows: u64,
    counters: SyncCounters,
    /// Messages that surveys of this pass have counted.
    announced: u64,
    /// Messages among them that were fetched and committed.
    fetched_in_pass: u64,
    /// Messages that were fetched before the present backlog: what passes have left one another.
    fetched_before_backlog: u64,
    /// Announced messages that the pass before did not fetch.
    left_by_last_pass: u64,
    /// Ranges of this pass that were surveyed.
    surveyed: u64,
    /// Ranges of this pass that are still to be surveyed.
    unsurveyed: u64,
}

/// The progress at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProgressSnapshot {
    /// Messages that were fetched, and those still to be fetched.
    pub expected: u64,
    /// True if `expected` is an estimate, since some ranges were not surveyed yet.
    pub is_estimate: bool,
    pub fetched: u64,
    /// Messages among these that were fetched before the present backlog came up.
    pub fetched_before_backlog: u64,
    pub new: u64,
    pub windows: u64,
    pub requests: u64,
    /// The remaining time of the account that takes longest, by the requests that it needs.
    pub left: Duration,
}

impl AccountProgress {
    pub(super) fn new(provider: Arc<dyn Provider>) -> Self {
        Self {
            provider,
            counts: Mutex::default(),
        }
    }

    /// Begins a pass over this many ranges. They include what the pass before has left, which is
    /// announced again.
    pub(super) fn begin_pass(&self, ranges: usize) {
        let mut counts = self.counts();
        let requests = self.provider.requests_sent();
        counts.before.get_or_insert(requests);
        counts.begun = Some((Instant::now(), requests));
        counts.left_by_last_pass = counts.left();
        if counts.left_by_last_pass == 0 {
            counts.fetched_before_backlog = counts.fetched;
        }
        counts.announced = 0;
        counts.fetched_in_pass = 0;
        counts.surveyed = 0;
        counts.unsurveyed = ranges as u64;
    }

    /// Adds a range that was surveyed and holds this many messages.
    pub(super) fn add_announced(&self, messages: u64) {
        let mut counts = self.counts();
        counts.announced += messages;
        counts.surveyed += 1;
        counts.unsurveyed = counts.unsurveyed.saturating_sub(1);
    }

    /// Adds a committed window. `is_refetch`: its pass refetches sealed history.
    pub(super) fn record_commit(&self, commit: &Commit, written: WriteCounts, is_refetch: bool) {
        let mut counts = self.counts();
        let fetched = commit.messages.len() as u64;
        counts.fetched += fetched;
        counts.fetched_in_pass += fetched;
        counts.windows += 1;
        counts.counters.record_commit(commit, written, is_refetch);
    }

    pub(super) fn end_pass(
        &self,
        purpose: Purpose,
        outcome: &Result<PassReport, StoreError>,
        now: Millis,
    ) {
        self.counts().counters.record_pass(purpose, outcome, now);
    }

    /// Adds a commit of this duration.
    pub(super) fn record_commit_time(&self, took: Duration) {
        self.counts().counters.commit_times.record(took);
    }

    /// Returns a count that grows with every completed request and every committed window. While
    /// it grows, the account is not stalled.
    pub fn activity_count(&self) -> u64 {
        self.provider.gate().traffic().all_completed() + self.counts().windows
    }

    /// Returns the longest time between two activities in which nothing is stalled: the timeout of
    /// a request, a slot of the rate limit, and the longest wait for the archive.
    pub fn max_inactivity(&self) -> Duration {
        let gate = self.provider.gate();
        let rate = gate.rate_limiter().requests_per_second();
        let slot = rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(1.0 / rate));
        gate.request_timeout() + slot + MAX_ARCHIVE_WAIT
    }

    fn snapshot(&self) -> ProgressSnapshot {
        let counts = self.counts();
        // Read under the lock, or a pass might begin in between with more requests than these.
        let requests = self.provider.requests_sent();
        let left = counts.left();
        let requests_for_left = if left > 0 {
            self.provider.request_cost(left)
        } else {
            0
        };
        let requests_left = counts.unsurveyed + requests_for_left;
        ProgressSnapshot {
            expected: counts.fetched + left,
            is_estimate: counts.unsurveyed > 0,
            fetched: counts.fetched,
            fetched_before_backlog: counts.fetched_before_backlog,
            new: counts.counters.new,
            windows: counts.windows,
            requests: counts.before.map_or(0, |before| requests - before),
            left: request_time(requests_left, self.rate(counts.begun, requests)),
        }
    }

    /// Returns the requests per second: those of the quota, or those of this pass where something
    /// kept it from spending the quota.
    fn rate(&self, begun: Option<(Instant, u64)>, requests: u64) -> Option<f64> {
        let measured = begun.and_then(|(begun, before)| {
            let elapsed = begun.elapsed();
            let sent = requests - before;
            let is_measurable = elapsed >= MIN_RATE_SAMPLE && sent > 0;
            is_measurable.then(|| sent as f64 / elapsed.as_secs_f64())
        });
        let quota = self.provider.gate().rate_limiter().requests_per_second();
        quota.into_iter().chain(measured).reduce(f64::min)
    }

    /// Locks the counts. They are plain numbers, which no panic can leave half-written.
    fn counts(&self) -> MutexGuard<'_, PassCounts> {
        lock(&self.counts)
    }
}

impl PassCounts {
    /// Returns the messages that are still to be fetched. Unsurveyed ranges are estimated like the
    /// surveyed ones, and hold together no less than the pass before has left.
    fn left(&self) -> u64 {
        let total = self.announced.saturating_mul(self.unsurveyed);
        let like_surveyed = total.checked_div(self.surveyed).unwrap_or(0);
        let estimate = self.announced.saturating_add(like_surveyed);
        let expected = if self.unsurveyed > 0 {
            estimate.max(self.left_by_last_pass)
        } else {
            estimate
        };
        expected.saturating_sub(self.fetched_in_pass)
    }
}

impl fmt::Debug for AccountProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountProgress")
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}

impl EngineProgress {
    pub(super) fn from_accounts(accounts: impl Iterator<Item = Arc<AccountProgress>>) -> Self {
        Self(accounts.collect())
    }

    /// Returns the progress of one account. `None` if there is no account of this name.
    pub fn for_account(&self, name: &str) -> Option<ProgressSnapshot> {
        let account = self
            .0
            .iter()
            .find(|account| account.provider.account().name == name);
        account.map(|account| account.snapshot())
    }

    /// Returns the counters of every account, in the engine's order.
    pub fn counters(&self) -> Vec<(Arc<dyn Provider>, SyncCounters)> {
        let counters = |account: &Arc<AccountProgress>| {
            (account.provider.clone(), account.counts().counters.clone())
        };
        self.0.iter().map(counters).collect()
    }

    /// Records which accounts are stalled, by their position, and for how long. All others are
    /// recorded as not stalled.
    pub fn set_stalled(&self, stalled: &[(usize, Duration)]) {
        for (position, account) in self.0.iter().enumerate() {
            let of_account = stalled.iter().find(|(stalled, _)| *stalled == position);
            account.counts().counters.stalled_for = of_account.map(|(_, stalled_for)| *stalled_for);
        }
    }

    /// Returns the progress of all accounts together.
    pub fn snapshot(&self) -> ProgressSnapshot {
        let snapshots = self.0.iter().map(|account| account.snapshot());
        snapshots.fold(ProgressSnapshot::default(), ProgressSnapshot::combine)
    }
}

impl ProgressSnapshot {
    /// Returns the messages of the present backlog that were fetched, and how many it has. `None`
    /// if nothing of it is left.
    pub fn backlog(&self) -> Option<(u64, u64)> {
        let all = self.expected.checked_sub(self.fetched_before_backlog)?;
        let fetched = self.fetched.checked_sub(self.fetched_before_backlog)?;
        (fetched < all).then_some((fetched, all))
    }

    /// Returns the progress of two accounts together.
    pub fn combine(self, other: Self) -> Self {
        Self {
            expected: self.expected + other.expected,
            is_estimate: self.is_estimate || other.is_estimate,
            fetched: self.fetched + other.fetched,
            fetched_before_backlog: self.fetched_before_backlog + other.fetched_before_backlog,
            new: self.new + other.new,
            windows: self.windows + other.windows,
            requests: self.requests + other.requests,
            left: self.left.max(other.left),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(announced: u64, fetched: u64, last_pass: u64, surveyed: u64, unsurveyed: u64) -> u64 {
        let counts = PassCounts {
            announced,
            fetched_in_pass: fetched,
            left_by_last_pass: last_pass,
            surveyed,
            unsurveyed,
            ..PassCounts::default()
        };
        counts.left()
    }

    #[test]
    fn unsurveyed_ranges_are_estimated_from_surveyed_ones() {
        assert_eq!(left(1000, 300, 0, 4, 0), 700);
        assert_eq!(left(1000, 300, 0, 4, 8), 2700);
        // A pass after one that was not done: it knows nothing yet, then something, then all.
        assert_eq!(left(0, 0, 700, 0, 5), 700);
        assert_eq!(left(400, 100, 700, 3, 2), 600);
        assert_eq!(left(710, 100, 900, 5, 0), 610);
        // More messages came than were announced.
        assert_eq!(left(10, 12, 0, 1, 0), 0);
    }

    #[test]
    fn a_backlog_is_what_is_left_and_what_was_fetched_of_it() {
        let progress = |expected, fetched| ProgressSnapshot {
            expected,
            fetched,
            fetched_before_backlog: 1000,
            ..ProgressSnapshot::default()
        };
        assert_eq!(progress(1500, 1100).backlog(), Some((100, 500)));
        assert_eq!(progress(1500, 1500).backlog(), None);
        assert_eq!(ProgressSnapshot::default().backlog(), None);
    }
}

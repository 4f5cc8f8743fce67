//! How far a sync has come, how long it will go on, and what was done on the way, for whoever watches.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::counters::SyncCounters;
use super::estimate::time;
use super::{PassReport, Purpose};
use crate::domain::time::Millis;
use crate::provider::Provider;
use crate::store::{Commit, StoreError, WriteCounts};

/// A pass that is younger than this has not shown yet how fast it is.
const MIN_RATE_SAMPLE: Duration = Duration::from_secs(5);
/// What the archive may take for one thing, or for several that nothing else comes in between: a large one that is read
/// from end to end, a commit behind a slow disk.
const MAX_ARCHIVE_WAIT: Duration = Duration::from_mins(3);

/// The courses of all accounts.
#[derive(Debug)]
pub struct EngineProgress(Vec<Arc<AccountProgress>>);

/// How far an account has come.
pub struct AccountProgress {
    provider: Arc<dyn Provider>,
    counts: Mutex<PassCounts>,
}

#[derive(Debug, Default)]
struct PassCounts {
    /// How many requests had been sent when the first pass began.
    before: Option<u64>,
    /// When this pass began, and how many had been sent by then.
    begun: Option<(Instant, u64)>,
    /// Messages that were fetched and committed, new or not.
    fetched: u64,
    windows: u64,
    counters: SyncCounters,
    /// Messages that surveys have announced in this pass, and that were fetched in it.
    announced: u64,
    fetched_in_pass: u64,
    /// What the pass before has left of those that it had announced.
    left_by_last_pass: u64,
    /// Ranges that were surveyed in this pass, and that wait for it.
    surveyed: u64,
    unsurveyed: u64,
}

/// A reading of [`Progress`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Messages fetched and to be fetched.
    pub expected: u64,
    /// Whether that is a guess: of some ranges nobody knows yet what they hold.
    pub is_estimate: bool,
    pub fetched: u64,
    pub new: u64,
    pub windows: u64,
    pub requests: u64,
    /// How long the account that takes longest will go on, by the requests that it needs.
    pub left: Duration,
}

impl AccountProgress {
    pub(super) fn new(provider: Arc<dyn Provider>) -> Self {
        Self {
            provider,
            counts: Mutex::default(),
        }
    }

    /// A pass begins, over so many ranges. What the one before has not come to is among them, and announced anew.
    pub(super) fn begin_pass(&self, ranges: usize) {
        let mut counts = self.counts();
        let requests = self.provider.requests_sent();
        counts.before.get_or_insert(requests);
        counts.begun = Some((Instant::now(), requests));
        counts.left_by_last_pass = counts.left();
        (
            counts.announced,
            counts.fetched_in_pass,
            counts.surveyed,
            counts.unsurveyed,
        ) = (0, 0, 0, ranges as u64);
    }

    /// A range has been surveyed.
    pub(super) fn add_announced(&self, messages: u64) {
        let mut counts = self.counts();
        counts.announced += messages;
        counts.surveyed += 1;
        counts.unsurveyed = counts.unsurveyed.saturating_sub(1);
    }

    /// A window has been committed. `is_again`: in a pass that reads what was read before.
    pub(super) fn record_commit(&self, commit: &Commit, written: WriteCounts, is_again: bool) {
        let mut counts = self.counts();
        let fetched = commit.messages.len() as u64;
        counts.fetched += fetched;
        counts.fetched_in_pass += fetched;
        counts.windows += 1;
        counts.counters.record_commit(commit, written, is_again);
    }

    pub(super) fn end_pass(
        &self,
        purpose: Purpose,
        outcome: &Result<PassReport, StoreError>,
        now: Millis,
    ) {
        self.counts().counters.record_pass(purpose, outcome, now);
    }

    /// The archive has taken so long for a commit.
    pub(super) fn record_commit_time(&self, took: Duration) {
        self.counts().counters.commit_times.record(took);
    }

    /// How many signs of life the account's work has given: requests that came to their end, and windows committed.
    pub fn activity_count(&self) -> u64 {
        self.provider.gate().traffic().all_completed() + self.counts().windows
    }

    /// The longest that may pass from one of them to the next while nothing is stuck: an answer that is waited for, a
    /// turn at the budget, and what the archive takes in between.
    pub fn max_inactivity(&self) -> Duration {
        let gate = self.provider.gate();
        let turn = gate
            .rate_limiter()
            .requests_per_second()
            .map_or(Duration::ZERO, |rate| Duration::from_secs_f64(1.0 / rate));
        gate.request_timeout() + turn + MAX_ARCHIVE_WAIT
    }

    fn snapshot(&self) -> Reading {
        let counts = self.counts();
        // Only now: else a pass might begin in between, with more than these.
        let requests = self.provider.requests_sent();
        let PassCounts {
            fetched,
            windows,
            unsurveyed: unseen,
            counters: ref deeds,
            ..
        } = *counts;
        let left = counts.left();
        let to_come = unseen
            + if left > 0 {
                self.provider.request_cost(left)
            } else {
                0
            };
        Reading {
            expected: fetched + left,
            is_estimate: unseen > 0,
            fetched,
            new: deeds.new,
            windows,
            requests: counts.before.map_or(0, |before| requests - before),
            left: time(to_come, self.rate(counts.begun, requests)),
        }
    }

    /// Requests a second: those of the quota, or as many as there have been in this pass, where something has kept it
    /// from spending more.
    fn rate(&self, begun: Option<(Instant, u64)>, requests: u64) -> Option<f64> {
        let shown = begun.and_then(|(begun, before)| {
            let (elapsed, sent) = (begun.elapsed(), requests - before);
            (elapsed >= MIN_RATE_SAMPLE && sent > 0).then(|| sent as f64 / elapsed.as_secs_f64())
        });
        self.provider
            .gate()
            .rate_limiter()
            .requests_per_second()
            .into_iter()
            .chain(shown)
            .reduce(f64::min)
    }

    /// Plain numbers, which no panic can leave half-written.
    fn counts(&self) -> MutexGuard<'_, PassCounts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PassCounts {
    /// Messages that are still to be fetched. Ranges that wait for their survey are taken to be like those that have
    /// had it, and to hold together no less than the pass before knew of.
    fn left(&self) -> u64 {
        let like_others = self
            .announced
            .saturating_mul(self.unsurveyed)
            .checked_div(self.surveyed)
            .unwrap_or(0);
        let known = self.announced.saturating_add(like_others);
        let known = if self.unsurveyed > 0 {
            known.max(self.left_by_last_pass)
        } else {
            known
        };
        known.saturating_sub(self.fetched_in_pass)
    }
}

impl fmt::Debug for AccountProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Course")
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}

impl EngineProgress {
    pub(super) fn from_accounts(courses: impl Iterator<Item = Arc<AccountProgress>>) -> Self {
        Self(courses.collect())
    }

    /// How far one account has come, if there is one of this name.
    pub fn for_account(&self, name: &str) -> Option<Reading> {
        self.0
            .iter()
            .find(|course| course.provider.account().name == name)
            .map(|course| course.snapshot())
    }

    /// What every account has done, in the order of the engine's accounts.
    pub fn counters(&self) -> Vec<(Arc<dyn Provider>, SyncCounters)> {
        self.0
            .iter()
            .map(|course| (course.provider.clone(), course.counts().counters.clone()))
            .collect()
    }

    /// Puts down which of the accounts are stuck, by their positions, and for how long. The others are not.
    pub fn set_stalled(&self, stuck: &[(usize, Duration)]) {
        for (position, course) in self.0.iter().enumerate() {
            let silent = stuck
                .iter()
                .find(|(stuck, _)| *stuck == position)
                .map(|(_, silent)| *silent);
            course.counts().counters.stalled_for = silent;
        }
    }

    pub fn read(&self) -> Reading {
        self.0
            .iter()
            .map(|course| course.snapshot())
            .fold(Reading::default(), Reading::combine)
    }
}

impl Reading {
    /// Both together.
    fn combine(self, other: Self) -> Self {
        Self {
            expected: self.expected + other.expected,
            is_estimate: self.is_estimate || other.is_estimate,
            fetched: self.fetched + other.fetched,
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

    fn counts(announced: u64, brought: u64, left_over: u64, seen: u64, unseen: u64) -> PassCounts {
        PassCounts {
            announced,
            fetched_in_pass: brought,
            left_by_last_pass: left_over,
            surveyed: seen,
            unsurveyed: unseen,
            ..PassCounts::default()
        }
    }

    #[test]
    fn unsurveyed_ranges_are_estimated_from_surveyed_ones() {
        assert_eq!(counts(1000, 300, 0, 4, 0).left(), 700);
        assert_eq!(counts(1000, 300, 0, 4, 8).left(), 2700);
        // A pass has begun after one that was not done: it knows nothing yet, then something, then all.
        assert_eq!(counts(0, 0, 700, 0, 5).left(), 700);
        assert_eq!(counts(400, 100, 700, 3, 2).left(), 600);
        assert_eq!(counts(710, 100, 900, 5, 0).left(), 610);
        // More came than was announced.
        assert_eq!(counts(10, 12, 0, 1, 0).left(), 0);
    }
}

//! Counters of an account's work since this process began, for the metrics.

use std::collections::BTreeMap;
use std::time::Duration;

use super::purpose::{PassReport, Purpose};
use crate::domain::time::Millis;
use crate::store::{Commit, StoreError, WriteCounts};

/// The result of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PassResult {
    /// Nothing failed. History may still be missing.
    Succeeded,
    /// The provider failed, for the account or for some of its streams.
    ProviderFailed,
    /// The archive failed.
    ArchiveFailed,
}

impl PassResult {
    /// All results.
    pub const ALL: [Self; 3] = [Self::Succeeded, Self::ProviderFailed, Self::ArchiveFailed];

    /// Returns the label that the metrics use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "good",
            Self::ProviderFailed => "provider_failed",
            Self::ArchiveFailed => "archive_failed",
        }
    }
}

/// Counters of an account's work. Counts only grow.
#[derive(Clone, Debug, Default)]
pub struct SyncCounters {
    /// Messages that were not in the archive.
    pub new: u64,
    /// Messages among them that were found by a refetch.
    pub late: u64,
    /// Messages of which a changed column was updated.
    pub changed: u64,
    /// Messages that could not be read, each time that they could not.
    pub unreadable: u64,
    /// Windows that were sealed, including suspect ones.
    pub sealed: u64,
    pub suspect: u64,
    /// The duration of each commit.
    pub commit_times: DurationHistogram,
    /// Passes by the name of their purpose, and their result.
    pub passes: BTreeMap<(&'static str, PassResult), u64>,
    /// The result of the last pass. `None` before that.
    pub last_result: Option<PassResult>,
    /// The time at which a pass last succeeded, by this machine's clock.
    pub last_success_at: Option<Millis>,
    /// True if the last pass that proves anything has failed for the account as a whole.
    pub is_failing: bool,
    /// True if another process works on the account.
    pub is_leased_elsewhere: bool,
    /// The time since the last progress, if that is too long.
    pub stalled_for: Option<Duration>,
}

impl SyncCounters {
    /// Counts a committed window. `is_refetch`: its pass refetches sealed history.
    pub(super) fn record_commit(
        &mut self,
        commit: &Commit,
        written: WriteCounts,
        is_refetch: bool,
    ) {
        self.new += written.new;
        self.late += if is_refetch { written.new } else { 0 };
        self.changed += written.changed;
        self.unreadable += commit.unreadable.len() as u64;
        if let Some(seal) = &commit.seal {
            self.sealed += 1;
            self.suspect += u64::from(seal.doubt.is_some());
        }
    }

    /// Counts a pass. One that found the account leased by another process is not counted.
    pub(super) fn record_pass(
        &mut self,
        purpose: Purpose,
        outcome: &Result<PassReport, StoreError>,
        now: Millis,
    ) {
        self.is_leased_elsewhere = matches!(outcome, Err(StoreError::InUse { .. }));
        if self.is_leased_elsewhere {
            return;
        }
        if let Ok(report) = outcome {
            self.is_failing =
                report.account_failure().is_some() || self.is_failing && !report.has_answers;
        }
        let result = match outcome {
            Ok(PassReport { failure: None, .. }) => PassResult::Succeeded,
            Ok(_) => PassResult::ProviderFailed,
            Err(_) => PassResult::ArchiveFailed,
        };
        *self.passes.entry((purpose.name(), result)).or_default() += 1;
        self.last_result = Some(result);
        if result == PassResult::Succeeded {
            self.last_success_at = Some(now);
        }
    }
}

/// A histogram of durations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DurationHistogram {
    counts: [u64; Self::BOUNDS_S.len() + 1],
    /// The sum of all durations.
    pub sum: Duration,
}

impl DurationHistogram {
    /// The inclusive upper bounds of the buckets, in seconds. A further bucket has no bound.
    const BOUNDS_S: [f64; 12] = [
        0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    ];

    pub(super) fn record(&mut self, took: Duration) {
        let bucket = Self::BOUNDS_S.partition_point(|bound| *bound < took.as_secs_f64());
        self.counts[bucket] += 1;
        self.sum += took;
    }

    /// Returns the number of durations.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Returns the upper bound of each bucket, in seconds, and the number of durations in it alone.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        Self::BOUNDS_S
            .into_iter()
            .chain([f64::INFINITY])
            .zip(self.counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_counted_in_buckets_by_upper_bound() {
        let mut histogram = DurationHistogram::default();
        for ms in [5, 6, 10, 29_999, 30_000, 30_001] {
            histogram.record(Duration::from_millis(ms));
        }
        let counted: Vec<_> = histogram
            .buckets()
            .filter(|(_, count)| *count > 0)
            .collect();
        assert_eq!(
            counted,
            [(0.005, 1), (0.01, 2), (30.0, 2), (f64::INFINITY, 1)]
        );
        assert_eq!(
            (histogram.count(), histogram.sum),
            (6, Duration::from_millis(90_021))
        );
    }
}

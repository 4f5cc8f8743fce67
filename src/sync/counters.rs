//! What an account has done since this process began to work on it, for whoever watches a service.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{PassReport, Purpose};
use crate::domain::time::Millis;
use crate::store::{Commit, StoreError, WriteCounts};

/// How a pass ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PassResult {
    /// Nothing was in its way; whether everything is sealed is another matter.
    Good,
    /// The provider failed, for the account or for some of its streams.
    ProviderFailed,
    /// The archive failed.
    ArchiveFailed,
}

impl PassResult {
    pub const ALL: [Self; 3] = [Self::Good, Self::ProviderFailed, Self::ArchiveFailed];

    /// What metrics call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::ProviderFailed => "provider_failed",
            Self::ArchiveFailed => "archive_failed",
        }
    }
}

/// See above. Counts only grow.
#[derive(Clone, Debug, Default)]
pub struct SyncCounters {
    /// Messages that were not in the archive.
    pub new: u64,
    /// Those among them that were found where everything had been read before.
    pub late: u64,
    /// Messages of which something was learned.
    pub changed: u64,
    /// Messages that could not be read, each time that they could not.
    pub unreadable: u64,
    /// Windows that were sealed, those in doubt among them.
    pub sealed: u64,
    pub suspect: u64,
    /// How long the archive took for each commit.
    pub commit_times: DurationHistogram,
    /// By what they were for, and how they ended.
    pub passes: BTreeMap<(&'static str, PassResult), u64>,
    /// How the last of them ended; nothing before that.
    pub last: Option<PassResult>,
    /// When a pass last ended well, by this machine's clock.
    pub last_success_at: Option<Millis>,
    /// Whether another process works on the account.
    pub is_leased_elsewhere: bool,
    /// For how long there has been no sign of life of it, where that is too long.
    pub stalled_for: Option<Duration>,
}

impl SyncCounters {
    pub(super) fn record_commit(&mut self, commit: &Commit, written: WriteCounts, is_again: bool) {
        self.new += written.new;
        self.late += if is_again { written.new } else { 0 };
        self.changed += written.changed;
        self.unreadable += commit.unreadable.len() as u64;
        self.sealed += u64::from(commit.seal.is_some());
        self.suspect += u64::from(
            commit
                .seal
                .as_ref()
                .is_some_and(|seal| seal.doubt.is_some()),
        );
    }

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
        let ending = match outcome {
            Ok(PassReport { failure: None, .. }) => PassResult::Good,
            Ok(_) => PassResult::ProviderFailed,
            Err(_) => PassResult::ArchiveFailed,
        };
        *self.passes.entry((purpose.why(), ending)).or_default() += 1;
        self.last = Some(ending);
        if ending == PassResult::Good {
            self.last_success_at = Some(now);
        }
    }
}

/// How long something took, each time, in classes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DurationHistogram {
    counts: [u64; Self::BOUNDS_S.len() + 1],
    /// All together.
    pub sum: Duration,
}

impl DurationHistogram {
    /// The longest of each class, in seconds. What took longer than any of them is in a class of its own.
    const BOUNDS_S: [f64; 12] = [
        0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    ];

    pub(super) fn record(&mut self, took: Duration) {
        let class = Self::BOUNDS_S.partition_point(|bound| *bound < took.as_secs_f64());
        self.counts[class] += 1;
        self.sum += took;
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How many are in each class, and up to how many seconds it reaches.
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
        let mut durations = DurationHistogram::default();
        for ms in [5, 6, 10, 29_999, 30_000, 30_001] {
            durations.record(Duration::from_millis(ms));
        }
        let counted: Vec<_> = durations
            .buckets()
            .filter(|(_, count)| *count > 0)
            .collect();
        assert_eq!(
            counted,
            [(0.005, 1), (0.01, 2), (30.0, 2), (f64::INFINITY, 1)]
        );
        assert_eq!(
            (durations.count(), durations.sum),
            (6, Duration::from_millis(90_021))
        );
    }
}

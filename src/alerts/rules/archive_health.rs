//! The health of the archive's database and disk. Pure.

use crate::alerts::check::{CheckResult, DetectedProblem};
use crate::alerts::limits::{
    FAILURES_BEFORE_ALARM, FREE_SPACE_DIVISOR, MIN_FREE_BYTES, SUFFICIENT_FREE_BYTES,
};
use crate::domain::alarm::AlarmKind;
use crate::store::{DiskSpace, StoreError};

const DISK_HINT: &str = "free disk space, or move the archive to a larger disk (stop Backscroll, \
                         move the file, set database.url); messages that cannot be written are \
                         fetched again later, unless they expire at the provider before";

const READ_ONLY_HINT: &str = "the kernel mounts a failing disk read-only: look into `dmesg`, repair \
                              the disk and mount it again; messages that cannot be written are \
                              fetched again later, unless they expire at the provider before";

/// The last known health of the archive.
#[derive(Debug, Default)]
pub struct ArchiveHealth {
    fault: Option<ArchiveFault>,
    /// True after the first result.
    is_known: bool,
}

#[derive(Debug)]
struct ArchiveFault {
    error: String,
    hint: &'static str,
    /// True if the database reports that it cannot write, for example because the disk is full.
    is_unwritable: bool,
    /// The number of consecutive failures.
    consecutive: u64,
}

impl ArchiveHealth {
    /// Records that the archive works.
    pub fn record_success(&mut self) {
        self.fault = None;
        self.is_known = true;
    }

    /// Records a failure. An account that is leased by another process is not a failure.
    pub fn record_failure(&mut self, error: &StoreError) {
        if matches!(error, StoreError::InUse { .. }) {
            return;
        }
        let earlier = self.fault.as_ref().map_or(0, |fault| fault.consecutive);
        self.fault = Some(ArchiveFault {
            error: error.to_string(),
            hint: error.hint(),
            is_unwritable: error.is_unwritable(),
            consecutive: earlier + 1,
        });
        self.is_known = true;
    }

    /// Returns the error of the latest access if the database cannot write.
    pub fn write_error(&self) -> Option<&str> {
        let fault = self.fault.as_ref().filter(|fault| fault.is_unwritable)?;
        Some(&fault.error)
    }

    /// Returns the check results for disk and database; empty before the first result.
    /// `was_nearly_full`: the disk alarm is active already; it then ends only with a quarter more
    /// free space than the limit.
    pub fn check(&self, space: Option<DiskSpace>, was_nearly_full: bool) -> Vec<CheckResult> {
        if !self.is_known {
            return vec![];
        }
        let disk = self.disk_problem(space, was_nearly_full);
        let mut results = vec![CheckResult::for_whole(None, AlarmKind::Disk, disk)];
        if self.is_cause_known() {
            let problem = self.database_problem();
            results.push(CheckResult::for_whole(None, AlarmKind::Archive, problem));
        }
        results
    }

    /// False after one or two failures: they may be of any kind.
    fn is_cause_known(&self) -> bool {
        self.fault
            .as_ref()
            .is_none_or(|fault| fault.consecutive >= FAILURES_BEFORE_ALARM || fault.is_unwritable)
    }

    fn disk_problem(
        &self,
        space: Option<DiskSpace>,
        was_nearly_full: bool,
    ) -> Option<DetectedProblem> {
        if let Some(fault) = self.fault.as_ref().filter(|fault| fault.is_unwritable) {
            let text = format!("the database cannot write: {}", fault.error);
            return Some(DetectedProblem::new(text, DISK_HINT));
        }
        disk_problem(space?, was_nearly_full)
    }

    fn database_problem(&self) -> Option<DetectedProblem> {
        let fault = self.fault.as_ref().filter(|fault| !fault.is_unwritable)?;
        let text = format!("the database fails: {}", fault.error);
        Some(DetectedProblem::new(text, fault.hint))
    }
}

/// Returns the problem of the disk that the archive lies on. `was_nearly_full`: see
/// [`ArchiveHealth::check`].
pub fn disk_problem(space: DiskSpace, was_nearly_full: bool) -> Option<DetectedProblem> {
    if space.is_read_only {
        let text = "the file system of the archive is read-only";
        return Some(DetectedProblem::new(text, READ_ONLY_HINT));
    }
    if !is_nearly_full(space, was_nearly_full) {
        return None;
    }
    let (free_mib, total_mib) = (space.free_bytes >> 20, space.total_bytes >> 20);
    let text = format!("the disk is nearly full: {free_mib} of {total_mib} MiB are free");
    Some(DetectedProblem::new(text, DISK_HINT))
}

/// True if too little space is free. An active alarm (`was_nearly_full`) needs more free space to
/// end than it needed to begin.
fn is_nearly_full(space: DiskSpace, was_nearly_full: bool) -> bool {
    let limit = (space.total_bytes / FREE_SPACE_DIVISOR)
        .clamp(MIN_FREE_BYTES, SUFFICIENT_FREE_BYTES)
        .min(space.total_bytes / 2);
    let limit = if was_nearly_full {
        limit + limit / 4
    } else {
        limit
    };
    space.free_bytes < limit
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn disk_is_nearly_full_by_share_and_by_absolute_size() {
        let nearly_full = |free: u64, total: u64| {
            is_nearly_full(
                DiskSpace {
                    free_bytes: free,
                    total_bytes: total,
                    is_read_only: false,
                },
                false,
            )
        };
        assert!(nearly_full(GIB, 40 * GIB) && !nearly_full(3 * GIB, 40 * GIB));
        assert!(
            !nearly_full(6 * GIB, 4000 * GIB),
            "a large one has space left however small its share"
        );
        assert!(
            nearly_full(GIB / 5, GIB) && !nearly_full(GIB / 3, GIB),
            "a small one has not"
        );
        assert!(
            !nearly_full(60 << 20, 100 << 20),
            "a tiny one may be as it should"
        );
    }

    #[test]
    fn disk_alarm_ends_only_well_above_its_limit() {
        let space = DiskSpace {
            free_bytes: 2 * GIB + 1,
            total_bytes: 40 * GIB,
            is_read_only: false,
        };
        let read_only = DiskSpace {
            is_read_only: true,
            ..space
        };
        assert_eq!(disk_problem(space, false), None);
        let problem = disk_problem(read_only, false).unwrap();
        assert_eq!(problem.text, "the file system of the archive is read-only");
        assert!(!is_nearly_full(space, false) && is_nearly_full(space, true));
    }

    #[test]
    fn database_failure_and_full_disk_are_separate_alarms() {
        let kinds = |health: &ArchiveHealth| -> Vec<&'static str> {
            let results = health.check(None, false);
            results
                .iter()
                .filter(|result| !result.problems.is_empty())
                .map(|result| result.kind.name())
                .collect()
        };
        let mut health = ArchiveHealth::default();
        assert_eq!(health.check(None, false), []);
        for known in [&[][..], &[], &["archive"]] {
            health.record_failure(&StoreError::Database {
                what: "commit",
                source: sqlx::Error::PoolTimedOut,
            });
            assert_eq!(kinds(&health), known);
        }
        health.record_failure(&StoreError::InUse {
            what: "shop".to_owned(),
            holder: "another".to_owned(),
        });
        assert_eq!(kinds(&health), ["archive"]);
        health.record_success();
        assert_eq!(
            (kinds(&health).len(), health.check(None, false).len()),
            (0, 2)
        );
    }
}

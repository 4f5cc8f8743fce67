//! Whether the archive itself can be worked with. Pure.

use crate::alerts::check::{CheckResult, DetectedProblem};
use crate::domain::alarm::AlarmKind;
use crate::store::{DiskSpace, StoreError};

/// The share of a file system that should be free …
const FREE_SPACE_DIVISOR: u64 = 20;
/// … and how many bytes are enough, however large it is …
const SUFFICIENT_FREE_BYTES: u64 = 5 << 30;
/// … or too few, however small.
const MIN_FREE_BYTES: u64 = 256 << 20;

/// So many failures in a row are no accident any more.
const FAILURES_BEFORE_ALARM: u32 = 3;

const DISK_HINT: &str = "make room, or move the archive to a larger disk (stop Backscroll, move the file, set \
                         database.url); what cannot be written is fetched again once it can, unless the provider forgets \
                         it before";

/// What was last heard of the archive.
#[derive(Debug, Default)]
pub struct ArchiveHealth {
    fault: Option<ArchiveFault>,
    /// Whether anything was heard.
    is_known: bool,
}

#[derive(Debug)]
struct ArchiveFault {
    error: String,
    hint: &'static str,
    /// Whether it is for want of room, as far as the database knows.
    is_unwritable: bool,
    /// How many there have been in a row.
    consecutive: u32,
}

impl ArchiveHealth {
    /// It does what it should.
    pub fn record_success(&mut self) {
        (self.fault, self.is_known) = (None, true);
    }

    /// It has failed. That an account is in other hands is no failure.
    pub fn record_failure(&mut self, error: &StoreError) {
        if matches!(error, StoreError::InUse { .. }) {
            return;
        }
        let times = self.fault.as_ref().map_or(0, |fault| fault.consecutive) + 1;
        let fault = ArchiveFault {
            error: error.to_string(),
            hint: error.hint(),
            is_unwritable: error.is_unwritable(),
            consecutive: times,
        };
        (self.fault, self.is_known) = (Some(fault), true);
    }

    /// What is known of it by now. `was_scarce`: whether room was too little already: then it has to be more than just
    /// enough.
    pub fn check(&self, room: Option<DiskSpace>, was_nearly_full: bool) -> Vec<CheckResult> {
        let wrong = |text, hint: &str| {
            Some(DetectedProblem {
                stream: None,
                text,
                hint: hint.to_owned(),
                level: None,
            })
        };
        let unwritable = self.fault.as_ref().filter(|fault| fault.is_unwritable);
        let scarce = room.filter(|room| is_nearly_full(*room, was_nearly_full));
        let disk = match (unwritable, scarce) {
            (Some(fault), _) => wrong(
                format!("nothing can be written any more: {}", fault.error),
                DISK_HINT,
            ),
            (
                None,
                Some(DiskSpace {
                    free_bytes: free,
                    total_bytes: total,
                }),
            ) => {
                let text = format!(
                    "the disk is nearly full: {} of {} MiB are free",
                    free >> 20,
                    total >> 20
                );
                wrong(text, DISK_HINT)
            }
            (None, None) => None,
        };
        let archive = self.fault.as_ref().filter(|fault| !fault.is_unwritable);
        let archive = archive
            .and_then(|fault| wrong(format!("the archive fails: {}", fault.error), fault.hint));
        let mut looks = Vec::new();
        if self.is_known {
            looks.push(CheckResult::for_whole(None, AlarmKind::Disk, disk));
        }
        // Of a failure or two it is not known yet what they are.
        if self.is_known
            && self.fault.as_ref().is_none_or(|fault| {
                fault.consecutive >= FAILURES_BEFORE_ALARM || fault.is_unwritable
            })
        {
            looks.push(CheckResult::for_whole(None, AlarmKind::Archive, archive));
        }
        looks
    }
}

fn is_nearly_full(
    DiskSpace {
        free_bytes: free,
        total_bytes: total,
    }: DiskSpace,
    was_scarce: bool,
) -> bool {
    let least = (total / FREE_SPACE_DIVISOR)
        .clamp(MIN_FREE_BYTES, SUFFICIENT_FREE_BYTES)
        .min(total / 2);
    free < if was_scarce { least + least / 4 } else { least }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn a_disk_is_nearly_full_by_its_share_and_by_what_is_left() {
        let scarce = |free: u64, total: u64| {
            is_nearly_full(
                DiskSpace {
                    free_bytes: free,
                    total_bytes: total,
                },
                false,
            )
        };
        assert!(scarce(GIB, 40 * GIB) && !scarce(3 * GIB, 40 * GIB));
        assert!(
            !scarce(6 * GIB, 4000 * GIB),
            "a large one has room left however small its share"
        );
        assert!(
            scarce(GIB / 5, GIB) && !scarce(GIB / 3, GIB),
            "a small one has not"
        );
        assert!(
            !scarce(60 << 20, 100 << 20),
            "a tiny one may be as it should"
        );
    }

    #[test]
    fn what_has_been_scarce_has_to_be_more_than_just_enough() {
        let room = DiskSpace {
            free_bytes: 2 * GIB + 1,
            total_bytes: 40 * GIB,
        };
        assert!(!is_nearly_full(room, false) && is_nearly_full(room, true));
    }

    #[test]
    fn a_database_that_fails_and_a_disk_without_room_are_two_things() {
        let kinds = |health: &ArchiveHealth| -> Vec<&'static str> {
            let looks = health.check(None, false);
            looks
                .iter()
                .filter(|look| !look.problems.is_empty())
                .map(|look| look.kind.name())
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

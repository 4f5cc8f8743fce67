//! Whether the archive itself can be worked with. Pure.

use super::board::{Look, Wrong};
use crate::domain::alarm::Kind;
use crate::store::{Room, StoreError};

/// The share of a file system that should be free …
const SHARE: u64 = 20;
/// … and how many bytes are enough, however large it is …
const ENOUGH: u64 = 5 << 30;
/// … or too few, however small.
const TOO_FEW: u64 = 256 << 20;

/// So many failures in a row are no accident any more.
const AGAIN_AND_AGAIN: u32 = 3;

const ROOM_HINT: &str = "make room, or move the archive to a larger disk (stop Backscroll, move the file, set \
                         database.url); what cannot be written is fetched again once it can, unless the provider forgets \
                         it before";

/// What was last heard of the archive.
#[derive(Debug, Default)]
pub struct Health {
    fault: Option<Fault>,
    /// Whether anything was heard.
    is_known: bool,
}

#[derive(Debug)]
struct Fault {
    error: String,
    hint: &'static str,
    /// Whether it is for want of room, as far as the database knows.
    is_unwritable: bool,
    /// How many there have been in a row.
    times: u32,
}

impl Health {
    /// It does what it should.
    pub fn works(&mut self) {
        (self.fault, self.is_known) = (None, true);
    }

    /// It has failed. That an account is in other hands is no failure.
    pub fn fails(&mut self, error: &StoreError) {
        if matches!(error, StoreError::Held { .. }) {
            return;
        }
        let times = self.fault.as_ref().map_or(0, |fault| fault.times) + 1;
        let fault = Fault {
            error: error.to_string(),
            hint: error.hint(),
            is_unwritable: error.is_unwritable(),
            times,
        };
        (self.fault, self.is_known) = (Some(fault), true);
    }

    /// What is known of it by now. `was_scarce`: whether room was too little already: then it has to be more than just
    /// enough.
    pub fn looks(&self, room: Option<Room>, was_scarce: bool) -> Vec<Look> {
        let wrong = |text, hint: &str| {
            Some(Wrong {
                stream: None,
                text,
                hint: hint.to_owned(),
                level: None,
            })
        };
        let unwritable = self.fault.as_ref().filter(|fault| fault.is_unwritable);
        let scarce = room.filter(|room| is_scarce(*room, was_scarce));
        let disk = match (unwritable, scarce) {
            (Some(fault), _) => wrong(
                format!("nothing can be written any more: {}", fault.error),
                ROOM_HINT,
            ),
            (None, Some(Room { free, total })) => {
                let text = format!(
                    "the disk is nearly full: {} of {} MiB are free",
                    free >> 20,
                    total >> 20
                );
                wrong(text, ROOM_HINT)
            }
            (None, None) => None,
        };
        let archive = self.fault.as_ref().filter(|fault| !fault.is_unwritable);
        let archive = archive
            .and_then(|fault| wrong(format!("the archive fails: {}", fault.error), fault.hint));
        let mut looks = Vec::new();
        if self.is_known {
            looks.push(Look::at(None, Kind::Disk, disk));
        }
        // Of a failure or two it is not known yet what they are.
        if self.is_known
            && self
                .fault
                .as_ref()
                .is_none_or(|fault| fault.times >= AGAIN_AND_AGAIN || fault.is_unwritable)
        {
            looks.push(Look::at(None, Kind::Archive, archive));
        }
        looks
    }
}

fn is_scarce(Room { free, total }: Room, was_scarce: bool) -> bool {
    let least = (total / SHARE).clamp(TOO_FEW, ENOUGH).min(total / 2);
    free < if was_scarce { least + least / 4 } else { least }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn a_disk_is_nearly_full_by_its_share_and_by_what_is_left() {
        let scarce = |free: u64, total: u64| is_scarce(Room { free, total }, false);
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
        let room = Room {
            free: 2 * GIB + 1,
            total: 40 * GIB,
        };
        assert!(!is_scarce(room, false) && is_scarce(room, true));
    }

    #[test]
    fn a_database_that_fails_and_a_disk_without_room_are_two_things() {
        let kinds = |health: &Health| -> Vec<&'static str> {
            let looks = health.looks(None, false);
            looks
                .iter()
                .filter(|look| !look.wrong.is_empty())
                .map(|look| look.kind.name())
                .collect()
        };
        let mut health = Health::default();
        assert_eq!(health.looks(None, false), []);
        for known in [&[][..], &[], &["archive"]] {
            health.fails(&StoreError::Database {
                what: "commit",
                source: sqlx::Error::PoolTimedOut,
            });
            assert_eq!(kinds(&health), known);
        }
        health.fails(&StoreError::Held {
            what: "shop".to_owned(),
            holder: "another".to_owned(),
        });
        assert_eq!(kinds(&health), ["archive"]);
        health.works();
        assert_eq!(
            (kinds(&health).len(), health.looks(None, false).len()),
            (0, 2)
        );
    }
}

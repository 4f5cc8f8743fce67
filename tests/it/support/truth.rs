//! The comparison of an archive with the messages that a sandbox holds.

use backscroll::domain::time::Millis;
use backscroll::sandbox::{ArchiveDifference, ArchiveEntry, World};

/// Reads every [`Entry`].
pub(crate) use backscroll::sandbox::ENTRIES_IN_SQLITE as ARCHIVED;

/// The archive's rows are the truth about these accounts up to `edge`, and nothing but the truth after it.
#[track_caller]
pub(crate) fn assert_rows_equal_truth(
    world: &World,
    accounts: &[&str],
    archived: Vec<ArchiveEntry>,
    edge: Millis,
) {
    let rows = archived.len();
    let difference = world.compare_archive(accounts, archived, edge);
    let ArchiveDifference {
        messages,
        missing,
        duplicated: twice,
        unexpected: untrue,
    } = &difference;
    assert!(
        difference.is_empty(),
        "of {messages} messages {} are missing:\n{:#?}\nof {rows} rows {} are there twice:\n{:#?}\nand {} are not true:\n{:#?}",
        missing.len(),
        &missing[..missing.len().min(3)],
        twice.len(),
        &twice[..twice.len().min(3)],
        untrue.len(),
        &untrue[..untrue.len().min(3)],
    );
}

//! The comparison of an archive with the messages that a sandbox holds.

use backscroll::domain::time::Millis;
use backscroll::sandbox::{ArchiveDifference, ArchiveEntry, World};

/// The query that reads every [`ArchiveEntry`].
pub(crate) use backscroll::sandbox::ENTRIES_IN_SQLITE as ARCHIVED;

/// Panics unless the rows equal the sandbox's messages up to `edge`. Later messages may be missing,
/// but no row may be wrong.
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
        "{messages} messages, {} missing:\n{:#?}\n{rows} rows, {} duplicated:\n{:#?}\n{} wrong:\n{:#?}",
        missing.len(),
        &missing[..missing.len().min(3)],
        twice.len(),
        &twice[..twice.len().min(3)],
        untrue.len(),
        &untrue[..untrue.len().min(3)],
    );
}

//! The expected content of an archive of the sandbox. It is computed without any of the archiving
//! code.

use std::cmp::Reverse;
use std::collections::HashSet;

use super::archive_entry::{ArchiveEntry, agora_entry, normalized, web3mq_entry};
use super::web3mq::{Web3mqMessage, Web3mqRows};
use super::world::World;
use crate::domain::time::Millis;

/// The difference between an archive and the expected entries.
#[derive(Debug, Default)]
pub struct ArchiveDifference {
    /// The number of expected messages.
    pub messages: usize,
    /// Expected entries that the archive lacks.
    pub missing: Vec<ArchiveEntry>,
    /// Entries that the archive holds more often than expected.
    pub duplicated: Vec<ArchiveEntry>,
    /// Entries of the archive that are not expected at all.
    pub unexpected: Vec<ArchiveEntry>,
}

impl ArchiveDifference {
    /// True if there is no difference.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.duplicated.is_empty() && self.unexpected.is_empty()
    }
}

impl World {
    /// Compares an archive of these accounts with the expected entries. The archive must hold every
    /// entry before `until`, and no unexpected entry at all. Equal entries are counted separately.
    pub fn compare_archive(
        &self,
        accounts: &[&str],
        archived: Vec<ArchiveEntry>,
        until: Millis,
    ) -> ArchiveDifference {
        let mut archived: Vec<_> = archived.into_iter().map(normalized).collect();
        archived.sort_unstable();
        let mut expected: Vec<_> = expected_entries(self)
            .into_iter()
            .filter(|row| accounts.contains(&row.account.as_str()))
            .collect();
        expected.sort_unstable();
        let (missing, surplus) = diff_sorted(&expected, &archived);
        let (duplicated, unexpected) = surplus
            .into_iter()
            .partition(|entry| expected.binary_search(entry).is_ok());
        let missing = missing
            .into_iter()
            .filter(|row| row.sent_at_ms < until.0)
            .collect();
        ArchiveDifference {
            messages: expected.len(),
            missing,
            duplicated,
            unexpected,
        }
    }
}

/// Returns the entries that are in only one of two sorted lists: those of the left, and those of
/// the right.
fn diff_sorted(
    left: &[ArchiveEntry],
    right: &[ArchiveEntry],
) -> (Vec<ArchiveEntry>, Vec<ArchiveEntry>) {
    let (mut l, mut r) = (left.iter().peekable(), right.iter().peekable());
    let (mut only_left, mut only_right) = (Vec::new(), Vec::new());
    loop {
        match (l.peek(), r.peek()) {
            (Some(a), Some(b)) if a == b => {
                l.next();
                r.next();
            }
            (Some(a), Some(b)) if a < b => only_left.extend(l.next().cloned()),
            (_, Some(_)) => only_right.extend(r.next().cloned()),
            (Some(_), None) => only_left.extend(l.next().cloned()),
            (None, None) => return (only_left, only_right),
        }
    }
}

/// Returns the expected entries of all accounts.
fn expected_entries(world: &World) -> Vec<ArchiveEntry> {
    let options = world.options();
    let agora = world.app_ids().into_iter().flat_map(|app_id| {
        world
            .agora_messages(&app_id)
            .into_iter()
            .map(move |message| agora_entry(&app_id, &message, options))
    });
    let users = world.user_ids().into_iter().enumerate();
    let web3mq = users.flat_map(|(index, user_id)| {
        let account = format!("web3mq-{}", index + 1);
        let rows = distinct_rows(world, &user_id);
        rows.into_iter()
            .map(move |row| web3mq_entry(&account, &row, options))
    });
    agora.chain(web3mq).collect()
}

/// Returns the distinct messages of a Web3MQ account. Rows with the same id and content are one
/// message. The most advanced status counts.
fn distinct_rows(world: &World, user_id: &str) -> Web3mqRows {
    let topics = world.web3mq_topics(user_id);
    let mut rows: Web3mqRows = topics.into_values().flatten().collect();
    rows.sort_by_key(|row| Reverse((row.status, row.status_ms)));
    let mut seen = HashSet::new();
    rows.retain(|row| row.messageid.is_empty() || seen.insert(row_identity(row)));
    rows
}

/// Returns a hash over the fields that make two rows with an id the same message.
fn row_identity(row: &Web3mqMessage) -> blake3::Hash {
    let fields = (
        &row.row_topic,
        &row.from,
        row.ms,
        &row.messageid,
        &row.payload_text,
    );
    blake3::hash(format!("{fields:?}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::archive_entry::tests::entry;

    #[test]
    fn equal_entries_are_counted_separately() {
        let one = [entry(1, "x"), entry(2, "x"), entry(2, "x")].map(normalized);
        let other = [entry(1, "x"), entry(2, "x"), entry(3, "y")].map(normalized);
        let (only_one, only_other) = diff_sorted(&one, &other);
        assert_eq!(
            (only_one, only_other),
            (
                vec![normalized(entry(2, "x"))],
                vec![normalized(entry(3, "y"))]
            )
        );
    }
}

//! The comparison of the archive with the sandbox's history.

use crate::cli::CliError;
use crate::cli::bench::place::{RawConnection, ScratchDatabase, driver_error};
use crate::domain::time::Millis;
use crate::sandbox::{
    ArchiveDifference, ArchiveEntry, ENTRIES_IN_POSTGRES, ENTRIES_IN_SQLITE, Sandbox,
};

/// The maximum number of differences of each kind that are printed.
const MAX_SHOWN_DIFFERENCES: usize = 3;

/// The result of the comparison.
#[derive(Debug)]
pub(super) struct TruthComparison {
    pub(super) rows: usize,
    pub(super) difference: ArchiveDifference,
    /// The result of SQLite's integrity check; `ok` for Postgres.
    integrity: String,
}

impl TruthComparison {
    /// Compares the rows of the view `archive`, which is what readers use.
    pub(super) async fn compare(
        place: &ScratchDatabase,
        sandbox: &Sandbox,
        edge: Millis,
    ) -> Result<Self, CliError> {
        let mut integrity = "ok".to_owned();
        let direct = place.connect_raw().await?;
        let entries: Vec<ArchiveEntry> = match &direct {
            RawConnection::Sqlite(pool) => {
                integrity = sqlx::query_scalar("PRAGMA integrity_check")
                    .fetch_one(pool)
                    .await
                    .map_err(driver_error)?;
                sqlx::query_as(ENTRIES_IN_SQLITE)
                    .fetch_all(pool)
                    .await
                    .map_err(driver_error)?
            }
            RawConnection::Postgres(pool) => sqlx::query_as(ENTRIES_IN_POSTGRES)
                .fetch_all(pool)
                .await
                .map_err(driver_error)?,
        };
        direct.close().await;
        let world = sandbox.world();
        let users = (1..=world.user_ids().len()).map(|number| format!("web3mq-{number}"));
        let accounts: Vec<String> = world.app_ids().into_iter().chain(users).collect();
        let accounts: Vec<&str> = accounts.iter().map(String::as_str).collect();
        Ok(Self {
            rows: entries.len(),
            difference: world.compare_archive(&accounts, entries, edge),
            integrity,
        })
    }

    pub(super) fn is_equal(&self) -> bool {
        self.difference.is_empty() && self.integrity == "ok"
    }

    /// Returns the first differences of each kind.
    pub(super) fn describe_differences(&self) -> String {
        let ArchiveDifference {
            missing,
            duplicated: twice,
            unexpected: untrue,
            ..
        } = &self.difference;
        let kinds = [
            ("missing", missing),
            ("duplicated", twice),
            ("unexpected", untrue),
        ];
        let shown = kinds.iter().flat_map(|(kind, entries)| {
            entries
                .iter()
                .take(MAX_SHOWN_DIFFERENCES)
                .map(move |entry| format!("{kind}: {}\n", entry.summary()))
        });
        format!("{}integrity: {}", shown.collect::<String>(), self.integrity)
    }
}

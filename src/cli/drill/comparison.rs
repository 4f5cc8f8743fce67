//! The comparison of the archive with the sandbox's history.

use crate::cli::scratch::{RawConnection, ScratchDatabase, ScratchError};
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
        database: &ScratchDatabase,
        sandbox: &Sandbox,
        edge: Millis,
    ) -> Result<Self, ScratchError> {
        let connection = database.connect_raw().await?;
        let integrity = check_integrity(&connection).await?;
        let entries: Vec<ArchiveEntry> = match &connection {
            RawConnection::Sqlite(pool) => {
                sqlx::query_as(ENTRIES_IN_SQLITE).fetch_all(pool).await?
            }
            RawConnection::Postgres(pool) => {
                sqlx::query_as(ENTRIES_IN_POSTGRES).fetch_all(pool).await?
            }
        };
        connection.close().await;
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

    /// True if the archive equals the history, and the file is intact.
    pub(super) fn is_equal(&self) -> bool {
        self.difference.is_empty() && self.integrity == "ok"
    }

    /// Returns the first differences of each kind.
    pub(super) fn describe_differences(&self) -> String {
        let difference = &self.difference;
        let kinds = [
            ("missing", &difference.missing),
            ("duplicated", &difference.duplicated),
            ("unexpected", &difference.unexpected),
        ];
        let mut lines = String::new();
        for (kind, entries) in kinds {
            for entry in entries.iter().take(MAX_SHOWN_DIFFERENCES) {
                lines.extend([kind, ": ", &entry.summary(), "\n"]);
            }
        }
        format!("{lines}integrity: {}", self.integrity)
    }
}

async fn check_integrity(connection: &RawConnection) -> Result<String, sqlx::Error> {
    match connection {
        RawConnection::Sqlite(pool) => {
            sqlx::query_scalar("PRAGMA integrity_check")
                .fetch_one(pool)
                .await
        }
        RawConnection::Postgres(_) => Ok("ok".to_owned()),
    }
}

//! The archive beside the truth.

use crate::cli::Failure;
use crate::cli::bench::place::{Direct, Place, driver};
use crate::domain::time::Millis;
use crate::sandbox::{Difference, ENTRIES_IN_POSTGRES, ENTRIES_IN_SQLITE, Entry, Sandbox};

/// At most so many of each kind of difference are shown.
const SHOWN: usize = 3;

/// What an archive is found to be.
#[derive(Debug)]
pub(super) struct Proof {
    pub(super) rows: usize,
    pub(super) difference: Difference,
    /// What SQLite says of its file.
    integrity: String,
}

impl Proof {
    /// Compares as any reader would: by what the view `archive` says.
    pub(super) async fn of(
        place: &Place,
        sandbox: &Sandbox,
        edge: Millis,
    ) -> Result<Self, Failure> {
        let mut integrity = "ok".to_owned();
        let direct = place.direct().await?;
        let entries: Vec<Entry> = match &direct {
            Direct::Sqlite(pool) => {
                integrity = sqlx::query_scalar("PRAGMA integrity_check")
                    .fetch_one(pool)
                    .await
                    .map_err(driver)?;
                sqlx::query_as(ENTRIES_IN_SQLITE)
                    .fetch_all(pool)
                    .await
                    .map_err(driver)?
            }
            Direct::Postgres(pool) => sqlx::query_as(ENTRIES_IN_POSTGRES)
                .fetch_all(pool)
                .await
                .map_err(driver)?,
        };
        direct.close().await;
        let world = sandbox.world();
        let users = (1..=world.users().len()).map(|number| format!("web3mq-{number}"));
        let accounts: Vec<String> = world.projects().into_iter().chain(users).collect();
        let accounts: Vec<&str> = accounts.iter().map(String::as_str).collect();
        Ok(Self {
            rows: entries.len(),
            difference: world.compare(&accounts, entries, edge),
            integrity,
        })
    }

    pub(super) fn is_good(&self) -> bool {
        self.difference.is_none() && self.integrity == "ok"
    }

    /// Some of what is wrong.
    pub(super) fn particulars(&self) -> String {
        let Difference {
            missing,
            twice,
            untrue,
            ..
        } = &self.difference;
        let kinds = [("missing", missing), ("twice", twice), ("not true", untrue)];
        let shown = kinds.iter().flat_map(|(kind, entries)| {
            entries
                .iter()
                .take(SHOWN)
                .map(move |entry| format!("{kind}: {}\n", entry.whereabouts()))
        });
        format!("{}integrity: {}", shown.collect::<String>(), self.integrity)
    }
}

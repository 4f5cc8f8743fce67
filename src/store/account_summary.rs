//! How every account stands, in figures: what is watched all the time, and so must cost little.
//!
//! Nothing here reads a message, nor of the ledger more than what the provider still has, but for one sum. What
//! [`super::status`] says of each stream costs more.

use std::collections::HashMap;

use super::dialect::{Dialect, int, optional_int, text};
use super::ledger::{frontier_from_row, window_from_row};
use super::sql_store::pause_from_row;
use super::{Pause, StoreError, StreamId, sql};
use crate::domain::frontier::Frontier;
use crate::domain::time::Second;
use crate::domain::window::Window;

/// How an account stands, by what the archive says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountSummary {
    pub account: String,
    pub provider: String,
    /// Streams that are followed, and those among them with a failure on record.
    pub streams: u64,
    pub failing_streams: u64,
    /// The account's frontier when it was last saved.
    pub frontier: Frontier,
    pub pause: Option<Pause>,
    /// The end of the unbroken run of sealed windows of the stream that is furthest behind; where nothing of it is sealed,
    /// from when on it is wanted. Nothing where there is no stream of which anything is settled.
    pub complete_to: Option<Second>,
    /// History that is settled, wanted and not sealed, but could still be had, then.
    pub missing: Vec<(StreamId, Window)>,
    /// Seconds of history that fell behind the horizon unsealed, over all streams.
    pub lost_seconds: u64,
    /// Ledger rows that are in doubt.
    pub suspect_rows: u64,
    /// Messages that could not be read.
    pub quarantined: u64,
    /// Messages in sealed windows that the provider still had, then, and how many seconds those last.
    pub recent_messages: u64,
    pub recent_seconds: u64,
}

impl AccountSummary {
    /// Seconds of history that are missing, over all streams.
    pub fn missing_seconds(&self) -> u64 {
        self.missing.iter().map(|(_, range)| range.seconds()).sum()
    }
}

/// Of every account, in the order of their names.
pub(super) async fn read_account_summaries<DB: Dialect>(
    connection: &mut DB::Connection,
) -> Result<Vec<AccountSummary>, StoreError> {
    let failed = StoreError::at("figures");
    let mut missing: HashMap<i64, Vec<(StreamId, Window)>> = HashMap::new();
    for row in DB::fetch(connection, sql::MISSING_RANGES, &[])
        .await
        .map_err(&failed)?
    {
        let range = (
            StreamId(int::<DB>(&row, "stream_id")?),
            window_from_row::<DB>(&row)?,
        );
        missing
            .entry(int::<DB>(&row, "account_id")?)
            .or_default()
            .push(range);
    }
    let mut recent: HashMap<i64, (u64, u64)> = HashMap::new();
    for row in DB::fetch(connection, sql::RECENT_TOTALS, &[])
        .await
        .map_err(&failed)?
    {
        let sums = (
            count_column::<DB>(&row, "messages")?,
            count_column::<DB>(&row, "seconds")?,
        );
        recent.insert(int::<DB>(&row, "account_id")?, sums);
    }
    let rows = DB::fetch(connection, sql::ACCOUNT_SUMMARIES, &[])
        .await
        .map_err(&failed)?;
    let figures = |row| {
        let id = int::<DB>(row, "id")?;
        let missing = missing.remove(&id).unwrap_or_default();
        account_summary::<DB>(row, missing, recent.get(&id).copied().unwrap_or_default())
    };
    rows.iter().map(figures).collect()
}

fn account_summary<DB: Dialect>(
    row: &DB::Row,
    missing: Vec<(StreamId, Window)>,
    (recent_messages, recent_seconds): (u64, u64),
) -> Result<AccountSummary, StoreError> {
    // Where something is missing that is settled, something that is not cannot be further behind.
    let first = missing.iter().map(|(_, range)| range.from()).min();
    Ok(AccountSummary {
        account: text::<DB>(row, "account")?.unwrap_or_default(),
        provider: text::<DB>(row, "provider")?.unwrap_or_default(),
        streams: count_column::<DB>(row, "streams")?,
        failing_streams: count_column::<DB>(row, "failing")?,
        frontier: frontier_from_row::<DB>(row)?,
        pause: pause_from_row::<DB>(row)?,
        complete_to: first.or(optional_int::<DB>(row, "sealed_to_s")?.map(Second)),
        missing,
        lost_seconds: count_column::<DB>(row, "lost")?,
        suspect_rows: count_column::<DB>(row, "suspect")?,
        quarantined: count_column::<DB>(row, "quarantined")?,
        recent_messages,
        recent_seconds,
    })
}

fn count_column<DB: Dialect>(row: &DB::Row, column: &'static str) -> Result<u64, StoreError> {
    Ok(u64::try_from(int::<DB>(row, column)?).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use crate::store::{IfMissing, SqliteStore, sql};

    /// In SQLite, whose plans do not hang on what is in the tables.
    #[tokio::test]
    async fn of_the_ledger_only_ranges_of_indexes_are_read() {
        let dir = tempfile::TempDir::new().unwrap();
        let store = SqliteStore::open(&dir.path().join("archive.db"), IfMissing::Create)
            .await
            .unwrap();
        for sql in [
            sql::MISSING_RANGES,
            sql::RECENT_TOTALS,
            sql::ACCOUNT_SUMMARIES,
        ] {
            let explain: &'static str = format!("EXPLAIN QUERY PLAN {sql}").leak();
            let plan = store.query(explain).await.unwrap().rows.concat();
            let ledger = |step: &&String| {
                step.contains(" w ") || step.contains(" n ") || step.contains("sealed_window")
            };
            let steps: Vec<&String> = plan.iter().filter(ledger).collect();
            assert!(!steps.is_empty(), "{plan:#?}");
            let is_range = |step: &&String| {
                step.starts_with("SEARCH") || step.contains("sealed_window_in_doubt")
            };
            assert!(steps.iter().all(is_range), "{plan:#?}");
        }
    }
}

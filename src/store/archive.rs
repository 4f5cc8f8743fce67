//! The trait [`Archive`]: all roles of an archive together.

use async_trait::async_trait;

use super::accounts::Accounts;
use super::alarms::AlarmLog;
use super::arrival_marks::ArrivalMarks;
use super::audit::Audit;
use super::decode::text;
use super::dialect::Dialect;
use super::driver::{fetch_all, fetch_one};
use super::error::StoreError;
use super::indexing::SearchIndex;
use super::quota::Quotas;
use super::reading::Reading;
use super::records::Records;
use super::reports::Reports;
use super::search::Search;
use super::sql_store::SqlStore;
use super::windows::Windows;

/// An archive.
///
/// Each method is one transaction or one read. Times are arguments; the database's own clock is
/// used by [`Quotas`] only. A future that is dropped leaves either all of its effect or none. Functions that
/// need one role only take `&dyn Reports` and the like.
#[async_trait]
pub trait Archive:
    Accounts
    + Quotas
    + Windows
    + ArrivalMarks
    + Audit
    + Records
    + Reading
    + SearchIndex
    + Search
    + Reports
    + AlarmLog
{
    /// Returns the location of the archive for display: a path, or a database and its server.
    fn location(&self) -> &str;

    /// Returns the place in which a server keeps the archive: equal for all ways to it, and for no
    /// other archive. `None` if it is a file.
    async fn place(&self) -> Result<Option<String>, StoreError>;

    /// True if a server keeps both archives in the same place.
    async fn is_same_as(&self, other: &dyn Archive) -> Result<bool, StoreError> {
        let place = self.place().await?;
        Ok(place.is_some() && place == other.place().await?)
    }

    /// Returns the version of the archive's schema.
    fn schema_version(&self) -> i64;

    /// Returns once the database has answered a query. Errors with [`StoreError::Replaced`] if the
    /// archive's file is no longer the one that is open.
    async fn ping(&self) -> Result<(), StoreError>;

    /// True if the archive's file is no longer the one that is open. Writes then fail with
    /// [`StoreError::Replaced`].
    fn is_replaced(&self) -> bool;

    /// Releases all leases and closes the database. Committed data is on disk afterwards.
    async fn close(&self);
}

#[async_trait]
impl<DB: Dialect> Archive for SqlStore<DB> {
    fn location(&self) -> &str {
        &self.location
    }

    async fn place(&self) -> Result<Option<String>, StoreError> {
        const WHAT: &str = "place";
        let Some(query) = DB::PLACE else {
            return Ok(None);
        };
        let mut connection = self.acquire_reader(WHAT).await?;
        let row = fetch_one::<DB>(&mut connection, WHAT, query, &[]).await?;
        text::<DB>(&row, "place").map(Some)
    }

    fn schema_version(&self) -> i64 {
        self.schema
    }

    async fn ping(&self) -> Result<(), StoreError> {
        const WHAT: &str = "ping";
        self.require_in_place()?;
        let mut connection = self.acquire_reader(WHAT).await?;
        fetch_all::<DB>(&mut connection, WHAT, "SELECT 1", &[]).await?;
        Ok(())
    }

    fn is_replaced(&self) -> bool {
        matches!(self.require_in_place(), Err(StoreError::Replaced { .. }))
    }

    async fn close(&self) {
        self.release_leases().await;
        self.read.close().await;
        // The driver would leave the log of a replaced file beside the new one, to be mistaken for
        // its own.
        if self.is_replaced()
            && let Ok(mut connection) = self.write.acquire().await
            && let Err(error) = DB::fetch(&mut connection, DB::EMPTY_LOG, &[]).await
        {
            tracing::debug!(%error, "the log of a replaced archive could not be emptied");
        }
        self.write.close().await;
        self.release_file();
    }
}

//! The archive in an SQL database: its connection pools, and the state that commits share.
//!
//! The methods of the roles stand in `accounts.rs`, `windows.rs`, `audit.rs`, `reports.rs` and
//! `alarms.rs`, each beside the queries that they run.

use sqlx::pool::PoolConnection;
use sqlx::{Pool, Transaction};

use super::dialect::Dialect;
use super::driver::Arg;
use super::error::StoreError;
use super::file_lock::FileLock;
use super::interner::NameInterner;
use super::lease::Leases;

/// The treatment of an archive that does not exist when it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfMissing {
    /// Create the archive.
    Create,
    /// Return [`StoreError::NotFound`].
    Refuse,
}

/// An archive in an SQL database.
#[derive(Debug)]
pub struct SqlStore<DB: sqlx::Database> {
    pub(super) write: Pool<DB>,
    pub(super) read: Pool<DB>,
    pub(super) interner: NameInterner,
    pub(super) leases: Leases<DB>,
    #[expect(
        dead_code,
        reason = "it excludes other processes for as long as it is held"
    )]
    file_lock: Option<FileLock>,
    pub(super) location: String,
    pub(super) schema: i64,
}

#[expect(
    private_bounds,
    reason = "the set of databases is decided inside the store"
)]
impl<DB: Dialect> SqlStore<DB> {
    pub(super) fn new(write: Pool<DB>, read: Pool<DB>, location: String, schema: i64) -> Self {
        let interner = NameInterner::default();
        Self {
            write,
            read,
            interner,
            leases: Leases::none(),
            file_lock: None,
            location,
            schema,
        }
    }

    /// Keeps a lock that excludes other processes.
    pub(super) fn with_file_lock(self, lock: FileLock) -> Self {
        Self {
            file_lock: Some(lock),
            ..self
        }
    }

    /// Begins a transaction that writes.
    pub(super) async fn begin(
        &self,
        what: &'static str,
    ) -> Result<Transaction<'_, DB>, StoreError> {
        self.write
            .begin_with(DB::BEGIN)
            .await
            .map_err(StoreError::at(what))
    }

    /// Begins a transaction that only reads. On SQLite all of its queries see one snapshot.
    pub(super) async fn begin_read(
        &self,
        what: &'static str,
    ) -> Result<Transaction<'_, DB>, StoreError> {
        self.read.begin().await.map_err(StoreError::at(what))
    }

    /// Returns a connection for a single query.
    pub(super) async fn acquire_reader(
        &self,
        what: &'static str,
    ) -> Result<PoolConnection<DB>, StoreError> {
        self.read.acquire().await.map_err(StoreError::at(what))
    }

    /// Returns a connection for a single statement that writes.
    pub(super) async fn acquire_writer(
        &self,
        what: &'static str,
    ) -> Result<PoolConnection<DB>, StoreError> {
        self.write.acquire().await.map_err(StoreError::at(what))
    }

    /// Runs a single statement in a transaction of its own.
    pub(super) async fn execute(
        &self,
        what: &'static str,
        sql: &'static str,
        args: &[Arg<'_>],
    ) -> Result<(), StoreError> {
        let mut connection = self.acquire_writer(what).await?;
        DB::execute(&mut connection, sql, args)
            .await
            .map_err(StoreError::at(what))?;
        Ok(())
    }
}

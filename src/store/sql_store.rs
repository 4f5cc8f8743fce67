//! The archive in an SQL database: its connection pools, and the state that commits share.
//!
//! The methods of the roles stand in `accounts.rs`, `windows.rs`, `audit.rs`, `reading.rs`,
//! `reports.rs` and `alarms.rs`, each beside the queries that they run.

use std::sync::Arc;

use sqlx::pool::PoolConnection;
use sqlx::{ConnectOptions as _, Pool, Transaction};
use tokio::time::timeout;

use super::archive_file::{ArchiveFile, UnlockedFile};
use super::dialect::{Dialect, Locking};
use super::driver::Arg;
use super::error::StoreError;
use super::interner::NameInterner;
use super::lease::Leases;
use super::limits::EXPLAIN_TIMEOUT;
use super::limits::sqlite::MAX_LOG_BYTES;
use super::snapshot::Snapshot;

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
#[expect(
    private_bounds,
    reason = "the set of databases is decided inside the store"
)]
pub struct SqlStore<DB: Locking> {
    pub(super) write: Pool<DB>,
    pub(super) read: Pool<DB>,
    pub(super) interner: NameInterner,
    pub(super) leases: Leases<DB>,
    /// The file that is open. `None` if a server keeps the archive, or it is only read.
    file: Option<Arc<ArchiveFile>>,
    /// The file, if it is read without locks.
    pub(super) unlocked: Option<UnlockedFile>,
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
            leases: Leases::none(DB::SessionSettings::default()),
            file: None,
            unlocked: None,
            location,
            schema,
        }
    }

    /// Opens the session of the leases with these settings.
    pub(super) fn with_session(self, settings: DB::SessionSettings) -> Self {
        Self {
            leases: Leases::none(settings),
            ..self
        }
    }

    /// Compares this file with the one at its path before each write.
    pub(super) fn with_file(self, file: Arc<ArchiveFile>) -> Self {
        Self {
            file: Some(file),
            ..self
        }
    }

    /// Compares this file with its first state before each read.
    pub(super) fn with_unlocked(self, file: UnlockedFile) -> Self {
        Self {
            unlocked: Some(file),
            ..self
        }
    }

    pub(super) fn require_unwritten(&self) -> Result<(), StoreError> {
        self.unlocked
            .as_ref()
            .map_or(Ok(()), UnlockedFile::require_unwritten)
    }

    /// Returns [`StoreError::Replaced`] if the archive's file is not the one that is open.
    pub(super) fn require_in_place(&self) -> Result<(), StoreError> {
        self.file
            .as_ref()
            .map_or(Ok(()), |file| file.require_in_place())
    }

    /// Gives up the right to write to the archive's file.
    pub(super) fn release_file(&self) {
        if let Some(file) = &self.file {
            file.release();
        }
    }

    /// Empties the log if it has grown long, and waits a while for the readers that prevent it:
    /// they still read from it. Otherwise the log would grow for as long as one of them reads.
    async fn bound_log(&self) {
        let Some(file) = self.file.as_ref() else {
            return;
        };
        let bytes = file.log_bytes();
        if bytes <= MAX_LOG_BYTES {
            return;
        }
        if let Ok(mut connection) = self.write.acquire().await
            && let Err(error) = DB::fetch(&mut connection, DB::EMPTY_LOG, &[]).await
        {
            tracing::debug!(%error, "the log could not be emptied");
        }
        if file.log_bytes() > MAX_LOG_BYTES {
            let mib = bytes >> 20;
            let readers = match file.log_readers().join(", ") {
                unknown if unknown.is_empty() => "a reader".to_owned(),
                readers => readers,
            };
            tracing::warn!(
                archive = self.location,
                mib,
                "{readers} keeps a query open, so that the write-ahead log cannot be emptied; \
                 commits wait for it"
            );
        }
    }

    /// Begins a transaction that writes.
    pub(super) async fn begin(
        &self,
        what: &'static str,
    ) -> Result<Transaction<'_, DB>, StoreError> {
        self.require_in_place()?;
        self.bound_log().await;
        match self.write.begin_with(DB::BEGIN).await {
            Ok(tx) => Ok(tx),
            Err(error) => Err(explain(&self.write, what, error).await),
        }
    }

    /// Begins a transaction that only reads. On SQLite all of its queries see one snapshot.
    pub(super) async fn begin_read(
        &self,
        what: &'static str,
    ) -> Result<Transaction<'_, DB>, StoreError> {
        self.require_unwritten()?;
        match self.read.begin().await {
            Ok(tx) => Ok(tx),
            Err(error) => Err(explain(&self.read, what, error).await),
        }
    }

    /// Begins a transaction that only reads. All of its queries see one snapshot.
    pub(super) async fn begin_snapshot(
        &self,
        what: &'static str,
    ) -> Result<Transaction<'_, DB>, StoreError> {
        match self.read.begin_with(DB::BEGIN_SNAPSHOT).await {
            Ok(tx) => Ok(tx),
            Err(error) => Err(explain(&self.read, what, error).await),
        }
    }

    /// Begins to read one state of the archive, on a connection of its own.
    pub(super) async fn open_snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        self.require_unwritten()?;
        match DB::open_snapshot(&self.read).await {
            Err(error) => Err(explain_failure(&self.read, error).await),
            opened => opened,
        }
    }

    /// Returns a connection for a single query.
    pub(super) async fn acquire_reader(
        &self,
        what: &'static str,
    ) -> Result<PoolConnection<DB>, StoreError> {
        self.require_unwritten()?;
        match self.read.acquire().await {
            Ok(connection) => Ok(connection),
            Err(error) => Err(explain(&self.read, what, error).await),
        }
    }

    /// Returns a connection for a single statement that writes.
    pub(super) async fn acquire_writer(
        &self,
        what: &'static str,
    ) -> Result<PoolConnection<DB>, StoreError> {
        self.require_in_place()?;
        match self.write.acquire().await {
            Ok(connection) => Ok(connection),
            Err(error) => Err(explain(&self.write, what, error).await),
        }
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

/// Adds the reason to a failure to get a connection.
pub(super) async fn explain_failure<DB: Dialect>(pool: &Pool<DB>, error: StoreError) -> StoreError {
    match error {
        StoreError::Database { what, source } => explain(pool, what, source).await,
        other => other,
    }
}

/// Wraps the failure to get a connection. A pool only reports a timeout: a single connection tells
/// the reason.
async fn explain<DB: Dialect>(
    pool: &Pool<DB>,
    what: &'static str,
    error: sqlx::Error,
) -> StoreError {
    let failed = StoreError::at(what);
    if !matches!(error, sqlx::Error::PoolTimedOut) {
        return failed(error);
    }
    let options = pool.connect_options();
    match timeout(EXPLAIN_TIMEOUT, options.connect()).await {
        Ok(Err(reason)) => failed(reason),
        Ok(Ok(_)) | Err(_) => failed(error),
    }
}

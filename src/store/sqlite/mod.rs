//! The archive in an SQLite file: one writer, any number of readers, write-ahead logging.
//!
//! | question | file |
//! |---|---|
//! | how an archive is opened, pragmas | this file |
//! | the statements | `sql.rs` |
//! | how message rows are bound | `bulk.rs` |
//! | a connection that SQLite itself keeps from writing | `guarded.rs` |
//! | reading on threads for blocking work | `blocking.rs`; names of messages: `name_lookup.rs` |
//! | reading all messages page by page | `message_reader.rs` |
//! | reading messages in one snapshot | `snapshot.rs` |
//! | the search index | `words.rs`; searches: `search.rs` |

mod blocking;
mod bulk;
mod guarded;
mod message_reader;
mod name_lookup;
mod search;
mod snapshot;
mod sql;
mod words;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sqlx::sqlite::{
    Sqlite, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool,
    SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{Column, ConnectOptions as _, Connection as _, Row as _};

use self::guarded::is_read_alone;
pub(super) use self::guarded::{open_guarded, query_failure};
use self::message_reader::SqlitePages;
use super::archive_file::{ArchiveFile, UnlockedFile, create_private, is_same_file};
use super::dialect::{Dialect, Locking};
use super::driver::{DriverResult, impl_driver};
use super::error::StoreError;
use super::limits::sqlite::{BUSY_TIMEOUT, MAX_READERS};
use super::path_fault::{require_readable, require_writable};
use super::schema::Schema;
use super::snapshot::Snapshot;
use super::sql::ledger_rows_in_window;
use super::sql_store::{IfMissing, SqlStore};
use super::table::QueryTable;

/// Page size of a new archive in bytes. Larger than the default, because most rows are read in
/// order; a much larger page would write more for each commit.
const PAGE_SIZE: u32 = 8192;

/// Pages in the write-ahead log before a checkpoint: 64 MB, so that a fast backfill is not held up
/// by checkpoints. A larger value costs disk space.
const CHECKPOINT_PAGES: &str = "8000";

/// Size in bytes to which the log is cut after a checkpoint.
const MAX_LOG_BYTES: &str = "67108864";

/// Prepared statements kept per connection: about as many as there are in the code.
const CACHED_STATEMENTS: usize = 64;

/// An archive in an SQLite file.
pub type SqliteStore = SqlStore<Sqlite>;

impl SqliteStore {
    /// Opens the archive and upgrades its schema.
    pub async fn open(path: &Path, missing: IfMissing) -> Result<Self, StoreError> {
        prepare_file(path, missing)?;
        Self::open_file(Arc::new(ArchiveFile::at(path)?), path).await
    }

    /// Opens the archive as its only writer. Errors with [`StoreError::InUse`] if another process
    /// writes to it, before anything is changed.
    pub async fn open_exclusive(
        path: &Path,
        missing: IfMissing,
        holder: &str,
    ) -> Result<Self, StoreError> {
        prepare_file(path, missing)?;
        let file = Arc::new(ArchiveFile::locked(path, holder)?);
        let store = Self::open_file(file.clone(), path).await?;
        file.log_permissions();
        Ok(store)
    }

    async fn open_file(file: Arc<ArchiveFile>, path: &Path) -> Result<Self, StoreError> {
        let location = path.display().to_string();
        let at = |source| StoreError::Open {
            location: location.clone(),
            source,
        };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false)
            .page_size(PAGE_SIZE)
            .journal_mode(SqliteJournalMode::Wal)
            // A power failure may undo the last commits, messages and ledger alike. They are
            // fetched again.
            .synchronous(SqliteSynchronous::Normal)
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
            .pragma("journal_size_limit", MAX_LOG_BYTES)
            .busy_timeout(BUSY_TIMEOUT)
            .statement_cache_capacity(CACHED_STATEMENTS);
        let opened = file.clone();
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .after_connect(move |_, _| {
                opened.forget_log();
                Box::pin(async { Ok(()) })
            })
            // After a failed write (disk full) SQLite ends the transaction by itself, while the
            // driver assumes that it is still open. Such a connection is replaced.
            .before_acquire(|connection, _| {
                Box::pin(async move { Ok(!connection.is_in_transaction()) })
            });
        let write = writer.connect_with(options.clone()).await.map_err(at)?;
        if is_foreign(&write).await.map_err(at)? {
            return Err(StoreError::NotAnArchive { location });
        }
        let schema = Schema::sqlite();
        let mut connection = write.acquire().await.map_err(at)?;
        schema.upgrade::<Sqlite>(&mut connection).await?;
        drop(connection);
        let readers = SqlitePoolOptions::new()
            .max_connections(MAX_READERS)
            .min_connections(0);
        let read = readers.connect_lazy_with(options.read_only(true));
        let store = Self::new(write, read, location, schema.version()).with_file(file);
        store.require_in_place()?;
        Ok(store)
    }

    /// Opens the archive for reading only.
    pub async fn open_read_only(path: &Path) -> Result<Self, StoreError> {
        let location = path.display().to_string();
        require_present(path)?;
        let at = |source| StoreError::Open {
            location: location.clone(),
            source,
        };
        let is_alone = is_read_alone(path);
        let unlocked = UnlockedFile::at(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false)
            // SQLite removes its two files beside the archive only if it may write.
            .read_only(require_writable(path).is_err())
            .pragma("query_only", "1")
            .immutable(is_alone)
            .busy_timeout(BUSY_TIMEOUT);
        let readers = SqlitePoolOptions::new().max_connections(MAX_READERS);
        let read = readers.connect_with(options).await.map_err(at)?;
        let record = "SELECT count(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'";
        let tables: i64 = sqlx::query_scalar(record)
            .fetch_one(&read)
            .await
            .map_err(at)?;
        if tables == 0 {
            return Err(StoreError::NotAnArchive { location });
        }
        let schema = Schema::sqlite();
        let mut connection = read.acquire().await.map_err(at)?;
        schema.require_current(&mut *connection).await?;
        drop(connection);
        let store = Self::new(read.clone(), read, location, schema.version());
        Ok(if is_alone {
            store.with_unlocked(unlocked)
        } else {
            store
        })
    }

    /// True if there is one file at both paths, whatever its names.
    pub fn is_same_file(one: &Path, other: &Path) -> bool {
        is_same_file(one, other)
    }

    /// Errors if this user may neither write an archive at the path nor create it there. Changes
    /// nothing.
    pub fn require_writable(path: &Path) -> Result<(), StoreError> {
        require_writable(path).map_err(|fault| StoreError::Path {
            location: path.display().to_string(),
            fault,
        })
    }

    /// Runs a query and returns its result as text, like any SQLite tool.
    pub async fn query(&self, sql: &'static str) -> Result<QueryTable, StoreError> {
        let rows = sqlx::query(sql)
            .fetch_all(&self.read)
            .await
            .map_err(StoreError::at("query"))?;
        let columns = rows.first().map(column_names).unwrap_or_default();
        let cells = |row: &SqliteRow| {
            let cells = 0..row.columns().len();
            cells.map(|index| cell_text(row, index)).collect()
        };
        Ok(QueryTable {
            columns,
            rows: rows.iter().map(cells).collect(),
        })
    }
}

/// Makes sure that the file exists. A new one is private from its first byte.
fn prepare_file(path: &Path, missing: IfMissing) -> Result<(), StoreError> {
    if missing == IfMissing::Refuse {
        require_present(path)?;
    }
    SqliteStore::require_writable(path)?;
    create_private(path)
}

/// Errors unless there is a file that this user may read.
fn require_present(path: &Path) -> Result<(), StoreError> {
    let location = || path.display().to_string();
    require_readable(path).map_err(|fault| StoreError::Path {
        location: location(),
        fault,
    })?;
    if path.exists() {
        Ok(())
    } else {
        Err(StoreError::NotFound {
            location: location(),
        })
    }
}

/// True if the file holds tables, but none of Backscroll.
async fn is_foreign(pool: &SqlitePool) -> DriverResult<bool> {
    let foreign = "
        SELECT count(*) > 0 AND sum(name = '_sqlx_migrations') = 0
        FROM sqlite_schema WHERE type = 'table'";
    sqlx::query_scalar(foreign).fetch_one(pool).await
}

fn column_names(row: &SqliteRow) -> Vec<String> {
    row.columns()
        .iter()
        .map(|column| column.name().to_owned())
        .collect()
}

/// Returns a text or an integer as text. NULL and all other values are an empty text.
fn cell_text(row: &SqliteRow, index: usize) -> String {
    if let Ok(text) = row.try_get::<Option<String>, _>(index) {
        return text.unwrap_or_default();
    }
    row.try_get::<i64, _>(index)
        .map(|number| number.to_string())
        .unwrap_or_default()
}

impl_driver!(Sqlite);

impl Locking for Sqlite {
    /// Takes the write lock at once. A transaction that reads first and writes later would fail if
    /// another one has written in between.
    const BEGIN: &'static str = "BEGIN IMMEDIATE";
    const BEGIN_SNAPSHOT: &'static str = "BEGIN";

    /// The writer has locked the file.
    const IS_SHARED: bool = false;

    /// The connection options hold all settings.
    type SessionSettings = ();

    async fn open_session(pool: &SqlitePool, (): &()) -> DriverResult<SqliteConnection> {
        pool.connect_options().connect().await
    }

    async fn try_lock_account(_: &mut SqliteConnection, _: i64) -> DriverResult<bool> {
        Ok(true)
    }

    async fn hold_lease_number(_: &mut SqliteConnection, _: i64) -> DriverResult<Option<i64>> {
        Ok(None)
    }
}

impl Dialect for Sqlite {
    type MessagePages = SqlitePages;

    const MAX_PARALLEL_COMMITS: usize = 1;
    const UPSERT_STREAMS: &'static str = sql::UPSERT_STREAMS;
    /// A transaction that writes has locked the whole archive.
    const LOCK_LEDGER_ROWS: &'static str = ledger_rows_in_window!("");
    const AFFECTED_ROWS: &'static str = sql::AFFECTED_ROWS;
    const RELEASE_ARCHIVED: &'static str = sql::RELEASE_ARCHIVED;
    const RESTORE_STREAM: &'static str = sql::RESTORE_STREAM;
    const UPSERT_CONVERSATION: &'static str = sql::UPSERT_CONVERSATION;
    const UPSERT_ALARM: &'static str = sql::UPSERT_ALARM;
    const RESERVE_BLOCK: &'static str = sql::RESERVE_BLOCK;
    const ARCHIVE_SIZE: &'static str = sql::ARCHIVE_SIZE;
    const PLACE: Option<&'static str> = None;
    const FIND_NUL: Option<&'static str> = Some(sql::FIND_NUL);
    const EMPTY_LOG: &'static str = sql::EMPTY_LOG;

    /// SQLite has one schema.
    const TAKE_VIEW: Option<&'static str> = None;
    const HAND_OUT_VIEW: Option<&'static str> = None;

    async fn open_message_pages(pool: &SqlitePool) -> Result<SqlitePages, StoreError> {
        message_reader::open(pool.connect_options().get_filename()).await
    }

    async fn open_snapshot(pool: &SqlitePool) -> Result<Box<dyn Snapshot>, StoreError> {
        snapshot::open(pool.connect_options().get_filename()).await
    }

    fn local_folder(location: &str) -> Option<PathBuf> {
        let folder = Path::new(location).parent()?;
        let is_here = folder.as_os_str().is_empty();
        Some(if is_here {
            PathBuf::from(".")
        } else {
            folder.to_owned()
        })
    }
}

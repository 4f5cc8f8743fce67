//! The archive in an SQLite file: one writer, any number of readers, write-ahead logging.

mod file_lock;
mod sql;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::{TryStreamExt as _, join};
use sqlx::query::Query;
use sqlx::sqlite::{
    Sqlite, SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode,
    SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{Arguments, Column, Connection as _, Row as _};

use super::dialect::{AccessPath, Arg, Dialect, DriverResult, InsertMode, PerAccessPath};
use super::rows::{ExistingMessages, MessageKey, MessageRow, MutableColumns, UpdateProbe};
use super::schema::Schema;
use super::sql::links;
use super::sql_store::SqlStore;
use super::{IfMissing, QueryTable, StoreError};
use crate::domain::time::Millis;

pub(super) use file_lock::FileLock;

/// How long a statement waits for another process that is writing.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections for reading; they never wait for the writer.
const MAX_READERS: u32 = 3;

/// An archive in an SQLite file.
pub type SqliteStore = SqlStore<Sqlite>;

/// Adds values to arguments, one after the other.
macro_rules! all {
    ($arguments:expr, $($value:expr),+) => {
        Ok(()) $(.and_then(|()| $arguments.add($value).map_err(sqlx::Error::Encode)))+
    };
}

type SqliteQuery<'q> = Query<'q, Sqlite, SqliteArguments>;

impl SqliteStore {
    /// Opens the archive and brings its schema up to date.
    pub async fn open(path: &Path, missing: IfMissing) -> Result<Self, StoreError> {
        let place = path.display().to_string();
        if missing == IfMissing::Refuse && !path.exists() {
            return Err(StoreError::NotFound { place });
        }
        let at = |source| StoreError::Open {
            place: place.clone(),
            source,
        };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(missing == IfMissing::Create)
            .page_size(8192)
            .journal_mode(SqliteJournalMode::Wal)
            // A lost power supply may take the last commits with it, messages and ledger alike; they are fetched again.
            .synchronous(SqliteSynchronous::Normal)
            .pragma("wal_autocheckpoint", "8000")
            .pragma("journal_size_limit", "67108864")
            .busy_timeout(BUSY_TIMEOUT)
            .statement_cache_capacity(64);
        let one = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None);
        // A write that fails ends SQLite's transaction by itself (disk full), and the driver goes on believing in it.
        let one = one.before_acquire(|connection, _| {
            Box::pin(async move { Ok(!connection.is_in_transaction()) })
        });
        let write = one.connect_with(options.clone()).await.map_err(at)?;
        let foreign = "SELECT count(*) > 0 AND sum(name = '_sqlx_migrations') = 0 FROM sqlite_schema WHERE type = 'table'";
        if sqlx::query_scalar(foreign)
            .fetch_one(&write)
            .await
            .map_err(at)?
        {
            return Err(StoreError::NotAnArchive { place });
        }
        let schema = Schema::sqlite();
        let mut connection = write.acquire().await.map_err(at)?;
        schema.upgrade::<Sqlite>(&mut connection).await?;
        drop(connection);
        let some = SqlitePoolOptions::new()
            .max_connections(MAX_READERS)
            .min_connections(0);
        let read = some.connect_lazy_with(options.read_only(true));
        Ok(Self::new(write, read, place, schema.version()))
    }

    /// Opens the archive to read it and nothing else: whatever is asked of it, no byte of it changes.
    pub async fn open_read_only(path: &Path) -> Result<Self, StoreError> {
        let place = path.display().to_string();
        if !path.exists() {
            return Err(StoreError::NotFound { place });
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .busy_timeout(BUSY_TIMEOUT);
        let readers = SqlitePoolOptions::new()
            .max_connections(MAX_READERS)
            .connect_with(options)
            .await;
        let readers = readers.map_err(|source| StoreError::Open {
            place: place.clone(),
            source,
        })?;
        let at = |source| StoreError::Open {
            place: place.clone(),
            source,
        };
        let record = "SELECT count(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'";
        if sqlx::query_scalar::<_, i64>(record)
            .fetch_one(&readers)
            .await
            .map_err(at)?
            == 0
        {
            return Err(StoreError::NotAnArchive { place });
        }
        let schema = Schema::sqlite();
        let mut connection = readers.acquire().await.map_err(at)?;
        schema.require_current(&mut *connection).await?;
        drop(connection);
        Ok(Self::new(readers.clone(), readers, place, schema.version()))
    }

    /// Opens the archive for the one process that writes to it: errors if another does, before anything is touched.
    pub async fn open_exclusive(
        path: &Path,
        missing: IfMissing,
        holder: &str,
    ) -> Result<Self, StoreError> {
        if missing == IfMissing::Refuse && !path.exists() {
            return Err(StoreError::NotFound {
                place: path.display().to_string(),
            });
        }
        let lock = FileLock::acquire(path, holder)?;
        Ok(Self::open(path, missing).await?.with_file_lock(lock))
    }

    /// Puts a question to the archive, as anyone with an SQLite tool might.
    pub async fn query(&self, sql: &'static str) -> Result<QueryTable, StoreError> {
        let rows = sqlx::query(sql)
            .fetch_all(&self.read)
            .await
            .map_err(StoreError::at("query"))?;
        let columns = rows.first().map(|row| {
            row.columns()
                .iter()
                .map(|column| column.name().to_owned())
                .collect()
        });
        let text = |row: &SqliteRow, index| {
            let number = || row.try_get::<i64, _>(index).map(|n| n.to_string());
            row.try_get::<Option<String>, _>(index)
                .map(Option::unwrap_or_default)
                .or_else(|_| number())
                .unwrap_or_default()
        };
        let rows = rows.iter().map(|row| {
            (0..row.columns().len())
                .map(|index| text(row, index))
                .collect()
        });
        Ok(QueryTable {
            columns: columns.unwrap_or_default(),
            rows: rows.collect(),
        })
    }
}

impl Dialect for Sqlite {
    /// A transaction that reads first and writes later fails at once when another has written in between.
    const BEGIN: &'static str = "BEGIN IMMEDIATE";
    const MAX_PARALLEL_COMMITS: usize = 1;
    const READ_MESSAGES: &'static str = sql::READ_MESSAGES;
    const COUNT_BY_RECIPIENT: &'static str = sql::COUNT_BY_RECIPIENT;
    const READ_LINKS: PerAccessPath = links!("m.hash");
    const UPSERT_STREAMS: &'static str = sql::UPSERT_STREAMS;
    const ARCHIVE_SIZE: &'static str =
        "SELECT page_count * page_size AS bytes FROM pragma_page_count, pragma_page_size";
    /// Whoever writes has locked the file.
    const IS_SHARED: bool = false;

    fn local_folder(place: &str) -> Option<PathBuf> {
        let folder = Path::new(place).parent()?;
        Some(if folder.as_os_str().is_empty() {
            PathBuf::from(".")
        } else {
            folder.to_owned()
        })
    }

    async fn try_lock_account(_: &mut SqliteConnection, _: i64) -> DriverResult<bool> {
        Ok(true)
    }

    async fn hold_lease_number(_: &mut SqliteConnection, _: i64) -> DriverResult<Option<i64>> {
        Ok(None)
    }

    async fn execute(
        connection: &mut SqliteConnection,
        sql: &'static str,
        args: &[Arg<'_>],
    ) -> DriverResult<u64> {
        Ok(bind_args(sql, args)
            .execute(connection)
            .await?
            .rows_affected())
    }

    async fn fetch(
        connection: &mut SqliteConnection,
        sql: &'static str,
        args: &[Arg<'_>],
    ) -> DriverResult<Vec<SqliteRow>> {
        bind_args(sql, args).fetch_all(connection).await
    }

    async fn for_each_row(
        connection: &mut SqliteConnection,
        what: &'static str,
        sql: &'static str,
        mut take: impl FnMut(&SqliteRow) -> Result<(), StoreError> + Send,
    ) -> Result<(), StoreError> {
        let mut rows = sqlx::query(sql).fetch(connection);
        while let Some(row) = rows.try_next().await.map_err(StoreError::at(what))? {
            take(&row)?;
        }
        Ok(())
    }

    fn int(row: &SqliteRow, column: &'static str) -> DriverResult<Option<i64>> {
        row.try_get(column)
    }

    fn text(row: &SqliteRow, column: &'static str) -> DriverResult<Option<String>> {
        row.try_get(column)
    }

    fn bytes(row: &SqliteRow, column: &'static str) -> DriverResult<Option<Vec<u8>>> {
        row.try_get(column)
    }

    async fn ensure_partitions(
        _: &mut SqliteConnection,
        _: impl Iterator<Item = Millis> + Send,
    ) -> DriverResult<()> {
        Ok(())
    }

    async fn find_names(
        connection: &mut SqliteConnection,
        names: &[&str],
    ) -> DriverResult<Vec<(String, i64)>> {
        let mut known = Vec::new();
        for (text, names) in sql::NAMES.batches(names) {
            let query = names
                .iter()
                .fold(sqlx::query(text), |query, name| query.bind(*name));
            let rows = query.fetch_all(&mut *connection).await?;
            known.extend(rows.iter().map(|row| (row.get("value"), row.get("id"))));
        }
        Ok(known)
    }

    async fn find_conversations(
        connection: &mut SqliteConnection,
        account: i64,
        names: &[&str],
    ) -> DriverResult<Vec<(String, i64, u8)>> {
        let mut known = Vec::new();
        for (text, names) in sql::CONVERSATIONS.batches(names) {
            let query = names
                .iter()
                .fold(sqlx::query(text).bind(account), |query, name| {
                    query.bind(*name)
                });
            let rows = query.fetch_all(&mut *connection).await?;
            known.extend(
                rows.iter()
                    .map(|row| (row.get("name"), row.get("id"), row.get("kind"))),
            );
        }
        Ok(known)
    }

    /// One by one: nothing is faster here.
    async fn count_existing(
        connection: &mut SqliteConnection,
        rows: &[&MessageRow<'_>],
        _among: Option<AccessPath<'_>>,
    ) -> DriverResult<ExistingMessages> {
        let pieces = sql::COUNT_EXISTING.batches(rows).map(|(text, rows)| {
            let lessons = |arguments: &mut SqliteArguments, row: &&MessageRow<'_>| {
                let UpdateProbe {
                    status,
                    status_at,
                    message_type,
                } = row.update_probe();
                add_key(arguments, row)?;
                all!(arguments, row.conversation, status, status_at, message_type)
            };
            batch_arguments(rows, 9, lessons, None).map(|arguments| (text, arguments))
        });
        let mut familiar = ExistingMessages::default();
        for row in fetch_batches(connection, pieces).await? {
            familiar.count += u64::try_from(row.try_get::<i64, _>("there")?).unwrap_or(0);
            familiar.may_update |= row.try_get::<bool, _>("teachable")?;
        }
        Ok(familiar)
    }

    async fn load_existing(
        connection: &mut SqliteConnection,
        account: i64,
        rows: &[&MessageRow<'_>],
    ) -> DriverResult<HashMap<MessageKey, MutableColumns>> {
        let pieces = sql::LOAD_EXISTING.batches(rows).map(|(text, rows)| {
            let key =
                |arguments: &mut SqliteArguments, row: &&MessageRow<'_>| add_key(arguments, row);
            batch_arguments(rows, 5, key, Some(account)).map(|arguments| (text, arguments))
        });
        fetch_batches(connection, pieces)
            .await?
            .iter()
            .map(existing_from_row)
            .collect()
    }

    async fn load_millisecond(
        connection: &mut SqliteConnection,
        recipient: i64,
        sent_at_ms: i64,
    ) -> DriverResult<Vec<(i64, MessageKey, MutableColumns)>> {
        let query = sqlx::query(sql::MESSAGES_OF_MILLISECOND)
            .bind(recipient)
            .bind(sent_at_ms);
        let rows = query.fetch_all(connection).await?;
        let owned = |row: &SqliteRow| {
            existing_from_row(row)
                .and_then(|(key, known)| Ok((row.try_get("account_id")?, key, known)))
        };
        rows.iter().map(owned).collect()
    }

    /// Passing over what is there costs nothing here.
    async fn insert_messages(
        connection: &mut SqliteConnection,
        rows: &[&MessageRow<'_>],
        _faith: InsertMode,
        now: Millis,
    ) -> DriverResult<u64> {
        let (plain, special): (Vec<&MessageRow>, Vec<&MessageRow>) =
            rows.iter().partition(|row| row.is_plain());
        let plain = sql::INSERT_PLAIN.batches(&plain).map(|(text, rows)| {
            let row = |arguments: &mut SqliteArguments, row: &&MessageRow<'_>| {
                add_plain(arguments, row, now)
            };
            batch_arguments(rows, 9, row, None).map(|arguments| (text, arguments))
        });
        let special = sql::INSERT_FULL.batches(&special).map(|(text, rows)| {
            let row = |arguments: &mut SqliteArguments, row: &&MessageRow<'_>| {
                add_plain(arguments, row, now)?;
                add_special(arguments, row)
            };
            batch_arguments(rows, 19, row, None).map(|arguments| (text, arguments))
        });
        let mut pieces = plain.chain(special);
        let mut added = 0;
        let mut next = pieces.next().transpose()?;
        while let Some((text, arguments)) = next {
            // SQLite works on a piece in a thread of its own; meanwhile the next is made ready in this one.
            let execute = sqlx::query_with(text, arguments).execute(&mut *connection);
            let (done, following) = join!(execute, async { pieces.next().transpose() });
            added += done?.rows_affected();
            next = following?;
        }
        Ok(added)
    }

    async fn update_messages(
        connection: &mut SqliteConnection,
        learned: &[(MessageKey, MutableColumns)],
    ) -> DriverResult<u64> {
        let mut changed = 0;
        for ((recipient, sent_at, ..), now) in learned {
            let query = sqlx::query(sql::UPDATE_MESSAGE)
                .bind(recipient)
                .bind(sent_at)
                .bind(now.slot)
                .bind(now.conversation)
                .bind(now.message_type)
                .bind(now.status.map(|d| d.status as i64))
                .bind(now.status.and_then(|d| d.at).map(|at| at.0));
            changed += query.execute(&mut *connection).await?.rows_affected();
        }
        Ok(changed)
    }
}

fn bind_args<'q>(sql: &'static str, args: &[Arg<'q>]) -> SqliteQuery<'q> {
    args.iter().fold(sqlx::query(sql), |query, arg| match *arg {
        Arg::Int(value) => query.bind(value),
        Arg::Text(value) => query.bind(value),
        Arg::Bytes(value) => query.bind(value),
    })
}

fn existing_from_row(row: &SqliteRow) -> DriverResult<(MessageKey, MutableColumns)> {
    let hash: &[u8] = row.try_get("hash")?;
    let hash = hash
        .try_into()
        .map_err(|_| sqlx::Error::Decode("a hash that is not 16 bytes long".into()))?;
    let key = (
        row.try_get("recipient_id")?,
        row.try_get("sent_at_ms")?,
        hash,
        row.try_get("occurrence")?,
    );
    let mutable = MutableColumns::from_columns(
        row.try_get("slot")?,
        row.try_get("conversation_id")?,
        row.try_get("kind_unknown")?,
        row.try_get("message_type_id")?,
        row.try_get("status")?,
        row.try_get("status_at_ms")?,
    );
    Ok((key, mutable))
}

/// The rows that all pieces of a question answer with.
async fn fetch_batches(
    connection: &mut SqliteConnection,
    mut pieces: impl Iterator<Item = DriverResult<(&'static str, SqliteArguments)>>,
) -> DriverResult<Vec<SqliteRow>> {
    let mut rows = Vec::new();
    let mut next = pieces.next().transpose()?;
    while let Some((text, arguments)) = next {
        let fetch = sqlx::query_with(text, arguments).fetch_all(&mut *connection);
        let (found, following) = join!(fetch, async { pieces.next().transpose() });
        rows.append(&mut found?);
        next = following?;
    }
    Ok(rows)
}

/// The values of a piece's rows, `width` each, and what comes after them.
fn batch_arguments<R>(
    rows: &[R],
    width: usize,
    add: impl Fn(&mut SqliteArguments, &R) -> DriverResult<()>,
    last: Option<i64>,
) -> DriverResult<SqliteArguments> {
    let mut arguments = SqliteArguments::default();
    arguments.reserve(rows.len() * width + 1, 0);
    rows.iter().try_for_each(|row| add(&mut arguments, row))?;
    last.map_or(Ok(()), |last| all!(arguments, last))?;
    Ok(arguments)
}

fn add_key(arguments: &mut SqliteArguments, row: &MessageRow<'_>) -> DriverResult<()> {
    let (recipient, sent_at, hash, occurrence) = &row.key;
    all!(
        arguments,
        *sent_at,
        *recipient,
        row.slot,
        &hash[..],
        *occurrence
    )
}

fn add_plain(
    arguments: &mut SqliteArguments,
    row: &MessageRow<'_>,
    now: Millis,
) -> DriverResult<()> {
    let (recipient, sent_at, hash, _) = &row.key;
    all!(
        arguments,
        *sent_at,
        *recipient,
        row.slot,
        &hash[..],
        row.conversation,
        row.sender,
        row.message_type,
        now.second().0,
        row.payload
    )
}

fn add_special(arguments: &mut SqliteArguments, row: &MessageRow<'_>) -> DriverResult<()> {
    all!(
        arguments,
        row.key.3,
        row.encoding,
        row.is_text(),
        row.status.map(|d| d.status as i64),
        row.status.and_then(|d| d.at).map(|at| at.0),
        row.payload_type,
        row.cipher_suite,
        row.provider_id,
        row.readable_body(),
        row.extra
    )
}

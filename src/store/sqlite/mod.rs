//! The archive in an SQLite file: one writer, any number of readers, write-ahead logging.

mod bulk;
mod lock;

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

use super::dialect::{Arg, Dialect, Driver, EachWay, Faith, Way};
use super::rows::{Familiar, Key, Lesson, Mutable, Row};
use super::sql::links;
use super::sql_store::SqlStore;
use super::{Answer, Missing, StoreError, newer, newest, of_this_schema};
use crate::domain::time::Millis;

pub(super) use lock::WriteLock;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("migrations/sqlite");

/// How long a statement waits for another process that is writing.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections for reading; they never wait for the writer.
const READERS: u32 = 3;

/// An archive in an SQLite file.
pub type SqliteStore = SqlStore<Sqlite>;

/// Adds values to arguments, one after the other.
macro_rules! all {
    ($arguments:expr, $($value:expr),+) => {
        Ok(()) $(.and_then(|()| $arguments.add($value).map_err(sqlx::Error::Encode)))+
    };
}

type Bound<'q> = Query<'q, Sqlite, SqliteArguments>;

impl SqliteStore {
    /// Opens the archive and brings its schema up to date.
    pub async fn open(path: &Path, missing: Missing) -> Result<Self, StoreError> {
        let place = path.display().to_string();
        if missing == Missing::Refuse && !path.exists() {
            return Err(StoreError::Absent { place });
        }
        let at = |source| StoreError::Open {
            place: place.clone(),
            source,
        };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(missing == Missing::Create)
            .page_size(8192)
            .journal_mode(SqliteJournalMode::Wal)
            // A lost power supply may take the last commits with it, messages and ledger alike; they are fetched again.
            .synchronous(SqliteSynchronous::Normal)
            .pragma("wal_autocheckpoint", "8000")
            .pragma("journal_size_limit", "67108864")
            .busy_timeout(PATIENCE)
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
            return Err(StoreError::Foreign { place });
        }
        MIGRATIONS
            .run(&write)
            .await
            .map_err(|error| newer(error, &MIGRATIONS))?;
        let some = SqlitePoolOptions::new()
            .max_connections(READERS)
            .min_connections(0);
        let read = some.connect_lazy_with(options.read_only(true));
        Ok(Self::new(
            write,
            read,
            path.display().to_string(),
            newest(&MIGRATIONS),
        ))
    }

    /// Opens the archive to read it and nothing else: whatever is asked of it, no byte of it changes.
    pub async fn open_to_read(path: &Path) -> Result<Self, StoreError> {
        let place = path.display().to_string();
        if !path.exists() {
            return Err(StoreError::Absent { place });
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .busy_timeout(PATIENCE);
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
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
            return Err(StoreError::Foreign { place });
        }
        let found = "SELECT coalesce(max(version), 0) FROM _sqlx_migrations";
        of_this_schema(
            sqlx::query_scalar(found)
                .fetch_one(&readers)
                .await
                .map_err(at)?,
            &MIGRATIONS,
        )?;
        Ok(Self::new(
            readers.clone(),
            readers,
            place,
            newest(&MIGRATIONS),
        ))
    }

    /// Opens the archive for the one process that writes to it: errors if another does, before anything is touched.
    pub async fn open_to_write(
        path: &Path,
        missing: Missing,
        holder: &str,
    ) -> Result<Self, StoreError> {
        if missing == Missing::Refuse && !path.exists() {
            return Err(StoreError::Absent {
                place: path.display().to_string(),
            });
        }
        let lock = WriteLock::take(path, holder)?;
        Ok(Self::open(path, missing).await?.under(lock))
    }

    /// Puts a question to the archive, as anyone with an SQLite tool might.
    pub async fn query(&self, sql: &'static str) -> Result<Answer, StoreError> {
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
        Ok(Answer {
            columns: columns.unwrap_or_default(),
            rows: rows.collect(),
        })
    }
}

impl Dialect for Sqlite {
    /// A transaction that reads first and writes later fails at once when another has written in between.
    const BEGIN: &'static str = "BEGIN IMMEDIATE";
    const LANES: usize = 1;
    const MESSAGES: &'static str = bulk::MESSAGES;
    const COUNT_BY_RECIPIENT: &'static str = bulk::COUNT_BY_RECIPIENT;
    const LINKS: EachWay = links!("m.hash");
    const FOLLOW: &'static str = bulk::FOLLOW;
    const BYTES: &'static str =
        "SELECT page_count * page_size AS bytes FROM pragma_page_count, pragma_page_size";
    /// Whoever writes has locked the file.
    const SHARED: bool = false;

    fn folder(place: &str) -> Option<PathBuf> {
        let folder = Path::new(place).parent()?;
        Some(if folder.as_os_str().is_empty() {
            PathBuf::from(".")
        } else {
            folder.to_owned()
        })
    }

    async fn lock(_: &mut SqliteConnection, _: i64) -> Driver<bool> {
        Ok(true)
    }

    async fn lease(_: &mut SqliteConnection, _: i64) -> Driver<Option<i64>> {
        Ok(None)
    }

    async fn execute(
        connection: &mut SqliteConnection,
        sql: &'static str,
        args: &[Arg<'_>],
    ) -> Driver<u64> {
        Ok(bound(sql, args).execute(connection).await?.rows_affected())
    }

    async fn fetch(
        connection: &mut SqliteConnection,
        sql: &'static str,
        args: &[Arg<'_>],
    ) -> Driver<Vec<SqliteRow>> {
        bound(sql, args).fetch_all(connection).await
    }

    async fn each(
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

    fn int(row: &SqliteRow, column: &'static str) -> Driver<Option<i64>> {
        row.try_get(column)
    }

    fn text(row: &SqliteRow, column: &'static str) -> Driver<Option<String>> {
        row.try_get(column)
    }

    fn bytes(row: &SqliteRow, column: &'static str) -> Driver<Option<Vec<u8>>> {
        row.try_get(column)
    }

    async fn make_room(
        _: &mut SqliteConnection,
        _: impl Iterator<Item = Millis> + Send,
    ) -> Driver<()> {
        Ok(())
    }

    async fn names(
        connection: &mut SqliteConnection,
        names: &[&str],
    ) -> Driver<Vec<(String, i64)>> {
        let mut known = Vec::new();
        for (text, names) in bulk::NAMES.pieces(names) {
            let query = names
                .iter()
                .fold(sqlx::query(text), |query, name| query.bind(*name));
            let rows = query.fetch_all(&mut *connection).await?;
            known.extend(rows.iter().map(|row| (row.get("value"), row.get("id"))));
        }
        Ok(known)
    }

    async fn conversations(
        connection: &mut SqliteConnection,
        account: i64,
        names: &[&str],
    ) -> Driver<Vec<(String, i64, u8)>> {
        let mut known = Vec::new();
        for (text, names) in bulk::CONVERSATIONS.pieces(names) {
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
    async fn familiar(
        connection: &mut SqliteConnection,
        rows: &[&Row<'_>],
        _among: Option<Way<'_>>,
    ) -> Driver<Familiar> {
        let pieces = bulk::FAMILIAR.pieces(rows).map(|(text, rows)| {
            let lessons = |arguments: &mut SqliteArguments, row: &&Row<'_>| {
                let Lesson {
                    status,
                    status_at,
                    message_type,
                } = row.teaches();
                add_key(arguments, row)?;
                all!(arguments, row.conversation, status, status_at, message_type)
            };
            arguments(rows, 9, lessons, None).map(|arguments| (text, arguments))
        });
        let mut familiar = Familiar::default();
        for row in fetched(connection, pieces).await? {
            familiar.there += u64::try_from(row.try_get::<i64, _>("there")?).unwrap_or(0);
            familiar.teachable |= row.try_get::<bool, _>("teachable")?;
        }
        Ok(familiar)
    }

    async fn there(
        connection: &mut SqliteConnection,
        account: i64,
        rows: &[&Row<'_>],
    ) -> Driver<HashMap<Key, Mutable>> {
        let pieces = bulk::THERE.pieces(rows).map(|(text, rows)| {
            let key = |arguments: &mut SqliteArguments, row: &&Row<'_>| add_key(arguments, row);
            arguments(rows, 5, key, Some(account)).map(|arguments| (text, arguments))
        });
        fetched(connection, pieces)
            .await?
            .iter()
            .map(known)
            .collect()
    }

    async fn crowd(
        connection: &mut SqliteConnection,
        recipient: i64,
        sent_at_ms: i64,
    ) -> Driver<Vec<(i64, Key, Mutable)>> {
        let query = sqlx::query(bulk::CROWD).bind(recipient).bind(sent_at_ms);
        let rows = query.fetch_all(connection).await?;
        let owned = |row: &SqliteRow| {
            known(row).and_then(|(key, known)| Ok((row.try_get("account_id")?, key, known)))
        };
        rows.iter().map(owned).collect()
    }

    /// Passing over what is there costs nothing here.
    async fn add(
        connection: &mut SqliteConnection,
        rows: &[&Row<'_>],
        _faith: Faith,
        now: Millis,
    ) -> Driver<u64> {
        let (plain, special): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| row.is_plain());
        let plain = bulk::PLAIN.pieces(&plain).map(|(text, rows)| {
            let row =
                |arguments: &mut SqliteArguments, row: &&Row<'_>| add_plain(arguments, row, now);
            arguments(rows, 9, row, None).map(|arguments| (text, arguments))
        });
        let special = bulk::MESSAGES_OF_ANY_KIND
            .pieces(&special)
            .map(|(text, rows)| {
                let row = |arguments: &mut SqliteArguments, row: &&Row<'_>| {
                    add_plain(arguments, row, now)?;
                    add_special(arguments, row)
                };
                arguments(rows, 19, row, None).map(|arguments| (text, arguments))
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

    async fn learn(connection: &mut SqliteConnection, learned: &[(Key, Mutable)]) -> Driver<u64> {
        let mut changed = 0;
        for ((recipient, sent_at, ..), now) in learned {
            let query = sqlx::query(bulk::LEARN)
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

fn bound<'q>(sql: &'static str, args: &[Arg<'q>]) -> Bound<'q> {
    args.iter().fold(sqlx::query(sql), |query, arg| match *arg {
        Arg::Int(value) => query.bind(value),
        Arg::Text(value) => query.bind(value),
        Arg::Bytes(value) => query.bind(value),
    })
}

fn known(row: &SqliteRow) -> Driver<(Key, Mutable)> {
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
    let mutable = Mutable::of(
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
async fn fetched(
    connection: &mut SqliteConnection,
    mut pieces: impl Iterator<Item = Driver<(&'static str, SqliteArguments)>>,
) -> Driver<Vec<SqliteRow>> {
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
fn arguments<R>(
    rows: &[R],
    width: usize,
    add: impl Fn(&mut SqliteArguments, &R) -> Driver<()>,
    last: Option<i64>,
) -> Driver<SqliteArguments> {
    let mut arguments = SqliteArguments::default();
    arguments.reserve(rows.len() * width + 1, 0);
    rows.iter().try_for_each(|row| add(&mut arguments, row))?;
    last.map_or(Ok(()), |last| all!(arguments, last))?;
    Ok(arguments)
}

fn add_key(arguments: &mut SqliteArguments, row: &Row<'_>) -> Driver<()> {
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

fn add_plain(arguments: &mut SqliteArguments, row: &Row<'_>, now: Millis) -> Driver<()> {
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

fn add_special(arguments: &mut SqliteArguments, row: &Row<'_>) -> Driver<()> {
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
        row.readable(),
        row.extra
    )
}

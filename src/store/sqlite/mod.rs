//! The archive in an SQLite file: one writer, any number of readers, write-ahead logging.

mod bulk;

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use sqlx::query::Query;
use sqlx::sqlite::{
    Sqlite, SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{Column, Row as _};

use super::dialect::{Arg, Dialect, Driver};
use super::rows::{Key, Mutable, Row};
use super::sql_store::SqlStore;
use super::{Answer, Missing, StoreError, newer, newest};
use crate::domain::time::Millis;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("migrations/sqlite");

/// How long a statement waits for another process that is writing.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections for reading; they never wait for the writer.
const READERS: u32 = 3;

/// An archive in an SQLite file.
pub type SqliteStore = SqlStore<Sqlite>;

type Bound<'q> = Query<'q, Sqlite, SqliteArguments>;

impl SqliteStore {
    /// Opens the archive and brings its schema up to date.
    pub async fn open(path: &Path, missing: Missing) -> Result<Self, StoreError> {
        let place = path.display().to_string();
        if missing == Missing::Refuse && !path.exists() {
            return Err(StoreError::Absent { place });
        }
        let at = |source| StoreError::Open { place: place.clone(), source };
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
        let one = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
        let write = one.connect_with(options.clone()).await.map_err(at)?;
        MIGRATIONS.run(&write).await.map_err(|error| newer(error, &MIGRATIONS))?;
        let some = SqlitePoolOptions::new().max_connections(READERS).min_connections(0);
        let read = some.connect_lazy_with(options.read_only(true));
        Ok(Self::new(write, read, path.display().to_string(), newest(&MIGRATIONS)))
    }

    /// Puts a question to the archive, as anyone with an SQLite tool might.
    pub async fn query(&self, sql: &'static str) -> Result<Answer, StoreError> {
        let rows = sqlx::query(sql).fetch_all(&self.read).await.map_err(StoreError::at("query"))?;
        let columns = rows.first().map(|row| row.columns().iter().map(|column| column.name().to_owned()).collect());
        let text = |row: &SqliteRow, index| {
            let number = || row.try_get::<i64, _>(index).map(|n| n.to_string());
            row.try_get::<Option<String>, _>(index)
                .map(Option::unwrap_or_default)
                .or_else(|_| number())
                .unwrap_or_default()
        };
        let rows = rows.iter().map(|row| (0..row.columns().len()).map(|index| text(row, index)).collect());
        Ok(Answer { columns: columns.unwrap_or_default(), rows: rows.collect() })
    }
}

impl Dialect for Sqlite {
    /// A transaction that reads first and writes later fails at once when another has written in between.
    const BEGIN: &'static str = "BEGIN IMMEDIATE";

    async fn execute(connection: &mut SqliteConnection, sql: &'static str, args: &[Arg<'_>]) -> Driver<u64> {
        Ok(bound(sql, args).execute(connection).await?.rows_affected())
    }

    async fn fetch(connection: &mut SqliteConnection, sql: &'static str, args: &[Arg<'_>]) -> Driver<Vec<SqliteRow>> {
        bound(sql, args).fetch_all(connection).await
    }

    fn int(row: &SqliteRow, column: &'static str) -> Driver<Option<i64>> {
        row.try_get(column)
    }

    fn text(row: &SqliteRow, column: &'static str) -> Driver<Option<String>> {
        row.try_get(column)
    }

    fn bytes(row: &SqliteRow, column: &'static str) -> Driver<Vec<u8>> {
        row.try_get(column)
    }

    async fn make_room(_: &mut SqliteConnection, _: impl Iterator<Item = Millis> + Send) -> Driver<()> {
        Ok(())
    }

    async fn names(connection: &mut SqliteConnection, names: &[&str]) -> Driver<Vec<(String, i64)>> {
        let mut known = Vec::new();
        for (text, names) in bulk::NAMES.pieces(names) {
            let query = names.iter().fold(sqlx::query(text), |query, name| query.bind(*name));
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
            let query = names.iter().fold(sqlx::query(text).bind(account), |query, name| query.bind(*name));
            let rows = query.fetch_all(&mut *connection).await?;
            known.extend(rows.iter().map(|row| (row.get("name"), row.get("id"), row.get("kind"))));
        }
        Ok(known)
    }

    async fn there(connection: &mut SqliteConnection, account: i64, rows: &[Row<'_>]) -> Driver<HashMap<Key, Mutable>> {
        let mut there = HashMap::new();
        for (text, rows) in bulk::THERE.pieces(rows) {
            let query = rows.iter().fold(sqlx::query(text), |query, row| bind_key(query, account, &row.key));
            for row in query.fetch_all(&mut *connection).await? {
                let (key, mutable) = known(&row)?;
                there.insert(key, mutable);
            }
        }
        Ok(there)
    }

    async fn add(connection: &mut SqliteConnection, account: i64, rows: &[&Row<'_>], now: Millis) -> Driver<u64> {
        let mut added = 0;
        for (text, rows) in bulk::MESSAGES.pieces(rows) {
            let query = rows.iter().fold(sqlx::query(text), |query, row| bind_message(query, account, row, now));
            added += query.execute(&mut *connection).await?.rows_affected();
        }
        Ok(added)
    }

    async fn learn(connection: &mut SqliteConnection, account: i64, learned: &[(Key, Mutable)]) -> Driver<u64> {
        let mut changed = 0;
        for (key, now) in learned {
            let query = bind_key(sqlx::query(bulk::LEARN), account, key)
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
    let hash = hash.try_into().map_err(|_| sqlx::Error::Decode("a hash that is not 16 bytes long".into()))?;
    let key = (row.try_get("recipient_id")?, row.try_get("sent_at_ms")?, hash, row.try_get("occurrence")?);
    let mutable = Mutable::of(
        row.try_get("conversation_id")?,
        row.try_get("kind_unknown")?,
        row.try_get("message_type_id")?,
        row.try_get("status")?,
        row.try_get("status_at_ms")?,
    );
    Ok((key, mutable))
}

fn bind_key<'q>(query: Bound<'q>, account: i64, key: &Key) -> Bound<'q> {
    query.bind(account).bind(key.0).bind(key.1).bind(key.2.to_vec()).bind(key.3)
}

fn bind_message<'q>(query: Bound<'q>, account: i64, row: &'q Row<'_>, now: Millis) -> Bound<'q> {
    bind_key(query, account, &row.key)
        .bind(row.conversation)
        .bind(row.sender)
        .bind(row.encoding)
        .bind(row.is_text())
        .bind(row.status.map(|d| d.status as i64))
        .bind(row.status.and_then(|d| d.at).map(|at| at.0))
        .bind(row.message_type)
        .bind(row.payload_type)
        .bind(row.cipher_suite)
        .bind(now.0)
        .bind(row.provider_id)
        .bind(row.payload)
        .bind(row.readable())
        .bind(row.extra)
}

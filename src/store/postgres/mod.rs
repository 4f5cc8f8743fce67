//! The archive in Postgres: arrays in, a partition a month.

mod partitions;
mod sql;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgPoolOptions, PgRow, Postgres};
use sqlx::query::Query;
use sqlx::types::Uuid;
use sqlx::{AssertSqlSafe, Connection, Executor, Row as _};

use super::dialect::{AccessPath, Arg, Dialect, DriverResult, InsertMode, PerAccessPath};
use super::jsonb::jsonb_compatible;
use super::rows::{ExistingMessages, MessageKey, MessageRow, MutableColumns, NO_STATUS_TIME_MS};
use super::schema::Schema;
use super::sql::links;
use super::sql_store::SqlStore;
use super::{IfMissing, StoreError};
use crate::domain::time::Millis;

/// Connections at the most: a few that write, a few that read.
const MAX_CONNECTIONS: u32 = 6;
/// How long a connection is waited for: a server that restarts is back within that time.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);
/// A connection that has been idle for so long is tried before it is used.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);
/// A connection that nobody needs is given back.
const IDLE_TIMEOUT: Duration = Duration::from_mins(5);

/// How a session is set up. No question here is so long that it would pay to compile it first.
const SESSION_SETTINGS: [(&str, &str); 2] = [("timezone", "UTC"), ("jit", "off")];

/// An archive in Postgres.
pub type PostgresStore = SqlStore<Postgres>;

type PostgresQuery<'q> = Query<'q, Postgres, PgArguments>;

impl PostgresStore {
    /// Connects to the database and brings its schema up to date. TLS is as the URL's `sslmode` asks.
    pub async fn connect(
        options: PgConnectOptions,
        missing: IfMissing,
    ) -> Result<Self, StoreError> {
        let place = database_location(&options);
        let at = |source| StoreError::Open {
            place: place.clone(),
            source,
        };
        let options = options
            .application_name("backscroll")
            .options(SESSION_SETTINGS)
            .statement_cache_capacity(64);
        // A single connection reports why it failed. A pool only reports a timeout.
        let mut connection = PgConnection::connect_with(&options).await.map_err(at)?;
        if missing == IfMissing::Refuse && !is_archive(&mut connection).await.map_err(at)? {
            return Err(StoreError::NotFound { place });
        }
        let schema = Schema::postgres();
        schema.upgrade::<Postgres>(&mut connection).await?;
        connection.close().await.map_err(at)?;
        let pool = PgPoolOptions::new()
            .max_connections(MAX_CONNECTIONS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .idle_timeout(IDLE_TIMEOUT)
            // A connection that a restart, a failover or a firewall has cut is noticed before it is used. One that was
            // used a moment ago is taken as it is.
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    Ok(meta.idle_for < TRUSTED_IDLE || connection.ping().await.is_ok())
                })
            });
        let pool = pool.connect_with(options).await.map_err(at)?;
        Ok(Self::new(pool.clone(), pool, place, schema.version()))
    }

    /// Connects to read the archive and nothing else: whatever is asked of it, the server changes nothing.
    pub async fn connect_read_only(options: PgConnectOptions) -> Result<Self, StoreError> {
        let place = database_location(&options);
        let at = |source| StoreError::Open {
            place: place.clone(),
            source,
        };
        let options = options
            .application_name("backscroll")
            .options(SESSION_SETTINGS)
            .options([("default_transaction_read_only", "on")]);
        let mut connection = PgConnection::connect_with(&options).await.map_err(at)?;
        if !is_archive(&mut connection).await.map_err(at)? {
            return Err(StoreError::NotFound { place });
        }
        let schema = Schema::postgres();
        schema.require_current(&mut connection).await?;
        connection.close().await.map_err(at)?;
        let pool = PgPoolOptions::new()
            .max_connections(MAX_CONNECTIONS)
            .acquire_timeout(ACQUIRE_TIMEOUT);
        let pool = pool.connect_with(options).await.map_err(at)?;
        Ok(Self::new(pool.clone(), pool, place, schema.version()))
    }

    /// Lets a role read the views, and nothing else.
    pub async fn grant(&self, role: &str) -> Result<(), StoreError> {
        const WHAT: &str = "grant";
        let mut tx = self.write.begin().await.map_err(StoreError::at(WHAT))?;
        // The server itself quotes the name.
        for statement in sql::GRANTS {
            let row = sqlx::query(statement)
                .bind(role)
                .fetch_one(&mut *tx)
                .await
                .map_err(StoreError::at(WHAT))?;
            let grant: String = row.try_get("statement").map_err(StoreError::at(WHAT))?;
            tx.execute(AssertSqlSafe(grant))
                .await
                .map_err(StoreError::at(WHAT))?;
        }
        tx.commit().await.map_err(StoreError::at(WHAT))
    }
}

/// Where the database is, without who asks.
fn database_location(options: &PgConnectOptions) -> String {
    let host = options.get_socket().map_or_else(
        || options.get_host().to_owned(),
        |path| path.display().to_string(),
    );
    format!(
        "{} at {host}:{}",
        options.get_database().unwrap_or("(default)"),
        options.get_port()
    )
}

async fn is_archive(connection: &mut PgConnection) -> DriverResult<bool> {
    let row = connection
        .fetch_one("SELECT to_regclass('sealed_window') IS NOT NULL AS found")
        .await?;
    row.try_get("found")
}

impl Dialect for Postgres {
    const BEGIN: &'static str = "BEGIN";
    const MAX_PARALLEL_COMMITS: usize = 3;
    const READ_MESSAGES: &'static str = sql::READ_MESSAGES;
    const COUNT_BY_RECIPIENT: &'static str = sql::COUNT_BY_RECIPIENT;
    const READ_LINKS: PerAccessPath = links!("uuid_send(m.hash)");
    const UPSERT_STREAMS: &'static str = sql::UPSERT_STREAMS;
    const ARCHIVE_SIZE: &'static str = sql::ARCHIVE_SIZE;
    const IS_SHARED: bool = true;

    fn local_folder(_: &str) -> Option<PathBuf> {
        None
    }

    async fn try_lock_account(connection: &mut PgConnection, account: i64) -> DriverResult<bool> {
        sqlx::query(sql::TRY_LOCK_ACCOUNT)
            .bind(account)
            .fetch_one(connection)
            .await?
            .try_get("locked")
    }

    async fn hold_lease_number(
        connection: &mut PgConnection,
        account: i64,
    ) -> DriverResult<Option<i64>> {
        sqlx::query_scalar(sql::HOLD_LEASE_NUMBER)
            .bind(account)
            .fetch_optional(connection)
            .await
    }

    async fn execute(
        connection: &mut PgConnection,
        sql: &'static str,
        args: &[Arg<'_>],
    ) -> DriverResult<u64> {
        Ok(bind_args(sql, args)
            .execute(connection)
            .await?
            .rows_affected())
    }

    async fn fetch(
        connection: &mut PgConnection,
        sql: &'static str,
        args: &[Arg<'_>],
    ) -> DriverResult<Vec<PgRow>> {
        bind_args(sql, args).fetch_all(connection).await
    }

    async fn for_each_row(
        connection: &mut PgConnection,
        what: &'static str,
        sql: &'static str,
        mut take: impl FnMut(&PgRow) -> Result<(), StoreError> + Send,
    ) -> Result<(), StoreError> {
        let mut rows = sqlx::query(sql).fetch(connection);
        while let Some(row) = rows.try_next().await.map_err(StoreError::at(what))? {
            take(&row)?;
        }
        Ok(())
    }

    fn int(row: &PgRow, column: &'static str) -> DriverResult<Option<i64>> {
        row.try_get(column)
    }

    fn text(row: &PgRow, column: &'static str) -> DriverResult<Option<String>> {
        row.try_get(column)
    }

    fn bytes(row: &PgRow, column: &'static str) -> DriverResult<Option<Vec<u8>>> {
        row.try_get(column)
    }

    async fn ensure_partitions(
        connection: &mut PgConnection,
        moments: impl Iterator<Item = Millis> + Send,
    ) -> DriverResult<()> {
        partitions::ensure_partitions(connection, moments).await
    }

    async fn find_names(
        connection: &mut PgConnection,
        names: &[&str],
    ) -> DriverResult<Vec<(String, i64)>> {
        let rows = sqlx::query(sql::NAMES)
            .bind(names)
            .fetch_all(connection)
            .await?;
        rows.iter()
            .map(|row| Ok((row.try_get("value")?, row.try_get("id")?)))
            .collect()
    }

    async fn find_conversations(
        connection: &mut PgConnection,
        account: i64,
        names: &[&str],
    ) -> DriverResult<Vec<(String, i64, u8)>> {
        let rows = sqlx::query(sql::CONVERSATIONS)
            .bind(account)
            .bind(names)
            .fetch_all(connection)
            .await?;
        let kind = |row: &PgRow| {
            row.try_get::<i64, _>("kind")
                .map(|kind| u8::try_from(kind).unwrap_or(0))
        };
        rows.iter()
            .map(|row| Ok((row.try_get("name")?, row.try_get("id")?, kind(row)?)))
            .collect()
    }

    async fn count_existing(
        connection: &mut PgConnection,
        rows: &[&MessageRow<'_>],
        among: Option<AccessPath<'_>>,
    ) -> DriverResult<ExistingMessages> {
        let query = match among {
            None => bind_keys(sqlx::query(sql::COUNT_EXISTING), rows),
            Some(way) => sqlx::query(sql::COUNT_EXISTING_BY_PATH.statement_for(way))
                .bind(Vec::<i32>::new())
                .bind(column(rows, |row| row.key.1))
                .bind(Vec::<i32>::new())
                .bind(column(rows, |row| Uuid::from_bytes(row.key.2)))
                .bind(sparse_column(rows, 0, |row| narrow_id(row.key.3))),
        };
        let query = query
            .bind(column(rows, |row| narrow_id(row.conversation)))
            .bind(sparse_column(rows, 0, |row| row.update_probe().status))
            .bind(sparse_column(rows, NO_STATUS_TIME_MS, |row| {
                row.update_probe().status_at
            }))
            .bind(rows.iter().any(|row| row.update_probe().message_type));
        let query = match (among, rows.first()) {
            (Some(way), Some(any)) => {
                let times = || rows.iter().map(|row| row.key.1);
                let number = match way {
                    AccessPath::Conversation(_) => any.conversation,
                    AccessPath::Sender(_) => any.sender,
                    AccessPath::Recipient(_) => any.key.0,
                };
                query
                    .bind(times().min())
                    .bind(times().max())
                    .bind(narrow_id(number))
            }
            _ => query,
        };
        let row = query.fetch_one(connection).await?;
        let there = u64::try_from(row.try_get::<i64, _>("there")?).unwrap_or(0);
        Ok(ExistingMessages {
            count: there,
            may_update: row.try_get("teachable")?,
        })
    }

    async fn load_existing(
        connection: &mut PgConnection,
        account: i64,
        rows: &[&MessageRow<'_>],
    ) -> DriverResult<HashMap<MessageKey, MutableColumns>> {
        let query = bind_keys(sqlx::query(sql::LOAD_EXISTING).bind(account), rows);
        let rows = query.fetch_all(connection).await?;
        rows.iter().map(existing_from_row).collect()
    }

    async fn load_millisecond(
        connection: &mut PgConnection,
        recipient: i64,
        sent_at_ms: i64,
    ) -> DriverResult<Vec<(i64, MessageKey, MutableColumns)>> {
        let query = sqlx::query(sql::MESSAGES_OF_MILLISECOND)
            .bind(narrow_id(recipient))
            .bind(sent_at_ms);
        let rows = query.fetch_all(connection).await?;
        let owned = |row: &PgRow| {
            existing_from_row(row)
                .and_then(|(key, known)| Ok((row.try_get("account_id")?, key, known)))
        };
        rows.iter().map(owned).collect()
    }

    async fn insert_messages(
        connection: &mut PgConnection,
        rows: &[&MessageRow<'_>],
        faith: InsertMode,
        now: Millis,
    ) -> DriverResult<u64> {
        let (plain, special): (Vec<&MessageRow>, Vec<&MessageRow>) =
            rows.iter().partition(|row| row.is_plain());
        let added = execute_insert(
            connection,
            sql::INSERT_PLAIN.for_mode(faith),
            &plain,
            |query| bind_plain(query, &plain, now),
        )
        .await?;
        let rows = special.as_slice();
        let special = execute_insert(
            connection,
            sql::INSERT_FULL.for_mode(faith),
            rows,
            |query| {
                bind_plain(query, rows, now)
                    .bind(column(rows, |row| {
                        Some(narrow_id(row.key.3)).filter(|occurrence| *occurrence != 0)
                    }))
                    .bind(column(rows, |row| {
                        Some(narrow_code(row.encoding)).filter(|encoding| *encoding != 0)
                    }))
                    .bind(column(rows, |row| {
                        Some(row.is_text()).filter(|is_text| !is_text)
                    }))
                    .bind(column(rows, |row| row.status.map(|d| d.status as i16)))
                    .bind(column(rows, |row| {
                        row.status.and_then(|d| d.at).map(|at| at.0)
                    }))
                    .bind(column(rows, |row| row.payload_type.map(narrow_id)))
                    .bind(column(rows, |row| row.cipher_suite.map(narrow_id)))
                    .bind(column(rows, |row| row.provider_id))
                    .bind(column(rows, |row| row.readable_body()))
                    .bind(column(rows, |row| row.extra))
                    .bind(column(rows, |row| row.extra.and_then(jsonb_compatible)))
            },
        );
        Ok(added + special.await?)
    }

    async fn update_messages(
        connection: &mut PgConnection,
        learned: &[(MessageKey, MutableColumns)],
    ) -> DriverResult<u64> {
        if learned.is_empty() {
            return Ok(0);
        }
        let times = || learned.iter().map(|(key, _)| key.1);
        let query = sqlx::query(sql::UPDATE_MESSAGES)
            .bind(times().min())
            .bind(times().max())
            .bind(column(learned, |(key, _)| narrow_id(key.0)))
            .bind(column(learned, |(key, _)| key.1))
            .bind(column(learned, |(_, now)| now.slot))
            .bind(column(learned, |(_, now)| narrow_id(now.conversation)))
            .bind(column(learned, |(_, now)| now.message_type.map(narrow_id)))
            .bind(column(learned, |(_, now)| {
                now.status.map(|d| d.status as i16)
            }))
            .bind(column(learned, |(_, now)| {
                now.status.and_then(|d| d.at).map(|at| at.0)
            }));
        Ok(query.execute(connection).await?.rows_affected())
    }
}

fn bind_args<'q>(sql: &'static str, args: &[Arg<'q>]) -> PostgresQuery<'q> {
    args.iter().fold(sqlx::query(sql), |query, arg| match *arg {
        Arg::Int(value) => query.bind(value),
        Arg::Text(value) => query.bind(value),
        Arg::Bytes(value) => query.bind(value),
    })
}

/// By arrays: measured, `COPY` is no faster where there are indexes, and ends with a small message of its own, which over
/// TCP waits for the other side to acknowledge what came before.
async fn execute_insert<'q>(
    connection: &mut PgConnection,
    sql: &'static str,
    rows: &[&MessageRow<'_>],
    bind: impl FnOnce(PostgresQuery<'q>) -> PostgresQuery<'q>,
) -> DriverResult<u64> {
    if rows.is_empty() {
        return Ok(0);
    }
    Ok(bind(sqlx::query(sql))
        .execute(connection)
        .await?
        .rows_affected())
}

/// One column of many rows, as an array.
fn column<'r, R, T>(rows: &'r [R], value: impl Fn(&'r R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}

/// A column in which all values may be as usual: then it is empty.
fn sparse_column<'r, R, T: PartialEq + Copy>(
    rows: &'r [R],
    usual: T,
    value: impl Fn(&'r R) -> T,
) -> Vec<T> {
    let column = column(rows, value);
    if column.iter().all(|value| *value == usual) {
        Vec::new()
    } else {
        column
    }
}

/// The columns that every message has.
fn bind_plain<'q>(
    query: PostgresQuery<'q>,
    rows: &[&MessageRow<'_>],
    now: Millis,
) -> PostgresQuery<'q> {
    query
        .bind(stored_archived_at(now))
        .bind(column(rows, |row| narrow_id(row.key.0)))
        .bind(column(rows, |row| row.key.1))
        .bind(column(rows, |row| row.slot))
        .bind(column(rows, |row| Uuid::from_bytes(row.key.2)))
        .bind(column(rows, |row| narrow_id(row.conversation)))
        .bind(column(rows, |row| narrow_id(row.sender)))
        .bind(column(rows, |row| row.message_type.map(narrow_id)))
        .bind(column(rows, |row| row.payload))
}

/// Recipients, milliseconds, slots, hashes and occurrences, an array each; the last is empty if all are 0.
fn bind_keys<'q>(query: PostgresQuery<'q>, rows: &[&MessageRow<'_>]) -> PostgresQuery<'q> {
    query
        .bind(column(rows, |row| narrow_id(row.key.0)))
        .bind(column(rows, |row| row.key.1))
        .bind(column(rows, |row| row.slot))
        .bind(column(rows, |row| Uuid::from_bytes(row.key.2)))
        .bind(sparse_column(rows, 0, |row| narrow_id(row.key.3)))
}

/// As the column counts: from 2^31 seconds after 1970, which four bytes reach from 1970 to 2106.
fn stored_archived_at(now: Millis) -> i32 {
    let seconds = now.second().0 - (1 << 31);
    i32::try_from(seconds).unwrap_or(if seconds < 0 { i32::MIN } else { i32::MAX })
}

/// A number as wide as the columns that hold it. The tables that give such numbers give none that is wider.
fn narrow_id(number: i64) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn narrow_code(number: i64) -> i16 {
    i16::try_from(number).unwrap_or(i16::MAX)
}

fn existing_from_row(row: &PgRow) -> DriverResult<(MessageKey, MutableColumns)> {
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

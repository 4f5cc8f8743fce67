//! The archive in Postgres: arrays as arguments, one partition per month.
//!
//! | question | file |
//! |---|---|
//! | how a server is connected, grants, locks | this file |
//! | how sessions are opened, counted and set up; poolers | `session.rs` |
//! | the statements | `sql.rs` |
//! | how message rows are bound | `bulk.rs` |
//! | how partitions are created | `partitions.rs` |
//! | reading all messages page by page | `message_reader.rs`; names of messages: `name_lookup.rs` |
//! | reading messages in one snapshot | `snapshot.rs` |
//! | the search index | `words.rs`; searches: `search.rs` |
//! | in which schemas tables and views lie | `schemas.rs` |

mod bulk;
mod message_reader;
mod name_lookup;
mod partitions;
mod schemas;
mod search;
mod session;
mod snapshot;
mod sql;
mod words;

use std::path::PathBuf;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, Postgres};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection, Executor, Row as _};

use self::message_reader::PostgresPages;
use self::schemas::Schemas;
use self::session::pool_size;
pub(super) use self::session::{
    SessionSettings, connect_once, require_own_session, with_startup_parameters,
};
use super::dialect::{Dialect, Locking};
use super::driver::{DriverResult, impl_driver};
use super::error::StoreError;
use super::limits::postgres::{IDLE_TIMEOUT, MAX_PARALLEL_COMMITS, TRUSTED_IDLE};
use super::schema::Schema;
use super::snapshot::Snapshot;
use super::sql::ledger_rows_in_window;
use super::sql_store::{IfMissing, SqlStore};

/// Prepared statements kept per connection: about as many as there are in the code.
const CACHED_STATEMENTS: usize = 64;

/// An archive in Postgres.
pub type PostgresStore = SqlStore<Postgres>;

impl PostgresStore {
    /// Connects to the database and upgrades its schema. TLS follows the URL's `sslmode`.
    pub async fn connect(
        options: PgConnectOptions,
        missing: IfMissing,
    ) -> Result<Self, StoreError> {
        let location = database_location(&options);
        let at = |source| StoreError::Open {
            location: location.clone(),
            source,
        };
        let options = with_startup_parameters(options).statement_cache_capacity(CACHED_STATEMENTS);
        let mut connection = connect_once(&options).await.map_err(at)?;
        let pool_size = pool_size(&options, &mut connection, &location).await?;
        require_utf8(&mut connection, &location).await?;
        let schemas = Schemas::find(&mut connection).await.map_err(at)?;
        let session = SessionSettings::new(&schemas);
        session.apply(&mut connection).await.map_err(at)?;
        match (
            missing,
            schemas.have_archive(&mut connection).await.map_err(at)?,
        ) {
            (_, true) => {}
            (IfMissing::Create, false) => {
                require_right(&mut connection, sql::MAY_CREATE, CREATE, &location).await?;
            }
            (IfMissing::Refuse, false) => return Err(StoreError::NotFound { location }),
        }
        schemas.create(&mut connection).await.map_err(at)?;
        let schema = Schema::postgres();
        schema.upgrade::<Postgres>(&mut connection).await?;
        connection.close().await.map_err(at)?;
        let pool = session
            .pool_of(pool_size)
            .idle_timeout(IDLE_TIMEOUT)
            // A connection that a restart, a failover or a firewall has cut is found before it is
            // used. One that was used a moment ago is not tested.
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    Ok(meta.idle_for < TRUSTED_IDLE || connection.ping().await.is_ok())
                })
            });
        let pool = pool.connect_with(options).await.map_err(at)?;
        Ok(Self::new(pool.clone(), pool, location, schema.version()).with_session(session))
    }

    /// Connects for reading only. The server rejects every change.
    pub async fn connect_read_only(options: PgConnectOptions) -> Result<Self, StoreError> {
        let location = database_location(&options);
        let at = |source| StoreError::Open {
            location: location.clone(),
            source,
        };
        let options = with_startup_parameters(options);
        let mut connection = connect_once(&options).await.map_err(at)?;
        let pool_size = pool_size(&options, &mut connection, &location).await?;
        let schemas = Schemas::find(&mut connection).await.map_err(at)?;
        let session = SessionSettings::new(&schemas).read_only();
        session.apply(&mut connection).await.map_err(at)?;
        if !schemas.have_archive(&mut connection).await.map_err(at)? {
            return Err(StoreError::NotFound { location });
        }
        let schema = Schema::postgres();
        schema.require_current(&mut connection).await?;
        connection.close().await.map_err(at)?;
        let pool = session.pool_of(pool_size).connect_with(options);
        let pool = pool.await.map_err(at)?;
        Ok(Self::new(pool.clone(), pool, location, schema.version()).with_session(session))
    }

    /// Errors if the database cannot hold an archive, or if the role may neither write the archive
    /// nor create it. Changes nothing.
    pub async fn require_writable(options: PgConnectOptions) -> Result<(), StoreError> {
        let location = database_location(&options);
        let at = |source| StoreError::Open {
            location: location.clone(),
            source,
        };
        let options = with_startup_parameters(options);
        let mut connection = connect_once(&options).await.map_err(at)?;
        pool_size(&options, &mut connection, &location).await?;
        require_utf8(&mut connection, &location).await?;
        let is_read_only = "SELECT current_setting('transaction_read_only')::BOOLEAN";
        let is_read_only = connection.fetch_one(is_read_only).await;
        if is_read_only.and_then(|row| row.try_get(0)).map_err(at)? {
            return Err(StoreError::ReadOnlyServer { location });
        }
        let schemas = Schemas::find(&mut connection).await.map_err(at)?;
        let session = SessionSettings::new(&schemas);
        session.apply(&mut connection).await.map_err(at)?;
        if schemas.have_archive(&mut connection).await.map_err(at)? {
            require_right(&mut connection, sql::MAY_WRITE, WRITE, &location).await?;
        } else {
            require_right(&mut connection, sql::MAY_CREATE, CREATE, &location).await?;
        }
        connection.close().await.map_err(at)
    }

    /// Grants a role the right to read the views, and nothing else.
    pub async fn grant(&self, role: &str) -> Result<(), StoreError> {
        let failed = StoreError::at("grant");
        let mut tx = self.write.begin().await.map_err(&failed)?;
        // The server itself quotes the name.
        for statement in sql::GRANTS {
            let query = sqlx::query(statement).bind(role);
            let row = query.fetch_one(&mut *tx).await.map_err(&failed)?;
            let grant: String = row.try_get("statement").map_err(&failed)?;
            tx.execute(AssertSqlSafe(grant)).await.map_err(&failed)?;
        }
        tx.commit().await.map_err(&failed)
    }
}

/// The right to create tables, in the words of an error.
const CREATE: &str = "create tables";
/// The right to change the rows of tables.
const WRITE: &str = "write the archive";

/// Errors if the role lacks a right that `query` asks for.
async fn require_right(
    connection: &mut PgConnection,
    query: &'static str,
    right: &'static str,
    location: &str,
) -> Result<(), StoreError> {
    let (role, is_granted): (String, bool) = sqlx::query_as(query)
        .fetch_one(connection)
        .await
        .map_err(|source| StoreError::Open {
            location: location.to_owned(),
            source,
        })?;
    if is_granted {
        return Ok(());
    }
    Err(StoreError::Denied {
        location: location.to_owned(),
        role,
        right,
    })
}

/// Errors if the database has an encoding that cannot hold every text.
async fn require_utf8(connection: &mut PgConnection, location: &str) -> Result<(), StoreError> {
    let found = connection
        .fetch_one("SHOW server_encoding")
        .await
        .and_then(|row| row.try_get::<String, _>("server_encoding"))
        .map_err(|source| StoreError::Open {
            location: location.to_owned(),
            source,
        });
    match found? {
        encoding if encoding == "UTF8" => Ok(()),
        encoding => Err(StoreError::Encoding {
            location: location.to_owned(),
            encoding,
        }),
    }
}

/// Returns the database and its server for display, without the user.
pub(super) fn database_location(options: &PgConnectOptions) -> String {
    let host = match options.get_socket() {
        Some(path) => path.display().to_string(),
        None => options.get_host().to_owned(),
    };
    let port = options.get_port();
    match options.get_database() {
        Some(database) => format!("{database} at {host}:{port}"),
        // The server takes the one with the name of the user.
        None => format!(
            "{} at {host}:{port} (the URL names no database, so it is that of the user)",
            options.get_username()
        ),
    }
}

impl_driver!(Postgres);

impl Locking for Postgres {
    type SessionSettings = SessionSettings;

    const BEGIN: &'static str = "BEGIN";
    const BEGIN_SNAPSHOT: &'static str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    const IS_SHARED: bool = true;

    async fn open_session(pool: &PgPool, settings: &SessionSettings) -> DriverResult<PgConnection> {
        let mut connection = pool.connect_options().connect().await?;
        settings.apply(&mut connection).await?;
        Ok(connection)
    }

    async fn try_lock_account(connection: &mut PgConnection, account: i64) -> DriverResult<bool> {
        let query = sqlx::query(sql::TRY_LOCK_ACCOUNT).bind(account);
        query.fetch_one(connection).await?.try_get("locked")
    }

    async fn hold_lease_number(
        connection: &mut PgConnection,
        account: i64,
    ) -> DriverResult<Option<i64>> {
        let query = sqlx::query_scalar(sql::HOLD_LEASE_NUMBER).bind(account);
        query.fetch_optional(connection).await
    }
}

impl Dialect for Postgres {
    type MessagePages = PostgresPages;

    const MAX_PARALLEL_COMMITS: usize = MAX_PARALLEL_COMMITS;
    const UPSERT_STREAMS: &'static str = sql::UPSERT_STREAMS;
    const LOCK_LEDGER_ROWS: &'static str = ledger_rows_in_window!(" FOR UPDATE");
    const AFFECTED_ROWS: &'static str = sql::AFFECTED_ROWS;
    const RELEASE_ARCHIVED: &'static str = sql::RELEASE_ARCHIVED;
    const RESTORE_STREAM: &'static str = sql::RESTORE_STREAM;
    const UPSERT_CONVERSATION: &'static str = sql::UPSERT_CONVERSATION;
    const UPSERT_ALARM: &'static str = sql::UPSERT_ALARM;
    const RESERVE_BLOCK: &'static str = sql::RESERVE_BLOCK;
    const ARCHIVE_SIZE: &'static str = sql::ARCHIVE_SIZE;

    const TAKE_VIEW: Option<&'static str> = Some(sql::TAKE_VIEW);
    const HAND_OUT_VIEW: Option<&'static str> = Some(sql::HAND_OUT_VIEW);

    const PLACE: Option<&'static str> = Some(sql::PLACE);
    const FIND_NUL: Option<&'static str> = None;

    /// The server keeps its own log.
    const EMPTY_LOG: &'static str = "SELECT 1";

    async fn open_message_pages(pool: &PgPool) -> Result<PostgresPages, StoreError> {
        Ok(PostgresPages::new(pool.clone()))
    }

    async fn open_snapshot(pool: &PgPool) -> Result<Box<dyn Snapshot>, StoreError> {
        snapshot::open(pool).await
    }

    /// The archive lies on the server.
    fn local_folder(_: &str) -> Option<PathBuf> {
        None
    }
}

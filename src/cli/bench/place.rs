//! A database to try things out in: an archive of its own in it, and whatever the store has no method for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, PgPool, SqliteConnection,
    SqlitePool,
};

use super::super::{CliError, open};
use crate::config::{DatabaseUrl, ValueError};
use crate::store::{Archive, IfMissing, StoreError};

/// Everything in Postgres is made in a schema of this name, which is removed in the end.
const SCHEMA: &str = "backscroll_scratch";

/// Where the archive is made.
#[derive(Debug)]
pub(in crate::cli) struct ScratchDatabase {
    pub(in crate::cli) url: String,
    database: DatabaseUrl,
}

/// A way to ask the database itself.
#[derive(Debug)]
pub(in crate::cli) enum RawConnection {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// A failure of the driver while measuring.
pub(in crate::cli) fn driver_error(source: sqlx::Error) -> CliError {
    StoreError::Database {
        what: "bench",
        source,
    }
    .into()
}

impl ScratchDatabase {
    /// The database at `url`, if there is no archive in it yet; by default a file in `scratch`.
    pub(in crate::cli) async fn at(url: Option<&str>, scratch: &Path) -> Result<Self, CliError> {
        let default = || format!("sqlite://{}", scratch.join("archive.db").display());
        let url = url.map_or_else(default, str::to_owned);
        match parse_url(&url)? {
            DatabaseUrl::Sqlite(path) if path.exists() => Err(CliError::Usage(format!(
                "{} exists; name a file that does not",
                path.display()
            ))),
            DatabaseUrl::Postgres(server) => {
                let mut connection = PgConnection::connect_with(&server.options())
                    .await
                    .map_err(driver_error)?;
                let archive = "SELECT to_regclass('sealed_window') IS NOT NULL";
                if sqlx::query_scalar(archive)
                    .fetch_one(&mut connection)
                    .await
                    .map_err(driver_error)?
                {
                    return Err(CliError::Usage(
                        "that database holds an archive; name one that does not".to_owned(),
                    ));
                }
                let separator = if url.contains('?') { '&' } else { '?' };
                let url = format!("{url}{separator}options=-csearch_path%3D{SCHEMA}");
                Ok(Self {
                    database: parse_url(&url)?,
                    url,
                })
            }
            database @ DatabaseUrl::Sqlite(_) => Ok(Self { url, database }),
        }
    }

    pub(super) fn is_postgres(&self) -> bool {
        matches!(self.database, DatabaseUrl::Postgres(_))
    }

    /// Removes whatever an earlier run has left.
    pub(in crate::cli) async fn clear(&self) -> Result<(), CliError> {
        match &self.database {
            DatabaseUrl::Sqlite(path) => {
                for suffix in ["", "-wal", "-shm", ".lock"] {
                    remove_if_present(&with_suffix(path, suffix))?;
                }
            }
            DatabaseUrl::Postgres(server) => {
                let mut connection = PgConnection::connect_with(&server.options())
                    .await
                    .map_err(driver_error)?;
                let drop = format!("DROP SCHEMA IF EXISTS {SCHEMA} CASCADE");
                connection
                    .execute(AssertSqlSafe(drop))
                    .await
                    .map_err(driver_error)?;
            }
        }
        Ok(())
    }

    /// Makes room for an archive, and none.
    pub(in crate::cli) async fn prepare(&self) -> Result<(), CliError> {
        self.clear().await?;
        if let DatabaseUrl::Postgres(server) = &self.database {
            let mut connection = PgConnection::connect_with(&server.options())
                .await
                .map_err(driver_error)?;
            connection
                .execute(AssertSqlSafe(format!("CREATE SCHEMA {SCHEMA}")))
                .await
                .map_err(driver_error)?;
        }
        Ok(())
    }

    /// Makes an empty archive.
    pub(super) async fn create(&self) -> Result<Arc<dyn Archive>, CliError> {
        self.prepare().await?;
        self.open().await
    }

    pub(super) async fn open(&self) -> Result<Arc<dyn Archive>, CliError> {
        Ok(open(&self.database, IfMissing::Create).await?)
    }

    /// Connects to the archive by other ways than the store's.
    pub(in crate::cli) async fn connect_raw(&self) -> Result<RawConnection, CliError> {
        Ok(match &self.database {
            DatabaseUrl::Sqlite(path) => {
                let options = SqliteConnectOptions::new()
                    .filename(path)
                    .disable_statement_logging();
                let pool = SqlitePoolOptions::new()
                    .max_connections(1)
                    .connect_with(options);
                RawConnection::Sqlite(pool.await.map_err(driver_error)?)
            }
            DatabaseUrl::Postgres(server) => {
                let pool = PgPoolOptions::new()
                    .max_connections(1)
                    .connect_with(server.options().disable_statement_logging());
                RawConnection::Postgres(pool.await.map_err(driver_error)?)
            }
        })
    }
}

impl RawConnection {
    /// The number that a query answers with.
    pub(in crate::cli) async fn number(&self, sql: &'static str) -> Result<i64, CliError> {
        match self {
            Self::Sqlite(pool) => sqlx::query_scalar(sql)
                .fetch_one(pool)
                .await
                .map_err(driver_error),
            Self::Postgres(pool) => sqlx::query_scalar(sql)
                .fetch_one(pool)
                .await
                .map_err(driver_error),
        }
    }

    /// Carries out a statement that binds nothing.
    pub(super) async fn execute(&self, sql: &'static str) -> Result<(), CliError> {
        match self {
            Self::Sqlite(pool) => pool.execute(sql).await.map(drop).map_err(driver_error),
            Self::Postgres(pool) => pool.execute(sql).await.map(drop).map_err(driver_error),
        }
    }

    /// Fetches all rows; answers with how many there are.
    pub(super) async fn rows(&self, sql: &str) -> Result<usize, CliError> {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(pool) => pool
                .fetch_all(sql)
                .await
                .map(|rows| rows.len())
                .map_err(driver_error),
            Self::Postgres(pool) => pool
                .fetch_all(sql)
                .await
                .map(|rows| rows.len())
                .map_err(driver_error),
        }
    }

    pub(in crate::cli) async fn close(self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

/// A connection to an SQLite file as fast as SQLite can be made, and no safer than a table for measuring needs.
pub(super) async fn open_unsafe_sqlite(path: &Path) -> Result<SqliteConnection, CliError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .page_size(8192)
        .journal_mode(sqlx::sqlite::SqliteJournalMode::Delete)
        .synchronous(sqlx::sqlite::SqliteSynchronous::Off);
    SqliteConnection::connect_with(&options)
        .await
        .map_err(driver_error)
}

fn parse_url(url: &str) -> Result<DatabaseUrl, CliError> {
    url.parse()
        .map_err(|error: ValueError| CliError::Usage(format!("--database {error}")))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Removes a file, if it is there.
pub(super) fn remove_if_present(path: &Path) -> Result<(), CliError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

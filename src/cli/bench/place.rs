//! A database to try things out in: an archive of its own in it, and whatever the store has no method for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, PgPool, SqliteConnection,
    SqlitePool,
};

use super::super::{Failure, open};
use crate::config::{DatabaseUrl, Fault};
use crate::store::{Missing, Store, StoreError};

/// Everything in Postgres is made in a schema of this name, which is removed in the end.
const SCHEMA: &str = "backscroll_scratch";

/// Where the archive is made.
#[derive(Debug)]
pub(in crate::cli) struct Place {
    pub(in crate::cli) url: String,
    database: DatabaseUrl,
}

/// A way to ask the database itself.
#[derive(Debug)]
pub(in crate::cli) enum Direct {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// A failure of the driver while measuring.
pub(in crate::cli) fn driver(source: sqlx::Error) -> Failure {
    StoreError::Database {
        what: "bench",
        source,
    }
    .into()
}

impl Place {
    /// The database at `url`, if there is no archive in it yet; by default a file in `scratch`.
    pub(in crate::cli) async fn at(url: Option<&str>, scratch: &Path) -> Result<Self, Failure> {
        let default = || format!("sqlite://{}", scratch.join("archive.db").display());
        let url = url.map_or_else(default, str::to_owned);
        match parsed(&url)? {
            DatabaseUrl::Sqlite(path) if path.exists() => Err(Failure::Usage(format!(
                "{} exists; name a file that does not",
                path.display()
            ))),
            DatabaseUrl::Postgres(server) => {
                let mut connection = PgConnection::connect_with(&server.options())
                    .await
                    .map_err(driver)?;
                let archive = "SELECT to_regclass('sealed_window') IS NOT NULL";
                if sqlx::query_scalar(archive)
                    .fetch_one(&mut connection)
                    .await
                    .map_err(driver)?
                {
                    return Err(Failure::Usage(
                        "that database holds an archive; name one that does not".to_owned(),
                    ));
                }
                let separator = if url.contains('?') { '&' } else { '?' };
                let url = format!("{url}{separator}options=-csearch_path%3D{SCHEMA}");
                Ok(Self {
                    database: parsed(&url)?,
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
    pub(in crate::cli) async fn clear(&self) -> Result<(), Failure> {
        match &self.database {
            DatabaseUrl::Sqlite(path) => {
                for suffix in ["", "-wal", "-shm", ".lock"] {
                    remove(&suffixed(path, suffix))?;
                }
            }
            DatabaseUrl::Postgres(server) => {
                let mut connection = PgConnection::connect_with(&server.options())
                    .await
                    .map_err(driver)?;
                let drop = format!("DROP SCHEMA IF EXISTS {SCHEMA} CASCADE");
                connection
                    .execute(AssertSqlSafe(drop))
                    .await
                    .map_err(driver)?;
            }
        }
        Ok(())
    }

    /// Makes room for an archive, and none.
    pub(in crate::cli) async fn prepare(&self) -> Result<(), Failure> {
        self.clear().await?;
        if let DatabaseUrl::Postgres(server) = &self.database {
            let mut connection = PgConnection::connect_with(&server.options())
                .await
                .map_err(driver)?;
            connection
                .execute(AssertSqlSafe(format!("CREATE SCHEMA {SCHEMA}")))
                .await
                .map_err(driver)?;
        }
        Ok(())
    }

    /// Makes an empty archive.
    pub(super) async fn create(&self) -> Result<Arc<dyn Store>, Failure> {
        self.prepare().await?;
        self.open().await
    }

    pub(super) async fn open(&self) -> Result<Arc<dyn Store>, Failure> {
        Ok(open(&self.database, Missing::Create).await?)
    }

    /// Connects to the archive by other ways than the store's.
    pub(in crate::cli) async fn direct(&self) -> Result<Direct, Failure> {
        Ok(match &self.database {
            DatabaseUrl::Sqlite(path) => {
                let options = SqliteConnectOptions::new()
                    .filename(path)
                    .disable_statement_logging();
                let pool = SqlitePoolOptions::new()
                    .max_connections(1)
                    .connect_with(options);
                Direct::Sqlite(pool.await.map_err(driver)?)
            }
            DatabaseUrl::Postgres(server) => {
                let pool = PgPoolOptions::new()
                    .max_connections(1)
                    .connect_with(server.options().disable_statement_logging());
                Direct::Postgres(pool.await.map_err(driver)?)
            }
        })
    }
}

impl Direct {
    /// The number that a query answers with.
    pub(in crate::cli) async fn number(&self, sql: &'static str) -> Result<i64, Failure> {
        match self {
            Self::Sqlite(pool) => sqlx::query_scalar(sql)
                .fetch_one(pool)
                .await
                .map_err(driver),
            Self::Postgres(pool) => sqlx::query_scalar(sql)
                .fetch_one(pool)
                .await
                .map_err(driver),
        }
    }

    /// Carries out a statement that binds nothing.
    pub(super) async fn execute(&self, sql: &'static str) -> Result<(), Failure> {
        match self {
            Self::Sqlite(pool) => pool.execute(sql).await.map(drop).map_err(driver),
            Self::Postgres(pool) => pool.execute(sql).await.map(drop).map_err(driver),
        }
    }

    /// Fetches all rows; answers with how many there are.
    pub(super) async fn rows(&self, sql: &str) -> Result<usize, Failure> {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(pool) => pool
                .fetch_all(sql)
                .await
                .map(|rows| rows.len())
                .map_err(driver),
            Self::Postgres(pool) => pool
                .fetch_all(sql)
                .await
                .map(|rows| rows.len())
                .map_err(driver),
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
pub(super) async fn careless(path: &Path) -> Result<SqliteConnection, Failure> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .page_size(8192)
        .journal_mode(sqlx::sqlite::SqliteJournalMode::Delete)
        .synchronous(sqlx::sqlite::SqliteSynchronous::Off);
    SqliteConnection::connect_with(&options)
        .await
        .map_err(driver)
}

fn parsed(url: &str) -> Result<DatabaseUrl, Failure> {
    url.parse()
        .map_err(|fault: Fault| Failure::Usage(format!("--database {fault}")))
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Removes a file, if it is there.
pub(super) fn remove(path: &Path) -> Result<(), Failure> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

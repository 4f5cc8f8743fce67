//! A throwaway database: an SQLite file, or a schema of its own in a Postgres database.

use std::path::{Path, PathBuf};

use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, PgPool, SqlitePool};

use super::ScratchError;
use crate::config::DatabaseUrl;

/// The Postgres schema that contains the views. It is removed at the end, as is that of the tables.
const SCRATCH_SCHEMA: &str = "backscroll_scratch";

/// The location of a throwaway archive.
#[derive(Debug)]
pub struct ScratchDatabase {
    url: String,
    parsed: DatabaseUrl,
}

/// A connection to the database without the store.
#[derive(Debug)]
pub enum RawConnection {
    /// A connection to the SQLite file.
    Sqlite(SqlitePool),
    /// A connection to the Postgres server, with the scratch schema as its search path.
    Postgres(PgPool),
}

impl ScratchDatabase {
    /// Returns the database at `url`, or by default a file in `dir`. Errors if it contains an
    /// archive.
    pub async fn at(url: Option<&str>, dir: &Path) -> Result<Self, ScratchError> {
        let default = || format!("sqlite://{}", dir.join("archive.db").display());
        let url = url.map_or_else(default, str::to_owned);
        match parse_url(&url)? {
            DatabaseUrl::Sqlite(path) if path.exists() => Err(ScratchError::FileExists(path)),
            DatabaseUrl::Postgres(server) => {
                let mut connection = PgConnection::connect_with(&server.options()).await?;
                let query = "SELECT to_regclass('sealed_window') IS NOT NULL";
                if sqlx::query_scalar(query).fetch_one(&mut connection).await? {
                    return Err(ScratchError::HoldsArchive);
                }
                let separator = if url.contains('?') { '&' } else { '?' };
                let url = format!("{url}{separator}options=-csearch_path%3D{SCRATCH_SCHEMA}");
                Ok(Self {
                    parsed: parse_url(&url)?,
                    url,
                })
            }
            parsed @ DatabaseUrl::Sqlite(_) => Ok(Self { url, parsed }),
        }
    }

    /// Returns the URL of the archive, for a configuration.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the parsed URL of the archive.
    pub fn parsed(&self) -> &DatabaseUrl {
        &self.parsed
    }

    /// True if the database is a Postgres server.
    pub fn is_postgres(&self) -> bool {
        matches!(self.parsed, DatabaseUrl::Postgres(_))
    }

    /// Removes the archive of an earlier run.
    pub async fn clear(&self) -> Result<(), ScratchError> {
        match &self.parsed {
            DatabaseUrl::Sqlite(path) => {
                for suffix in ["", "-wal", "-shm", ".lock"] {
                    remove_if_present(&with_suffix(path, suffix))?;
                }
            }
            DatabaseUrl::Postgres(server) => {
                let drop = format!(
                    "DROP SCHEMA IF EXISTS {SCRATCH_SCHEMA}, {SCRATCH_SCHEMA}_tables CASCADE"
                );
                let mut connection = PgConnection::connect_with(&server.options()).await?;
                connection.execute(AssertSqlSafe(drop)).await?;
            }
        }
        Ok(())
    }

    /// Removes an earlier archive and creates the schema of a new one, without an archive in it.
    pub async fn prepare(&self) -> Result<(), ScratchError> {
        self.clear().await?;
        if let DatabaseUrl::Postgres(server) = &self.parsed {
            let create = format!("CREATE SCHEMA {SCRATCH_SCHEMA}");
            let mut connection = PgConnection::connect_with(&server.options()).await?;
            connection.execute(AssertSqlSafe(create)).await?;
        }
        Ok(())
    }

    /// Connects to the database without the store.
    pub async fn connect_raw(&self) -> Result<RawConnection, ScratchError> {
        match &self.parsed {
            DatabaseUrl::Sqlite(path) => {
                let options = SqliteConnectOptions::new().filename(path);
                let options = options.disable_statement_logging();
                let pool = SqlitePoolOptions::new().max_connections(1);
                Ok(RawConnection::Sqlite(pool.connect_with(options).await?))
            }
            DatabaseUrl::Postgres(server) => {
                let options = server.options().disable_statement_logging();
                let pool = PgPoolOptions::new().max_connections(1);
                Ok(RawConnection::Postgres(pool.connect_with(options).await?))
            }
        }
    }
}

impl RawConnection {
    /// Closes the connection.
    pub async fn close(self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

fn parse_url(url: &str) -> Result<DatabaseUrl, ScratchError> {
    url.parse().map_err(ScratchError::Url)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn remove_if_present(path: &Path) -> Result<(), ScratchError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

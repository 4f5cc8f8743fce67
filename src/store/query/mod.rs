//! Queries of people: a connection that can only read, and the rows of a result one by one.
//!
//! The database itself keeps a query from writing. SQLite: the file is opened with `mode=ro`, and
//! with `query_only`, and an authorizer refuses everything that is not reading. Postgres: each query
//! runs alone in a read-only transaction that is rolled back. In both, a statement that returns no
//! columns is not a query.
//!
//! | question | file |
//! |---|---|
//! | how does a query run, and how is it stopped | `sqlite.rs`, `postgres.rs` |
//! | where does a statement end | `statement.rs` |
//! | which views and columns are there | `catalog.rs` |
//! | what is said if a query is refused or fails | `error.rs` |
//! | how do rows and values arrive | `value.rs` |

mod catalog;
mod error;
mod postgres;
mod sqlite;
mod statement;
mod value;

use std::path::Path;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use tokio_util::sync::CancellationToken;

use self::postgres::PostgresQueries;
use self::sqlite::SqliteQueries;
pub use catalog::{ColumnDescription, ViewDescription, views};
pub use error::{QueryError, RejectedQuery};
pub use statement::{SqlDialect, is_blank, statement_end};
pub use value::{RowSink, SqlValue};

use super::error::StoreError;

/// A connection that can only read.
#[derive(Debug)]
pub enum QueryConnection {
    Sqlite(Box<SqliteQueries>),
    Postgres(Box<PostgresQueries>),
}

impl QueryConnection {
    /// Opens an SQLite archive.
    pub async fn open_sqlite(path: &Path) -> Result<Self, StoreError> {
        let queries = SqliteQueries::open(path).await?;
        Ok(Self::Sqlite(Box::new(queries)))
    }

    /// Connects to an archive in Postgres. The server stops a query after `timeout`, even if this
    /// process has ended by then; zero means no limit.
    pub async fn connect_postgres(
        options: PgConnectOptions,
        timeout: Duration,
    ) -> Result<Self, StoreError> {
        let queries = PostgresQueries::connect(options, timeout).await?;
        Ok(Self::Postgres(Box::new(queries)))
    }

    pub fn dialect(&self) -> SqlDialect {
        match self {
            Self::Sqlite(_) => SqlDialect::Sqlite,
            Self::Postgres(_) => SqlDialect::Postgres,
        }
    }

    /// Runs one query and passes its result to `sink`. Only a few rows are held in memory at once.
    /// Cancelling `stop` ends the query; the connection stays usable.
    ///
    /// # Errors
    ///
    /// [`QueryError::Stopped`] if `stop` was cancelled, or the server's limit of time is over.
    pub async fn run(
        &mut self,
        text: &str,
        stop: &CancellationToken,
        sink: &mut dyn RowSink,
    ) -> Result<(), QueryError> {
        let query = statement::single(text, self.dialect())?;
        match self {
            // The driver of SQLite blocks.
            Self::Sqlite(queries) => tokio::task::block_in_place(|| queries.run(query, stop, sink)),
            Self::Postgres(queries) => queries.run(query, stop, sink).await,
        }
    }

    pub async fn close(self) {
        match self {
            Self::Sqlite(queries) => queries.close().await,
            Self::Postgres(queries) => queries.close().await,
        }
    }
}

//! Statements on the database itself, for which the store has no method.

use std::path::Path;
use std::sync::Arc;

use backscroll::cli::scratch::{RawConnection, ScratchDatabase};
use backscroll::config::DatabaseUrl;
use backscroll::store::{Archive, IfMissing, PostgresStore, SqliteStore};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Connection, Executor, SqliteConnection};

use super::error::BenchError;

/// Creates an empty archive.
pub(super) async fn create_archive(
    database: &ScratchDatabase,
) -> Result<Arc<dyn Archive>, BenchError> {
    database.prepare().await?;
    match database.parsed() {
        DatabaseUrl::Sqlite(path) => {
            Ok(Arc::new(SqliteStore::open(path, IfMissing::Create).await?))
        }
        DatabaseUrl::Postgres(server) => {
            let options = server.options();
            Ok(Arc::new(
                PostgresStore::connect(options, IfMissing::Create).await?,
            ))
        }
    }
}

/// Returns the number that a query selects.
pub(super) async fn select_number(
    connection: &RawConnection,
    sql: &'static str,
) -> Result<i64, BenchError> {
    Ok(match connection {
        RawConnection::Sqlite(pool) => sqlx::query_scalar(sql).fetch_one(pool).await?,
        RawConnection::Postgres(pool) => sqlx::query_scalar(sql).fetch_one(pool).await?,
    })
}

/// Executes a statement without arguments.
pub(super) async fn execute(
    connection: &RawConnection,
    sql: &'static str,
) -> Result<(), BenchError> {
    match connection {
        RawConnection::Sqlite(pool) => pool.execute(sql).await.map(drop)?,
        RawConnection::Postgres(pool) => pool.execute(sql).await.map(drop)?,
    }
    Ok(())
}

/// Fetches all rows of a query.
pub(super) async fn fetch_rows(connection: &RawConnection, sql: &str) -> Result<(), BenchError> {
    let sql = AssertSqlSafe(sql.to_owned());
    match connection {
        RawConnection::Sqlite(pool) => pool.fetch_all(sql).await.map(drop)?,
        RawConnection::Postgres(pool) => pool.fetch_all(sql).await.map(drop)?,
    }
    Ok(())
}

/// Opens an SQLite file for maximum speed. A crash can corrupt it.
pub(super) async fn open_unsafe_sqlite(path: &Path) -> Result<SqliteConnection, BenchError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .page_size(8192)
        .journal_mode(SqliteJournalMode::Delete)
        .synchronous(SqliteSynchronous::Off);
    Ok(SqliteConnection::connect_with(&options).await?)
}

/// Removes a file. A missing file is not an error.
pub(super) fn remove_if_present(path: &Path) -> Result<(), BenchError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

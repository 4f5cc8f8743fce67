//! Queries of people in an archive on a Postgres server.
//!
//! A query is first prepared, which the server does with one statement only, and then sent by the
//! simple protocol, in which values arrive in the server's own text, whatever their type. It runs
//! alone in a read-only transaction that is rolled back; afterwards the session is reset.

use std::borrow::Cow;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use sqlx::postgres::{
    PgColumn, PgConnectOptions, PgConnection, PgDatabaseError, PgErrorPosition, PgRow, PgValueRef,
};
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions as _, Connection as _, Error, Executor as _,
    Row as _, SqlSafeStr as _, Statement as _, TypeInfo as _, ValueRef as _,
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::catalog::{nearest_column, nearest_view};
use super::error::{QueryError, READS_ONLY, RejectedQuery};
use super::value::{RowSink, SqlValue};
use crate::store::error::StoreError;
use crate::store::limits::query::CANCEL_PATIENCE;
use crate::store::postgres::{
    SessionSettings, connect_once, database_location, require_own_session, with_startup_parameters,
};

/// Makes a session as new: settings, locks, listeners, temporary tables.
const RESET: &str = "DISCARD ALL";

/// The code of a statement that was cancelled or took too long.
const CANCELED: &str = "57014";

/// A connection to a Postgres server for queries that read.
pub struct PostgresQueries {
    options: PgConnectOptions,
    location: String,
    /// Begins the transaction of a query and returns the number of the server's process.
    begin: String,
    /// `None` while a query runs, and after a failure. The next query connects again.
    idle: Option<PgConnection>,
}

impl std::fmt::Debug for PostgresQueries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresQueries")
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}

impl PostgresQueries {
    pub(super) async fn connect(
        options: PgConnectOptions,
        timeout: Duration,
    ) -> Result<Self, StoreError> {
        let location = database_location(&options);
        let options = with_startup_parameters(options)
            .statement_cache_capacity(1)
            // A slow query is nothing to warn of.
            .disable_statement_logging();
        let mut queries = Self {
            begin: begin(timeout),
            options,
            location,
            idle: None,
        };
        let mut connection = queries.open().await?;
        // A role that only reads sees the views, and not the tables.
        let found = connection
            .fetch_one("SELECT to_regclass('archive_end') IS NOT NULL")
            .await
            .and_then(|row| row.try_get::<bool, _>(0));
        if !found.map_err(StoreError::at("query"))? {
            return Err(StoreError::NotFound {
                location: queries.location,
            });
        }
        queries.idle = Some(connection);
        Ok(queries)
    }

    pub(super) async fn run(
        &mut self,
        query: &str,
        stop: &CancellationToken,
        sink: &mut dyn RowSink,
    ) -> Result<(), QueryError> {
        let mut connection = match self.idle.take() {
            Some(connection) => connection,
            None => self.open().await?,
        };
        let outcome = self.run_on(&mut connection, query, stop, sink).await;
        // Rows that nobody wants are not waited for.
        if !matches!(outcome, Err(QueryError::Output(_)))
            && let Ok(Ok(())) = timeout(CANCEL_PATIENCE, reset(&mut connection)).await
        {
            self.idle = Some(connection);
        }
        outcome
    }

    pub(super) async fn close(self) {
        if let Some(connection) = self.idle {
            // The server notices the end in any case.
            let _ = connection.close().await;
        }
    }

    async fn open(&self) -> Result<PgConnection, StoreError> {
        let at = |source| StoreError::Open {
            location: self.location.clone(),
            source,
        };
        let mut connection = connect_once(&self.options).await.map_err(at)?;
        require_own_session(&self.options, &mut connection, &self.location).await?;
        let settings = SessionSettings::for_reader();
        settings.apply(&mut connection).await.map_err(at)?;
        Ok(connection)
    }

    async fn run_on(
        &self,
        connection: &mut PgConnection,
        query: &str,
        stop: &CancellationToken,
        sink: &mut dyn RowSink,
    ) -> Result<(), QueryError> {
        let process = begin_query(connection, &self.begin)
            .await
            .map_err(StoreError::at("query"))?;
        let reading = read_rows(connection, query, stop, sink);
        tokio::pin!(reading);
        tokio::select! {
            outcome = &mut reading => return outcome,
            () = stop.cancelled() => {}
        }
        if let Err(cause) = self.cancel(process).await {
            tracing::debug!(%cause, "the query could not be cancelled");
        }
        // The rows on their way are read, so that the connection stays usable.
        let _ = timeout(CANCEL_PATIENCE, reading).await;
        Err(QueryError::Stopped)
    }

    /// Asks the server to cancel the statement of a process.
    async fn cancel(&self, process: i32) -> Result<(), Error> {
        let mut other = PgConnection::connect_with(&self.options).await?;
        let cancel = sqlx::query("SELECT pg_cancel_backend($1)").bind(process);
        cancel.execute(&mut other).await?;
        other.close().await
    }
}

/// Returns the statements that begin the transaction of a query. Settings of the role or of an
/// earlier query must not change how values are spelled.
fn begin(timeout: Duration) -> String {
    format!(
        "BEGIN TRANSACTION READ ONLY;
         SET LOCAL statement_timeout = {};
         SET LOCAL timezone = 'UTC';
         SET LOCAL datestyle = 'ISO';
         SET LOCAL intervalstyle = 'postgres';
         SET LOCAL bytea_output = 'hex';
         SET LOCAL extra_float_digits = 1;
         SELECT pg_backend_pid()",
        timeout.as_millis().min(i32::MAX.unsigned_abs().into())
    )
}

async fn begin_query(connection: &mut PgConnection, begin: &str) -> Result<i32, Error> {
    let row = sqlx::raw_sql(AssertSqlSafe(begin.to_owned()))
        .fetch_one(connection)
        .await?;
    row.try_get(0)
}

async fn reset(connection: &mut PgConnection) -> Result<(), Error> {
    connection.execute("ROLLBACK").await?;
    connection.clear_cached_statements().await?;
    connection.execute(RESET).await?;
    SessionSettings::for_reader().apply(connection).await
}

async fn read_rows(
    connection: &mut PgConnection,
    query: &str,
    stop: &CancellationToken,
    sink: &mut dyn RowSink,
) -> Result<(), QueryError> {
    let failed = |error| failure(error, query);
    let text = || AssertSqlSafe(query.to_owned());
    let statement = connection
        .prepare(text().into_sql_str())
        .await
        .map_err(failed)?;
    let columns: Vec<PgColumn> = statement.columns().to_vec();
    if columns.is_empty() {
        return Err(RejectedQuery::no_columns().into());
    }
    let names: Vec<String> = columns
        .iter()
        .map(|column| column.name().to_owned())
        .collect();
    let mut rows = sqlx::raw_sql(text()).fetch(connection);
    let mut next = rows.try_next().await.map_err(failed)?;
    // A query that fails at once has no result.
    sink.columns(&names)?;
    while let Some(row) = next {
        // A row after an interrupt is dropped.
        if !stop.is_cancelled() {
            sink.row(&values(&row, &columns).map_err(failed)?)?;
        }
        next = rows.try_next().await.map_err(failed)?;
    }
    Ok(())
}

fn values<'r>(row: &'r PgRow, columns: &[PgColumn]) -> Result<Vec<SqlValue<'r>>, Error> {
    let values = columns.iter().enumerate().map(|(index, column)| {
        let value = row.try_get_raw(index)?;
        value_of(&value, column.type_info().name()).map_err(Error::Decode)
    });
    values.collect()
}

/// Returns a value from the server's text.
fn value_of<'r>(
    value: &PgValueRef<'r>,
    type_name: &str,
) -> Result<SqlValue<'r>, sqlx::error::BoxDynError> {
    if value.is_null() {
        return Ok(SqlValue::Null);
    }
    let text = value.as_str()?;
    Ok(match type_name {
        "BOOL" => SqlValue::Bool(text == "t"),
        "INT2" | "INT4" | "INT8" | "OID" | "NUMERIC" | "FLOAT4" | "FLOAT8" if is_finite(text) => {
            SqlValue::Number(Cow::Borrowed(text))
        }
        "BYTEA" => SqlValue::Bytes(Cow::Owned(hex::decode(text.trim_start_matches("\\x"))?)),
        "JSONB" => SqlValue::Json(Cow::Borrowed(text)),
        // JSON that is kept as it was written may contain line breaks, between its tokens only.
        "JSON" => SqlValue::Json(Cow::Owned(text.replace(['\n', '\r'], " "))),
        "TIMESTAMPTZ" => SqlValue::Text(iso_time(text)),
        _ => SqlValue::Text(Cow::Borrowed(text)),
    })
}

/// True for a number that is not `NaN` or infinite.
fn is_finite(text: &str) -> bool {
    text.ends_with(|c: char| c.is_ascii_digit())
}

/// Returns a time in UTC as the views of SQLite spell it: `2026-11-21T08:00:00.000Z`, with
/// microseconds if there are any. Other times, such as `infinity`, are left as they are.
fn iso_time(text: &str) -> Cow<'_, str> {
    let Some((date, time)) = text.strip_suffix("+00").and_then(|utc| utc.split_once(' ')) else {
        return Cow::Borrowed(text);
    };
    let (seconds, fraction) = time.split_once('.').unwrap_or((time, ""));
    Cow::Owned(format!("{date}T{seconds}.{fraction:0<3}Z"))
}

/// Sorts an error by its cause: the query, a limit of time, or the database.
fn failure(error: Error, query: &str) -> QueryError {
    let database = match &error {
        Error::Database(cause) => cause.try_downcast_ref::<PgDatabaseError>(),
        _ => None,
    };
    let Some(cause) = database.filter(|cause| is_fault_of_query(cause.code())) else {
        if let Some(cause) = database
            && cause.code() == CANCELED
            && cause.message().contains("timeout")
        {
            return QueryError::Stopped;
        }
        return StoreError::at("query")(error).into();
    };
    let offset = match cause.position() {
        Some(PgErrorPosition::Original(position)) => {
            let mut chars = query.char_indices().map(|(offset, _)| offset);
            Some(chars.nth(position.saturating_sub(1)).unwrap_or(query.len()))
        }
        _ => None,
    };
    RejectedQuery {
        message: cause.message().to_owned(),
        hint: hint(cause),
        offset,
    }
    .into()
}

/// Returns the server's hint, or ours.
fn hint(cause: &PgDatabaseError) -> Option<String> {
    const READ_ONLY: &str = "25006";
    const UNKNOWN_TABLE: &str = "42P01";
    const UNKNOWN_COLUMN: &str = "42703";
    // `relation "x" does not exist`, `column x.y does not exist`
    let name = || {
        cause
            .message()
            .split(['"', ' '])
            .filter(|word| !word.is_empty())
            .nth(1)
    };
    let nearest = match cause.code() {
        READ_ONLY => return Some(READS_ONLY.to_owned()),
        UNKNOWN_TABLE => name().and_then(nearest_view),
        UNKNOWN_COLUMN => name().and_then(nearest_column),
        _ => None,
    };
    nearest
        .map(|name| format!("did you mean `{name}`?"))
        .or_else(|| cause.hint().or(cause.detail()).map(str::to_owned))
}

/// True for the codes that do not come from the state of the server, its resources or connections.
fn is_fault_of_query(code: &str) -> bool {
    const CLASSES_OF_THE_SERVER: [&str; 6] = ["08", "53", "57", "58", "40", "XX"];
    !CLASSES_OF_THE_SERVER
        .iter()
        .any(|class| code.starts_with(class))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_spelled_as_in_sqlite() {
        for (server, ours) in [
            ("2026-11-21 08:00:00+00", "2026-11-21T08:00:00.000Z"),
            ("2026-11-21 08:00:00.5+00", "2026-11-21T08:00:00.500Z"),
            (
                "2026-11-21 08:00:00.123456+00",
                "2026-11-21T08:00:00.123456Z",
            ),
            ("infinity", "infinity"),
            ("0044-03-15 12:00:00+00 BC", "0044-03-15 12:00:00+00 BC"),
            ("2026-11-21 08:00:00+05:30", "2026-11-21 08:00:00+05:30"),
        ] {
            assert_eq!(iso_time(server), ours);
        }
    }

    #[test]
    fn limit_of_time_is_in_milliseconds() {
        assert!(begin(Duration::from_mins(10)).contains("statement_timeout = 600000;"));
        assert!(begin(Duration::MAX).contains("statement_timeout = 2147483647;"));
    }
}

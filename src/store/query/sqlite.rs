//! Queries of people in an SQLite archive.

use std::borrow::Cow;
use std::io;
use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error, ErrorCode};
use tokio_util::sync::CancellationToken;

use super::catalog::{nearest_column, nearest_view};
use super::error::{QueryError, READS_ONLY, RejectedQuery};
use super::value::{RowSink, SqlValue};
use crate::store::error::StoreError;
use crate::store::limits::query::OPERATIONS_PER_CHECK;
use crate::store::sqlite::{SqliteStore, open_guarded, query_failure};

/// A read-only connection to an SQLite archive.
#[derive(Debug)]
pub struct SqliteQueries {
    connection: Connection,
    /// Has checked the file, and removes the two files beside it at the end. A connection with
    /// `mode=ro` leaves them.
    archive: SqliteStore,
}

impl SqliteQueries {
    pub(super) async fn open(path: &Path) -> Result<Self, StoreError> {
        let archive = SqliteStore::open_read_only(path).await?;
        let connection = open_guarded(path).map_err(|error| StoreError::Open {
            location: path.display().to_string(),
            source: sqlx::Error::Io(io::Error::other(error)),
        })?;
        Ok(Self {
            connection,
            archive,
        })
    }

    /// Runs a query on this thread.
    pub(super) fn run(
        &self,
        query: &str,
        stop: &CancellationToken,
        sink: &mut dyn RowSink,
    ) -> Result<(), QueryError> {
        let failed = |error| failure(error, query);
        let token = stop.clone();
        self.connection
            .progress_handler(OPERATIONS_PER_CHECK, Some(move || token.is_cancelled()))
            .map_err(failed)?;
        let mut statement = self.connection.prepare(query).map_err(failed)?;
        if statement.column_count() == 0 || !statement.readonly() {
            return Err(RejectedQuery::no_columns().into());
        }
        if statement.parameter_count() > 0 {
            let parameter = statement.parameter_name(1).unwrap_or("?");
            let message = format!("the query has the parameter `{parameter}`, but no value for it");
            return Err(RejectedQuery::new(message).into());
        }
        let names: Vec<String> = statement
            .column_names()
            .into_iter()
            .map(Into::into)
            .collect();
        let mut rows = statement.raw_query();
        let mut next = rows.next().map_err(failed)?;
        // A query that fails at once has no result.
        sink.columns(&names)?;
        while let Some(row) = next {
            if stop.is_cancelled() {
                return Err(QueryError::Stopped);
            }
            let values: Result<Vec<_>, _> = (0..names.len())
                .map(|index| row.get_ref(index).map(value))
                .collect();
            sink.row(&values.map_err(failed)?)?;
            next = rows.next().map_err(failed)?;
        }
        Ok(())
    }

    pub(super) async fn close(self) {
        drop(self.connection);
        self.archive.read.close().await;
    }
}

fn value(value: ValueRef<'_>) -> SqlValue<'_> {
    match value {
        ValueRef::Null => SqlValue::Null,
        ValueRef::Integer(number) => SqlValue::Number(Cow::Owned(number.to_string())),
        // The shortest digits that are read back as the same number.
        ValueRef::Real(number) if number.is_finite() => {
            SqlValue::Number(Cow::Owned(format!("{number:?}")))
        }
        ValueRef::Real(number) => {
            let sign = if number < 0.0 { "-" } else { "" };
            SqlValue::Text(Cow::Owned(format!("{sign}Infinity")))
        }
        // SQLite does not check that a text is one.
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => SqlValue::Text(Cow::Borrowed(text)),
            Err(_) => SqlValue::Bytes(Cow::Borrowed(bytes)),
        },
        ValueRef::Blob(bytes) => SqlValue::Bytes(Cow::Borrowed(bytes)),
    }
}

/// Sorts an error by its cause: the query, an interrupt, or the database.
fn failure(error: Error, query: &str) -> QueryError {
    let code = error.sqlite_error_code();
    match code {
        Some(ErrorCode::OperationInterrupted) => return QueryError::Stopped,
        Some(ErrorCode::AuthorizationForStatementDenied | ErrorCode::ReadOnly) => {
            let message = "this statement is refused: it does more than read the archive";
            return RejectedQuery::new(message).with_hint(READS_ONLY).into();
        }
        _ => {}
    }
    match error {
        Error::SqlInputError { msg, offset, .. } => RejectedQuery {
            hint: hint(&msg),
            offset: usize::try_from(offset)
                .ok()
                .filter(|offset| *offset <= query.len()),
            message: msg,
        }
        .into(),
        Error::SqliteFailure(cause, message) => {
            let message = message.unwrap_or_else(|| cause.to_string());
            if is_fault_of_query(cause.code) {
                return RejectedQuery {
                    hint: hint(&message),
                    ..RejectedQuery::new(message)
                }
                .into();
            }
            query_failure(cause, message).into()
        }
        other => RejectedQuery::new(other.to_string()).into(),
    }
}

/// Returns the name that a message about an unknown one was meant for, probably.
fn hint(message: &str) -> Option<String> {
    let nearest = match message.split_once(": ")? {
        ("no such column", name) => nearest_column(name),
        ("no such table", name) => nearest_view(name),
        _ => None,
    };
    nearest.map(|name| format!("did you mean `{name}`?"))
}

/// True if the same query would fail in every archive.
fn is_fault_of_query(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::Unknown
            | ErrorCode::TooBig
            | ErrorCode::TypeMismatch
            | ErrorCode::ApiMisuse
            | ErrorCode::ParameterOutOfRange
            | ErrorCode::ConstraintViolation
    )
}

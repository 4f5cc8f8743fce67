//! Reading on threads for blocking work, where SQLite hands out the values of a row in place.

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Error, Row, Statement};
use tokio::task::spawn_blocking;

use super::guarded::query_failure;
use crate::domain::task::unwrap_task;
use crate::store::driver::Arg;
use crate::store::error::StoreError;
use crate::store::row_values::RowValues;

/// A connection, or what has one. `None` while it is used, and after a caller gave up.
pub(super) struct Blocking<C>(Option<C>);

impl<C: Send + 'static> Blocking<C> {
    pub(super) fn new(connection: C) -> Self {
        Self(Some(connection))
    }

    /// Calls `task` with the connection. `what` is the step that a failure names.
    pub(super) async fn run<T: Send + 'static>(
        &mut self,
        what: &'static str,
        task: impl FnOnce(&mut C) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let Some(mut connection) = self.0.take() else {
            return Err(StoreError::at(what)(sqlx::Error::PoolClosed));
        };
        let (connection, result) = on_blocking_thread(move || {
            let result = task(&mut connection);
            (connection, result)
        })
        .await;
        self.0 = Some(connection);
        result
    }
}

/// Runs a task that blocks. A panic in it is passed on.
pub(super) async fn on_blocking_thread<T: Send + 'static>(
    task: impl FnOnce() -> T + Send + 'static,
) -> T {
    unwrap_task(spawn_blocking(task).await)
}

/// Returns arguments that a task can take along.
pub(super) fn owned(args: &[Arg<'_>]) -> Vec<Value> {
    let value = |arg: &Arg<'_>| match *arg {
        Arg::Int(number) => Value::from(number),
        Arg::Text(text) => Value::from(text.map(str::to_owned)),
        Arg::Bytes(bytes) => Value::from(bytes.map(<[u8]>::to_vec)),
    };
    args.iter().map(value).collect()
}

/// Binds each argument to the parameter of its number, if the statement has it.
pub(super) fn bind(statement: &mut Statement<'_>, args: &[Value]) -> rusqlite::Result<()> {
    for (n, arg) in args.iter().enumerate() {
        // SQLite numbers `$1` by its first appearance, and `?1` by its number.
        for name in [format!("${}", n + 1), format!("?{}", n + 1)] {
            if let Some(index) = statement.parameter_index(&name)? {
                statement.raw_bind_parameter(index, arg)?;
            }
        }
    }
    Ok(())
}

impl RowValues for Row<'_> {
    fn int(&self, index: usize, column: &'static str) -> Result<Option<i64>, StoreError> {
        match self.get_ref(index).map_err(failed(column))? {
            ValueRef::Null => Ok(None),
            ValueRef::Integer(number) => Ok(Some(number)),
            _ => Err(wrong_type(column, "not a number")),
        }
    }

    fn text(&self, index: usize, column: &'static str) -> Result<Option<&str>, StoreError> {
        match self.get_ref(index).map_err(failed(column))? {
            ValueRef::Null => Ok(None),
            ValueRef::Text(bytes) => std::str::from_utf8(bytes)
                .map(Some)
                .map_err(|_| wrong_type(column, "not UTF-8")),
            _ => Err(wrong_type(column, "not a text")),
        }
    }

    fn bytes(&self, index: usize, column: &'static str) -> Result<Option<&[u8]>, StoreError> {
        match self.get_ref(index).map_err(failed(column))? {
            ValueRef::Null => Ok(None),
            ValueRef::Blob(bytes) => Ok(Some(bytes)),
            _ => Err(wrong_type(column, "not bytes")),
        }
    }
}

fn wrong_type(column: &'static str, fault: &str) -> StoreError {
    StoreError::Inconsistent {
        what: column,
        fault: fault.to_owned(),
    }
}

/// Returns a function for `map_err` that names the step `what`.
pub(super) fn failed(what: &'static str) -> impl Fn(Error) -> StoreError {
    move |error| match error {
        Error::SqliteFailure(cause, message) => {
            let message = message.unwrap_or_else(|| cause.to_string());
            query_failure(cause, format!("`{what}`: {message}"))
        }
        other => StoreError::at(what)(sqlx::Error::Decode(Box::new(other))),
    }
}

//! Reading of single columns, and of the columns that several kinds of rows share.

use std::time::Duration;

use crate::domain::stream::Scope;
use crate::domain::time::{Millis, Second};
use crate::domain::window::Window;
use crate::store::driver::Driver;
use crate::store::error::StoreError;

/// Reads an integer column that is never NULL.
pub(in crate::store) fn int<DB: Driver>(
    row: &DB::Row,
    column: &'static str,
) -> Result<i64, StoreError> {
    let value = optional_int::<DB>(row, column)?;
    value.ok_or_else(|| inconsistent(column, "NULL where a number must be"))
}

/// Reads an integer column. `None` if it is NULL.
pub(in crate::store) fn optional_int<DB: Driver>(
    row: &DB::Row,
    column: &'static str,
) -> Result<Option<i64>, StoreError> {
    DB::int(row, column).map_err(StoreError::at(column))
}

/// Reads a count. NULL and negative numbers are 0.
pub(in crate::store) fn count<DB: Driver>(
    row: &DB::Row,
    column: &'static str,
) -> Result<u64, StoreError> {
    Ok(optional_count::<DB>(row, column)?.unwrap_or(0))
}

/// Reads a count. `None` if it is NULL or negative.
pub(in crate::store) fn optional_count<DB: Driver>(
    row: &DB::Row,
    column: &'static str,
) -> Result<Option<u64>, StoreError> {
    let value = optional_int::<DB>(row, column)?;
    Ok(value.and_then(|value| u64::try_from(value).ok()))
}

/// Reads a flag: true if the column is 1.
pub(in crate::store) fn flag<DB: Driver>(
    row: &DB::Row,
    column: &'static str,
) -> Result<bool, StoreError> {
    Ok(int::<DB>(row, column)? == 1)
}

/// Reads a text column. NULL is an empty text.
pub(in crate::store) fn text<DB: Driver>(
    row: &DB::Row,
    column: &'static str,
) -> Result<String, StoreError> {
    Ok(optional_text::<DB>(row, column)?.unwrap_or_default())
}

/// Reads a text column. `None` if it is NULL.
pub(in crate::store) fn optional_text<DB: Driver>(
    row: &DB::Row,
    column: &'static str,
) -> Result<Option<String>, StoreError> {
    DB::text(row, column).map_err(StoreError::at(column))
}

/// Reads a column of bytes. `None` if it is NULL.
pub(in crate::store) fn bytes<DB: Driver>(
    row: &DB::Row,
    column: &'static str,
) -> Result<Option<Vec<u8>>, StoreError> {
    DB::bytes(row, column).map_err(StoreError::at(column))
}

/// Reads a column in whole seconds since 1970 that is never NULL.
pub(in crate::store) fn second<DB: Driver>(
    row: &DB::Row,
    column: &'static str,
) -> Result<Second, StoreError> {
    int::<DB>(row, column).map(Second)
}

/// Reads a column in whole seconds since 1970. `None` if it is NULL.
pub(in crate::store) fn optional_second<DB: Driver>(
    row: &DB::Row,
    column: &'static str,
) -> Result<Option<Second>, StoreError> {
    Ok(optional_int::<DB>(row, column)?.map(Second))
}

/// Reads a column in milliseconds since 1970 that is never NULL.
pub(in crate::store) fn millis<DB: Driver>(
    row: &DB::Row,
    column: &'static str,
) -> Result<Millis, StoreError> {
    int::<DB>(row, column).map(Millis)
}

/// Reads a column in milliseconds since 1970. `None` if it is NULL.
pub(in crate::store) fn optional_millis<DB: Driver>(
    row: &DB::Row,
    column: &'static str,
) -> Result<Option<Millis>, StoreError> {
    Ok(optional_int::<DB>(row, column)?.map(Millis))
}

/// Reads a duration in whole seconds. `None` if it is NULL or negative.
pub(in crate::store) fn duration_s<DB: Driver>(
    row: &DB::Row,
    column: &'static str,
) -> Result<Option<Duration>, StoreError> {
    Ok(optional_count::<DB>(row, column)?.map(Duration::from_secs))
}

/// Decodes `from_s` and `to_s`. An empty window is an error.
pub(in crate::store) fn window<DB: Driver>(row: &DB::Row) -> Result<Window, StoreError> {
    let (from, to) = (second::<DB>(row, "from_s")?, second::<DB>(row, "to_s")?);
    Window::new(from, to).ok_or_else(|| {
        let fault = format!("a window from {} to {} is empty", from.0, to.0);
        StoreError::Inconsistent {
            what: "sealed_window",
            fault,
        }
    })
}

/// Decodes a stream's `sender`, `recipient` and `conversation`. `None` if all of them are NULL.
pub(in crate::store) fn scope<DB: Driver>(row: &DB::Row) -> Result<Option<Scope>, StoreError> {
    let scope = Scope {
        sender: optional_text::<DB>(row, "sender")?,
        recipient: optional_text::<DB>(row, "recipient")?,
        conversation: optional_text::<DB>(row, "conversation")?,
    };
    Ok((scope != Scope::default()).then_some(scope))
}

/// Returns the error for a value that the schema forbids.
pub(in crate::store) fn inconsistent(what: &'static str, fault: &str) -> StoreError {
    StoreError::Inconsistent {
        what,
        fault: fault.to_owned(),
    }
}

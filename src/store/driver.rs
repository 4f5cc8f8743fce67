//! Database-independent access to statements and rows.
//!
//! Statements that every database understands are written once (see [`super::sql`]) and run
//! through [`Driver`]. [`impl_driver`] implements it for a database of `sqlx`.

use super::error::StoreError;
use crate::domain::format::counted;

/// An argument of a statement. Integers, text and bytes are the types that all databases share.
#[derive(Clone, Copy, Debug)]
pub(super) enum Arg<'a> {
    Int(Option<i64>),
    Text(Option<&'a str>),
    Bytes(Option<&'a [u8]>),
}

/// The result of a call to a database driver.
pub(super) type DriverResult<T> = Result<T, sqlx::Error>;

/// Runs statements, and reads columns of their rows.
pub(super) trait Driver: sqlx::Database {
    /// Runs a statement and returns the number of rows that it affected.
    fn execute(
        connection: &mut Self::Connection,
        sql: &'static str,
        args: &[Arg<'_>],
    ) -> impl Future<Output = DriverResult<u64>> + Send;

    /// Runs a statement and returns all of its rows.
    fn fetch(
        connection: &mut Self::Connection,
        sql: &'static str,
        args: &[Arg<'_>],
    ) -> impl Future<Output = DriverResult<Vec<Self::Row>>> + Send;

    /// Runs a statement and calls `visit` with each row. Only a few rows are held in memory at
    /// once. Stops at the first error of the database or of `visit`.
    fn for_each_row(
        connection: &mut Self::Connection,
        what: &'static str,
        sql: &'static str,
        args: &[Arg<'_>],
        visit: impl FnMut(&Self::Row) -> Result<(), StoreError> + Send,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Reads a 64-bit integer column. `None` if it is NULL.
    fn int(row: &Self::Row, column: &'static str) -> DriverResult<Option<i64>>;

    /// Reads a text column. `None` if it is NULL.
    fn text(row: &Self::Row, column: &'static str) -> DriverResult<Option<String>>;

    /// Reads a column of bytes. `None` if it is NULL.
    fn bytes(row: &Self::Row, column: &'static str) -> DriverResult<Option<Vec<u8>>>;

    /// Reads a column of exactly 16 bytes. `None` if it is NULL or has another length.
    fn hash(row: &Self::Row, column: &'static str) -> DriverResult<Option<[u8; 16]>>;
}

/// Implements [`Driver`] for a database of `sqlx`, and defines `bind_args` in the calling module.
macro_rules! impl_driver {
    ($database:ty) => {
        type BoundQuery<'q> =
            sqlx::query::Query<'q, $database, <$database as sqlx::Database>::Arguments>;

        fn bind_args<'q>(
            sql: &'static str,
            args: &[$crate::store::driver::Arg<'q>],
        ) -> BoundQuery<'q> {
            use $crate::store::driver::Arg;
            args.iter().fold(sqlx::query(sql), |query, arg| match *arg {
                Arg::Int(value) => query.bind(value),
                Arg::Text(value) => query.bind(value),
                Arg::Bytes(value) => query.bind(value),
            })
        }

        impl $crate::store::driver::Driver for $database {
            async fn execute(
                connection: &mut Self::Connection,
                sql: &'static str,
                args: &[$crate::store::driver::Arg<'_>],
            ) -> $crate::store::driver::DriverResult<u64> {
                Ok(bind_args(sql, args)
                    .execute(connection)
                    .await?
                    .rows_affected())
            }

            async fn fetch(
                connection: &mut Self::Connection,
                sql: &'static str,
                args: &[$crate::store::driver::Arg<'_>],
            ) -> $crate::store::driver::DriverResult<Vec<Self::Row>> {
                bind_args(sql, args).fetch_all(connection).await
            }

            async fn for_each_row(
                connection: &mut Self::Connection,
                what: &'static str,
                sql: &'static str,
                args: &[$crate::store::driver::Arg<'_>],
                mut visit: impl FnMut(&Self::Row) -> Result<(), $crate::store::StoreError> + Send,
            ) -> Result<(), $crate::store::StoreError> {
                use futures_util::TryStreamExt as _;
                let failed = $crate::store::StoreError::at(what);
                let mut rows = bind_args(sql, args).fetch(connection);
                while let Some(row) = rows.try_next().await.map_err(&failed)? {
                    visit(&row)?;
                }
                Ok(())
            }

            fn int(
                row: &Self::Row,
                column: &'static str,
            ) -> $crate::store::driver::DriverResult<Option<i64>> {
                sqlx::Row::try_get(row, column)
            }

            fn text(
                row: &Self::Row,
                column: &'static str,
            ) -> $crate::store::driver::DriverResult<Option<String>> {
                sqlx::Row::try_get(row, column)
            }

            fn bytes(
                row: &Self::Row,
                column: &'static str,
            ) -> $crate::store::driver::DriverResult<Option<Vec<u8>>> {
                sqlx::Row::try_get(row, column)
            }

            fn hash(
                row: &Self::Row,
                column: &'static str,
            ) -> $crate::store::driver::DriverResult<Option<[u8; 16]>> {
                let bytes: Option<&[u8]> = sqlx::Row::try_get(row, column)?;
                Ok(bytes.and_then(|bytes| bytes.try_into().ok()))
            }
        }
    };
}
pub(super) use impl_driver;

impl From<i64> for Arg<'_> {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}

impl From<Option<i64>> for Arg<'_> {
    fn from(value: Option<i64>) -> Self {
        Self::Int(value)
    }
}

/// SQL integers are signed. A count beyond `i64::MAX` does not occur.
impl From<u64> for Arg<'_> {
    fn from(value: u64) -> Self {
        Self::Int(Some(i64::try_from(value).unwrap_or(i64::MAX)))
    }
}

impl<'a> From<&'a str> for Arg<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(Some(value))
    }
}

impl<'a> From<&'a String> for Arg<'a> {
    fn from(value: &'a String) -> Self {
        Self::Text(Some(value))
    }
}

impl<'a> From<Option<&'a str>> for Arg<'a> {
    fn from(value: Option<&'a str>) -> Self {
        Self::Text(value)
    }
}

impl<'a> From<&'a [u8]> for Arg<'a> {
    fn from(value: &'a [u8]) -> Self {
        Self::Bytes(Some(value))
    }
}

impl<'a> From<Option<&'a [u8]>> for Arg<'a> {
    fn from(value: Option<&'a [u8]>) -> Self {
        Self::Bytes(value)
    }
}

/// Runs a statement and returns all of its rows. A failure names the step `what`.
pub(super) async fn fetch_all<DB: Driver>(
    connection: &mut DB::Connection,
    what: &'static str,
    sql: &'static str,
    args: &[Arg<'_>],
) -> Result<Vec<DB::Row>, StoreError> {
    DB::fetch(connection, sql, args)
        .await
        .map_err(StoreError::at(what))
}

/// Runs a statement and returns its first row. No row is an error.
pub(super) async fn fetch_one<DB: Driver>(
    connection: &mut DB::Connection,
    what: &'static str,
    sql: &'static str,
    args: &[Arg<'_>],
) -> Result<DB::Row, StoreError> {
    let rows = fetch_all::<DB>(connection, what, sql, args).await?;
    rows.into_iter()
        .next()
        .ok_or_else(|| StoreError::at(what)(sqlx::Error::RowNotFound))
}

/// Runs a statement and returns the number of rows that it affected. A failure names the step
/// `what`.
pub(super) async fn execute<DB: Driver>(
    connection: &mut DB::Connection,
    what: &'static str,
    sql: &'static str,
    args: &[Arg<'_>],
) -> Result<u64, StoreError> {
    DB::execute(connection, sql, args)
        .await
        .map_err(StoreError::at(what))
}

/// Returns an error unless exactly `wanted` rows were affected.
pub(super) fn expect_affected(
    what: &'static str,
    affected: u64,
    wanted: usize,
) -> Result<(), StoreError> {
    if affected == wanted as u64 {
        return Ok(());
    }
    let wanted = counted(wanted as u64, "row", "rows");
    let fault = format!("written: {affected} of {wanted}");
    Err(StoreError::Inconsistent { what, fault })
}

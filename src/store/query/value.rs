//! The rows and values of a result.

use std::borrow::Cow;
use std::io;

/// A value exactly as the database holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SqlValue<'r> {
    Null,
    Bool(bool),
    /// A finite number in the database's own digits, which are a number in JSON as well.
    Number(Cow<'r, str>),
    /// A text, or a value of any other type in the database's own spelling.
    Text(Cow<'r, str>),
    /// A JSON value on one line.
    Json(Cow<'r, str>),
    Bytes(Cow<'r, [u8]>),
}

/// Receives a result: first its columns, then its rows.
pub trait RowSink {
    fn columns(&mut self, names: &[String]) -> io::Result<()>;
    fn row(&mut self, values: &[SqlValue<'_>]) -> io::Result<()>;
}

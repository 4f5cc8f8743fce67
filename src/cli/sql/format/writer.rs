//! The interface of all forms of a result.

use std::io;

use crate::store::query::RowSink;

/// Writes a result.
pub(in crate::cli::sql) trait ResultWriter: RowSink {
    /// Writes the end of a result that is complete.
    fn finish(&mut self) -> io::Result<()>;

    /// Writes the rows that are held back.
    fn flush(&mut self) -> io::Result<()>;
}

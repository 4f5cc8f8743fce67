//! The values of a row by the position of their columns, whichever driver has read it.
//!
//! Looking up columns by their names costs more than reading them where millions of rows are read.

use super::error::StoreError;

/// A row. A failure names `column`.
pub(super) trait RowValues {
    /// Reads an integer. `None` if it is NULL.
    fn int(&self, index: usize, column: &'static str) -> Result<Option<i64>, StoreError>;

    /// Reads a text. `None` if it is NULL.
    fn text(&self, index: usize, column: &'static str) -> Result<Option<&str>, StoreError>;

    /// Reads bytes. `None` if it is NULL.
    fn bytes(&self, index: usize, column: &'static str) -> Result<Option<&[u8]>, StoreError>;
}

/// Makes a value of a row.
pub(super) type DecodeRow<T> = fn(&dyn RowValues) -> Result<T, StoreError>;

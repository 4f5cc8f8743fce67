//! The answer to a query as a table of text.

use std::fmt;

use crate::domain::text_table::TextTable;

/// Rows of text under the names of their columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryTable {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// Formats a table with aligned columns, indented by two.
impl fmt::Display for QueryTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = TextTable::new(&self.columns, &self.rows).render(None);
        write!(f, "  {}", table.replace('\n', "\n  "))
    }
}

//! The answer to a query as a table of text.

use std::fmt;

/// Rows of text under the names of their columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryTable {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// Formats a table with aligned columns, indented by two. Control characters become U+FFFD.
impl fmt::Display for QueryTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = comfy_table::Table::new();
        table
            .load_preset(comfy_table::presets::NOTHING)
            .set_header(&self.columns);
        for row in &self.rows {
            table.add_row(
                row.iter()
                    .map(|cell| cell.replace(char::is_control, "\u{FFFD}")),
            );
        }
        for column in table.column_iter_mut() {
            column.set_padding((2, 0));
        }
        table.fmt(f)
    }
}

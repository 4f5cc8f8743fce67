//! Plain-text tables.

use comfy_table::{CellAlignment, Table, presets};

pub(super) use crate::domain::format::{bytes, duration, sanitized, thousands};

/// Builds a table. Columns whose heading ends in `#` contain numbers and are right-aligned.
pub fn build_table<const N: usize>(
    headings: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_header(headings.map(|heading| heading.trim_end_matches('#')));
    for row in rows {
        table.add_row(row.map(|cell| sanitized(&cell)));
    }
    for (column, heading) in table.column_iter_mut().zip(headings) {
        column.set_padding((0, 2));
        if heading.ends_with('#') {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

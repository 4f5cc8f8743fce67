//! Results as a table. The first rows decide how wide the columns are; later rows are written as
//! they come. No value is cut.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use unicode_width::UnicodeWidthStr as _;

use super::writer::ResultWriter;
use crate::cli::limits::{MAX_COLUMN_WIDTH, MAX_MEASURED_BYTES, MAX_MEASURED_ROWS};
use crate::domain::format::sanitized_json;
use crate::store::query::{RowSink, SqlValue};

const GAP: &str = "  ";

pub(super) struct TableWriter<W> {
    out: W,
    dims_null: bool,
    /// The first line contains the names.
    measured: Vec<Vec<Cell>>,
    measured_bytes: usize,
    /// `None` until the first rows are measured.
    columns: Option<Vec<TableColumn>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CellKind {
    Name,
    Null,
    Number,
    Text,
}

struct Cell {
    text: String,
    kind: CellKind,
}

#[derive(Clone, Copy)]
struct TableColumn {
    width: usize,
    is_numeric: bool,
}

impl<W: Write> TableWriter<W> {
    pub(super) fn new(out: W, dims_null: bool) -> Self {
        Self {
            out,
            dims_null,
            measured: vec![],
            measured_bytes: 0,
            columns: None,
        }
    }

    /// Decides the widths, and writes the rows that were measured.
    fn write_measured(&mut self) -> io::Result<Vec<TableColumn>> {
        let rows = std::mem::take(&mut self.measured);
        let count = rows.first().map_or(0, Vec::len);
        let columns: Vec<TableColumn> = (0..count)
            .map(|index| TableColumn::measured(rows.iter().map(|row| &row[index])))
            .collect();
        for (number, row) in rows.iter().enumerate() {
            self.write_row(row, &columns)?;
            if number == 0 {
                let lines: Vec<String> = columns
                    .iter()
                    .map(|column| "-".repeat(column.width))
                    .collect();
                writeln!(self.out, "{}", lines.join(GAP))?;
            }
        }
        self.columns = Some(columns.clone());
        Ok(columns)
    }

    fn write_row(&mut self, row: &[Cell], columns: &[TableColumn]) -> io::Result<()> {
        let mut line = String::new();
        // Blanks are written before the next cell only.
        let mut blanks = 0;
        for (cell, column) in row.iter().zip(columns) {
            let padding = column.width.saturating_sub(cell.text.width());
            let (before, after) = if column.is_numeric {
                (padding, 0)
            } else {
                (0, padding)
            };
            line.extend(std::iter::repeat_n(' ', blanks + before));
            match cell.kind {
                CellKind::Null if self.dims_null => {
                    line.push_str("\x1b[2mNULL\x1b[0m");
                }
                _ => line.push_str(&cell.text),
            }
            blanks = after + GAP.len();
        }
        writeln!(self.out, "{line}")
    }
}

impl TableColumn {
    fn measured<'c>(cells: impl Iterator<Item = &'c Cell> + Clone) -> Self {
        let width = cells.clone().map(|cell| cell.text.width()).max();
        let mut kinds = cells
            .map(|cell| cell.kind)
            .filter(|kind| matches!(kind, CellKind::Number | CellKind::Text));
        let first = kinds.next();
        Self {
            width: width.unwrap_or(0).min(MAX_COLUMN_WIDTH),
            is_numeric: first == Some(CellKind::Number)
                && kinds.all(|kind| kind == CellKind::Number),
        }
    }
}

impl<W: Write> RowSink for TableWriter<W> {
    fn columns(&mut self, names: &[String]) -> io::Result<()> {
        let name = |name: &String| Cell {
            text: visible(name),
            kind: CellKind::Name,
        };
        self.measured = vec![names.iter().map(name).collect()];
        Ok(())
    }

    fn row(&mut self, values: &[SqlValue<'_>]) -> io::Result<()> {
        let cells: Vec<Cell> = values.iter().map(cell).collect();
        if let Some(columns) = self.columns.take() {
            let written = self.write_row(&cells, &columns);
            self.columns = Some(columns);
            return written;
        }
        self.measured_bytes += cells.iter().map(|cell| cell.text.len()).sum::<usize>();
        self.measured.push(cells);
        if self.measured.len() > MAX_MEASURED_ROWS || self.measured_bytes > MAX_MEASURED_BYTES {
            self.write_measured()?;
        }
        Ok(())
    }
}

impl<W: Write> ResultWriter for TableWriter<W> {
    fn finish(&mut self) -> io::Result<()> {
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.columns.is_none() {
            self.write_measured()?;
        }
        self.out.flush()
    }
}

fn cell(value: &SqlValue<'_>) -> Cell {
    let (text, kind) = match value {
        SqlValue::Null => ("NULL".to_owned(), CellKind::Null),
        SqlValue::Bool(value) => (value.to_string(), CellKind::Text),
        SqlValue::Number(digits) => (digits.clone().into_owned(), CellKind::Number),
        SqlValue::Text(text) | SqlValue::Json(text) => (visible(text), CellKind::Text),
        SqlValue::Bytes(bytes) => (STANDARD.encode(bytes), CellKind::Text),
    };
    Cell { text, kind }
}

/// Returns a text on one line, in which characters that affect a terminal are written as in JSON.
fn visible(text: &str) -> String {
    let line = text
        .replace('\n', "\\n")
        .replace('\r', "\\r")
        .replace('\t', "\\t");
    sanitized_json(&line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_visible() {
        assert_eq!(
            visible("a\nb\tc\r\u{1b}[31m\0\u{202E}é"),
            "a\\nb\\tc\\r\\u001b[31m\\u0000\\u202eé"
        );
        assert_eq!(visible("\\u000a"), "\\u000a");
    }
}

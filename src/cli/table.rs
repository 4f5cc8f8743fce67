//! Tables that fit the terminal.

use std::io::{self, IsTerminal};

pub(super) use crate::domain::format::{bytes, counted, duration, history, sanitized, thousands};
use crate::domain::text_table::TextTable;

/// Builds a table, as wide as the terminal at most. Columns whose heading ends in `#` contain
/// numbers and are right-aligned.
pub fn build_table<const N: usize>(
    headings: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    TextTable::new(headings, rows).render(output_width())
}

/// Returns the width of the terminal; `None` if standard output is a file or a pipe, whose reader
/// needs whole names. The variable `COLUMNS` overrides both.
fn output_width() -> Option<usize> {
    let columns = std::env::var("COLUMNS").ok();
    let columns = columns.and_then(|columns| columns.parse().ok());
    columns.filter(|width| *width > 0).or_else(|| {
        let stdout = io::stdout();
        let size = stdout
            .is_terminal()
            .then(|| rustix::termios::tcgetwinsize(&stdout));
        let width = usize::from(size?.ok()?.ws_col);
        (width > 0).then_some(width)
    })
}

//! Tables for people.

use comfy_table::{CellAlignment, Table, presets};

/// A table with these columns; those whose heading ends in a number sign are figures.
pub(super) fn table<const N: usize>(headings: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(headings.map(|heading| heading.trim_end_matches('#')));
    for row in rows {
        table.add_row(row.map(|cell| shown(&cell)));
    }
    for (column, heading) in table.column_iter_mut().zip(headings) {
        column.set_padding((0, 2));
        if heading.ends_with('#') {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// A text on one line: names may hold anything, and a terminal obeys control characters.
pub(super) fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect()
}

/// `1234567` as `1,234,567`.
pub(super) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|g| std::str::from_utf8(g).unwrap_or("")).collect();
    groups.join(",")
}

/// Bytes, to three digits.
pub(super) fn size(bytes: u64) -> String {
    let mut size = bytes as f64;
    let mut units = ["B", "kB", "MB", "GB", "TB", "PB"].iter().peekable();
    while let Some(unit) = units.next() {
        if size < 999.5 || units.peek().is_none() {
            let digits = usize::from(size < 9.95 && *unit != "B");
            return format!("{size:.digits$} {unit}");
        }
        size /= 1000.0;
    }
    String::new()
}

/// A length of time in its two largest units: `3d 4h`, `12s`.
pub(super) fn span(seconds: u64) -> String {
    let units = [(seconds / 86_400, "d"), (seconds / 3600 % 24, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let said: Vec<_> = units
        .iter()
        .skip_while(|(n, _)| *n == 0)
        .take(2)
        .filter(|(n, _)| *n > 0)
        .map(|(n, u)| format!("{n}{u}"))
        .collect();
    if said.is_empty() { "0s".to_owned() } else { said.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_said_as_people_do() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 12, 3600, 3661, 273_601].map(span), ["0s", "12s", "1h", "1h 1m", "3d 4h"]);
    }

    #[test]
    fn sizes_are_said_in_the_unit_that_fits() {
        let said = [0, 999, 1000, 12_345, 999_600, 4_200_000_000, u64::MAX].map(size);
        assert_eq!(said, ["0 B", "999 B", "1.0 kB", "12 kB", "1.0 MB", "4.2 GB", "18447 PB"]);
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(shown("a\x1b[31mb\n"), "a\u{FFFD}[31mb\u{FFFD}");
    }
}

//! Tables of plain text.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::format::sanitized;

/// The blanks between two columns.
const GAP: usize = 2;
/// The width below which a column is not cut. Names shorter than this say nothing.
const MIN_CUT_WIDTH: usize = 12;
const ELLIPSIS: char = '…';

/// A table with aligned columns, two blanks between them, and no blanks at the end of a line.
/// Control characters become U+FFFD.
#[derive(Clone, Debug, Default)]
pub struct TextTable {
    /// The heading and the cells of each column, all of the same length.
    columns: Vec<Column>,
}

#[derive(Clone, Debug, Default)]
struct Column {
    /// The heading, then one cell for each row.
    cells: Vec<String>,
    is_numeric: bool,
}

impl TextTable {
    /// Creates a table. Columns whose heading ends in `#` contain numbers: they are right-aligned,
    /// and are never cut.
    pub fn new<H, R, C>(headings: H, rows: impl IntoIterator<Item = R>) -> Self
    where
        H: IntoIterator<Item: AsRef<str>>,
        R: IntoIterator<Item = C>,
        C: AsRef<str>,
    {
        let headings = headings.into_iter().map(|heading| {
            let heading = heading.as_ref();
            Column {
                cells: vec![sanitized(heading.trim_end_matches('#'))],
                is_numeric: heading.ends_with('#'),
            }
        });
        let mut columns: Vec<Column> = headings.collect();
        for row in rows {
            for (column, cell) in columns.iter_mut().zip(row) {
                column.cells.push(sanitized(cell.as_ref()));
            }
        }
        Self { columns }
    }

    /// Returns the lines of the table. If they are longer than `max_width`, the widest columns of
    /// text are cut in the middle, where names differ least.
    pub fn render(&self, max_width: Option<usize>) -> String {
        let mut widths: Vec<usize> = self.columns.iter().map(Column::width).collect();
        if let Some(max_width) = max_width {
            self.narrow(&mut widths, max_width);
        }
        let rows = self.columns.first().map_or(0, |column| column.cells.len());
        let line = |row: usize| {
            let cells = self.columns.iter().zip(&widths);
            let cells = cells.map(|(column, width)| column.aligned(row, *width));
            let line = cells.collect::<Vec<_>>().join(&" ".repeat(GAP));
            line.trim_end().to_owned()
        };
        (0..rows).map(line).collect::<Vec<_>>().join("\n")
    }

    fn narrow(&self, widths: &mut [usize], max_width: usize) {
        let gaps = GAP * widths.len().saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > max_width {
            let text = self.columns.iter().zip(widths.iter_mut());
            let widest = text
                .filter(|(column, width)| !column.is_numeric && **width > MIN_CUT_WIDTH)
                .map(|(_, width)| width)
                .max_by_key(|width| **width);
            match widest {
                Some(width) => *width -= 1,
                None => return,
            }
        }
    }
}

impl Column {
    fn width(&self) -> usize {
        self.cells
            .iter()
            .map(|cell| cell.width())
            .max()
            .unwrap_or(0)
    }

    fn aligned(&self, row: usize, width: usize) -> String {
        let cell = self.cells.get(row).map_or("", String::as_str);
        let cell = cut(cell, width);
        let blanks = " ".repeat(width.saturating_sub(cell.width()));
        if self.is_numeric {
            blanks + &cell
        } else {
            cell + &blanks
        }
    }
}

/// Replaces the middle of a text by an ellipsis if it is wider than `width`.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let kept = width.saturating_sub(1);
    let head = take_width(text.chars(), kept.div_ceil(2));
    let tail = take_width(text.chars().rev(), kept / 2);
    let tail: String = tail.chars().rev().collect();
    format!("{head}{ELLIPSIS}{tail}")
}

fn take_width(chars: impl Iterator<Item = char>, width: usize) -> String {
    let mut left = width;
    let fits = |c: &char| match left.checked_sub(c.width().unwrap_or(0)) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    };
    chars.take_while(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[[&str; 3]]) -> TextTable {
        TextTable::new(["NAME", "COUNT#", "STATE"], rows.iter().copied())
    }

    #[test]
    fn columns_are_aligned_and_lines_end_without_blanks() {
        let table = table(&[["lobby", "12", "ok"], ["日本", "1,234", ""]]);
        assert_eq!(
            table.render(None),
            "NAME   COUNT  STATE\nlobby     12  ok\n日本   1,234"
        );
        assert_eq!(
            TextTable::new(["A"], Vec::<[&str; 1]>::new()).render(None),
            "A"
        );
    }

    #[test]
    fn too_wide_names_are_cut_in_the_middle_and_numbers_never() {
        let name = "topic=group:dc6dfb6cb100c52499319e79de0429ddf90fb4db";
        let table = table(&[[name, "1,234,567", "ok"], ["short", "1", "behind"]]);
        for width in [40, 60] {
            let text = table.render(Some(width));
            assert!(text.lines().all(|line| line.width() <= width), "{text}");
            assert!(text.contains("topic=") && text.contains("b4db"), "{text}");
            assert!(
                text.contains("1,234,567") && text.contains("short"),
                "{text}"
            );
        }
        let narrowest = table.render(Some(5));
        assert!(narrowest.contains("1,234,567  ok"), "{narrowest}");
        assert!(table.render(Some(200)).contains(name));
    }

    #[test]
    fn wide_characters_are_cut_whole() {
        assert_eq!(cut("日本語日本語", 7), "日…語");
        assert_eq!(cut("abcdefgh", 5), "ab…gh");
    }

    #[test]
    fn control_characters_are_replaced() {
        let table = TextTable::new(["A"], [["x\ny"]]);
        assert_eq!(table.render(None), "A\nx\u{FFFD}y");
    }
}

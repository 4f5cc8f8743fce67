//! The place of a mistake in a query.

use unicode_width::UnicodeWidthStr as _;

use crate::domain::format::sanitized;
use crate::store::query::RejectedQuery;

/// The number of characters of a line that are shown on each side of a mistake.
const MAX_SHOWN: usize = 60;

/// Returns the message with the line of the mistake, a mark below it, and the remedy.
pub(super) fn show(rejected: &RejectedQuery, query: &str) -> String {
    let mut text = rejected.message.clone();
    if let Some(offset) = rejected.offset {
        text.push_str(&place(query, offset));
    }
    if let Some(hint) = &rejected.hint {
        text.push_str("\n  hint: ");
        text.push_str(hint);
    }
    text
}

fn place(query: &str, offset: usize) -> String {
    let before = &query[..query.floor_char_boundary(offset)];
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    let line = query[line_start..].lines().next().unwrap_or_default();
    let number = before.matches('\n').count() + 1;
    let column = before[line_start..].chars().count();
    let skipped = column.saturating_sub(MAX_SHOWN);
    let shown: String = line.chars().skip(skipped).take(2 * MAX_SHOWN).collect();
    let left: String = shown.chars().take(column - skipped).collect();
    format!(
        "\n  at line {number}, column {}:\n    {}\n    {}^",
        column + 1,
        sanitized(&shown),
        " ".repeat(sanitized(&left).width())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_place(query: &str, offset: usize, expected: &str) {
        assert_eq!(place(query, offset), expected);
    }

    #[test]
    fn mistake_is_marked_in_its_line() {
        assert_place(
            "SELECT x",
            7,
            "\n  at line 1, column 8:\n    SELECT x\n           ^",
        );
        assert_place(
            "SELECT\n'消' x;\nz",
            13,
            "\n  at line 2, column 5:\n    '消' x;\n         ^",
        );
        assert_place(
            "SELECT",
            6,
            "\n  at line 1, column 7:\n    SELECT\n          ^",
        );
        assert_place("a\n", 2, "\n  at line 2, column 1:\n    \n    ^");
    }

    #[test]
    fn long_line_is_cut_around_the_mistake() {
        let query = format!("{}x{}", "a".repeat(500), "b".repeat(500));
        let shown = place(&query, 500);
        let (a, b) = ("a".repeat(MAX_SHOWN), "b".repeat(MAX_SHOWN - 1));
        let mark = " ".repeat(MAX_SHOWN);
        assert_eq!(
            shown,
            format!("\n  at line 1, column 501:\n    {a}x{b}\n    {mark}^")
        );
    }
}

//! Printing to standard output. A closed pipe (`| head`) is not an error.

use std::fmt::Display;
use std::io::Write;

use crate::domain::format::{sanitized_json, sanitized_lines};

/// Prints a line, or several. Unsafe characters do not reach the terminal, wherever they come from.
pub(super) fn print_line(line: impl Display) {
    let _ = writeln!(std::io::stdout(), "{}", sanitized_lines(&line.to_string()));
}

/// Prints JSON. Its values stay, whatever characters they hold.
pub(super) fn print_json(json: &serde_json::Value) {
    let _ = writeln!(std::io::stdout(), "{}", sanitized_json(&json.to_string()));
}

/// Prints a line about a problem, and below it the remedy.
pub(super) fn print_with_hint(line: impl Display, hint: impl Display) {
    print_line(format_args!("{line}\n  hint: {hint}"));
}

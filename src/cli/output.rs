//! Printing to standard output. A closed pipe (`| head`) is not an error.

use std::fmt::Display;
use std::io::Write;

/// Prints a line.
pub(super) fn print_line(line: impl Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Prints a line about a problem, and below it the remedy.
pub(super) fn print_with_hint(line: impl Display, hint: impl Display) {
    print_line(format_args!("{line}\n  hint: {hint}"));
}

//! Printing to standard output. A closed pipe (`| head`) is not an error; a full disk is.

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::Mutex;

use serde::Serialize;

use super::error::CliError;
use crate::domain::format::{sanitized_json, sanitized_lines};
use crate::domain::lock::lock;

/// The first failure to write. A command reports it at its end: a table that is cut off is no
/// result.
static FAILURE: Mutex<Option<io::Error>> = Mutex::new(None);

/// Prints a line, or several. Unsafe characters do not reach the terminal, wherever they come from.
pub(super) fn print_line(line: impl Display) {
    let line = sanitized_lines(&line.to_string());
    record(writeln!(io::stdout(), "{line}"));
}

/// Prints JSON. Its values stay, whatever characters they hold.
pub(super) fn print_json(value: &impl Serialize) {
    let json = serde_json::to_string(value).map_err(io::Error::from);
    record(json.and_then(|json| writeln!(io::stdout(), "{}", sanitized_json(&json))));
}

/// Prints a line about a problem, and below it the remedy.
pub(super) fn print_with_hint(line: impl Display, hint: impl Display) {
    print_line(format_args!("{line}\n  hint: {hint}"));
}

/// Prints a document.
pub(super) fn print_document(document: &[u8]) {
    record(io::stdout().write_all(document));
}

/// Writes the rest of the output. Errors with the first failure to write.
pub(super) fn finish() -> Result<(), CliError> {
    record(io::stdout().flush());
    lock(&FAILURE)
        .take()
        .map_or(Ok(()), |error| Err(CliError::Output(error)))
}

fn record(outcome: io::Result<()>) {
    if let Err(error) = outcome
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        lock(&FAILURE).get_or_insert(error);
    }
}

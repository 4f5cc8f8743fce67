//! The text of the file, and positions in it.

use std::path::Path;

use toml::Spanned;
use toml::de::DeTable;

use super::error::{ConfigError, ConfigErrorKind, FilePosition};
use super::secret::Environment;

/// The text of a configuration, with its path and the environment that references are read from.
pub(super) struct ConfigSource<'a> {
    pub(super) text: &'a str,
    pub(super) origin: &'a Path,
    pub(super) environment: Environment<'a>,
}

impl ConfigSource<'_> {
    /// Parses the text as TOML. The parser's own message quotes the line, which may contain a
    /// secret, so only its description is kept.
    pub(super) fn parse(&self) -> Result<Spanned<DeTable<'_>>, ConfigError> {
        DeTable::parse(self.text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            self.error_at(at, ConfigErrorKind::Syntax(error.message().to_owned()))
        })
    }

    /// Returns an error at the byte `at`.
    pub(super) fn error_at(&self, at: usize, kind: ConfigErrorKind) -> ConfigError {
        let position = position_at(self.origin, self.text, at);
        ConfigError::Invalid {
            position,
            kind: Box::new(kind),
        }
    }
}

/// Returns the line and column of the byte `at`.
pub(super) fn position_at(origin: &Path, text: &str, at: usize) -> FilePosition {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    FilePosition {
        file: origin.to_owned(),
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    }
}

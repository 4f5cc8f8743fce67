//! The text of the file, positions in it, and the mistakes that were found.

use std::cell::RefCell;
use std::path::Path;

use toml::Spanned;
use toml::de::DeTable;

use super::error::{ConfigError, ConfigErrorKind, ConfigMistake, FilePosition};
use super::secret::Environment;

/// The maximum number of mistakes that are listed. A longer list would hide its beginning.
const MAX_LISTED_MISTAKES: usize = 20;

/// The secrets that a command uses. They are read when the configuration is loaded, so that a
/// missing one is reported together with all other mistakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsedSecrets<'a> {
    /// None: the command sends nothing to a provider.
    None,
    /// Those of one account.
    Account(&'a str),
    /// Those of all accounts.
    Accounts,
    /// Those of all accounts, and those that only the service uses.
    All,
}

impl<'a> UsedSecrets<'a> {
    /// Returns the secrets of the account `only`, or of all accounts.
    pub fn of_accounts(only: Option<&'a str>) -> Self {
        only.map_or(Self::Accounts, Self::Account)
    }
}

/// The text of a configuration, with its path and the environment that references are read from.
pub(super) struct ConfigSource<'a> {
    pub(super) text: &'a str,
    pub(super) origin: &'a Path,
    pub(super) environment: Environment<'a>,
    pub(super) used_secrets: UsedSecrets<'a>,
    mistakes: RefCell<Vec<Mistake>>,
}

/// A mistake at a byte of the text. Its line and column are computed for a message only: a file may
/// list ten thousand streams.
#[derive(Debug)]
pub(super) struct Mistake {
    at: usize,
    kind: Box<ConfigErrorKind>,
}

impl Mistake {
    pub(super) fn new(at: usize, kind: ConfigErrorKind) -> Self {
        let kind = Box::new(kind);
        Self { at, kind }
    }
}

impl<'a> ConfigSource<'a> {
    pub(super) fn new(
        text: &'a str,
        origin: &'a Path,
        environment: Environment<'a>,
        used_secrets: UsedSecrets<'a>,
    ) -> Self {
        Self {
            text,
            origin,
            environment,
            used_secrets,
            mistakes: RefCell::default(),
        }
    }

    /// Parses the text as TOML. The parser's own message quotes the line, which may contain a
    /// secret, so only its description is kept.
    pub(super) fn parse(&self) -> Result<Spanned<DeTable<'_>>, ConfigError> {
        DeTable::parse(self.text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let kind = ConfigErrorKind::Syntax(error.message().to_owned());
            self.locate(Mistake::new(at, kind)).into()
        })
    }

    /// Returns the folder of the file, where relative paths start.
    pub(super) fn folder(&self) -> &'a Path {
        self.origin.parent().unwrap_or(Path::new(""))
    }

    /// Records a mistake.
    pub(super) fn record(&self, mistake: Mistake) {
        self.mistakes.borrow_mut().push(mistake);
    }

    /// Returns the value, or records the mistake that it is instead.
    pub(super) fn keep<T>(&self, outcome: Result<T, Mistake>) -> Option<T> {
        outcome.map_err(|mistake| self.record(mistake)).ok()
    }

    /// Returns the number of mistakes that were recorded.
    pub(super) fn count_mistakes(&self) -> usize {
        self.mistakes.borrow().len()
    }

    /// Returns what was read from the text, or all mistakes.
    pub(super) fn finish<T>(&self, read: Option<T>) -> Result<T, ConfigError> {
        let mut mistakes = self.mistakes.take();
        match read {
            Some(read) if mistakes.is_empty() => return Ok(read),
            _ => {}
        }
        let concerns_whole_file =
            |mistake: &Mistake| matches!(*mistake.kind, ConfigErrorKind::MissingAccount);
        mistakes.sort_by_key(|mistake| (concerns_whole_file(mistake), mistake.at));
        let unlisted = mistakes.len().saturating_sub(MAX_LISTED_MISTAKES);
        mistakes.truncate(MAX_LISTED_MISTAKES);
        let mistakes = mistakes.into_iter().map(|mistake| self.locate(mistake));
        Err(ConfigError::Invalid {
            mistakes: mistakes.collect(),
            unlisted,
        })
    }

    fn locate(&self, mistake: Mistake) -> ConfigMistake {
        ConfigMistake {
            position: position_at(self.origin, self.text, mistake.at),
            kind: mistake.kind,
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

//! The errors of a configuration.
//!
//! Every mistake is one line with `file:line:column`, the problem and the remedy. No message quotes
//! a line of the file or the value of a credential, because messages end up in logs.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::value_error::ValueError;

/// The configuration cannot be used. A retry does not help: a person has to change something.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no file at any of the paths.
    #[error(
        "there is no configuration at {}: name one with --config, or begin with the config.toml \
         that Backscroll ships",
        alternatives(paths)
    )]
    NotFound { paths: Vec<PathBuf> },
    /// The file exists, but the system does not let this process read it.
    #[error("{} cannot be read: {cause}; let the user that runs Backscroll read it", path.display())]
    Unreadable { path: PathBuf, cause: io::Error },
    /// The content of the file is invalid.
    #[error("{}", lines(mistakes, *unlisted))]
    Invalid {
        /// The mistakes in the order of the file: at least one.
        mistakes: Vec<ConfigMistake>,
        /// The number of further mistakes, beyond the longest list that helps a reader.
        unlisted: usize,
    },
}

impl ConfigError {
    /// Returns the message in parts: one for each mistake.
    pub fn messages(&self) -> Vec<String> {
        self.to_string().lines().map(str::to_owned).collect()
    }
}

/// A mistake in a configuration file, with its position.
#[derive(Debug, thiserror::Error)]
#[error("{position}: {kind}")]
pub struct ConfigMistake {
    pub position: FilePosition,
    pub kind: Box<ConfigErrorKind>,
}

impl From<ConfigMistake> for ConfigError {
    fn from(mistake: ConfigMistake) -> Self {
        Self::Invalid {
            mistakes: vec![mistake],
            unlisted: 0,
        }
    }
}

fn lines(mistakes: &[ConfigMistake], unlisted: usize) -> String {
    let mut lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    if unlisted > 0 {
        lines.push(format!("… and {unlisted} more mistakes in this file"));
    }
    lines.join("\n")
}

fn alternatives(paths: &[PathBuf]) -> String {
    let paths: Vec<String> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    match paths.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// A position in a configuration file, displayed as `file:line:column`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePosition {
    /// The path as it was given.
    pub file: PathBuf,
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
}

impl fmt::Display for FilePosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// The problem at a [`FilePosition`]. The message of each variant explains it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigErrorKind {
    #[error("the file is not UTF-8 text from here on: save it as UTF-8")]
    NotUtf8,
    #[error("this is not TOML: {0}")]
    Syntax(String),
    #[error("unknown {what} `{name}` in {table}{} {}", did_you_mean(*nearest), known.join(", "))]
    UnknownKey {
        /// `key` or `table`.
        what: &'static str,
        name: String,
        table: &'static str,
        /// The known key with the most similar name, if one is similar enough.
        nearest: Option<&'static str>,
        known: &'static [&'static str],
    },
    #[error("{table} has no `{key}`: add it as in the config.toml that Backscroll ships")]
    MissingKey {
        table: &'static str,
        key: &'static str,
    },
    /// A key has an invalid value.
    #[error("`{key}` {error}")]
    InvalidValue {
        key: &'static str,
        error: ValueError,
    },
    #[error("there is no account: add an [[agora]] or a [[web3mq]] table")]
    MissingAccount,
    #[error(
        "this name is already used by the account in line {first_line}: give each account its own \
         name, across both providers"
    )]
    DuplicateName { first_line: usize },
    #[error("this account follows no stream: make `streams` {form}")]
    MissingStreams { form: &'static str },
    #[error("this stream is already listed in line {first_line}: remove one of the two")]
    DuplicateStream { first_line: usize },
    #[error("this stream has neither `source` nor `destination`: give it at least one of them")]
    StreamWithoutFilter,
    #[error(
        "`kind` describes the `destination`, and this stream has none: remove `kind`, or add \
         `destination`"
    )]
    KindWithoutDestination,
    #[error(
        "this account has no credentials: add `customer_id` and `customer_secret`, or \
         `app_certificate` and `uid`, or `token` and `uid`, or `token` alone"
    )]
    MissingCredentials,
    #[error(
        "this account has two kinds of credentials: keep either `customer_id` and \
         `customer_secret`, or `app_certificate` and `uid`, or `token` (with or without `uid`)"
    )]
    ConflictingCredentials,
    #[error(
        "this account has both `token` and `app_certificate`: keep `app_certificate` to have tokens \
         made, or `token` if others make them"
    )]
    TokenAndCertificate,
    #[error(
        "`retention` is shorter than `settle`: messages would expire before their range can be \
         sealed; lengthen `retention` or shorten `settle`"
    )]
    RetentionShorterThanSettle,
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(
        || "; known here:".to_owned(),
        |name| format!(": did you mean `{name}`? Known here:"),
    )
}

//! What can be wrong with a configuration, and what to do about it.
//!
//! Every message is one line that names `file:line:column`, what is wrong, and the remedy. None quotes a line of the
//! file or the value of a credential: whatever is printed here may end in a log.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::value_error::Fault;

/// Why there is no usable configuration. Nothing here passes by itself: a person has to change something.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No file stands at the path.
    #[error(
        "there is no configuration at {}: name one with --config, or begin with the config.toml that Backscroll ships",
        path.display()
    )]
    NotFound { path: PathBuf },
    /// The file is there, but the system does not let us read it.
    #[error("{} cannot be read: {cause}; let the user that runs Backscroll read it", path.display())]
    Unreadable { path: PathBuf, cause: io::Error },
    /// The file says something that cannot be meant.
    #[error("{place}: {problem}")]
    Invalid {
        place: FilePosition,
        problem: Box<ConfigErrorKind>,
    },
}

/// A place in a configuration file, shown as `file:line:column`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePosition {
    /// The file, by the name it was asked for.
    pub file: PathBuf,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
}

impl fmt::Display for FilePosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// What is wrong at a [`Place`]. Each variant's message says what it stands for.
#[derive(Debug, thiserror::Error)]
pub enum ConfigErrorKind {
    #[error("the file is not UTF-8 text from here on: save it as UTF-8")]
    NotUtf8,
    #[error("this is not TOML: {0}")]
    Syntax(String),
    #[error("unknown {what} `{name}` in {table}{} {}", did_you_mean(*nearest), known.join(", "))]
    Unknown {
        /// `key` or `table`.
        what: &'static str,
        name: String,
        table: &'static str,
        nearest: Option<&'static str>,
        known: &'static [&'static str],
    },
    #[error("{table} lacks `{key}`: add it, the way the config.toml that Backscroll ships does")]
    MissingKey {
        table: &'static str,
        key: &'static str,
    },
    /// One key has a value that it cannot have.
    #[error("`{key}` {fault}")]
    Value { key: &'static str, fault: Fault },
    #[error("there is no account: add an [[agora]] or a [[web3mq]] table")]
    MissingAccount,
    #[error(
        "this name is taken by the account in line {first_line}: give each account its own, across both providers"
    )]
    DuplicateName { first_line: usize },
    #[error("this account follows no stream: make `streams` {form}")]
    MissingStreams { form: &'static str },
    #[error("this stream is listed already in line {first_line}: remove one of the two")]
    DuplicateStream { first_line: usize },
    #[error("this stream has neither `source` nor `destination`: give it at least one of them")]
    StreamWithoutFilter,
    #[error(
        "`kind` tells what a `destination` is, and this stream has none: remove `kind`, or add `destination`"
    )]
    KindWithoutDestination,
    #[error(
        "this account has no credentials: add `customer_id` and `customer_secret`, or `token` and `uid`, or `token` alone"
    )]
    MissingCredentials,
    #[error(
        "this account has two kinds of credentials: keep either `customer_id` and `customer_secret`, or `token` (with or \
         without `uid`)"
    )]
    ConflictingCredentials,
    #[error(
        "`retention` is shorter than `settle`: a message would leave the provider before it is trusted to be \
         complete; lengthen `retention` or shorten `settle`"
    )]
    RetentionShorterThanSettle,
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(
        || "; known here:".to_owned(),
        |name| format!(": did you mean `{name}`? Known here:"),
    )
}

//! The URL of a database, parsed and redacted.

use std::fmt;
use std::path::{Path, PathBuf};

use sqlx::postgres::PgConnectOptions;

use super::value_error::ValueError;

/// The kind and location of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// An SQLite file. A relative path starts at the folder of the configuration, or at the
    /// working directory if a flag named it.
    Sqlite(PathBuf),
    /// A database of a Postgres server, version 13 or newer. `PGPASSWORD`, `~/.pgpass` and the
    /// other variables of libpq supply the parts that the URL omits.
    Postgres(PostgresServer),
}

impl DatabaseUrl {
    /// Returns this URL with a relative path taken from `folder`.
    pub(super) fn below(self, folder: &Path) -> Self {
        match self {
            Self::Sqlite(path) => Self::Sqlite(folder.join(path)),
            server @ Self::Postgres(_) => server,
        }
    }
}

/// The connection options of a Postgres server. Debug output is redacted, since they may contain a
/// password.
#[derive(Clone)]
pub struct PostgresServer {
    options: Box<PgConnectOptions>,
    /// The hash of the URL. Two servers are equal if their URLs are.
    url_hash: blake3::Hash,
}

impl PostgresServer {
    pub(super) fn parse(url: &str) -> Result<Self, ValueError> {
        let options = url.parse().map_err(|_| ValueError::PostgresUrl)?;
        Ok(Self {
            options: Box::new(options),
            url_hash: blake3::hash(url.as_bytes()),
        })
    }

    /// True if the URL or `PGDATABASE` names a database. Otherwise the server uses the one with
    /// the name of the user.
    pub fn names_database(&self) -> bool {
        self.options.get_database().is_some()
    }

    /// Returns the options for sqlx.
    pub fn options(&self) -> PgConnectOptions {
        (*self.options).clone()
    }
}

impl PartialEq for PostgresServer {
    fn eq(&self, other: &Self) -> bool {
        self.url_hash == other.url_hash
    }
}

impl Eq for PostgresServer {}

impl fmt::Debug for PostgresServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostgresServer([REDACTED])")
    }
}

/// True if a URL contains a password, in either of the positions that Postgres supports.
pub(crate) fn has_password(url: &str) -> bool {
    reqwest::Url::parse(url).is_ok_and(|url| {
        url.password().is_some() || url.query_pairs().any(|(key, _)| key == "password")
    })
}

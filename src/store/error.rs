//! What can go wrong with the database.

/// The archive could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the archive {place} cannot be opened: {source}")]
    Open { place: String, source: sqlx::Error },

    #[error("there is no archive in {place}")]
    NotFound { place: String },

    #[error(
        "{place} is a database of something else: it has tables, and none of them is Backscroll's"
    )]
    NotAnArchive { place: String },

    /// One process at a time works on it.
    #[error("{what} is in the hands of another Backscroll: {holder}")]
    InUse { what: String, holder: String },

    /// A later Backscroll has changed the tables.
    #[error(
        "the archive was written by a newer Backscroll: it has schema {found}, and this one knows up to {known}"
    )]
    SchemaTooNew { found: i64, known: i64 },

    /// Whoever only reads brings no tables up to date.
    #[error(
        "the archive was written by an older Backscroll: it has schema {found}, and this one reads {known}"
    )]
    SchemaTooOld { found: i64, known: i64 },

    /// An archive from before the first release, whose tables were made by other migrations.
    #[error(
        "the archive was made by an unreleased version of Backscroll, whose tables this version does not know"
    )]
    SchemaUnreleased,

    /// The record of schema changes is not the one that this program would have written.
    #[error("the archive's schema is not one of Backscroll's: {0}")]
    UnknownSchema(sqlx::migrate::MigrateError),

    #[error("the database failed at `{what}`: {source}")]
    Database {
        what: &'static str,
        source: sqlx::Error,
    },

    /// What the database holds contradicts what was just written or read.
    #[error("the archive contradicts itself at `{what}`: {fault}")]
    Inconsistent { what: &'static str, fault: String },
}

impl StoreError {
    /// What the operator can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Open { .. } => {
                "see whether database.url is right: an SQLite file in a folder that may be written, or a server that answers"
            }
            Self::InUse { .. } => {
                "wait until it is done, or stop it; whatever it has is let go when it ends, however it ends"
            }
            Self::NotFound { .. } => "`backscroll sync` or `backscroll migrate` makes it",
            Self::SchemaTooNew { .. } => "install the newer Backscroll; the archive is unharmed",
            Self::SchemaTooOld { .. } => "`backscroll migrate` brings it up to date",
            Self::SchemaUnreleased => {
                "name another database in database.url and archive again: what the providers still have is fetched; \
                 this archive is unharmed, and its views can still be read with any SQL tool"
            }
            Self::UnknownSchema(_) => {
                "see whether database.url names the right file; the archive is unharmed"
            }
            Self::Database { source, .. } if is_unwritable(source) => {
                "see whether the disk is full, or failing; nothing is lost: what was not committed is fetched again once \
                 it can be written"
            }
            Self::Database { source, .. } if is_corruption(source) => {
                "the file is damaged: keep a copy, restore a backup or save what can be read (`sqlite3 archive.db .recover`); \
                 what the providers still have is fetched again"
            }
            Self::NotAnArchive { .. } => {
                "name another file in database.url; this one is left as it was"
            }
            Self::Database { .. } => "nothing is lost; what was not committed is fetched again",
            Self::Inconsistent { .. } => "this is a bug; please report it with this message",
        }
    }

    /// Whether the database has no room left, or cannot write for another reason.
    pub fn is_unwritable(&self) -> bool {
        matches!(self, Self::Database { source, .. } | Self::Open { source, .. } if is_unwritable(source))
    }

    /// Whether the same may succeed a little later: the server restarts, a connection was cut, a statement took too
    /// long, another process holds the file.
    pub fn is_transient(&self) -> bool {
        use sqlx::Error::{Database, Io, PoolTimedOut, Protocol, WorkerCrashed};
        let (Self::Database { source, .. } | Self::Open { source, .. }) = self else {
            return matches!(self, Self::InUse { .. });
        };
        match source {
            Io(_) | PoolTimedOut | Protocol(_) | WorkerCrashed => true,
            // Postgres: connections, resources, interventions of the operator, deadlocks. SQLite: busy, locked.
            Database(error) => error.code().is_some_and(|code| {
                ["08", "53", "57", "40"].iter().any(|class| code.len() == 5 && code.starts_with(class))
                    || matches!(code.parse::<u32>().map(|code| code & 0xFF), Ok(5 | 6) if code.len() < 5)
            }),
            _ => false,
        }
    }

    /// For `map_err`: a failure of the driver at a named step.
    pub(super) fn at(what: &'static str) -> impl Fn(sqlx::Error) -> Self {
        move |source| Self::Database { what, source }
    }
}

/// Whether SQLite says that the file itself is broken.
fn is_corruption(error: &sqlx::Error) -> bool {
    const CORRUPT: u32 = 11;
    sqlite_code(error).is_some_and(|code| code & 0xFF == CORRUPT)
}

/// Whether the database has no room left or cannot write for another reason, by the codes of either kind.
fn is_unwritable(error: &sqlx::Error) -> bool {
    const IO: u32 = 10;
    const FULL: u32 = 13;
    const DISK_FULL: &str = "53100";
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    code.as_deref() == Some(DISK_FULL)
        || sqlite_code(error).is_some_and(|code| [IO, FULL].contains(&(code & 0xFF)))
}

fn sqlite_code(error: &sqlx::Error) -> Option<u32> {
    error
        .as_database_error()
        .and_then(|error| error.code()?.parse().ok())
}

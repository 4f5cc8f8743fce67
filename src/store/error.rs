//! Errors of the archive.

use super::failure::{PRIMARY, RIGHTS, describe, remedy, sqlite_remedy};
use super::path_fault::PathFault;
use crate::domain::account::{IdentityDifference, IdentityPart};

/// A failure to open, read or write the archive.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the archive {location} cannot be opened: {}", describe(source))]
    Open {
        location: String,
        source: sqlx::Error,
    },

    /// The path of an SQLite archive is wrong, or this user has no right to it.
    #[error("the archive {location} cannot be opened: {fault}")]
    Path { location: String, fault: PathFault },

    /// A role of a Postgres server lacks a right.
    #[error("in {location} the role `{role}` may not {right}")]
    Denied {
        location: String,
        role: String,
        /// The right, as the end of "may not …".
        right: &'static str,
    },

    /// The server is a standby, or the settings of the role or the database forbid changes.
    #[error("{location} cannot be written: the server makes all transactions read-only")]
    ReadOnlyServer { location: String },

    #[error("there is no archive in {location}")]
    NotFound { location: String },

    #[error("{location} is another program's database: it has tables, but none of Backscroll")]
    NotAnArchive { location: String },

    /// Another process works on the archive or the account.
    #[error("{what} is in use by another Backscroll: {holder}")]
    InUse { what: String, holder: String },

    /// A database in another encoding cannot hold every text.
    #[error("the database {location} has the encoding {encoding}, and not UTF8")]
    Encoding { location: String, encoding: String },

    /// A pooler gives a connection another session for each transaction. Locks and settings of a
    /// session would be lost, or meet another client.
    #[error("{location} is reached through a pooler in which clients share sessions")]
    SharedSessions { location: String },

    /// The file of an SQLite archive, or its log, is not the one that is open. Nothing more is
    /// written.
    #[error("the archive {location} was removed or replaced while it was open")]
    Replaced { location: String },

    /// A reader that may not lock an SQLite file cannot tell what a writer changes under it.
    #[error("another process wrote to the archive {location} while it was read without a lock")]
    WrittenWhileRead { location: String },

    /// The archive knows an account's name as that of another account.
    #[error(
        "the archive holds another account as `{account}`: its {} is `{}` there and `{}` in the \
         configuration",
        difference.part, difference.archived, difference.configured
    )]
    OtherIdentity {
        account: String,
        difference: IdentityDifference,
    },

    /// A later version of Backscroll has changed the tables.
    #[error(
        "the archive was written by a newer Backscroll: \
         it has schema {found}, this version knows up to {known}"
    )]
    SchemaTooNew { found: i64, known: i64 },

    /// A reader does not upgrade the tables.
    #[error(
        "the archive was written by an older Backscroll: \
         it has schema {found}, this version reads {known}"
    )]
    SchemaTooOld { found: i64, known: i64 },

    /// The archive dates from before the first release. Other migrations created its tables.
    #[error(
        "the archive was made by an unreleased version of Backscroll, \
         whose tables this version does not know"
    )]
    SchemaUnreleased,

    /// The record of migrations differs from the one that this program would have written.
    #[error("the archive's schema is not one of Backscroll's: {0}")]
    UnknownSchema(sqlx::migrate::MigrateError),

    #[error("the database failed at `{what}`: {}", describe(source))]
    Database {
        what: &'static str,
        source: sqlx::Error,
    },

    /// SQLite failed at a query of a person, whatever the query.
    #[error("the database failed at a query: {message} (code {sqlite_code})")]
    Query { message: String, sqlite_code: u32 },

    /// The database content contradicts a statement that succeeded or a rule of the schema.
    #[error("the archive contradicts itself at `{what}`: {fault}")]
    Inconsistent { what: &'static str, fault: String },
}

impl StoreError {
    /// Returns what the operator can do about the error.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Open { source, .. } | Self::Database { source, .. }
                if is_connection_limit(source) =>
            {
                "Backscroll needs two connections and uses up to eight: raise the limit of the role \
                 (`ALTER ROLE … CONNECTION LIMIT 8`), of the database, the pooler or the server, \
                 or stop other clients"
            }
            Self::Encoding { .. } => {
                "create the database with `createdb --encoding=UTF8 -T template0`"
            }
            Self::SharedSessions { .. } => {
                "Backscroll's locks and settings belong to a session: let the pooler give each \
                 client a session of its own (PgBouncer: pool_mode=session for this database or \
                 user), or name the server's own port in database.url"
            }
            Self::Open { source, .. } => remedy(source).unwrap_or(
                "check database.url or --database: it must name an SQLite file in a writable \
                 folder, or a server that answers",
            ),
            Self::Path { fault, .. } => fault.hint(),
            Self::Denied { .. } => RIGHTS,
            Self::ReadOnlyServer { .. } => PRIMARY,
            Self::InUse { .. } => {
                "wait until the other process is done, or stop it; \
                 its locks are released when it ends, even after a crash"
            }
            Self::Replaced { .. } => {
                "nothing more was written to it; the service and the next command open the file \
                 that is there now, or begin a new archive, and fetch again what the providers \
                 still have; stop the service before moving its files"
            }
            Self::WrittenWhileRead { .. } => {
                "run the command again; a user that may write in the archive's folder reads it \
                 beside a writer"
            }
            Self::NotFound { .. } => {
                "check database.url or --database; `backscroll sync` or `backscroll migrate` creates it"
            }
            Self::OtherIdentity { difference, .. } if difference.part == IdentityPart::Node => {
                "two nodes may have different histories: give this one another `name` in the \
                 configuration; if the node has moved and kept its history, name its earlier \
                 address in `moved_from`"
            }
            Self::OtherIdentity { .. } => {
                "two histories must not be mixed under one name: give this account another `name` \
                 in the configuration, or correct the setting"
            }
            Self::SchemaTooNew { .. } => "install the newer Backscroll; the archive is unharmed",
            Self::SchemaTooOld { .. } => "`backscroll migrate` upgrades it",
            Self::SchemaUnreleased => {
                "name another database in database.url and archive again: what the providers \
                 still have is fetched; this archive is unharmed, and its views can still be \
                 read with any SQL tool"
            }
            Self::UnknownSchema(_) => {
                "check that database.url or --database names the right file; the archive is unharmed"
            }
            Self::Database { source, .. } if is_unwritable(source) => {
                "check if the disk is full, read-only or failing; no data is lost: \
                 messages that were not committed are fetched again once it is writable"
            }
            Self::NotAnArchive { .. } => "name another file in database.url; this one is unchanged",
            Self::Database { source, .. } => remedy(source)
                .unwrap_or("no data is lost; messages that were not committed are fetched again"),
            Self::Query { sqlite_code, .. } => {
                sqlite_remedy(sqlite_code & 0xFF).unwrap_or("nothing was changed; try again")
            }
            Self::Inconsistent { .. } => "this is a bug; please report it with this message",
        }
    }

    /// True if the disk is full, or the database cannot write for another reason.
    pub fn is_unwritable(&self) -> bool {
        match self {
            Self::Database { source, .. } | Self::Open { source, .. } => is_unwritable(source),
            _ => false,
        }
    }

    /// True if the same operation may succeed soon: the server restarts, a connection was cut, a
    /// statement took too long, or another process holds the archive.
    pub fn is_transient(&self) -> bool {
        use sqlx::Error::{Database, Io, PoolTimedOut, Protocol, WorkerCrashed};
        let (Self::Database { source, .. } | Self::Open { source, .. }) = self else {
            return matches!(self, Self::InUse { .. });
        };
        match source {
            Io(_) | PoolTimedOut | Protocol(_) | WorkerCrashed => true,
            Database(error) => error.code().is_some_and(|code| is_transient_code(&code)),
            _ => false,
        }
    }

    /// True if the database refuses a value: the same commit would always fail.
    pub(super) fn is_refusal(&self) -> bool {
        use sqlx::error::ErrorKind::{ForeignKeyViolation, UniqueViolation};
        let Self::Database { source, .. } = self else {
            return false;
        };
        match source {
            sqlx::Error::Encode(_) => true,
            sqlx::Error::Database(error) => {
                !matches!(error.kind(), ForeignKeyViolation | UniqueViolation)
                    && error.code().is_some_and(|code| is_refusal_code(&code))
            }
            _ => false,
        }
    }

    /// Returns a function for `map_err` that wraps a driver's failure at the step `what`.
    pub(super) fn at(what: &'static str) -> impl Fn(sqlx::Error) -> Self {
        move |source| Self::Database { what, source }
    }
}

/// True for Postgres codes of connections, resources, operator intervention and deadlocks, and for
/// the SQLite codes of a busy or locked file.
fn is_transient_code(code: &str) -> bool {
    const POSTGRES_CLASSES: [&str; 4] = ["08", "53", "57", "40"];
    const BUSY: u32 = 5;
    const LOCKED: u32 = 6;
    if code.len() == 5 {
        return POSTGRES_CLASSES.iter().any(|class| code.starts_with(class));
    }
    let primary = code.parse::<u32>().map(|code| code & 0xFF);
    code.len() < 5 && matches!(primary, Ok(BUSY | LOCKED))
}

/// True for the Postgres codes of data, constraints and limits, and for the SQLite codes of a value
/// that is too large, violates a constraint or has the wrong type.
fn is_refusal_code(code: &str) -> bool {
    const POSTGRES_CLASSES: [&str; 3] = ["22", "23", "54"];
    const SQLITE_CODES: [u32; 3] = [18, 19, 20];
    if code.len() == 5 {
        return POSTGRES_CLASSES.iter().any(|class| code.starts_with(class));
    }
    let primary = code.parse::<u32>().map(|code| code & 0xFF);
    code.len() < 5 && primary.is_ok_and(|primary| SQLITE_CODES.contains(&primary))
}

/// True if Postgres has too many connections: of the role, the database or the server.
pub(super) fn is_connection_limit(error: &sqlx::Error) -> bool {
    const TOO_MANY_CONNECTIONS: &str = "53300";
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    code.as_deref() == Some(TOO_MANY_CONNECTIONS)
}

/// True if the disk is full or the database cannot write for another reason.
fn is_unwritable(error: &sqlx::Error) -> bool {
    const READ_ONLY: u32 = 8;
    const IO: u32 = 10;
    const FULL: u32 = 13;
    const DISK_FULL: &str = "53100";
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    if code.as_deref() == Some(DISK_FULL) {
        return true;
    }
    sqlite_code(error).is_some_and(|code| [READ_ONLY, IO, FULL].contains(&(code & 0xFF)))
}

fn sqlite_code(error: &sqlx::Error) -> Option<u32> {
    error
        .as_database_error()
        .and_then(|error| error.code()?.parse().ok())
}

//! Connections for readers that SQLite itself keeps from changing anything.
//!
//! The driver of the store has no authorizer, its raw handle needs unsafe code, and it copies each
//! value of a row on its own. So these are connections of `rusqlite`, which uses the same SQLite.

use std::path::Path;

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};

use crate::store::archive_file::has_log;
use crate::store::error::StoreError;
use crate::store::limits::query::MAX_VALUE_BYTES;
use crate::store::limits::sqlite::BUSY_TIMEOUT;
use crate::store::path_fault::require_writable;

/// The pragmas that show something and change nothing, even with an argument.
const READING_PRAGMAS: [&str; 14] = [
    "collation_list",
    "compile_options",
    "data_version",
    "database_list",
    "foreign_key_list",
    "function_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "module_list",
    "pragma_list",
    "table_info",
    "table_list",
    "table_xinfo",
];

/// Opens a connection for queries of the program.
pub(super) fn open_to_read(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = if is_read_alone(path) {
        let path = percent_encode(path.as_os_str().as_encoded_bytes(), NON_ALPHANUMERIC);
        let uri = format!("file:{path}?immutable=1");
        Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI)?
    } else {
        Connection::open_with_flags(path, flags)?
    };
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// Opens a connection for queries of people.
pub(in crate::store) fn open_guarded(path: &Path) -> rusqlite::Result<Connection> {
    let connection = open_to_read(path)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    // A misspelt column in double quotes would be a text.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)?;
    connection.authorizer(Some(authorize))?;
    Ok(connection)
}

/// Allows what reads, and refuses everything else.
fn authorize(context: AuthContext<'_>) -> Authorization {
    let reads = match context.action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => true,
        AuthAction::Function { function_name } => {
            !function_name.eq_ignore_ascii_case("load_extension")
        }
        AuthAction::Pragma { pragma_name, .. } => READING_PRAGMAS
            .iter()
            .any(|known| known.eq_ignore_ascii_case(pragma_name)),
        _ => false,
    };
    if reads {
        Authorization::Allow
    } else {
        Authorization::Deny
    }
}

/// Returns the error of a query that would fail whatever it asks for.
pub(in crate::store) fn query_failure(cause: rusqlite::ffi::Error, message: String) -> StoreError {
    StoreError::Query {
        message,
        sqlite_code: cause.extended_code.unsigned_abs(),
    }
}

/// True if the archive is read as on a read-only file system: nobody has it open, and this user may
/// not make the files beside it.
pub(super) fn is_read_alone(path: &Path) -> bool {
    require_writable(path).is_err() && !has_log(path)
}

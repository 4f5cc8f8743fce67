//! The words for failures of a database, and the remedy for each that is known.

use sqlx::Error;

/// Returns the database's own message with its code. (The driver's text of a Postgres error ends in
/// a line number of the server's source, which reads like a line of the configuration.)
pub(super) fn describe(error: &Error) -> String {
    match error {
        Error::Database(error) => match error.code() {
            Some(code) => format!("{} (code {code})", error.message()),
            None => error.message().to_owned(),
        },
        Error::Io(error) => error.to_string(),
        Error::Tls(error) => format!("TLS failed: {error}"),
        other => other.to_string(),
    }
}

/// Returns what the operator can do about a failure, if its cause is known.
pub(super) fn remedy(error: &Error) -> Option<&'static str> {
    match error {
        Error::Database(database) => {
            let code = database.code().unwrap_or_default();
            match code.parse::<u32>() {
                Ok(number) if code.len() < 5 => sqlite_remedy(number & 0xFF),
                _ => postgres_remedy(&code, database.message()),
            }
        }
        Error::Tls(cause) if cause.to_string().contains("does not support TLS") => Some(
            "turn TLS on at the server, or write sslmode=disable in database.url if the server \
             is on this machine",
        ),
        Error::Tls(_) => Some(CERTIFICATE),
        Error::Io(cause) => io_remedy(cause),
        _ => None,
    }
}

/// Returns what the operator can do about a failure of SQLite.
pub(super) fn sqlite_remedy(primary_code: u32) -> Option<&'static str> {
    const READ_ONLY: u32 = 8;
    const CORRUPT: u32 = 11;
    const CANNOT_OPEN: u32 = 14;
    const NOT_A_DATABASE: u32 = 26;
    match primary_code {
        READ_ONLY => Some(
            "run Backscroll as the user that owns the archive, or change the owner of the file \
             and of its -wal, -shm and .lock files (`chown`)",
        ),
        CORRUPT => Some(
            "the file is damaged: keep a copy, then restore a backup or recover the readable \
             part (`sqlite3 archive.db .recover`); messages that the providers still have are \
             fetched again",
        ),
        CANNOT_OPEN => Some(
            "check that the folder of the archive exists and is writable; a reader needs its -wal \
             and -shm files as well",
        ),
        NOT_A_DATABASE => Some("name another file in database.url; this one is unchanged"),
        _ => None,
    }
}

fn postgres_remedy(code: &str, message: &str) -> Option<&'static str> {
    match code {
        "28P01" => Some(
            "correct the password, in database.url, PGPASSWORD or ~/.pgpass (which must have mode \
             0600), or the user in database.url",
        ),
        "28000" if message.contains("pg_hba.conf") => Some(
            "let the server admit this user from this machine (pg_hba.conf); if the message ends \
             in `no encryption`, write sslmode=require in database.url",
        ),
        "28000" => Some(
            "create the role (`createuser NAME`), or correct the user in database.url; without \
             one, it is the name of the system's user",
        ),
        "3D000" => Some(
            "create the database (`createdb NAME`), or correct its name in database.url; without \
             one, it is the name of the user",
        ),
        "08P01" if message.contains("startup parameter") => Some(
            "the pooler refuses a parameter that database.url or PGOPTIONS adds (`options`): set it \
             for the role or the database (ALTER ROLE … SET …), or name the server's own port in \
             database.url",
        ),
        "42501" | "3F000" => Some(RIGHTS),
        "25006" => Some(PRIMARY),
        "57P03" => Some("the server is starting or stopping: try again in a moment"),
        _ => None,
    }
}

/// The remedy for a role of a Postgres server that lacks a right.
pub(super) const RIGHTS: &str = "make the role the owner of the database (ALTER DATABASE … OWNER TO \
     …), or GRANT CREATE ON SCHEMA public and ON DATABASE … TO it; a role that only reads gets its rights from \
     `backscroll migrate --reader ROLE`";

/// The remedy for a server that can only be read.
pub(super) const PRIMARY: &str = "name the primary server in database.url: a standby can only be \
    read; `status`, `verify` and `plan` work there";

/// The remedy for a certificate that is not trusted.
const CERTIFICATE: &str = "name the certificate's authority with sslrootcert=FILE in database.url, \
    and the server by the name in its certificate; sslmode=require does not check the certificate";

fn io_remedy(cause: &std::io::Error) -> Option<&'static str> {
    use std::io::ErrorKind::{ConnectionRefused, NotFound, TimedOut};
    match cause.kind() {
        _ if cause.to_string().contains("certificate") => Some(CERTIFICATE),
        ConnectionRefused | NotFound => {
            Some("check that the server runs, and that host and port in database.url are right")
        }
        TimedOut => Some("check host and port in database.url, and firewalls between the machines"),
        _ if cause.to_string().contains("lookup") => {
            Some("correct the host in database.url, or the name service of this machine")
        }
        _ => None,
    }
}

//! The errors of single values. Each message continues a sentence that begins with the key.

use std::io;
use std::path::PathBuf;

use crate::domain::format::counted;
use crate::domain::time::ParseTimeError;

/// A key has an invalid value. The message of each variant explains it.
#[derive(Debug, thiserror::Error)]
pub enum ValueError {
    #[error("must be {expected}, but is {found}")]
    WrongType {
        expected: &'static str,
        found: &'static str,
    },
    #[error("is empty: fill it in, or remove the line if the key is optional")]
    Empty,
    #[error("contains a line break or another control character: remove it")]
    ControlCharacter,
    #[error(
        "contains a character that is not printable ASCII and cannot be sent in a header: correct it"
    )]
    NotAscii,
    #[error("must be 1 to 64 of the letters a-z and A-Z, digits, `_`, `-` and `.`")]
    AccountName,
    #[error("must be letters, digits, `_` and `-` only: copy the App ID from the Agora console")]
    AppId,
    #[error(
        "must be 32 hexadecimal digits: copy the primary certificate of the project from the Agora \
         console"
    )]
    AppCertificate,
    #[error("must be the name of an HTTP header, like x-agora-token")]
    HeaderName,
    #[error("must be from {low} to {high}")]
    OutOfRange { low: f64, high: f64 },
    #[error("must be \"channel\" or \"user\"")]
    Kind,
    #[error("must be true, false or \"events\"")]
    Discover,
    #[error(
        "cannot be \"events\", since only Agora has event feeds: write true, which reads Web3MQ's \
         lists of chats"
    )]
    DiscoverEvents,

    #[error(
        "is not a duration: write a whole number and its unit (ms, s, m, h, d or w), like \"90s\", \
         \"7d\" or \"1h30m\""
    )]
    NotADuration,
    #[error("is zero: write a duration longer than zero")]
    ZeroDuration,
    #[error("is longer than 100 years (36500d): shorten it")]
    LongDuration,
    #[error(
        "must be from 1s to 10m: a shorter timeout cuts off good responses, a longer one lets a \
         dead connection block the account"
    )]
    Timeout,
    #[error("is invalid: {0}")]
    Time(#[from] ParseTimeError),

    #[error(
        "has five fields: seconds come first, so write \"0 {0}\" for that schedule (second, \
         minute, hour, day, month, weekday)"
    )]
    CronWithoutSeconds(String),
    #[error(
        "must have six fields and has {0}: write second, minute, hour, day, month, weekday, like \
         \"0 * * * * *\""
    )]
    CronFields(usize),
    #[error(
        "is not a schedule ({0}): correct it; the fields are second, minute, hour, day, month, \
         weekday"
    )]
    CronSyntax(String),
    #[error("never occurs: correct day and month")]
    CronNever,

    #[error("is not a URL: write it like \"https://api.agora.io\"")]
    NotAUrl,
    #[error("must begin with https:// and name a host: write it like \"https://api.agora.io\"")]
    UrlScheme,
    #[error(
        "would send credentials unencrypted: write https://; http:// is only for 127.0.0.0/8, ::1 \
         and localhost"
    )]
    UrlUnencrypted,
    #[error(
        "is not a URL that alarms can be posted to: it must begin with https:// and name a host; \
         http:// is only for 127.0.0.0/8, ::1 and localhost"
    )]
    Webhook,
    #[error("contains a user or password: remove it; credentials have keys of their own")]
    UrlCredentials,
    #[error(
        "contains `{0}`, which Backscroll adds by itself: write only what stands before it, like \
         \"https://api.agora.io\""
    )]
    UrlApiPath(&'static str),
    #[error(
        "contains a query (`?`) or a fragment (`#`): remove it; only scheme, host, port and path \
         are allowed"
    )]
    UrlQuery,
    #[error(
        "is not an address to listen on: write IP and port, like \"127.0.0.1:9464\", or \"\" to \
         turn the page off"
    )]
    ListenAddress,

    #[error(
        "cannot be read ({0}): write a level (error, warn, info, debug, trace), or levels by \
         module, like \"info,backscroll::sync=debug\""
    )]
    LogLevels(String),
    #[error(
        "has `{0}`, which is neither a level nor a module: write a level (error, warn, info, \
         debug, trace), or levels by module, like \"info,backscroll::sync=debug\""
    )]
    LogModule(String),
    #[error("has the level `{0}`, which does not exist: write error, warn, info, debug or trace")]
    LogLevel(String),
    #[error("must be \"auto\", \"human\", \"json\" or \"journal\"")]
    LogFormat,

    #[error(
        "is not a URL of a Postgres database: write it like \
         \"postgres://user@host/database?sslmode=verify-full\""
    )]
    PostgresUrl,
    #[error(
        "is not a supported database: write \"sqlite://archive.db\" or another path, or \
         \"postgres://user@host/database\""
    )]
    DatabaseScheme,
    #[error(
        "names no file: write \"sqlite://archive.db\" or another path; an archive in memory would \
         be lost at exit"
    )]
    DatabaseWithoutFile,
    #[error("contains parameters (`?`): remove them; Backscroll sets its own SQLite options")]
    DatabaseParameters,

    #[error("begins with 0x: write the 64 hex digits of the ed25519 seed without it")]
    KeyPrefixed,
    #[error(
        "is a pair of private and public key (128 hex digits): write only its first half, the 64 \
         digits of the seed"
    )]
    KeyPair,
    #[error("must be the ed25519 seed: 64 hex digits, for 32 bytes; this has {}", counted(*length as u64, "character", "characters"))]
    KeyLength { length: usize },
    #[error("must be the ed25519 seed: 64 hex digits; this has other characters")]
    KeyNotHex,

    #[error(
        "must be text or exactly one of {{ env = \"NAME\" }}, {{ file = \"PATH\" }}, \
         {{ credential = \"NAME\" }}"
    )]
    Reference,
    #[error("comes from the environment variable {name}, which is unset or empty: set it")]
    EnvUnset { name: String },
    #[error("comes from the environment variable {name}, which is not UTF-8 text: correct it")]
    EnvNotText { name: String },
    #[error(
        "comes from the file {}, which cannot be read: {cause}; correct the path or its permissions",
        path.display()
    )]
    FileUnreadable { path: PathBuf, cause: io::Error },
    #[error("comes from the file {}, which is empty: fill it", path.display())]
    FileEmpty { path: PathBuf },
    #[error("comes from the file {}, which is larger than 64 KiB: name another", path.display())]
    FileLarge { path: PathBuf },
    #[error("comes from the file {}, which is not UTF-8 text: correct it", path.display())]
    FileNotText { path: PathBuf },
    #[error(
        "comes from the systemd credential {name}, but $CREDENTIALS_DIRECTORY is unset: run under \
         systemd with LoadCredential={name}:PATH, or use {{ file = \"PATH\" }}"
    )]
    NoCredentials { name: String },
    #[error(
        "names a credential that is not a plain file name: write the name given to LoadCredential="
    )]
    CredentialName,
}

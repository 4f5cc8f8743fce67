//! The configuration: what is archived, from where, into what, and when.
//!
//! [`Config::load`] reads `config.toml`, whose shipped copy is the manual of all settings. Whatever is wrong is
//! answered with the first [`ConfigError`]; what comes back without one needs no further check.
//!
//! The file is read in two steps. `document` turns the text into tables and values that know where they stand, and
//! refuses unknown keys (`shape` lists the known ones). `value` says what a value means; `agora` and `web3mq` put an
//! account together and check what concerns several keys at once.

mod agora;
mod cron;
mod error;
mod exposed_secret;
mod log;
mod schema;
mod secret;
mod table;
#[cfg(test)]
mod tests;
mod value;
mod value_error;
mod web3mq;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

pub use agora::{AgoraAccountConfig, AgoraAuth, AgoraStreamConfig, DestinationKind, DiscoveryMode};
pub use cron::Cron;
pub use error::{ConfigError, ConfigErrorKind, FilePosition};
pub use exposed_secret::ExposedSecret;
pub use log::{LogConfig, LogFormat};
pub use secret::Secret;
pub use value_error::Fault;
pub use web3mq::{Web3mqAccountConfig, Web3mqStreamConfig};

use secret::{Environment, process_environment};
use table::{ConfigSource, ConfigTable, position_at, reject_duplicates};

/// Requests a second that Agora documents for an account; `Web3MQ` documents none.
const DEFAULT_REQUESTS_PER_SECOND: f64 = 10.0;
/// The age at which a provider is trusted to show everything. No provider promises one: two minutes are cautious.
const DEFAULT_SETTLE: Duration = Duration::from_mins(2);
/// From a request to the last byte of its answer.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// All settings.
#[derive(Clone, Debug)]
pub struct Config {
    pub database: Database,
    pub schedule: Schedule,
    pub status_page: StatusPage,
    pub alerts: Alerts,
    pub log: LogConfig,
    /// With `web3mq`: at least one account, and no two of the same name.
    pub agora: Vec<AgoraAccountConfig>,
    pub web3mq: Vec<Web3mqAccountConfig>,
    /// Secrets that stand in the file itself, where every user of the machine can read it.
    pub exposed_secrets: Vec<ExposedSecret>,
}

/// Where the archive is kept.
#[derive(Clone, Debug)]
pub struct Database {
    /// Default: `sqlite://archive.db`.
    pub url: DatabaseUrl,
    /// Whether the configuration itself holds its password.
    url_has_password: bool,
}

/// A kind of database, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A file of SQLite. A relative path starts at the working directory, as it does for sqlx.
    Sqlite(PathBuf),
    /// A database of a Postgres server, 13 or newer. What the URL leaves open, `PGPASSWORD`, `~/.pgpass` and the other
    /// variables of libpq say.
    Postgres(PostgresServer),
}

/// How to reach a Postgres server. Debug shows nothing of it: a password is part of it.
#[derive(Clone)]
pub struct PostgresServer {
    options: Box<PgConnectOptions>,
    /// Of the URL, by which two are told apart.
    url_hash: blake3::Hash,
}

impl PostgresServer {
    fn parse(url: &str) -> Result<Self, Fault> {
        let options = url.parse().map_err(|_| Fault::PostgresUrl)?;
        Ok(Self {
            options: Box::new(options),
            url_hash: blake3::hash(url.as_bytes()),
        })
    }

    /// For sqlx.
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
        f.write_str("Server([REDACTED])")
    }
}

/// When the daemon does what.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// New messages are fetched. Default: every minute.
    pub sync: Cron,
    /// Counts are compared with the provider's. Default: in the 17th minute of every hour.
    pub reconcile: Cron,
    /// Messages whose status can still change are read again. Default: every ten minutes.
    pub refresh: Cron,
}

/// The page for people, and the paths for Prometheus and health checks.
#[derive(Clone, Debug)]
pub struct StatusPage {
    /// None if it is turned off. Default: `127.0.0.1:9464`.
    pub listen: Option<SocketAddr>,
}

/// Who is told when something is wrong, besides the log, the archive and the page.
#[derive(Clone, Debug, Default)]
pub struct Alerts {
    /// The URL to which alarms are posted: https, or http on this machine. Default: none. It often holds a token, so
    /// nothing shows it.
    pub webhook: Option<Secret>,
}

impl Config {
    /// Reads the file at `path`, and whatever it points to: environment variables, other files, systemd credentials.
    ///
    /// Errors if any of them cannot be read, or at the first thing in the file that cannot be meant.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let bytes = std::fs::read(path).map_err(|cause| match cause.kind() {
            std::io::ErrorKind::NotFound => ConfigError::NotFound {
                path: path.to_owned(),
            },
            _ => ConfigError::Unreadable {
                path: path.to_owned(),
                cause,
            },
        })?;
        let config = Self::parse(utf8(&bytes, path)?, path)?;
        Ok(Self {
            exposed_secrets: exposed_secret::find_exposed_secrets(&config, path),
            ..config
        })
    }

    /// Reads the text of a configuration. `origin` names it in errors; `{ file = … }` starts at its folder.
    ///
    /// Errors as [`Config::load`] does.
    pub fn parse(text: &str, origin: &Path) -> Result<Self, ConfigError> {
        Self::parse_in(text, origin, &process_environment)
    }

    fn parse_in(
        text: &str,
        origin: &Path,
        environment: Environment<'_>,
    ) -> Result<Self, ConfigError> {
        let document = ConfigSource {
            text,
            origin,
            environment,
        };
        let parsed = document.parse()?;
        let file = ConfigTable::root(&document, &parsed, &schema::FILE)?;
        let database = database(&file.table("database", &schema::DATABASE)?)?;
        let schedule = schedule(&file.table("schedule", &schema::SCHEDULE)?)?;
        let status_page = status_page(&file.table("status_page", &schema::STATUS_PAGE)?)?;
        let alerts = file.table("alerts", &schema::ALERTS)?;
        let alerts = Alerts {
            webhook: alerts.optional("webhook", value::webhook)?,
        };
        let log = log::read_log(&file.table("log", &schema::LOG)?)?;
        let agora = file.tables("agora", &schema::AGORA)?;
        let web3mq = file.tables("web3mq", &schema::WEB3MQ)?;
        if agora.is_empty() && web3mq.is_empty() {
            return Err(file.error(ConfigErrorKind::MissingAccount));
        }
        reject_duplicate_names(&agora, &web3mq)?;
        Ok(Self {
            database,
            schedule,
            status_page,
            alerts,
            log,
            agora: agora
                .iter()
                .map(agora::read_account)
                .collect::<Result<_, _>>()?,
            web3mq: web3mq
                .iter()
                .map(web3mq::read_account)
                .collect::<Result<_, _>>()?,
            exposed_secrets: Vec::new(),
        })
    }
}

fn utf8<'a>(bytes: &'a [u8], origin: &Path) -> Result<&'a str, ConfigError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        ConfigError::Invalid {
            place: position_at(origin, &good, good.len()),
            problem: Box::new(ConfigErrorKind::NotUtf8),
        }
    })
}

fn database(table: &ConfigTable<'_>) -> Result<Database, ConfigError> {
    let default = DatabaseUrl::Sqlite(PathBuf::from("archive.db"));
    let shows_password = match table.get("url") {
        Some(value) => value.reference()?.is_none() && has_password(&value.text()?),
        None => false,
    };
    Ok(Database {
        url: table.or_default("url", default, value::database_url)?,
        url_has_password: shows_password,
    })
}

/// Whether a URL holds a password, in either of the places where Postgres takes it from.
pub(crate) fn has_password(url: &str) -> bool {
    reqwest::Url::parse(url).is_ok_and(|url| {
        url.password().is_some() || url.query_pairs().any(|(key, _)| key == "password")
    })
}

fn schedule(table: &ConfigTable<'_>) -> Result<Schedule, ConfigError> {
    let cron = |key, default| table.parse_or_default(key, default, Cron::parse);
    Ok(Schedule {
        sync: cron("sync", "0 * * * * *")?,
        reconcile: cron("reconcile", "0 17 * * * *")?,
        refresh: cron("refresh", "0 */10 * * * *")?,
    })
}

fn status_page(table: &ConfigTable<'_>) -> Result<StatusPage, ConfigError> {
    let default = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 9464)));
    Ok(StatusPage {
        listen: table.or_default("listen", default, value::listen)?,
    })
}

/// A name stands for one account in SQL and on the command line, whatever its provider.
fn reject_duplicate_names(
    agora: &[ConfigTable<'_>],
    web3mq: &[ConfigTable<'_>],
) -> Result<(), ConfigError> {
    let accounts = || agora.iter().chain(web3mq);
    let names = accounts().map(|account| account.required("name", value::account_name));
    let names = names.collect::<Result<Vec<String>, _>>()?;
    reject_duplicates(accounts().zip(names), |account, first_line| {
        account.error_at_keys(&["name"], ConfigErrorKind::DuplicateName { first_line })
    })
}

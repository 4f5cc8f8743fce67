//! The configuration.
//!
//! [`Config::load`] reads `config.toml`. The shipped copy is the manual of all settings. The first
//! problem in the file is returned as a [`ConfigError`]. A [`Config`] needs no further check.
//!
//! The file is read in two steps. `source` and `table` turn the text into tables and values with
//! positions, and reject unknown keys (`schema` lists the known ones). `value` converts single
//! values. `agora` and `web3mq` build an account and check rules that concern several keys.
//!
//! | question | file |
//! |---|---|
//! | which keys exist | `schema` (and the shipped `config.toml`) |
//! | how is a value parsed: duration, URL, time, key | `value` |
//! | where are the error messages | `error`, `value_error` |
//! | how is a secret kept and read again | `secret` |
//! | when is a secret reported as readable by all | `exposed_secret` |

mod agora;
mod choices;
mod cron;
mod database_url;
mod defaults;
mod error;
mod exposed_secret;
mod log;
mod schema;
mod secret;
mod source;
mod table;
#[cfg(test)]
mod tests;
mod value;
mod value_error;
mod web3mq;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

pub use agora::{AgoraAccountConfig, AgoraAuth, AgoraStreamConfig};
pub use choices::{DestinationKind, DiscoveryMode};
pub use cron::Cron;
pub(crate) use database_url::has_password;
pub use database_url::{DatabaseUrl, PostgresServer};
pub use error::{ConfigError, ConfigErrorKind, FilePosition};
pub use exposed_secret::ExposedSecret;
pub use log::{LogConfig, LogFormat};
pub use secret::Secret;
pub use value_error::ValueError;
pub use web3mq::{Web3mqAccountConfig, Web3mqStreamConfig};

use exposed_secret::SecretFiles;
use secret::{Environment, ValueReference, process_environment};
use source::{ConfigSource, position_at};
use table::{ConfigTable, reject_duplicates};

/// All settings.
#[derive(Clone, Debug)]
pub struct Config {
    pub database: Database,
    pub schedule: Schedule,
    pub status_page: StatusPage,
    pub alerts: Alerts,
    pub log: LogConfig,
    /// Together with `web3mq`: at least one account, and unique names.
    pub agora: Vec<AgoraAccountConfig>,
    pub web3mq: Vec<Web3mqAccountConfig>,
    /// Secrets in files that every user of the machine can read.
    pub exposed_secrets: Vec<ExposedSecret>,
}

/// The location of the archive.
#[derive(Clone, Debug)]
pub struct Database {
    /// Default: `sqlite://archive.db`.
    pub url: DatabaseUrl,
    /// True if the URL contains a password.
    url_has_password: bool,
    /// The place where the URL is kept. `None`: in the configuration.
    url_reference: Option<ValueReference>,
}

/// The schedules of the daemon.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Fetches new messages. Default: every minute.
    pub sync: Cron,
    /// Compares counts with the provider's. Default: in the 17th minute of every hour.
    pub reconcile: Cron,
    /// Refetches messages whose status can still change. Default: every ten minutes.
    pub refresh: Cron,
}

/// The status page, and the paths for Prometheus and health checks.
#[derive(Clone, Debug)]
pub struct StatusPage {
    /// `None` if the page is turned off. Default: `127.0.0.1:9464`.
    pub listen: Option<SocketAddr>,
}

/// The receivers of alarms, in addition to the log, the archive and the page.
#[derive(Clone, Debug, Default)]
pub struct Alerts {
    /// The URL that alarms are posted to: https, or http on this machine. Default: none. It often
    /// contains a token, so it is never displayed.
    pub webhook: Option<Secret>,
}

impl Config {
    /// Reads the file at `path` and the values that it refers to: environment variables, other
    /// files, systemd credentials.
    ///
    /// Errors if any of them cannot be read, or at the first invalid part of the file.
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
            exposed_secrets: config.exposed_secrets_in(path),
            ..config
        })
    }

    fn exposed_secrets_in(&self, path: &Path) -> Vec<ExposedSecret> {
        let mut secrets = SecretFiles::of(path);
        if self.database.url_has_password {
            secrets.add(
                "the database",
                "password",
                self.database.url_reference.as_ref(),
            );
        }
        if let Some(webhook) = &self.alerts.webhook {
            secrets.add("[alerts]", "webhook", webhook.reference());
        }
        for account in &self.agora {
            secrets.add_agora(account);
        }
        for account in &self.web3mq {
            secrets.add_web3mq(account);
        }
        secrets.exposed()
    }

    /// Reads the text of a configuration. `origin` is its path in errors; `{ file = … }` is
    /// relative to the directory of `origin`.
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
        let source = ConfigSource {
            text,
            origin,
            environment,
        };
        let parsed = source.parse()?;
        let file = ConfigTable::root(&source, &parsed, &schema::FILE)?;
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
        let position = position_at(origin, &good, good.len());
        ConfigError::Invalid {
            position,
            kind: Box::new(ConfigErrorKind::NotUtf8),
        }
    })
}

fn database(table: &ConfigTable<'_>) -> Result<Database, ConfigError> {
    let default = DatabaseUrl::Sqlite(PathBuf::from("archive.db"));
    let (url_has_password, url_reference) = match table.get("url") {
        Some(value) => (has_password(&value.text()?), value.reference()?),
        None => (false, None),
    };
    Ok(Database {
        url: table.or_default("url", default, value::database_url)?,
        url_has_password,
        url_reference,
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

/// Errors if two accounts have the same name, since SQL and the command line use only the name.
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

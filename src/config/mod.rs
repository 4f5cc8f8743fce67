//! The configuration.
//!
//! [`Config::load`] reads `config.toml`. The shipped copy is the manual of all settings. All mistakes
//! in the file are returned together as a [`ConfigError`]. A [`Config`] needs no further check, but
//! secrets that are kept elsewhere are read when they are used.
//!
//! The file is read in two steps. `source` and `table` turn the text into tables and values with
//! positions, record mistakes, and reject unknown keys (`schema` lists the known ones). `value`
//! converts single values. `agora` and `web3mq` build an account and check rules that concern
//! several keys.
//!
//! | question | file |
//! |---|---|
//! | which keys exist | `schema` (and the shipped `config.toml`) |
//! | how is a value parsed: duration, URL, time, key | `value` |
//! | where are the error messages | `error`, `value_error` |
//! | which file is read if none is named | `location` |
//! | how is a secret kept, and when is it read | `secret`, `UsedSecrets` in `source` |
//! | which settings are valid but probably not meant | `warnings` |
//! | when is a secret reported as readable by all | `exposed_secret` |

mod account_ages;
mod agora;
mod choices;
mod cron;
mod database_url;
mod defaults;
mod error;
mod exposed_secret;
mod location;
mod log;
mod schema;
mod secret;
mod source;
mod table;
#[cfg(test)]
mod tests;
mod value;
mod value_error;
mod warnings;
mod web3mq;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

pub use agora::{AgoraAccountConfig, AgoraAuth, AgoraStreamConfig, TokenHeaderNames, TokenSource};
pub use choices::{DestinationKind, DiscoveryMode};
pub use cron::Cron;
pub(crate) use database_url::has_password;
pub use database_url::{DatabaseUrl, PostgresServer};
pub use error::{ConfigError, ConfigErrorKind, ConfigMistake, FilePosition};
pub use exposed_secret::ExposedSecret;
pub use location::find_config;
pub use log::{LogConfig, LogFormat, parse_levels};
pub use secret::Secret;
pub use source::UsedSecrets;
pub use value_error::ValueError;
pub use web3mq::{Web3mqAccountConfig, Web3mqStreamConfig};

use exposed_secret::SecretFiles;
use secret::{Environment, ValueReference, process_environment};
use source::{ConfigSource, position_at};
use table::{ConfigTable, reject_duplicates};

/// Parses a duration of the configuration and of the command line, such as `90s`, `1h30m` or `7d`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    value::parse_duration_ms(text).map(Duration::from_millis)
}

/// All settings.
#[derive(Clone, Debug)]
pub struct Config {
    pub database: Database,
    pub schedule: Schedule,
    pub status_page: StatusPage,
    pub alerts: Alerts,
    pub search: SearchConfig,
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
    /// Default: `sqlite://archive.db`, in the folder of the configuration.
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

/// The full-text search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SearchConfig {
    /// False: no search index is kept, and an existing one is removed. Default: true.
    pub enabled: bool,
}

impl Config {
    /// Reads the file at `path` and the values that it refers to: environment variables, other
    /// files, systemd credentials. Of the secrets, only those are read that the command uses.
    ///
    /// Errors if any of them cannot be read, or if any part of the file is invalid.
    pub fn load(path: &Path, used: UsedSecrets<'_>) -> Result<Self, ConfigError> {
        let bytes = std::fs::read(path).map_err(|cause| match cause.kind() {
            std::io::ErrorKind::NotFound => ConfigError::NotFound {
                paths: vec![path.to_owned()],
            },
            _ => ConfigError::Unreadable {
                path: path.to_owned(),
                cause,
            },
        })?;
        let config = Self::parse(utf8(&bytes, path)?, path, used)?;
        Ok(Self {
            exposed_secrets: config.exposed_secrets_in(path),
            ..config
        })
    }

    /// Returns the names of all accounts.
    pub fn account_names(&self) -> impl Iterator<Item = &str> {
        let agora = self.agora.iter().map(|account| account.name.as_str());
        agora.chain(self.web3mq.iter().map(|account| account.name.as_str()))
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

    /// Reads the text of a configuration. `origin` is its path in errors; relative paths start at
    /// the directory of `origin`.
    ///
    /// Errors as [`Config::load`] does.
    pub fn parse(text: &str, origin: &Path, used: UsedSecrets<'_>) -> Result<Self, ConfigError> {
        Self::parse_in(text, origin, &process_environment, used)
    }

    fn parse_in(
        text: &str,
        origin: &Path,
        environment: Environment<'_>,
        used: UsedSecrets<'_>,
    ) -> Result<Self, ConfigError> {
        let source = ConfigSource::new(text, origin, environment, used);
        let parsed = source.parse()?;
        let file = ConfigTable::root(&source, &parsed, &schema::FILE);
        source.finish(Self::read(&source, &file))
    }

    /// Reads all tables. `None` if a required part of one is missing or wrong; the mistakes are
    /// recorded.
    fn read(source: &ConfigSource<'_>, file: &ConfigTable<'_>) -> Option<Self> {
        let database = database(&file.table("database", &schema::DATABASE));
        let schedule = schedule(&file.table("schedule", &schema::SCHEDULE));
        let status_page = status_page(&file.table("status_page", &schema::STATUS_PAGE));
        let alerts = file.table("alerts", &schema::ALERTS);
        let alerts = Alerts {
            webhook: alerts.optional("webhook", value::webhook),
        };
        let search = file.table("search", &schema::SEARCH);
        let search = SearchConfig {
            enabled: search.or_default("enabled", true, value::flag),
        };
        let log = log::read_log(&file.table("log", &schema::LOG));
        let before = source.count_mistakes();
        let agora = file.tables("agora", &schema::AGORA);
        let web3mq = file.tables("web3mq", &schema::WEB3MQ);
        let are_read = source.count_mistakes() == before && !file.has_unknown_keys();
        if agora.is_empty() && web3mq.is_empty() && are_read {
            file.reject(ConfigErrorKind::MissingAccount);
        }
        let agora: Vec<_> = agora.iter().map(|a| (a, agora::read_account(a))).collect();
        let web3mq: Vec<_> = web3mq
            .iter()
            .map(|a| (a, web3mq::read_account(a)))
            .collect();
        reject_duplicate_names(&agora, &web3mq);
        Some(Self {
            database,
            schedule: schedule?,
            status_page,
            alerts,
            search,
            log: log?,
            agora: agora.into_iter().filter_map(|(_, read)| read).collect(),
            web3mq: web3mq.into_iter().filter_map(|(_, read)| read).collect(),
            exposed_secrets: Vec::new(),
        })
    }
}

fn utf8<'a>(bytes: &'a [u8], origin: &Path) -> Result<&'a str, ConfigError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let mistake = ConfigMistake {
            position: position_at(origin, &good, good.len()),
            kind: Box::new(ConfigErrorKind::NotUtf8),
        };
        mistake.into()
    })
}

fn database(table: &ConfigTable<'_>) -> Database {
    let default = DatabaseUrl::Sqlite(table.folder().join("archive.db"));
    let value = table.get("url");
    let text = value.as_ref().and_then(|value| value.text().ok());
    Database {
        url: table.or_default("url", default, value::database_url),
        url_has_password: text.is_some_and(|url| has_password(&url)),
        url_reference: value.and_then(|value| value.reference().ok().flatten()),
    }
}

fn schedule(table: &ConfigTable<'_>) -> Option<Schedule> {
    let cron = |key, default| table.parse_or_default(key, default, Cron::parse);
    let (sync, reconcile, refresh) = (
        cron("sync", "0 * * * * *"),
        cron("reconcile", "0 17 * * * *"),
        cron("refresh", "0 */10 * * * *"),
    );
    Some(Schedule {
        sync: sync?,
        reconcile: reconcile?,
        refresh: refresh?,
    })
}

fn status_page(table: &ConfigTable<'_>) -> StatusPage {
    let default = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 9464)));
    StatusPage {
        listen: table.or_default("listen", default, value::listen),
    }
}

/// Records a mistake for each account that has the name of an earlier one, since SQL and the command
/// line use only the name.
fn reject_duplicate_names<'t>(
    agora: &'t [(&'t ConfigTable<'t>, Option<AgoraAccountConfig>)],
    web3mq: &'t [(&'t ConfigTable<'t>, Option<Web3mqAccountConfig>)],
) {
    let agora = agora
        .iter()
        .map(|(table, account)| (*table, account.as_ref().map(|account| &account.name)));
    let web3mq = web3mq
        .iter()
        .map(|(table, account)| (*table, account.as_ref().map(|account| &account.name)));
    // An account with another mistake has a name as well.
    let name = |(table, name): (&'t ConfigTable<'t>, Option<&String>)| {
        let written = || table.get("name")?.inline_text().ok();
        Some((table, name.cloned().or_else(written)?))
    };
    reject_duplicates(agora.chain(web3mq).filter_map(name), |first_line| {
        ConfigErrorKind::DuplicateName { first_line }
    });
}

//! The table `[log]`.

use std::str::FromStr;

use tracing_subscriber::EnvFilter;

use super::error::ConfigError;
use super::table::{ConfigTable, ConfigValue};
use super::value_error::ValueError;

/// The log levels that the shipped `config.toml` shows as the default.
const DEFAULT_LEVELS: &str = "warn,backscroll=info";

/// The log settings of the daemon. Flags of the command line override them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// A level, or levels by module. Default: `warn`, and `info` for Backscroll itself.
    pub levels: Option<String>,
    /// Default: [`LogFormat::Auto`].
    pub format: LogFormat,
}

/// The format of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// [`Self::Journal`] under journald, [`Self::Human`] on a terminal, [`Self::Json`] otherwise.
    Auto,
    /// For people: time, level, message and fields, with colours on a terminal.
    Human,
    /// One object per line. The field names are stable.
    Json,
    /// For journald: a priority prefix, and no time.
    Journal,
}

/// Reads `[log]`.
pub(super) fn read_log(table: &ConfigTable<'_>) -> Result<LogConfig, ConfigError> {
    let levels = table
        .optional("levels", read_levels)?
        .filter(|levels| levels != DEFAULT_LEVELS);
    Ok(LogConfig {
        levels,
        format: table.parse_or_default("format", "auto", str::parse)?,
    })
}

fn read_levels(value: &ConfigValue<'_>) -> Result<String, ConfigError> {
    value.parse(|text| match EnvFilter::try_new(text) {
        _ if text.trim().is_empty() => Err(ValueError::Empty),
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(ValueError::LogLevels(error.to_string())),
    })
}

impl FromStr for LogFormat {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "auto" => Ok(Self::Auto),
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            "journal" => Ok(Self::Journal),
            _ => Err(ValueError::LogFormat),
        }
    }
}

//! What is logged, and how.

use std::str::FromStr;

use tracing_subscriber::EnvFilter;

use super::error::ConfigError;
use super::table::{ConfigTable, ConfigValue};
use super::value_error::Fault;

/// What the daemon logs, unless the command line says something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// A level, or levels by module. Default: `warn`, and `info` of Backscroll itself.
    pub levels: Option<String>,
    /// Default: by where the log goes.
    pub format: LogFormat,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Journal in the journal, human on a terminal, JSON elsewhere.
    Auto,
    /// For people: time, level, message and fields, with colours on a terminal.
    Human,
    /// An object a line; the names of its fields do not change.
    Json,
    /// For the journal: without the time, with the priority before it.
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

/// How the manual writes what is logged without it.
const DEFAULT_LEVELS: &str = "warn,backscroll=info";

fn read_levels(value: &ConfigValue<'_>) -> Result<String, ConfigError> {
    value.parse(|text| match EnvFilter::try_new(text) {
        _ if text.trim().is_empty() => Err(Fault::Empty),
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(Fault::LogLevels(error.to_string())),
    })
}

impl FromStr for LogFormat {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        match text {
            "auto" => Ok(Self::Auto),
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            "journal" => Ok(Self::Journal),
            _ => Err(Fault::LogFormat),
        }
    }
}

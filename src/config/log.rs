//! The table `[log]`, and the log levels of the command line.

use std::str::FromStr;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::source::Mistake;
use super::table::{ConfigTable, ConfigValue};
use super::value_error::ValueError;

// `MODULES`: the paths of this program's modules. `CRATES`: the names of all crates in it.
include!(concat!(env!("OUT_DIR"), "/log_targets.rs"));

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
pub(super) fn read_log(table: &ConfigTable<'_>) -> Option<LogConfig> {
    let levels = table
        .optional("levels", read_levels)
        .filter(|levels| levels != DEFAULT_LEVELS);
    let format = table.parse_or_default("format", "auto", str::parse);
    Some(LogConfig {
        levels,
        format: format?,
    })
}

fn read_levels(value: &ConfigValue<'_>) -> Result<String, Mistake> {
    value.parse(|text| parse_levels(text).map(|_| text.to_owned()))
}

/// Parses log levels: a level, or levels by module, separated by commas.
///
/// Errors at a word that is neither a level nor a module. A filter would take it for a module that
/// logs nothing, and silence all others.
pub fn parse_levels(text: &str) -> Result<EnvFilter, ValueError> {
    if text.trim().is_empty() {
        return Err(ValueError::Empty);
    }
    let directives: Vec<&str> = text.split(',').map(str::trim).collect();
    for directive in &directives {
        check_directive(directive)?;
    }
    EnvFilter::try_new(directives.join(","))
        .map_err(|error| ValueError::LogLevels(error.to_string()))
}

/// Checks a level, `module`, `module=level` or `module[span]=level`.
fn check_directive(directive: &str) -> Result<(), ValueError> {
    // The parser takes an empty word for `error`.
    let is_level = |word: &str| !word.is_empty() && word.parse::<LevelFilter>().is_ok();
    let end = directive.find(['=', '[']).unwrap_or(directive.len());
    let (module, rest) = directive.split_at(end);
    let is_plain_level = rest.is_empty() && is_level(module);
    if is_plain_level || directive.is_empty() || is_module(module) {
        let level = rest.rsplit_once('=').map(|(_, level)| level);
        return match level.filter(|level| !is_level(level) && !level.ends_with(']')) {
            Some(level) => Err(ValueError::LogLevel(level.to_owned())),
            None => Ok(()),
        };
    }
    Err(ValueError::LogModule(module.to_owned()))
}

/// True if a module of this program or of one of its crates has this path.
fn is_module(path: &str) -> bool {
    let (name, _) = path.split_once("::").unwrap_or((path, ""));
    if name == env!("CARGO_PKG_NAME") {
        MODULES.contains(&path)
    } else {
        path.is_empty() || CRATES.contains(&name)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn word_that_is_neither_level_nor_module_is_refused() {
        for good in [
            "info",
            "WARN",
            "off",
            "3",
            "warn,backscroll=info",
            "warn, backscroll::sync=debug",
            "backscroll",
            "backscroll::sync::plan=trace",
            "info,sqlx=warn,hyper_util::client=debug",
            "backscroll[pass{account=shop}]=debug",
            "[pass]=debug",
            "info,",
        ] {
            assert!(
                parse_levels(good).is_ok(),
                "{good}: {:?}",
                parse_levels(good)
            );
        }
        for (bad, named) in [
            ("inof", "`inof`"),
            ("verbose", "`verbose`"),
            ("warn,inof", "`inof`"),
            ("warn,backscrol=info", "`backscrol`"),
            ("warn;info", "`warn;info`"),
            ("warn backscroll=info", "`warn backscroll`"),
            ("backscroll::snyc=debug", "`backscroll::snyc`"),
            ("backscroll=inof", "`inof`"),
            ("backscroll=", "``"),
            ("warn,sqlx=warm", "`warm`"),
            (" ", "empty"),
        ] {
            let error = parse_levels(bad).unwrap_err().to_string();
            assert!(error.contains(named), "{bad}: {error}");
        }
    }
}

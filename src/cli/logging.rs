//! Logging to standard error: for people on a terminal, with priorities under journald, as JSON
//! otherwise.

use std::fmt;
use std::io::{IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Full, Writer};
use tracing_subscriber::fmt::time::SystemTime;
use tracing_subscriber::layer::{Layered, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use crate::config::{LogConfig, LogFormat, parse_levels};
use crate::domain::format::{sanitized, sanitized_json};

/// The heading in the help of the options that every command has.
pub(super) const GLOBAL_OPTIONS: &str = "Global options";

/// The default levels of a service. Libraries log only warnings and errors.
const SERVICE_LEVELS: &str = "warn,backscroll=info";
/// The default levels of a command, whose results are printed and not logged.
const COMMAND_LEVELS: &str = "warn,backscroll::cli::progress=info";

/// The log flags of the command line. They override the configuration.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct LogArgs {
    /// Log level, or levels by module (`info,backscroll::sync=debug`)
    #[arg(
        long = "log",
        global = true,
        value_name = "LEVELS",
        env = "BACKSCROLL_LOG",
        help_heading = GLOBAL_OPTIONS
    )]
    levels: Option<String>,

    /// Log format: human, json, journal, or auto, which depends on the destination of the log
    // Commands have a format of their own.
    #[arg(
        id = "log_format",
        long = "log-format",
        global = true,
        value_name = "FORMAT",
        env = "BACKSCROLL_LOG_FORMAT",
        help_heading = GLOBAL_OPTIONS
    )]
    format: Option<LogFormat>,
}

impl LogArgs {
    /// Returns the levels; `None` if none are given, or an empty text by the environment.
    fn levels(&self) -> Option<&str> {
        self.levels.as_deref().filter(|levels| !levels.is_empty())
    }
}

/// The kind of program that logs. It selects the defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogProfile {
    /// The daemon, whose log is usually read by a machine.
    Daemon,
    /// Another command that runs until it is stopped.
    #[cfg(feature = "sandbox")]
    Service,
    /// A command that prints its results to a person.
    Command,
}

type FilteredRegistry = Layered<reload::Layer<EnvFilter, Registry>, Registry>;
type OutputLayer = Box<dyn Layer<FilteredRegistry> + Send + Sync>;

/// The running log, whose levels and format can be replaced.
pub(super) struct LogHandle {
    args: LogArgs,
    filter: reload::Handle<EnvFilter, Registry>,
    output: reload::Handle<OutputLayer, FilteredRegistry>,
}

/// Starts logging. Errors if the levels of the command line cannot be parsed.
pub(super) fn start(args: LogArgs, profile: LogProfile) -> Result<LogHandle, String> {
    let default_levels = match profile {
        LogProfile::Command => COMMAND_LEVELS,
        _ => SERVICE_LEVELS,
    };
    let default_format = match profile {
        LogProfile::Daemon => LogFormat::Auto,
        _ => LogFormat::Human,
    };
    let levels = args.levels().unwrap_or(default_levels);
    let filter = parse_levels(levels).map_err(|error| format!("--log {error}"))?;
    let (filter, filter_handle) = reload::Layer::new(filter);
    let format = args.format.unwrap_or(default_format);
    let (output, output_handle) = reload::Layer::new(output_layer(format));
    let log = tracing_subscriber::registry().with(filter).with(output);
    log.try_init()
        .map_err(|error| format!("logging cannot be started: {error}"))?;
    Ok(LogHandle {
        args,
        filter: filter_handle,
        output: output_handle,
    })
}

impl LogHandle {
    /// Applies the log settings of the configuration. Flags of the command line override them.
    pub(super) fn apply_config(&self, log: &LogConfig) {
        let levels = self
            .args
            .levels()
            .or(log.levels.as_deref())
            .unwrap_or(SERVICE_LEVELS);
        // Both have been checked when they were read.
        if let Ok(filter) = parse_levels(levels) {
            warn_if_failed(self.filter.reload(filter));
        }
        if self.args.format.is_none() {
            warn_if_failed(self.output.reload(output_layer(log.format)));
        }
    }
}

fn warn_if_failed(outcome: Result<(), reload::Error>) {
    if let Err(error) = outcome {
        tracing::warn!(
            %error,
            "the new log settings cannot be applied; the previous ones stay in force"
        );
    }
}

fn output_layer(format: LogFormat) -> OutputLayer {
    let stderr = std::io::stderr();
    let sanitizing = match format {
        LogFormat::Json | LogFormat::Auto => Sanitizing::Json,
        LogFormat::Human if stderr.is_terminal() => Sanitizing::ColouredLine,
        LogFormat::Human | LogFormat::Journal => Sanitizing::Line,
    };
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(move || SanitizedStderr(sanitizing))
        .with_timer(SystemTime);
    match format {
        LogFormat::Auto if stderr_is_journal() => output_layer(LogFormat::Journal),
        LogFormat::Auto if stderr.is_terminal() => output_layer(LogFormat::Human),
        LogFormat::Auto => output_layer(LogFormat::Json),
        LogFormat::Human => layer
            .with_target(false)
            .with_ansi(stderr.is_terminal())
            .boxed(),
        LogFormat::Json => layer
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .boxed(),
        LogFormat::Journal => layer
            .with_ansi(false)
            .event_format(JournalFormat::default())
            .boxed(),
    }
}

/// The form of the events that are written.
#[derive(Clone, Copy, Debug)]
enum Sanitizing {
    Line,
    /// With escape sequences of colours. Those in values are already escaped.
    ColouredLine,
    Json,
}

/// Standard error, without the characters that could change what a terminal shows. Each write is
/// one event.
struct SanitizedStderr(Sanitizing);

impl Write for SanitizedStderr {
    fn write(&mut self, event: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = text.trim_end_matches('\n');
        let line = match self.0 {
            Sanitizing::Json => sanitized_json(line),
            Sanitizing::Line => sanitized(line),
            Sanitizing::ColouredLine => {
                let parts: Vec<String> = line.split('\x1b').map(sanitized).collect();
                parts.join("\x1b")
            }
        };
        std::io::stderr().write_all(format!("{line}\n").as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

/// True if standard error is connected to journald: `JOURNAL_STREAM` has the device and inode of
/// the socket (`systemd.exec(5)`).
fn stderr_is_journal() -> bool {
    let Some(stream) = std::env::var_os("JOURNAL_STREAM") else {
        return false;
    };
    let Ok(stderr) = std::io::stderr().as_fd().try_clone_to_owned() else {
        return false;
    };
    let metadata = std::fs::File::from(stderr).metadata();
    metadata.is_ok_and(|stderr| *format!("{}:{}", stderr.dev(), stderr.ino()) == *stream)
}

/// Lines with a priority prefix, which journald strips (`sd-daemon(3)`). journald adds the time.
struct JournalFormat(tracing_subscriber::fmt::format::Format<Full, ()>);

impl Default for JournalFormat {
    fn default() -> Self {
        let format = tracing_subscriber::fmt::format()
            .without_time()
            .with_level(false)
            .with_target(false);
        Self(format.with_ansi(false))
    }
}

impl<S, N> FormatEvent<S, N> for JournalFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut line: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut text = String::new();
        self.0
            .format_event(context, Writer::new(&mut text), event)?;
        // journald would store a second line as a separate entry with another priority.
        let text = text.trim_end().replace('\n', " ");
        writeln!(
            line,
            "<{}>{text}",
            syslog_priority(*event.metadata().level())
        )
    }
}

/// Returns the priority number of `syslog(3)`.
fn syslog_priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

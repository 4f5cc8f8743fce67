//! Logs go to standard error: coloured on a terminal, plain lines elsewhere.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::SystemTime;

/// What a service says, and what a command says that talks to a person anyway. The libraries speak only of trouble.
const SERVICE: &str = "warn,backscroll=info";
const COMMAND: &str = "warn,backscroll::cli::progress=info";

/// Starts logging. Errors if `levels` cannot be read.
pub(super) fn start(levels: Option<&str>, is_service: bool) -> Result<(), String> {
    let levels = levels.unwrap_or(if is_service { SERVICE } else { COMMAND });
    let filter = EnvFilter::try_new(levels).map_err(|error| format!("--log `{levels}`: {error}"))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_timer(SystemTime)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    log.try_init().map_err(|error| format!("logging cannot be started: {error}"))
}

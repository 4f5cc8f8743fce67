//! The command line: one file a command.

mod accounts;
mod alarms;
mod bench;
mod check;
mod completions;
mod copy;
mod demo;
mod drill;
mod logging;
mod loss;
mod man;
mod migrate;
mod plan;
mod progress;
mod requeue;
mod run;
mod sandbox;
mod status;
mod summary;
mod sync;
mod table;
mod verify;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use logging::{LogHandle, LogProfile};

use crate::alerts::WebhookError;
use crate::config::{Config, ConfigError, DatabaseUrl};
use crate::daemon::ScheduleError;
use crate::domain::clock::{Clock, SystemClock};
use crate::proof::manifest::ManifestError;
use crate::provider::http::ClientSetupError;
use crate::sandbox::SandboxError;
use crate::store::copy::CopyError;
use crate::store::{
    Archive, IfMissing, PostgresStore, SqliteStore, StoreError, describe_this_process,
};

/// Keeps your chat history: lays the messages that Agora RTM and Web3MQ keep only for a while down in a SQL database of
/// your own.
#[derive(Debug, Parser)]
#[command(name = "backscroll", version, max_term_width = 110)]
pub struct Cli {
    /// The configuration; the file that ships with Backscroll explains every key
    #[arg(
        long,
        global = true,
        default_value = "config.toml",
        value_name = "FILE",
        env = "BACKSCROLL_CONFIG"
    )]
    config: PathBuf,

    #[command(flatten)]
    log: logging::LogArgs,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs as a service: archives at every tick of the schedule, until it is told to stop
    Run,
    /// Archives until everything wanted is sealed, then says what the archive holds
    Sync(sync::Args),
    /// Says what a sync would take, before anything is fetched: requests, time, messages, disk, and what will be lost
    Plan(plan::Args),
    /// Says how each stream is: how far it is complete, what is missing, what is wrong
    Status(status::Args),
    /// Tries configuration, database and each account's credentials, and lifts pauses
    Check,
    /// Serves both providers' APIs on this machine, with a made-up history: for trying things out
    Sandbox(Box<sandbox::Args>),
    /// Archives a made-up history into a new database and shows what can be asked of it
    Demo(demo::Args),
    /// Compares the archive with what its ledger says it was given, and puts right what differs
    Verify(verify::Args),
    /// Copies the archive, with its coverage, into another database; may be broken off and begun again
    Copy(copy::Args),
    /// Creates the archive, or brings its tables up to date
    Migrate(migrate::Args),
    /// Reads again what could not be understood, after an upgrade, and archives what now can be
    Requeue,
    /// Proves it on this machine: faults and kills in a throwaway archive, and then the count of what is missing
    Drill(drill::Args),
    /// Prints the completions of a shell
    Completions(completions::Args),
    /// Prints the manual page, in which every command stands
    Man,
    /// Measures how fast this machine archives, beside what its database could do at best
    #[command(hide = true)]
    Bench(bench::Args),
}

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
enum CliError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Copy(#[from] CopyError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Client(#[from] ClientSetupError),
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    #[error(transparent)]
    Webhook(#[from] WebhookError),
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error("{0}")]
    System(#[from] std::io::Error),
}

/// How a command that did its work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Good,
    /// It says by its exit status that not all is well.
    Lacking,
}

impl CliError {
    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Store(error) => Some(error.hint()),
            Self::Copy(error) => Some(error.hint()),
            Self::Manifest(error) => Some(error.hint()),
            // Each of these says its remedy itself, or has none.
            Self::Config(_)
            | Self::Usage(_)
            | Self::Client(_)
            | Self::Schedule(_)
            | Self::Webhook(_)
            | Self::Sandbox(_)
            | Self::System(_) => None,
        }
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Usage(_) => 2,
            _ => 1,
        }
    }
}

/// Carries out a command; the exit status is 0 when all is well, 1 when something is not, 2 when the configuration or
/// the command line is wrong.
pub fn main(cli: Cli) -> ExitCode {
    if std::env::args_os()
        .filter_map(|argument| argument.into_string().ok())
        .any(|argument| contains_password(&argument))
    {
        return print_error(&CliError::Usage(PASSWORD_IN_ARGUMENT.to_owned()));
    }
    let speaker = cli.command.log_profile();
    let logging = match logging::start(cli.log.clone(), speaker) {
        Ok(logging) => logging,
        Err(error) => return print_error(&CliError::Usage(error)),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return print_error(&CliError::System(error)),
    };
    let outcome = runtime.block_on(cli.run(&logging));
    // What still hangs there, a name that nobody resolves, holds up nothing any more.
    runtime.shutdown_background();
    match outcome {
        Ok(Outcome::Good) => ExitCode::SUCCESS,
        Ok(Outcome::Lacking) => ExitCode::FAILURE,
        Err(failure) if speaker == LogProfile::Daemon => {
            tracing::error!(hint = failure.hint(), "{failure}");
            ExitCode::from(failure.exit_code())
        }
        Err(failure) => print_error(&failure),
    }
}

const PASSWORD_IN_ARGUMENT: &str = "a URL on the command line holds a password, and everybody on this machine can read it \
                              there: leave it to PGPASSWORD or ~/.pgpass, or put the URL into the environment \
                              variable that --help names";

/// Whether an argument is a URL with a password, or ends in one.
fn contains_password(argument: &str) -> bool {
    let url = argument
        .split_once('=')
        .filter(|(flag, _)| flag.starts_with("--"))
        .map_or(argument, |(_, url)| url);
    crate::config::has_password(url)
}

fn print_error(failure: &CliError) -> ExitCode {
    // Where even stderr is gone there is nobody left to tell.
    let _ = writeln!(std::io::stderr(), "error: {failure}");
    if let Some(hint) = failure.hint() {
        let _ = writeln!(std::io::stderr(), "  hint: {hint}");
    }
    ExitCode::from(failure.exit_code())
}

impl Command {
    fn log_profile(&self) -> LogProfile {
        match self {
            Self::Run => LogProfile::Daemon,
            Self::Sandbox(_) => LogProfile::Service,
            _ => LogProfile::Command,
        }
    }
}

impl Cli {
    async fn run(self, logging: &LogHandle) -> Result<Outcome, CliError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        match self.command {
            Command::Sandbox(args) => sandbox::run(*args, clock).await,
            Command::Demo(args) => demo::run(args, clock).await,
            Command::Drill(args) => drill::carry_out(args, clock).await,
            Command::Bench(args) => bench::run_bench(args, clock).await,
            Command::Completions(args) => Ok(completions::run(&args)),
            Command::Man => man::run(),
            Command::Run => Box::pin(run::run(&self.config, logging, clock)).await,
            Command::Sync(args) => sync::run(args, &Config::load(&self.config)?, clock).await,
            Command::Plan(args) => plan::run(&args, &Config::load(&self.config)?, clock).await,
            Command::Status(args) => status::run(&args, &Config::load(&self.config)?, clock).await,
            Command::Check => check::run(&Config::load(&self.config)?, clock).await,
            Command::Verify(args) => verify::run(&args, &Config::load(&self.config)?, clock).await,
            Command::Copy(args) => copy::run(&args, &Config::load(&self.config)?, &*clock).await,
            Command::Requeue => requeue::run(&Config::load(&self.config)?, clock).await,
            Command::Migrate(args) => {
                migrate::run(&args, &Config::load(&self.config)?, &*clock).await
            }
        }
    }
}

/// Opens the archive at a URL.
async fn open(url: &DatabaseUrl, missing: IfMissing) -> Result<Arc<dyn Archive>, StoreError> {
    Ok(match url {
        DatabaseUrl::Sqlite(path) => Arc::new(SqliteStore::open(path, missing).await?),
        DatabaseUrl::Postgres(server) => {
            Arc::new(PostgresStore::connect(server.options(), missing).await?)
        }
    })
}

/// Opens the archive at a URL to read it and nothing else.
async fn open_to_read(url: &DatabaseUrl) -> Result<Arc<dyn Archive>, StoreError> {
    Ok(match url {
        DatabaseUrl::Sqlite(path) => Arc::new(SqliteStore::open_read_only(path).await?),
        DatabaseUrl::Postgres(server) => {
            Arc::new(PostgresStore::connect_read_only(server.options()).await?)
        }
    })
}

/// Opens the archive at a URL to write to it: of an SQLite file, which one process at a time may do.
async fn open_to_write(
    url: &DatabaseUrl,
    missing: IfMissing,
    clock: &dyn Clock,
) -> Result<Arc<dyn Archive>, StoreError> {
    match url {
        DatabaseUrl::Sqlite(path) => Ok(Arc::new(
            SqliteStore::open_exclusive(path, missing, &describe_this_process(clock.now())).await?,
        )),
        DatabaseUrl::Postgres(_) => open(url, missing).await,
    }
}

/// Writes a line to standard output. A reader that has gone away (`| head`) is no error.
fn say(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

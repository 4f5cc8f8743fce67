//! The command line. Each command has its own file.
//!
//! | question | file |
//! |---|---|
//! | which commands are there, and which exit status do they return | `mod` |
//! | a command's flags and work | the file of its name |
//! | how is an archive opened; how is one named without a configuration | `open_archive`, `archive_args` |
//! | how do accounts of the configuration become providers | `accounts` |
//! | where are log levels and formats applied | `logging` |
//! | where are tables, progress and summaries printed | `table`, `progress`, `summary` |
//! | queries: the prompt, and the forms of a result | `sql/` |
//! | in which forms is a time given | `time_arg` |
//! | how do readers filter messages | `filter_args` |
//! | what happens if standard output cannot be written | `output` |
//! | where are alarms and the loss forecast printed | `alarms`, `loss` |
//! | which constants can be tuned | `limits` |
//! | where do `drill` and the benchmarks get a throwaway database | `scratch` |

mod accounts;
mod alarms;
mod archive_args;
mod check;
mod completions;
mod copy;
#[cfg(feature = "sandbox")]
mod demo;
#[cfg(feature = "sandbox")]
mod drill;
mod error;
mod exit_outcome;
mod export;
mod filter_args;
mod healthcheck;
mod init;
mod limits;
mod logging;
mod loss;
mod man;
mod migrate;
mod open_archive;
mod output;
mod plan;
mod progress;
mod quota;
mod requeue;
mod run;
#[cfg(feature = "sandbox")]
mod sandbox;
#[cfg(feature = "sandbox")]
#[doc(hidden)]
pub mod scratch;
mod search;
mod sql;
mod status;
mod summary;
mod sync;
#[doc(hidden)]
pub mod table;
mod time_arg;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory, Parser, Subcommand};

use error::CliError;
use exit_outcome::ExitOutcome;
use logging::{GLOBAL_OPTIONS, LogHandle, LogProfile};

use crate::config::{Config, UsedSecrets, find_config};
use crate::domain::clock::{Clock, SystemClock};

/// The output of `--version`. Scripts read the version from its first line.
const LONG_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\ncommit: ",
    env!("BACKSCROLL_COMMIT"),
    "\nfeatures: ",
    env!("BACKSCROLL_FEATURES"),
);

/// Archives your chat history: copies the messages that Agora RTM and Web3MQ keep only for a
/// limited time into a SQL database of your own.
#[derive(Debug, Parser)]
#[command(name = "backscroll", version, long_version = LONG_VERSION, max_term_width = 110)]
pub struct Cli {
    /// Configuration file. Default: the first that exists of `./config.toml`, `config.toml` in
    /// `$XDG_CONFIG_HOME/backscroll` (`~/.config/backscroll`), and `/etc/backscroll/config.toml`. The
    /// one that ships with Backscroll explains every key
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "BACKSCROLL_CONFIG",
        help_heading = GLOBAL_OPTIONS
    )]
    config: Option<PathBuf>,

    #[command(flatten)]
    log: logging::LogArgs,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Asks for the credentials of an account, tries them, and writes a configuration that only this
    /// user can read. The variables `AGORA_CUSTOMER_SECRET` and `WEB3MQ_PRIVATE_KEY` answer for a
    /// secret
    Init(Box<init::Args>),
    /// Runs as a service: archives on a schedule until it is stopped
    Run,
    /// Asks the running service if it is alive, for the health check of a container. Exit status 0: it is
    Healthcheck,
    /// Archives until all wanted history is sealed, then prints the state of the archive
    Sync(sync::Args),
    /// Estimates a sync before it starts: requests, time, messages, disk, and messages that will be
    /// lost
    Plan(plan::Args),
    /// Prints the state of each stream: its watermark, its gaps, its errors
    Status(status::Args),
    /// Finds archived messages by their words, and says which part of the searched range is incomplete
    Search(search::Args),
    /// Runs a query in the archive, or opens a prompt. Nothing can be changed by it
    Sql(sql::Args),
    /// Tests the configuration, the database and the credentials of each account, and lifts pauses
    Check,
    /// Serves the APIs of both providers on this machine, with a generated history
    #[cfg(feature = "sandbox")]
    Sandbox(Box<sandbox::Args>),
    /// Archives a generated history into a new database and runs example queries
    #[cfg(feature = "sandbox")]
    Demo(demo::Args),
    /// Compares the archive with its ledger, and repairs differences
    Verify(verify::Args),
    /// Copies the archive, with its coverage, runs, alarms and pauses, into another database; can be interrupted and
    /// resumed
    Copy(copy::Args),
    /// Writes messages to files of an open format, one for each provider and day, with a manifest that
    /// says what they hold; a second run rewrites only what changed
    Export(Box<export::Args>),
    /// Creates the archive, or migrates it to the current schema
    Migrate(migrate::Args),
    /// Parses quarantined messages again, after an upgrade, and archives those that are valid now
    Requeue,
    /// Tests crash safety on this machine: injects faults and kills, then counts missing messages
    #[cfg(feature = "sandbox")]
    Drill(drill::Args),
    /// Prints the completion script of a shell
    Completions(completions::Args),
    /// Prints the manual page of all commands
    Man,
}

/// Runs a command. Returns the exit status: 0 for success, 1 for a problem, 2 for an error in the
/// configuration or the command line.
pub fn main(cli: Cli) -> ExitCode {
    let mut arguments = std::env::args_os().filter_map(|argument| argument.into_string().ok());
    if arguments.any(|argument| contains_password(&argument)) {
        return print_error(&CliError::Usage(PASSWORD_IN_ARGUMENT.to_owned()));
    }
    let profile = cli.command.log_profile();
    let logging = match logging::start(cli.log.clone(), profile) {
        Ok(logging) => logging,
        Err(error) => return print_error(&CliError::Usage(error)),
    };
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = match runtime.worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return print_error(&CliError::System(error)),
    };
    let outcome = runtime.block_on(cli.run(&logging));
    let outcome = outcome.and_then(|outcome| output::finish().map(|()| outcome));
    // A blocking task that hangs, such as a DNS lookup, must not delay the exit.
    runtime.shutdown_background();
    match outcome {
        Ok(ExitOutcome::Success) => ExitCode::SUCCESS,
        Ok(ExitOutcome::Incomplete) => ExitCode::FAILURE,
        Err(error) if profile == LogProfile::Daemon => {
            for message in error.messages() {
                tracing::error!(hint = error.hint(), "{message}");
            }
            ExitCode::from(error.exit_code())
        }
        Err(error) => print_error(&error),
    }
}

const PASSWORD_IN_ARGUMENT: &str = "a URL on the command line contains a password, which every user \
    of this machine can read there: use PGPASSWORD or ~/.pgpass, or put the URL into the environment \
    variable that --help names";

/// True if an argument is a URL with a password, or a flag with one (`--to=URL`).
fn contains_password(argument: &str) -> bool {
    let url = argument
        .split_once('=')
        .filter(|(flag, _)| flag.starts_with("--"))
        .map_or(argument, |(_, url)| url);
    crate::config::has_password(url)
}

fn print_error(error: &CliError) -> ExitCode {
    error.print();
    ExitCode::from(error.exit_code())
}

impl Command {
    fn log_profile(&self) -> LogProfile {
        match self {
            Self::Run => LogProfile::Daemon,
            #[cfg(feature = "sandbox")]
            Self::Sandbox(_) => LogProfile::Service,
            _ => LogProfile::Command,
        }
    }
}

impl Cli {
    async fn run(self, logging: &LogHandle) -> Result<ExitOutcome, CliError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let load = |used: UsedSecrets<'_>| {
            let path = find_config(self.config.clone())?;
            Ok::<_, CliError>(Config::load(&path, used)?)
        };
        match self.command {
            #[cfg(feature = "sandbox")]
            Command::Sandbox(args) => sandbox::run(*args, clock).await,
            #[cfg(feature = "sandbox")]
            Command::Demo(args) => demo::run(args, clock).await,
            #[cfg(feature = "sandbox")]
            Command::Drill(args) => drill::run(args, clock).await,
            Command::Completions(args) => Ok(completions::run(&args, Self::command())),
            Command::Man => man::run(Self::command()),
            Command::Init(args) => init::run(*args, self.config, clock).await,
            Command::Run => {
                let path = find_config(self.config)?;
                Box::pin(run::run(&path, logging, clock)).await
            }
            Command::Healthcheck => healthcheck::run(&load(UsedSecrets::None)?).await,
            Command::Sync(args) => {
                let config = load(UsedSecrets::of_accounts(args.account.as_deref()))?;
                sync::run(args, &config, clock).await
            }
            Command::Plan(args) => {
                let config = load(UsedSecrets::of_accounts(args.account()))?;
                plan::run(&args, &config, clock).await
            }
            Command::Check => {
                let path = find_config(self.config.clone())?;
                let config = Config::load(&path, UsedSecrets::All)?;
                check::run(&path, &config, clock).await
            }
            Command::Verify(args) => {
                let archive = args.archive.find(|| load(args.used_secrets()))?;
                verify::run(&args, &archive, clock).await
            }
            Command::Status(args) => {
                let archive = args.archive.find(|| load(UsedSecrets::None))?;
                status::run(&args, &archive, clock).await
            }
            Command::Search(args) => {
                let archive = args.archive.find(|| load(UsedSecrets::None))?;
                search::run(&args, &archive.url, &*clock).await
            }
            Command::Sql(args) => {
                let archive = args.archive.find(|| load(UsedSecrets::None))?;
                sql::run(args, &archive.url).await
            }
            Command::Export(args) => {
                if let Some(folder) = args.folder_to_check() {
                    return export::check(folder);
                }
                let archive = args.archive.find(|| load(UsedSecrets::None))?;
                export::run(&args, &archive.url, &*clock).await
            }
            Command::Copy(args) => copy::run(&args, &load(UsedSecrets::None)?, &*clock).await,
            Command::Requeue => requeue::run(&load(UsedSecrets::None)?, clock).await,
            Command::Migrate(args) => migrate::run(&args, &load(UsedSecrets::None)?, &*clock).await,
        }
    }
}

//! `backscroll sql`: runs a query in the archive, or opens a prompt.
//!
//! | question | file |
//! |---|---|
//! | flags, where the query comes from | this file |
//! | running a query, interrupts, the limit of time | `session.rs` |
//! | how is a result written: table, JSON, CSV | `format/` |
//! | the prompt and its commands | `prompt.rs` |
//! | what does the tab key complete | `completion.rs` |
//! | how is the place of a mistake shown | `mistake.rs` |

mod completion;
mod format;
mod mistake;
mod prompt;
mod session;

use std::io::{self, IsTerminal, Read as _};
use std::time::Duration;

use super::archive_args::ArchiveArgs;
use super::error::CliError;
use super::exit_outcome::ExitOutcome;
use super::limits::MAX_QUERY_BYTES;
use super::open_archive::open_to_query;
use crate::config::{DatabaseUrl, parse_duration};
use format::ResultFormat;
use session::Session;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Query in the SQL of the archive's database. Without it, the query is read from standard input;
    /// at a terminal, a prompt is opened
    query: Option<String>,

    /// Form of the result. Bytes are base64
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: ResultFormat,

    /// Maximum duration of a query; 0s: no limit. A long query holds up the removal of old data from
    /// the log of an SQLite archive and from a Postgres database
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "10m",
        value_parser = parse_timeout
    )]
    timeout: Duration,

    #[command(flatten)]
    pub(super) archive: ArchiveArgs,
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "write a duration like 30s, 10m or 2h".to_owned())
}

pub(super) async fn run(args: Args, archive: &DatabaseUrl) -> Result<ExitOutcome, CliError> {
    let connection = open_to_query(archive, args.timeout).await?;
    let mut session = Session {
        connection,
        format: args.format,
        timeout: args.timeout,
    };
    let at_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    let outcome = match args.query {
        Some(query) => session.run(&query).await,
        None if at_terminal => prompt::run(&mut session).await,
        None => session.run(&query_from_stdin()?).await,
    };
    session.connection.close().await;
    outcome
}

/// Reads the query from standard input.
fn query_from_stdin() -> Result<String, CliError> {
    let mut query = String::new();
    let read = io::stdin()
        .take(MAX_QUERY_BYTES + 1)
        .read_to_string(&mut query);
    read.map_err(|error| CliError::Usage(format!("standard input cannot be read: {error}")))?;
    if query.len() as u64 > MAX_QUERY_BYTES {
        let message = format!("the query is longer than {MAX_QUERY_BYTES} bytes");
        return Err(CliError::Usage(message));
    }
    Ok(query)
}

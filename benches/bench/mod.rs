//! The speed of the store and of the whole daemon, relative to the maximum speed of the database on
//! the same machine in the same run. The ratios can be compared between machines, the absolute
//! figures cannot.
//!
//! `cargo bench -- quota` measures the use of a provider's rate limit instead.
//!
//! | question | file |
//! |---|---|
//! | what is measured | `measures`; of full-text search: `search`; of exports: `export`; of first looks: `look` |
//! | what is the reference, the raw ceiling | `raw` |
//! | which messages are written | `history` |
//! | how are the figures printed, and what are the goals | `report` |
//! | how much of a rate limit is used | `quota` |

mod children;
mod database;
mod error;
mod export;
mod history;
mod look;
mod measures;
pub(crate) mod quota;
mod raw;
pub(crate) mod report;
mod search;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use backscroll::cli::scratch::{ScratchDatabase, ScratchDir};
use backscroll::domain::clock::{Clock, SystemClock};
use clap::Parser;

use self::error::BenchError;
use self::report::BenchFigures;

/// Measures how fast this machine archives, relative to its database.
#[derive(Debug, Parser)]
#[command(name = "cargo bench --", args_conflicts_with_subcommands = true)]
struct BenchArgs {
    #[command(subcommand)]
    subject: Option<BenchSubject>,

    /// Database to measure: an SQLite file that does not exist yet, or a Postgres database without
    /// an archive. Default: a temporary file
    #[arg(long, value_name = "URL")]
    database: Option<String>,

    /// Messages to write in each run
    #[arg(long, default_value_t = 200_000, value_name = "N")]
    messages: usize,

    /// Number of runs; the medians are shown
    #[arg(
        long,
        default_value_t = 3,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    runs: u32,

    /// Only one of the measures
    #[arg(long, value_enum, value_name = "MEASURE")]
    only: Option<Measure>,
}

/// A subject other than the speed of this machine.
#[derive(Debug, clap::Subcommand)]
enum BenchSubject {
    /// Measures the use of a provider's rate limit, against a sandbox with the documented limits
    Quota(quota::QuotaArgs),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Measure {
    /// Commits of new windows
    Store,
    /// Commits of the same messages once more
    Again,
    /// A sync from the sandbox
    EndToEnd,
    /// Queries of readers
    Read,
    /// Full-text search: its latency, its size, and the speed of archiving while the index follows
    Search,
    /// Exports to JSON lines and Parquet, beside `sqlite3 -json` and `DuckDB` on the same archive
    Export,
    /// First looks at ten thousand streams: `backscroll status`, and the page after a start
    Look,
}

/// Runs the benchmarks of these arguments. Returns the exit status.
pub(crate) fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    // Cargo itself adds `--bench`.
    let args = BenchArgs::parse_from(args.filter(|arg| arg != "--bench"));
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    match runtime.block_on(run(args)) {
        Ok(exit) => exit,
        Err(error) => fail(&error),
    }
}

fn fail(error: &BenchError) -> ExitCode {
    print_line(format_args!("error: {error}"));
    ExitCode::FAILURE
}

async fn run(args: BenchArgs) -> Result<ExitCode, BenchError> {
    let clock = SystemClock;
    if let Some(BenchSubject::Quota(args)) = args.subject {
        return quota::run(&args, &clock).await;
    }
    let dir = ScratchDir::new()?;
    let database = ScratchDatabase::at(args.database.as_deref(), dir.path()).await?;
    let mut figures = BenchFigures::default();
    for _ in 0..args.runs {
        run_once(&args, &database, dir.path(), &clock, &mut figures).await?;
    }
    database.clear().await?;
    print_line(figures.table(args.messages, database.is_postgres()));
    Ok(ExitCode::SUCCESS)
}

async fn run_once(
    args: &BenchArgs,
    database: &ScratchDatabase,
    dir: &Path,
    clock: &dyn Clock,
    figures: &mut BenchFigures,
) -> Result<(), BenchError> {
    let messages = args.messages;
    let is_wanted = |measure| args.only.is_none_or(|only| only == measure);
    let sqlite = raw::sqlite_ceiling(dir, messages).await?;
    figures.sqlite_ceiling.push(sqlite);
    figures.ceiling.push(if database.is_postgres() {
        raw::postgres_ceiling(database, messages).await?
    } else {
        sqlite
    });
    if args.only != Some(Measure::EndToEnd) {
        let store = database::create_archive(database).await?;
        let speed = measures::measure_commits(&store, messages, false, clock).await?;
        figures.store.push(speed);
        figures
            .bytes
            .push(store.size_bytes().await? as f64 / messages as f64);
        if is_wanted(Measure::Again) {
            let speed = measures::measure_commits(&store, messages, true, clock).await?;
            figures.again.push(speed);
        }
        if is_wanted(Measure::Search) {
            let search = search::measure_search(&store, messages).await?;
            figures.search.push(search);
        }
        if is_wanted(Measure::Look) {
            look::add_streams(&*store, messages).await?;
        }
        store.close().await;
        if is_wanted(Measure::Read) {
            figures
                .reading
                .push(measures::measure_reads(database, messages).await?);
        }
        if is_wanted(Measure::Export) {
            let export = export::measure_export(database, dir, messages).await?;
            figures.export.push(export);
        }
        if is_wanted(Measure::Look) {
            let look = look::measure_looks(database, dir, messages).await?;
            figures.look.push(look);
        }
    }
    if is_wanted(Measure::Search) {
        let store = database::create_archive(database).await?;
        let speed = search::measure_commits_with_index(&store, messages, clock).await?;
        figures.with_index.push(speed);
        store.close().await;
    }
    if is_wanted(Measure::EndToEnd) {
        let [first, again] = measures::measure_end_to_end(database, dir, messages).await?;
        figures.end_to_end.push(first);
        figures.end_to_end_again.push(again);
    }
    Ok(())
}

/// Prints a line to standard output. A closed pipe is not an error.
fn print_line(line: impl std::fmt::Display) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{line}");
}

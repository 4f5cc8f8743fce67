//! `cargo bench -- quota` measures the use of a provider's rate limit. The sandbox enforces the
//! limits of Agora's contract and records every request.
//!
//! The figures are those of the sandbox, not of the process that archives. They show the use of the
//! limit on the provider's side of the connection.

pub(crate) mod expiring_history;
pub(crate) mod quota_run;
mod runner;
pub(crate) mod sheet;

use std::process::ExitCode;

use backscroll::cli::scratch::{ScratchDatabase, ScratchDir};
use backscroll::domain::clock::Clock;
use backscroll::domain::format::thousands;
use backscroll::sandbox::DurationRange;
use backscroll::sync::simulation::{self, HOURS, PollOrder, STREAMS, measure_ages};

use self::quota_run::QuotaRun;
use self::runner::QuotaRunner;
use self::sheet::{FigureSheet, FigureUnit};
use super::error::BenchError;
use super::print_line;
use super::report::{MAX_MEMORY_MIB, mib};

/// The maximum duration of the run that measures the throughput of a dense history. A longer run
/// would measure the same.
const MAX_THROUGHPUT_SECONDS: u32 = 120;
/// The number of accounts that one process archives in parallel.
const ACCOUNTS: u32 = 10;

#[derive(Debug, clap::Args)]
pub(super) struct QuotaArgs {
    /// Approximate duration of each measure: the history has as many messages as the rate limit
    /// allows in this time. The first and last seconds cannot use all of the limit, so short runs
    /// look worse
    #[arg(
        long,
        default_value_t = 120,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=3600)
    )]
    seconds: u32,

    /// Number of runs; the medians are shown
    #[arg(
        long,
        default_value_t = 1,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    runs: u32,

    /// Only one of the measures
    #[arg(long, value_enum, value_name = "MEASURE")]
    only: Option<QuotaMeasure>,

    /// Times until a handle is ready, one dense backfill for each
    #[arg(
        long,
        default_value = "50ms,300ms,2500ms",
        value_delimiter = ',',
        value_name = "SPANS"
    )]
    ready_after: Vec<DurationRange>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum QuotaMeasure {
    /// An evenly spread history, for each time until a handle is ready
    Dense,
    /// A history of bursts and silences
    Bursty,
    /// A history that expires faster than it can be fetched
    Backlog,
    /// Ten accounts in parallel, each with its own rate limit
    Accounts,
    /// Ten thousand streams, of which few are busy, in five hours of virtual time
    Streams,
}

/// Runs the measures. Returns a failure only if a rule of the provider was broken.
pub(super) async fn run(args: &QuotaArgs, clock: &dyn Clock) -> Result<ExitCode, BenchError> {
    let dir = ScratchDir::new()?;
    let database = ScratchDatabase::at(None, dir.path()).await?;
    let (database, dir, seconds) = (&database, dir.path(), args.seconds);
    let runner = QuotaRunner {
        database,
        dir,
        clock,
        seconds,
    };
    let mut sheet = FigureSheet::default();
    for _ in 0..args.runs {
        measure(args, &runner, &mut sheet).await?;
    }
    database.clear().await?;
    print_line(sheet.table());
    Ok(if sheet.has_no_broken_rules() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn measure(
    args: &QuotaArgs,
    runner: &QuotaRunner<'_>,
    sheet: &mut FigureSheet,
) -> Result<(), BenchError> {
    let is_wanted = |measure| args.only.is_none_or(|only| only == measure);
    if is_wanted(QuotaMeasure::Dense) {
        for ready_after in &args.ready_after {
            let flags = ["--plain", "--ready-after", &ready_after.to_string()];
            let run = runner.backfill(&flags, 1).await?;
            add_backfill(
                sheet,
                &format!("dense, handles ready after {ready_after}"),
                &run,
            );
        }
    }
    if is_wanted(QuotaMeasure::Bursty) {
        add_backfill(
            sheet,
            "bursts and silences",
            &runner.backfill(&[], 1).await?,
        );
    }
    if is_wanted(QuotaMeasure::Backlog) {
        measure_backlog(runner, sheet).await?;
    }
    if is_wanted(QuotaMeasure::Accounts) {
        measure_accounts(runner, sheet).await?;
    }
    if is_wanted(QuotaMeasure::Streams) {
        simulate_polls(sheet);
    }
    Ok(())
}

async fn measure_backlog(
    runner: &QuotaRunner<'_>,
    sheet: &mut FigureSheet,
) -> Result<(), BenchError> {
    // The bound uses the actual throughput: no order can save the requests of a window besides its
    // pages.
    let seconds = runner.seconds.min(MAX_THROUGHPUT_SECONDS);
    let dense = QuotaRunner { seconds, ..*runner };
    let rate = dense.backfill(&["--plain"], 1).await?.messages_per_second();
    let (run, bound) = runner.backlog(rate).await?;
    let measure = "expiring within a day: saved of what can be";
    let saved = simulation::saved_share(24);
    sheet.add(
        measure,
        FigureUnit::Share,
        Some(0.95),
        saved,
        "in virtual time".to_owned(),
    );
    let measure = format!("expiring within {} s: saved of what can be", runner.seconds);
    let saved = run.messages as f64 / bound.max(1.0);
    sheet.add(
        &measure,
        FigureUnit::Share,
        None,
        saved,
        run.describe_requests(),
    );
    add_common(sheet, &measure, &run);
    Ok(())
}

async fn measure_accounts(
    runner: &QuotaRunner<'_>,
    sheet: &mut FigureSheet,
) -> Result<(), BenchError> {
    let flags = ["--plain", "--projects", &ACCOUNTS.to_string()];
    let run = runner.backfill(&flags, ACCOUNTS).await?;
    let measure = "ten accounts: rate limit used by the least busy";
    sheet.add(
        measure,
        FigureUnit::Share,
        None,
        run.quota_used(),
        run.describe_requests(),
    );
    let cpu = run.cost.used.cpu.as_secs_f64() / run.cost.time.as_secs_f64();
    sheet.add(
        measure,
        FigureUnit::Processor,
        Some(0.1),
        cpu,
        String::new(),
    );
    add_common(sheet, measure, &run);
    Ok(())
}

fn simulate_polls(sheet: &mut FigureSheet) {
    let engine = measure_ages(PollOrder::Engine, STREAMS, HOURS);
    let in_turn = measure_ages(PollOrder::InTurn, STREAMS, HOURS);
    let measure = "10,000 streams: mean age when archived, to that in turn";
    let remark = format!(
        "{:.0} s to {:.0} s, of {} messages per hour",
        engine.mean_s,
        in_turn.mean_s,
        thousands(engine.hourly())
    );
    let ratio = engine.mean_s / in_turn.mean_s;
    sheet.add(measure, FigureUnit::Share, Some(1.0 / 3.0), ratio, remark);
    let remark = format!("in turn {:.0}", in_turn.worst_s);
    sheet.add(
        measure,
        FigureUnit::LongestWait,
        None,
        engine.worst_s,
        remark,
    );
    let remark = "to choose".to_owned();
    sheet.add(
        measure,
        FigureUnit::Processor,
        None,
        engine.processor(),
        remark,
    );
}

fn add_backfill(sheet: &mut FigureSheet, history: &str, run: &QuotaRun) {
    let measure = format!("{history}: rate limit used");
    sheet.add(
        &measure,
        FigureUnit::Share,
        Some(0.98),
        run.quota_used(),
        String::new(),
    );
    let efficiency = run.request_efficiency();
    let requests = run.describe_requests();
    sheet.add(
        &measure,
        FigureUnit::Efficiency,
        Some(0.95),
        efficiency,
        requests,
    );
    add_common(sheet, &measure, run);
}

fn add_common(sheet: &mut FigureSheet, measure: &str, run: &QuotaRun) {
    let throughput = run.messages_per_second();
    sheet.add(
        measure,
        FigureUnit::Throughput,
        None,
        throughput,
        String::new(),
    );
    let peak = mib(run.cost.used.peak);
    sheet.add(
        measure,
        FigureUnit::Memory,
        Some(MAX_MEMORY_MIB),
        peak,
        String::new(),
    );
    let broken = run.rules.total.violations() as f64;
    sheet.add(
        measure,
        FigureUnit::Broken,
        Some(0.0),
        broken,
        String::new(),
    );
}

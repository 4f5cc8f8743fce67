//! `backscroll bench quota`: what is made of the requests that a provider grants, against a sandbox that grants what
//! Agora's contract does and counts every request.
//!
//! The figures are the sandbox's, not those of the process that archives: how much of the quota was used is seen from
//! its side of the wire.

mod backlog;
mod expiring;
mod run;
mod seen;
mod sheet;
mod streams;

use self::run::QuotaBench;
use self::seen::QuotaRun;
use self::sheet::{FigureSheet, FigureUnit};
use self::streams::{HOURS, PollOrder, STREAMS, measure_ages};
use super::super::table::thousands;
use super::super::{CliError, ExitOutcome, print_line};
use super::place::ScratchDatabase;
use super::{MEMORY_MIB, ScratchDir, mib};
use crate::domain::clock::Clock;
use crate::sandbox::DurationRange;

/// Agora's contract: requests a second, for a project.
const QUOTA: u32 = 10;
/// The messages to its largest page.
const PAGE_MESSAGES: u32 = 100;
/// A full page costs at the least a request that makes a handle and one that reads it.
const REQUESTS_A_PAGE: u32 = 2;
/// What can be had of one project at the most, in messages a second.
const MAX_MESSAGES_PER_SECOND: u32 = QUOTA / REQUESTS_A_PAGE * PAGE_MESSAGES;
/// So many seconds tell how fast messages come.
const LONG_ENOUGH: u32 = 120;
/// How many accounts one process archives at once.
const ACCOUNTS: u32 = 10;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// About how long each measure takes: so much history is made up as the quota can fetch in this time. In the first
    /// and the last seconds it cannot be used up, so short runs look worse than they are
    #[arg(long, default_value_t = 120, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,

    /// Runs; the medians are shown
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,

    /// Only one of the measures
    #[arg(long, value_enum, value_name = "MEASURE")]
    only: Option<QuotaMeasure>,

    /// How long handles are in progress, in one dense backfill after the other
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
    /// A history that is spread evenly, for each time that handles take
    Dense,
    /// A history of bursts and silences
    Bursty,
    /// A history that expires faster than it can be fetched
    Backlog,
    /// Ten accounts at once, each with a quota of its own
    Accounts,
    /// Ten thousand streams of which few are busy, in virtual time: five hours, whatever `--seconds` says
    Streams,
}

pub(super) async fn run_quota(args: &Args, clock: &dyn Clock) -> Result<ExitOutcome, CliError> {
    let scratch = ScratchDir::new()?;
    let place = ScratchDatabase::at(None, &scratch.0).await?;
    let bench = QuotaBench {
        place: &place,
        scratch: &scratch.0,
        clock,
        seconds: args.seconds,
    };
    let mut sheet = FigureSheet::default();
    for _ in 0..args.runs {
        measure(args, &bench, &mut sheet).await?;
    }
    place.clear().await?;
    print_line(sheet.table());
    // Slow is slow; but a broken rule is a fault.
    Ok(if sheet.has_no_broken_rules() {
        ExitOutcome::Success
    } else {
        ExitOutcome::Incomplete
    })
}

async fn measure(
    args: &Args,
    bench: &QuotaBench<'_>,
    sheet: &mut FigureSheet,
) -> Result<(), CliError> {
    let wanted = |measure| args.only.is_none_or(|only| only == measure);
    for span in args
        .ready_after
        .iter()
        .filter(|_| wanted(QuotaMeasure::Dense))
    {
        let seen = bench
            .backfill(&["--plain", "--ready-after", &span.to_string()], 1)
            .await?;
        note_backfill(sheet, &format!("dense, handles take {span}"), &seen);
    }
    if wanted(QuotaMeasure::Bursty) {
        note_backfill(sheet, "bursts and silences", &bench.backfill(&[], 1).await?);
    }
    if wanted(QuotaMeasure::Backlog) {
        // What windows cost besides their pages no order can save.
        let dense = QuotaBench {
            seconds: bench.seconds.min(LONG_ENOUGH),
            ..*bench
        };
        let pace = dense.backfill(&["--plain"], 1).await?.messages_per_second();
        let (seen, bound) = bench.backlog(pace).await?;
        let what = "expiring within a day: saved of what can be";
        sheet.note(
            what,
            FigureUnit::Share,
            Some(0.95),
            expiring::saved_share(24),
            "in virtual time".to_owned(),
        );
        let what = format!("expiring within {} s: saved of what can be", args.seconds);
        let what = what.as_str();
        sheet.note(
            what,
            FigureUnit::Share,
            None,
            seen.messages as f64 / bound.max(1.0),
            seen.describe_requests(),
        );
        note_common(sheet, what, &seen);
    }
    if wanted(QuotaMeasure::Accounts) {
        let seen = bench
            .backfill(&["--plain", "--projects", &ACCOUNTS.to_string()], ACCOUNTS)
            .await?;
        let what = "ten accounts: quota used by the least busy";
        sheet.note(
            what,
            FigureUnit::Share,
            None,
            seen.quota_used(),
            seen.describe_requests(),
        );
        let cpu = seen.took.used.cpu.as_secs_f64() / seen.took.time.as_secs_f64();
        sheet.note(what, FigureUnit::Processor, Some(0.1), cpu, String::new());
        note_common(sheet, what, &seen);
    }
    if wanted(QuotaMeasure::Streams) {
        note_poll_order(sheet);
    }
    Ok(())
}

fn note_poll_order(sheet: &mut FigureSheet) {
    let [engine, in_turn] =
        [PollOrder::Engine, PollOrder::InTurn].map(|order| measure_ages(order, STREAMS, HOURS));
    let what = "10,000 streams: mean age when archived, to that in turn";
    let of = format!("{} messages an hour", thousands(engine.hourly()));
    let ages = format!("{:.0} s to {:.0} s, of {of}", engine.mean_s, in_turn.mean_s);
    sheet.note(
        what,
        FigureUnit::Share,
        Some(1.0 / 3.0),
        engine.mean_s / in_turn.mean_s,
        ages,
    );
    let waits = format!("in turn {:.0}", in_turn.worst_s);
    sheet.note(what, FigureUnit::LongestWait, None, engine.worst_s, waits);
    sheet.note(
        what,
        FigureUnit::Processor,
        None,
        engine.processor(),
        "to choose".to_owned(),
    );
}

fn note_backfill(sheet: &mut FigureSheet, history: &str, seen: &QuotaRun) {
    let what = format!("{history}: quota used");
    sheet.note(
        &what,
        FigureUnit::Share,
        Some(0.98),
        seen.quota_used(),
        String::new(),
    );
    sheet.note(
        &what,
        FigureUnit::Efficiency,
        Some(0.95),
        seen.request_efficiency(),
        seen.describe_requests(),
    );
    note_common(sheet, &what, seen);
}

fn note_common(sheet: &mut FigureSheet, what: &str, seen: &QuotaRun) {
    sheet.note(
        what,
        FigureUnit::Pace,
        None,
        seen.messages_per_second(),
        String::new(),
    );
    sheet.note(
        what,
        FigureUnit::Memory,
        Some(MEMORY_MIB),
        mib(seen.took.used.peak),
        String::new(),
    );
    sheet.note(
        what,
        FigureUnit::Broken,
        Some(0.0),
        seen.rules.total.violations() as f64,
        String::new(),
    );
}

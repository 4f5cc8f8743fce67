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

use self::run::Bench;
use self::seen::Seen;
use self::sheet::{Sheet, Unit};
use self::streams::{HOURS, Order, STREAMS, ages};
use super::super::table::grouped;
use super::super::{Failure, Outcome, say};
use super::place::Place;
use super::{MEMORY_MIB, Scratch, mib};
use crate::domain::clock::Clock;
use crate::sandbox::Span;

/// Agora's contract: requests a second, for a project.
const QUOTA: u32 = 10;
/// The messages to its largest page.
const PAGE: u32 = 100;
/// A full page costs at the least a request that makes a handle and one that reads it.
const REQUESTS_A_PAGE: u32 = 2;
/// What can be had of one project at the most, in messages a second.
const MOST: u32 = QUOTA / REQUESTS_A_PAGE * PAGE;
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
    only: Option<Measure>,

    /// How long handles are in progress, in one dense backfill after the other
    #[arg(
        long,
        default_value = "50ms,300ms,2500ms",
        value_delimiter = ',',
        value_name = "SPANS"
    )]
    ready_after: Vec<Span>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Measure {
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

pub(super) async fn carry_out(args: &Args, clock: &dyn Clock) -> Result<Outcome, Failure> {
    let scratch = Scratch::new()?;
    let place = Place::at(None, &scratch.0).await?;
    let bench = Bench {
        place: &place,
        scratch: &scratch.0,
        clock,
        seconds: args.seconds,
    };
    let mut sheet = Sheet::default();
    for _ in 0..args.runs {
        measure(args, &bench, &mut sheet).await?;
    }
    place.clear().await?;
    say(sheet.table());
    // Slow is slow; but a broken rule is a fault.
    Ok(if sheet.is_kept() {
        Outcome::Good
    } else {
        Outcome::Lacking
    })
}

async fn measure(args: &Args, bench: &Bench<'_>, sheet: &mut Sheet) -> Result<(), Failure> {
    let wanted = |measure| args.only.is_none_or(|only| only == measure);
    for span in args.ready_after.iter().filter(|_| wanted(Measure::Dense)) {
        let seen = bench
            .backfill(&["--plain", "--ready-after", &span.to_string()], 1)
            .await?;
        backfilled(sheet, &format!("dense, handles take {span}"), &seen);
    }
    if wanted(Measure::Bursty) {
        backfilled(sheet, "bursts and silences", &bench.backfill(&[], 1).await?);
    }
    if wanted(Measure::Backlog) {
        // What windows cost besides their pages no order can save.
        let dense = Bench {
            seconds: bench.seconds.min(LONG_ENOUGH),
            ..*bench
        };
        let pace = dense.backfill(&["--plain"], 1).await?.pace();
        let (seen, bound) = bench.backlog(pace).await?;
        let what = "expiring within a day: saved of what can be";
        sheet.note(
            what,
            Unit::Share,
            Some(0.95),
            expiring::saved(24),
            "in virtual time".to_owned(),
        );
        let what = format!("expiring within {} s: saved of what can be", args.seconds);
        let what = what.as_str();
        sheet.note(
            what,
            Unit::Share,
            None,
            seen.messages as f64 / bound.max(1.0),
            seen.calls(),
        );
        rest(sheet, what, &seen);
    }
    if wanted(Measure::Accounts) {
        let seen = bench
            .backfill(&["--plain", "--projects", &ACCOUNTS.to_string()], ACCOUNTS)
            .await?;
        let what = "ten accounts: quota used by the least busy";
        sheet.note(what, Unit::Share, None, seen.quota_used(), seen.calls());
        let cpu = seen.took.used.cpu.as_secs_f64() / seen.took.time.as_secs_f64();
        sheet.note(what, Unit::Processor, Some(0.1), cpu, String::new());
        rest(sheet, what, &seen);
    }
    if wanted(Measure::Streams) {
        looked_at(sheet);
    }
    Ok(())
}

fn looked_at(sheet: &mut Sheet) {
    let [engine, in_turn] = [Order::Engine, Order::InTurn].map(|order| ages(order, STREAMS, HOURS));
    let what = "10,000 streams: mean age when archived, to that in turn";
    let of = format!("{} messages an hour", grouped(engine.hourly()));
    let ages = format!("{:.0} s to {:.0} s, of {of}", engine.mean_s, in_turn.mean_s);
    sheet.note(
        what,
        Unit::Share,
        Some(1.0 / 3.0),
        engine.mean_s / in_turn.mean_s,
        ages,
    );
    let waits = format!("in turn {:.0}", in_turn.worst_s);
    sheet.note(what, Unit::Longest, None, engine.worst_s, waits);
    sheet.note(
        what,
        Unit::Processor,
        None,
        engine.processor(),
        "to choose".to_owned(),
    );
}

fn backfilled(sheet: &mut Sheet, history: &str, seen: &Seen) {
    let what = format!("{history}: quota used");
    sheet.note(
        &what,
        Unit::Share,
        Some(0.98),
        seen.quota_used(),
        String::new(),
    );
    sheet.note(
        &what,
        Unit::Frugality,
        Some(0.95),
        seen.frugality(),
        seen.calls(),
    );
    rest(sheet, &what, seen);
}

fn rest(sheet: &mut Sheet, what: &str, seen: &Seen) {
    sheet.note(what, Unit::Pace, None, seen.pace(), String::new());
    sheet.note(
        what,
        Unit::Memory,
        Some(MEMORY_MIB),
        mib(seen.took.used.peak),
        String::new(),
    );
    sheet.note(
        what,
        Unit::Broken,
        Some(0.0),
        seen.rules.total.broken() as f64,
        String::new(),
    );
}

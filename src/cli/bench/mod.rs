//! `backscroll bench`: how fast the store and the whole daemon are, beside what the database could do at best on the
//! same machine in the same run. Figures in messages a second say nothing across machines; the ratios do.
//! `backscroll bench quota` measures what is made of a provider's quota instead.

mod children;
mod history;
mod measures;
pub(super) mod place;
mod quota;
mod raw;
pub(super) mod usage;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::measures::{ReadLatency, WriteSpeed};
use self::place::ScratchDatabase;
use super::table::{build_table, thousands};
use super::{CliError, ExitOutcome, print_line};
use crate::domain::clock::Clock;

/// The ceiling of the machine for which the goals of the whole daemon were set, in rows a second into SQLite.
const REFERENCE_CEILING: f64 = 600_000.0;

/// What the daemon may take at the most, however much it archives.
const MEMORY_MIB: f64 = 64.0;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    subject: Option<BenchSubject>,

    /// The database to measure: an SQLite file that does not exist yet, or a Postgres database without an archive.
    /// Without it, a file among the temporary ones
    #[arg(long, value_name = "URL")]
    database: Option<String>,

    /// Messages to write in each run
    #[arg(long, default_value_t = 200_000, value_name = "N")]
    messages: usize,

    /// Runs; the medians are shown
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,

    /// Only one of the measures
    #[arg(long, value_enum, value_name = "MEASURE")]
    only: Option<Measure>,
}

/// What is measured instead of the speed of this machine.
#[derive(Debug, clap::Subcommand)]
enum BenchSubject {
    /// Measures what is made of a provider's quota: against a sandbox with the documented limits
    Quota(quota::Args),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Measure {
    /// Windows through the store
    Store,
    /// The same windows once more
    Again,
    /// From the sandbox through the engine
    EndToEnd,
    /// What readers ask
    Read,
}

/// Which of the answers' times is meant.
type LatencyOf = fn(&ReadLatency) -> std::time::Duration;

/// All runs' figures.
#[derive(Debug, Default)]
struct BenchFigures {
    /// Of the measured database, and of SQLite on this machine.
    ceiling: Vec<f64>,
    sqlite_ceiling: Vec<f64>,
    store: Vec<WriteSpeed>,
    again: Vec<WriteSpeed>,
    end_to_end: Vec<WriteSpeed>,
    end_to_end_again: Vec<WriteSpeed>,
    reading: Vec<ReadLatency>,
    /// Bytes on disk for each message.
    bytes: Vec<f64>,
}

pub(super) async fn run_bench(args: Args, clock: Arc<dyn Clock>) -> Result<ExitOutcome, CliError> {
    if let Some(BenchSubject::Quota(args)) = args.subject {
        return quota::run_quota(&args, &*clock).await;
    }
    let scratch = ScratchDir::new()?;
    let place = ScratchDatabase::at(args.database.as_deref(), &scratch.0).await?;
    let mut figures = BenchFigures::default();
    for _ in 0..args.runs {
        run_once(&args, &place, &scratch.0, &*clock, &mut figures).await?;
    }
    place.clear().await?;
    print_line(report(&args, &place, &figures));
    Ok(ExitOutcome::Success)
}

async fn run_once(
    args: &Args,
    place: &ScratchDatabase,
    scratch: &Path,
    clock: &dyn Clock,
    figures: &mut BenchFigures,
) -> Result<(), CliError> {
    let wanted = |measure| args.only.is_none_or(|only| only == measure);
    let sqlite = raw::sqlite_ceiling(scratch, args.messages).await?;
    figures.sqlite_ceiling.push(sqlite);
    figures.ceiling.push(if place.is_postgres() {
        raw::postgres_ceiling(place, args.messages).await?
    } else {
        sqlite
    });
    if args.only != Some(Measure::EndToEnd) {
        let store = place.create().await?;
        figures
            .store
            .push(measures::measure_commits(&store, args.messages, false, clock).await?);
        figures
            .bytes
            .push(store.size_bytes().await? as f64 / args.messages as f64);
        if wanted(Measure::Again) {
            figures
                .again
                .push(measures::measure_commits(&store, args.messages, true, clock).await?);
        }
        store.close().await;
        if wanted(Measure::Read) {
            figures
                .reading
                .push(measures::measure_reads(place, args.messages).await?);
        }
    }
    if wanted(Measure::EndToEnd) {
        let [first, again] = measures::measure_end_to_end(place, scratch, args.messages).await?;
        figures.end_to_end.push(first);
        figures.end_to_end_again.push(again);
    }
    Ok(())
}

fn report(args: &Args, place: &ScratchDatabase, figures: &BenchFigures) -> impl std::fmt::Display {
    let ceiling = median(&figures.ceiling);
    let scale = median(&figures.sqlite_ceiling) / REFERENCE_CEILING;
    let mut rows: Vec<[String; 6]> = Vec::new();
    let plain = |name: &str, value: String, ratio: String, goal: String| {
        [
            name.to_owned(),
            value,
            ratio,
            goal,
            String::new(),
            String::new(),
        ]
    };
    rows.push(plain(
        "raw ceiling, rows a second",
        rate(ceiling),
        "1.00".to_owned(),
        String::new(),
    ));
    if place.is_postgres() {
        let sqlite = median(&figures.sqlite_ceiling);
        rows.push(plain(
            "raw ceiling of SQLite",
            rate(sqlite),
            String::new(),
            String::new(),
        ));
    }
    let of =
        |speeds: &[WriteSpeed]| median(&speeds.iter().map(|speed| speed.rate).collect::<Vec<_>>());
    let mut speed = |name: &str, speeds: &[WriteSpeed], ratio: f64, goal: String| {
        if !speeds.is_empty() {
            let cpu = median(&speeds.iter().map(|speed| speed.cpu).collect::<Vec<_>>());
            let peak = median(
                &speeds
                    .iter()
                    .map(|speed| speed.peak as f64)
                    .collect::<Vec<_>>(),
            );
            rows.push([
                name.to_owned(),
                rate(of(speeds)),
                format!("{ratio:.2}"),
                goal,
                format!("{cpu:.1}"),
                format!("{:.0} MiB", mib(peak as u64)),
            ]);
        }
    };
    speed(
        "store alone, messages a second",
        &figures.store,
        of(&figures.store) / ceiling,
        "0.30".to_owned(),
    );
    let times = of(&figures.again) / of(&figures.store);
    speed(
        "… again (ratio: to the first time)",
        &figures.again,
        times,
        "2".to_owned(),
    );
    let goal = if place.is_postgres() {
        50_000.0
    } else {
        60_000.0
    };
    let ratio = of(&figures.end_to_end) / ceiling;
    speed(
        "end to end, messages a second",
        &figures.end_to_end,
        ratio,
        rate(goal * scale),
    );
    let times = of(&figures.end_to_end_again) / of(&figures.end_to_end);
    speed(
        "… again (ratio: to the first time)",
        &figures.end_to_end_again,
        times,
        String::new(),
    );
    if let Some(peak) = figures
        .end_to_end
        .iter()
        .chain(&figures.end_to_end_again)
        .map(|speed| speed.peak)
        .max()
    {
        let peak = format!("{:.0}", mib(peak));
        rows.push(plain(
            "… peak memory, MiB",
            peak,
            String::new(),
            format!("{MEMORY_MIB:.0}"),
        ));
    }
    if !figures.bytes.is_empty() {
        let payload = measures::payload_bytes(args.messages) as f64 / args.messages as f64;
        let goal = format!("{:.0}", payload.mul_add(1.6, 120.0));
        let bytes = median(&figures.bytes);
        rows.push(plain(
            "bytes a message on disk",
            format!("{bytes:.0}"),
            format!("{:.2}", bytes / payload),
            goal,
        ));
    }
    let questions: [(&str, LatencyOf); 3] = [
        ("a conversation's latest 100, ms", |reading| {
            reading.conversation
        }),
        ("a sender's latest 100, ms", |reading| reading.sender),
        ("a day's count, ms", |reading| reading.day),
    ];
    for (name, question) in questions.iter().filter(|_| !figures.reading.is_empty()) {
        let ms = median(
            &figures
                .reading
                .iter()
                .map(|r| question(r).as_secs_f64() * 1000.0)
                .collect::<Vec<_>>(),
        );
        rows.push(plain(
            name,
            format!("{ms:.2}"),
            String::new(),
            "10".to_owned(),
        ));
    }
    build_table(
        ["MEASURE", "MEDIAN#", "RATIO#", "GOAL#", "CPU S#", "PEAK#"],
        rows,
    )
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn rate(rate: f64) -> String {
    thousands(rate as u64)
}

/// The middle one of the figures, or the lower of the two in the middle; 0 where there is none.
fn median(figures: &[f64]) -> f64 {
    let mut figures = figures.to_vec();
    figures.sort_by(f64::total_cmp);
    figures
        .get(figures.len().saturating_sub(1) / 2)
        .copied()
        .unwrap_or_default()
}

/// A folder for this process alone, removed in the end.
#[derive(Debug)]
pub(super) struct ScratchDir(pub(super) PathBuf);

impl ScratchDir {
    pub(super) fn new() -> Result<Self, CliError> {
        let path = std::env::temp_dir().join(format!("backscroll-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for ScratchDir {
    fn drop(&mut self) {
        // What cannot be removed is among the temporary files all the same.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        assert!(
            [
                (vec![], 0.0),
                (vec![3.0, 1.0, 2.0], 2.0),
                (vec![4.0, 1.0], 1.0)
            ]
            .iter()
            .all(|(f, m)| median(f).total_cmp(m).is_eq())
        );
    }
}

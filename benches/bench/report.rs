//! The figures of all runs, and their table.

use std::fmt::Display;

use backscroll::cli::table::build_table;
use backscroll::domain::format::thousands;

use super::export::{ExportFigures, ExportSpeed};
use super::look::LookFigures;
use super::measures::{self, ReadLatency, WriteSpeed};
use super::search::SearchFigures;

/// The SQLite ceiling, in rows per second, of the machine for which the end-to-end goals were set.
/// The goals are scaled by the ceiling of this machine.
const REFERENCE_CEILING: f64 = 600_000.0;
/// The goal for the peak memory of the daemon, for any amount of history.
pub(super) const MAX_MEMORY_MIB: f64 = 64.0;
/// The end-to-end goals in messages per second on the reference machine.
const SQLITE_GOAL: f64 = 60_000.0;
const POSTGRES_GOAL: f64 = 50_000.0;

/// The figures of all runs. A list is empty if its measure was not wanted.
#[derive(Debug, Default)]
pub(super) struct BenchFigures {
    /// The raw ceiling of the measured database, in rows per second.
    pub(super) ceiling: Vec<f64>,
    /// The raw ceiling of SQLite on this machine, in rows per second.
    pub(super) sqlite_ceiling: Vec<f64>,
    pub(super) store: Vec<WriteSpeed>,
    pub(super) again: Vec<WriteSpeed>,
    pub(super) end_to_end: Vec<WriteSpeed>,
    pub(super) end_to_end_again: Vec<WriteSpeed>,
    pub(super) reading: Vec<ReadLatency>,
    pub(super) search: Vec<SearchFigures>,
    /// Commits while the search index follows.
    pub(super) with_index: Vec<WriteSpeed>,
    pub(super) export: Vec<ExportFigures>,
    pub(super) look: Vec<LookFigures>,
    /// Bytes per message on disk.
    pub(super) bytes: Vec<f64>,
}

/// A row of the table: measure, median, ratio, goal, processor seconds, peak memory.
type ReportRow = [String; 6];

impl BenchFigures {
    /// Returns the medians of all runs as a table.
    pub(super) fn table(&self, messages: usize, is_postgres: bool) -> impl Display {
        let mut rows = self.ceiling_rows(is_postgres);
        rows.extend(self.speed_rows(is_postgres));
        rows.extend(self.peak_row());
        rows.extend(self.size_row(messages));
        rows.extend(self.latency_rows());
        rows.extend(self.search_rows(is_postgres));
        rows.extend(self.export_rows(is_postgres));
        rows.extend(self.look_rows());
        build_table(
            ["MEASURE", "MEDIAN#", "RATIO#", "GOAL#", "CPU S#", "PEAK#"],
            rows,
        )
    }

    fn ceiling_rows(&self, is_postgres: bool) -> Vec<ReportRow> {
        let ceiling = rate(median(&self.ceiling));
        let mut rows = vec![plain_row(
            "raw ceiling, rows per second",
            ceiling,
            "1.00",
            "",
        )];
        if is_postgres {
            let sqlite = rate(median(&self.sqlite_ceiling));
            rows.push(plain_row("raw ceiling of SQLite", sqlite, "", ""));
        }
        rows
    }

    fn speed_rows(&self, is_postgres: bool) -> impl Iterator<Item = ReportRow> {
        let ceiling = median(&self.ceiling);
        let scale = median(&self.sqlite_ceiling) / REFERENCE_CEILING;
        let goal = if is_postgres {
            POSTGRES_GOAL
        } else {
            SQLITE_GOAL
        };
        let (store, end_to_end) = (median_rate(&self.store), median_rate(&self.end_to_end));
        let again = "… again (ratio: to the first time)";
        let rows = [
            speed_row(
                "store alone, messages per second",
                &self.store,
                ceiling,
                "0.30".to_owned(),
            ),
            speed_row(again, &self.again, store, "2".to_owned()),
            speed_row(
                "end to end, messages per second",
                &self.end_to_end,
                ceiling,
                rate(goal * scale),
            ),
            speed_row(again, &self.end_to_end_again, end_to_end, String::new()),
        ];
        rows.into_iter().flatten()
    }

    fn peak_row(&self) -> Option<ReportRow> {
        let speeds = self.end_to_end.iter().chain(&self.end_to_end_again);
        let peak = speeds.map(|speed| speed.peak).max()?;
        let (peak, goal) = (format!("{:.0}", mib(peak)), format!("{MAX_MEMORY_MIB:.0}"));
        Some(plain_row("… peak memory, MiB", peak, "", &goal))
    }

    fn size_row(&self, messages: usize) -> Option<ReportRow> {
        if self.bytes.is_empty() {
            return None;
        }
        let bytes = median(&self.bytes);
        let payload = measures::payload_bytes(messages) as f64 / messages as f64;
        let goal = format!("{:.0}", payload.mul_add(1.6, 120.0));
        let ratio = format!("{:.2}", bytes / payload);
        Some(plain_row(
            "bytes per message on disk",
            format!("{bytes:.0}"),
            &ratio,
            &goal,
        ))
    }

    fn latency_rows(&self) -> Vec<ReportRow> {
        if self.reading.is_empty() {
            return Vec::new();
        }
        let row = |name: &str, latency: fn(&ReadLatency) -> std::time::Duration| {
            let ms = self
                .reading
                .iter()
                .map(|reading| latency(reading).as_secs_f64() * 1000.0);
            let ms = median(&ms.collect::<Vec<_>>());
            plain_row(name, format!("{ms:.2}"), "", "10")
        };
        vec![
            row("latest 100 of a conversation, ms", |reading| {
                reading.conversation
            }),
            row("latest 100 of a sender, ms", |reading| reading.sender),
            row("count of a day, ms", |reading| reading.day),
        ]
    }
}

impl BenchFigures {
    fn search_rows(&self, is_postgres: bool) -> Vec<ReportRow> {
        if self.search.is_empty() {
            return Vec::new();
        }
        let figure = |figure: fn(&SearchFigures) -> f64| {
            median(&self.search.iter().map(figure).collect::<Vec<_>>())
        };
        let store = median_rate(&self.store);
        let ms = figure(|search| search.latency.as_secs_f64() * 1000.0);
        let bytes = format!("{:.0}", figure(|search| search.bytes));
        let build_rate = figure(|search| search.build_rate);
        let bytes_goal = if is_postgres { "" } else { "70" };
        let mut rows = vec![
            plain_row(
                "search, first 20 hits, p95, ms",
                format!("{ms:.2}"),
                "",
                "50",
            ),
            plain_row("search index, bytes per message", bytes, "", bytes_goal),
            plain_row(
                "search index, messages per second",
                rate(build_rate),
                "",
                "",
            ),
        ];
        rows.extend(speed_row(
            "store with search (ratio: to the store alone)",
            &self.with_index,
            store,
            "0.60".to_owned(),
        ));
        rows
    }
}

impl BenchFigures {
    fn export_rows(&self, is_postgres: bool) -> Vec<ReportRow> {
        let jsonl: Vec<ExportSpeed> = self.export.iter().map(|export| export.jsonl).collect();
        let parquet = self.export.iter().filter_map(|export| export.parquet);
        let parquet: Vec<ExportSpeed> = parquet.collect();
        let mut rows = compared_rows(["JSONL", "sqlite3 -json", "1.00"], &jsonl, is_postgres);
        let names = ["Parquet", "DuckDB", "0.70"];
        rows.extend(compared_rows(names, &parquet, is_postgres));
        rows
    }
}

impl BenchFigures {
    fn look_rows(&self) -> Vec<ReportRow> {
        let Some(first) = self.look.first() else {
            return Vec::new();
        };
        let streams = thousands(first.streams as u64);
        let row = |name: &str, time: fn(&LookFigures) -> std::time::Duration| {
            let looks = self.look.iter();
            let ms: Vec<f64> = looks
                .map(|look| time(look).as_secs_f64() * 1000.0)
                .collect();
            plain_row(name, format!("{:.0}", median(&ms)), "", "100")
        };
        vec![
            row(&format!("status of {streams} streams, ms"), |look| {
                look.status
            }),
            row("… their page after a start, ms", |look| look.page),
        ]
    }
}

/// Returns the row of a format, and that of the program that it is compared with. No other program
/// reads the archive of a Postgres server.
fn compared_rows(
    [format, other, goal]: [&str; 3],
    speeds: &[ExportSpeed],
    is_postgres: bool,
) -> Vec<ReportRow> {
    let own: Vec<WriteSpeed> = speeds.iter().map(|speed| speed.own).collect();
    let reference = speeds.iter().filter_map(|speed| speed.reference);
    let reference: Vec<WriteSpeed> = reference.collect();
    let rate = median_rate(&reference);
    let name = format!("export to {format}, messages per second");
    let Some(mut row) = speed_row(&name, &own, rate, goal.to_owned()) else {
        return Vec::new();
    };
    let other = format!("… by {other}");
    if let Some(reference) = speed_row(&other, &reference, rate, String::new()) {
        return vec![row, reference];
    }
    // The ratio to nothing.
    row[2].clear();
    row[3].clear();
    let mut rows = vec![row];
    if !is_postgres {
        rows.push(plain_row(&other, "not installed".to_owned(), "", ""));
    }
    rows
}

fn plain_row(name: &str, value: String, ratio: &str, goal: &str) -> ReportRow {
    let (ratio, goal) = (ratio.to_owned(), goal.to_owned());
    [
        name.to_owned(),
        value,
        ratio,
        goal,
        String::new(),
        String::new(),
    ]
}

/// Returns the row of a measure; `None` if it was not wanted. The ratio is to `reference`.
fn speed_row(name: &str, speeds: &[WriteSpeed], reference: f64, goal: String) -> Option<ReportRow> {
    if speeds.is_empty() {
        return None;
    }
    let cpu = median(&speeds.iter().map(|speed| speed.cpu).collect::<Vec<_>>());
    let peak = median(
        &speeds
            .iter()
            .map(|speed| speed.peak as f64)
            .collect::<Vec<_>>(),
    );
    let median_rate = median_rate(speeds);
    Some([
        name.to_owned(),
        rate(median_rate),
        format!("{:.2}", median_rate / reference),
        goal,
        format!("{cpu:.1}"),
        format!("{:.0} MiB", mib(peak as u64)),
    ])
}

fn median_rate(speeds: &[WriteSpeed]) -> f64 {
    median(&speeds.iter().map(|speed| speed.rate).collect::<Vec<_>>())
}

/// Converts bytes to MiB.
pub(super) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn rate(rate: f64) -> String {
    thousands(rate as u64)
}

/// Returns the median, the lower one of an even number of figures, and 0 for an empty list.
pub(crate) fn median(figures: &[f64]) -> f64 {
    let mut figures = figures.to_vec();
    figures.sort_by(f64::total_cmp);
    let middle = figures.len().saturating_sub(1) / 2;
    figures.get(middle).copied().unwrap_or_default()
}

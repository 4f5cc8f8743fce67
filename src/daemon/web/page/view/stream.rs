//! A stream's own page: its state, a month of days, what it lacks, and the ledger rows of a day.

use jiff::civil::Date;
use maud::{Markup, html};
use serde::Deserialize;

use super::layout::{badge, footer, layout, timestamp, truncated, untrusted};
use crate::daemon::web::page::model::calendar::{DayState, StreamDay};
use crate::daemon::web::page::model::health::AssessedStream;
use crate::domain::format::{duration, thousands};
use crate::domain::time::{Day, Millis, Second};
use crate::domain::window::{Runs, Window};
use crate::store::{LedgerRow, StreamId, StreamStatus};

/// Ledger rows that are shown at once.
pub(crate) const MAX_LEDGER_ROWS: u64 = 100;
/// Ranges that are shown of what is missing, and of what is lost.
const MAX_RANGES: usize = 50;

/// What a query asks for. Whatever it says that cannot be meant is as if it were not there.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct StreamQuery {
    id: String,
    month: String,
    day: String,
    from: String,
}

impl StreamQuery {
    pub(crate) fn stream(&self) -> Option<StreamId> {
        self.id.parse().ok().map(StreamId)
    }

    /// The day whose ledger rows are shown: that of the query, else the last of its month, else the last that has any.
    pub(crate) fn day(&self, status: &StreamStatus) -> Day {
        let said = self.day.parse::<Date>().ok();
        let month = || {
            format!("{}-01", self.month)
                .parse::<Date>()
                .ok()
                .map(Date::last_of_month)
        };
        let last = Day::containing(
            status
                .sealed
                .iter()
                .last()
                .map_or(status.frontier.settled_to, |run| run.to().plus(-1)),
        );
        said.or_else(month)
            .and_then(Day::from_date)
            .map_or(last, |day| {
                if self.day.is_empty() {
                    day.min(last)
                } else {
                    day
                }
            })
    }

    /// Where in the day the rows begin that are shown.
    pub(crate) fn rows_from(&self, day: Day) -> Window {
        let from = self.from.parse().ok().map(Second);
        from.and_then(|from| Window::of_day(day).starting_at(from))
            .unwrap_or(Window::of_day(day))
    }
}

/// Everything that the page shows.
#[derive(Debug)]
pub(crate) struct StreamPage<'a> {
    pub(crate) id: StreamId,
    pub(crate) stream: &'a AssessedStream<'a>,
    pub(crate) taken_at: Millis,
    pub(crate) day: Day,
    /// Those of the month of the day.
    pub(crate) days: Vec<StreamDay>,
    /// All that is sealed.
    pub(crate) sealed: Runs,
    /// The rows of the day from somewhere on; one more than are shown, where there are more.
    pub(crate) rows: Vec<LedgerRow>,
}

/// The days of a month in which a day lies: the first, and how many.
pub(crate) fn month_of(day: Day) -> (Day, usize) {
    let date = day.date();
    let first = date
        .and_then(|date| Day::from_date(date.first_of_month()))
        .unwrap_or(day);
    (
        first,
        date.map_or(1, |date| usize::try_from(date.days_in_month()).unwrap_or(1)),
    )
}

impl StreamPage<'_> {
    pub(crate) fn render(&self) -> String {
        let status = self.stream.status;
        let body = html! {
            header {
                p.brand { a href="/" { "Backscroll" } }
                p.asof { "as of " (timestamp(self.taken_at.second())) " UTC · " a href="/" { "all streams" } }
            }
            main {
                h1.name { (untrusted(&status.stream)) }
                p.of { "a stream of " (untrusted(&status.account)) ", at " (untrusted(&status.provider)) }
                (self.state())
                (self.month())
                (self.missing())
                (self.rows())
            }
            (footer())
        };
        layout(&truncated(&status.stream), false, &body)
    }

    fn state(&self) -> Markup {
        let status = self.stream.status;
        html! {
            section aria-labelledby="state" {
                h2 #state { "State " (badge(self.stream.health)) }
                @if let Some(trouble) = &status.error {
                    ul.worries { li.grave {
                        span.kind { "Act" }
                        div { p { (untrusted(&trouble.error)) } p.hint { "To do: " (untrusted(&trouble.hint)) } }
                    } }
                }
                dl.facts {
                    dt { "Complete up to" }
                    dd { @if let Some(mark) = status.watermark { (timestamp(mark)) " (" (duration(self.stream.lag_s)) " ago)" } @else { "–" } }
                    dt { "Wanted from" } dd { (timestamp(status.wanted_from)) }
                    dt { "The provider keeps" }
                    dd { @if let Some(kept) = status.frontier.retention { (duration(kept.as_secs())) } @else { "everything, as far as is known" } }
                    dt { "Messages" } dd { (thousands(status.messages)) }
                    dt { "Missing" } dd { (duration_or_none(self.stream.gap_s)) }
                    dt { "Lost for good" } dd { (duration_or_none(status.lost_seconds)) }
                    dt { "Suspect windows" } dd { (thousands(status.suspect_rows)) }
                    dt { "In quarantine" } dd { (thousands(status.quarantined)) }
                    @if status.discovered { dt { "Followed because" } dd { "it was discovered: the configuration does not list it" } }
                }
            }
        }
    }

    fn href(&self, what: &str) -> String {
        format!("/stream?id={}&{what}", self.id.0)
    }

    fn month(&self) -> Markup {
        let (first, count) = month_of(self.day);
        let month = |day: Day| {
            day.date()
                .map(|date| date.strftime("%Y-%m").to_string())
                .unwrap_or_default()
        };
        let name = first
            .date()
            .map(|date| date.strftime("%B %Y").to_string())
            .unwrap_or_default();
        let next = first.plus(count as i64);
        // The week begins on Monday.
        let skipped = first
            .date()
            .map_or(0, |date| date.weekday().to_monday_zero_offset());
        let cells: Vec<Option<&StreamDay>> =
            std::iter::repeat_n(None, usize::try_from(skipped).unwrap_or(0))
                .chain(self.days.iter().map(Some))
                .collect();
        html! {
            section aria-labelledby="month" {
                h2 #month { (name) }
                nav.pager aria-label="Months" {
                    a href=(self.href(&format!("month={}#month", month(first.plus(-1))))) rel="prev" { "← " (month(first.plus(-1))) }
                    @if next.start() <= self.taken_at.second() {
                        a href=(self.href(&format!("month={}#month", month(next)))) rel="next" { (month(next)) " →" }
                    }
                }
                table.month {
                    caption.quiet { "Messages per day, and what of each day is complete" }
                    thead { tr { @for day in ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"] { th scope="col" { (day) } } } }
                    tbody { @for week in cells.chunks(7) { tr { @for cell in week { (self.day_cell(*cell)) } } } }
                }
                p.legend {
                    @for state in DayState::ALL { span { span class={ "day-sign " (state.name()) } { (state.sign()) } " " (state.name()) } }
                }
            }
        }
    }

    fn day_cell(&self, day: Option<&StreamDay>) -> Markup {
        let Some(day) = day else {
            return html! { td.out {} };
        };
        let date = day.day.date();
        let number = date.map(Date::day).unwrap_or_default();
        let iso = date.map(|date| date.to_string()).unwrap_or_default();
        let mut said = day.state.name().to_owned();
        for (seconds, what) in [(day.gap_s, "missing"), (day.lost_s, "lost")] {
            if seconds > 0 {
                said = format!("{said}, {} {what}", duration(seconds));
            }
        }
        html! {
            td class=(day.state.name()) title=(said) {
                @if day.state == DayState::NotWanted {
                    span.date { (number) }
                } @else {
                    a href=(self.href(&format!("day={iso}#rows"))) aria-label={ (iso) ": " (said) ", " (thousands(day.messages)) " messages" }
                        aria-current=[(day.day == self.day).then_some("date")] {
                        span.date { (number) }
                        span.day-sign aria-hidden="true" { (day.state.sign()) }
                        span.count { (compact(day.messages)) }
                    }
                }
            }
        }
    }

    /// What is missing can still be had; what is lost cannot.
    fn missing(&self) -> Markup {
        let status = self.stream.status;
        let behind = status.frontier.horizon.and_then(|horizon| {
            Window::new(status.wanted_from, horizon.min(status.frontier.settled_to))
        });
        let lost = behind
            .map(|behind| self.sealed.gaps_in(behind))
            .unwrap_or_default();
        html! {
            @if !self.stream.gaps.is_empty() || !lost.is_empty() {
                section aria-labelledby="gaps" {
                    h2 #gaps { "What it lacks" }
                    table {
                        thead { tr { th scope="col" { "State" } th scope="col" { "From" } th scope="col" { "To" } th.number scope="col" { "Lasting" } } }
                        tbody {
                            (range_rows(DayState::Gap, &self.stream.gaps))
                            (range_rows(DayState::Lost, &lost))
                        }
                    }
                }
            }
        }
    }

    fn rows(&self) -> Markup {
        let date = self
            .day
            .date()
            .map(|date| date.to_string())
            .unwrap_or_default();
        let more = self
            .rows
            .get(MAX_LEDGER_ROWS as usize)
            .map(|row| row.window.from());
        html! {
            section aria-labelledby="rows" {
                h2 #rows { "Windows of " (date) }
                @if self.rows.is_empty() {
                    p.none { "Nothing of this day is sealed." }
                } @else {
                    table.rows {
                        thead { tr {
                            th scope="col" { "From" } th scope="col" { "To" }
                            th.number scope="col" { "Messages" } th.number.wide scope="col" { "By the provider's count" }
                            th scope="col" { "State" }
                        } }
                        tbody { @for row in self.rows.iter().take(MAX_LEDGER_ROWS as usize) { (ledger_row(row)) } }
                    }
                    @if let Some(from) = more {
                        p.pager { a href=(self.href(&format!("day={date}&from={}#rows", from.0))) rel="next" { "The windows from " (from) " on" } }
                    }
                }
            }
        }
    }
}

fn ledger_row(row: &LedgerRow) -> Markup {
    html! {
        tr {
            td { (timestamp(row.window.from())) }
            td { (timestamp(row.window.to())) }
            td.number { (thousands(row.messages)) }
            td.number.wide { @if let Some(count) = row.provider_count { (thousands(count)) } @else { "–" } }
            td {
                @if let Some(doubt) = &row.doubt {
                    span.badge.suspect { "? suspect" } " " (untrusted(doubt))
                } @else {
                    span.badge.sealed { "✓ sealed" }
                }
            }
        }
    }
}

fn range_rows(state: DayState, range_rows: &[Window]) -> Markup {
    html! {
        @for range in range_rows.iter().take(MAX_RANGES) {
            tr {
                td { span class={ "badge " (state.name()) } { (state.sign()) " " (state.name()) } }
                td { (timestamp(range.from())) }
                td { (timestamp(range.to())) }
                td.number { (duration(range.seconds())) }
            }
        }
        @if range_rows.len() > MAX_RANGES {
            tr { td colspan="4" { "and " (thousands((range_rows.len() - MAX_RANGES) as u64)) " more: SELECT * FROM gaps" } }
        }
    }
}

fn duration_or_none(seconds: u64) -> String {
    if seconds == 0 {
        "nothing".to_owned()
    } else {
        duration(seconds)
    }
}

/// A number that fits a cell.
fn compact(n: u64) -> String {
    match n {
        0..10_000 => thousands(n),
        10_000..1_000_000 => format!("{}k", n / 1000),
        _ => format!("{}M", thousands(n / 1_000_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::web::page::model::health::tests::stream;

    fn day(said: &str) -> Option<String> {
        let (month, day) = if said.len() > 7 {
            ("", said)
        } else {
            (said, "")
        };
        let query = StreamQuery {
            month: month.to_owned(),
            day: day.to_owned(),
            ..StreamQuery::default()
        };
        Some(query.day(&stream(1)).date()?.to_string())
    }

    #[test]
    fn the_day_is_that_of_the_query_or_the_last_there_is() {
        for (said, meant) in [
            ("2026-02-03", "2026-02-03"),
            ("2026-02", "2026-02-28"),
            ("", "2026-11-22"),
            ("2026-11", "2026-11-22"),
            ("2030-01", "2026-11-22"),
            ("nonsense", "2026-11-22"),
            ("2026-02-31", "2026-11-22"),
        ] {
            assert_eq!(day(said).as_deref(), Some(meant), "{said}");
        }
    }

    #[test]
    fn numbers_fit_into_cells() {
        assert_eq!(
            [7, 9999, 10_000, 999_999, 1_000_000].map(compact),
            ["7", "9,999", "10k", "999k", "1M"]
        );
    }

    #[test]
    fn a_month_is_as_long_as_it_is() {
        let day = Day::from_date(jiff::civil::date(2028, 2, 14)).unwrap();
        let (first, count) = month_of(day);
        assert_eq!(
            (first.date(), count),
            (Some(jiff::civil::date(2028, 2, 1)), 29)
        );
    }
}

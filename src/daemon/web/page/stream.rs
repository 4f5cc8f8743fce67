//! A stream's own page: its state, a month of days, what it lacks, and the ledger rows of a day.

use jiff::civil::Date;
use maud::{Markup, html};
use serde::Deserialize;

use super::calendar::{Day, DayOf, State};
use super::frame::{badge, cut, footer, foreign, moment, page};
use super::health::Judged;
use crate::domain::figures::{grouped, span};
use crate::domain::time::{Millis, Second};
use crate::domain::window::{Runs, Window};
use crate::store::{Sealed, StreamId, StreamStatus};

/// Ledger rows that are shown at once.
pub(super) const ROWS: u64 = 100;
/// Ranges that are shown of what is missing, and of what is lost.
const RANGES: usize = 50;

/// What a query asks for. Whatever it says that cannot be meant is as if it were not there.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Query {
    id: String,
    month: String,
    day: String,
    from: String,
}

impl Query {
    pub(super) fn stream(&self) -> Option<StreamId> {
        self.id.parse().ok().map(StreamId)
    }

    /// The day whose ledger rows are shown: that of the query, else the last of its month, else the last that has any.
    pub(super) fn day(&self, status: &StreamStatus) -> Day {
        let said = self.day.parse::<Date>().ok();
        let month = || {
            format!("{}-01", self.month)
                .parse::<Date>()
                .ok()
                .map(Date::last_of_month)
        };
        let last = Day::of(
            status
                .sealed
                .iter()
                .last()
                .map_or(status.settled, |run| run.to().plus(-1)),
        );
        said.or_else(month).and_then(Day::on).map_or(last, |day| {
            if self.day.is_empty() {
                day.min(last)
            } else {
                day
            }
        })
    }

    /// Where in the day the rows begin that are shown.
    pub(super) fn from(&self, day: Day) -> Window {
        let from = self.from.parse().ok().map(Second);
        from.and_then(|from| day.window().starting(from))
            .unwrap_or(day.window())
    }
}

/// Everything that the page shows.
#[derive(Debug)]
pub(super) struct StreamPage<'a> {
    pub(super) id: StreamId,
    pub(super) stream: &'a Judged<'a>,
    pub(super) at: Millis,
    pub(super) day: Day,
    /// Those of the month of the day.
    pub(super) days: Vec<DayOf>,
    /// All that is sealed.
    pub(super) sealed: Runs,
    /// The rows of the day from somewhere on; one more than are shown, where there are more.
    pub(super) rows: Vec<Sealed>,
}

/// The days of a month in which a day lies: the first, and how many.
pub(super) fn month_of(day: Day) -> (Day, usize) {
    let date = day.date();
    let first = date
        .and_then(|date| Day::on(date.first_of_month()))
        .unwrap_or(day);
    (
        first,
        date.map_or(1, |date| usize::try_from(date.days_in_month()).unwrap_or(1)),
    )
}

impl StreamPage<'_> {
    pub(super) fn render(&self) -> String {
        let status = self.stream.status;
        let body = html! {
            header {
                p.brand { a href="/" { "Backscroll" } }
                p.asof { "as of " (moment(self.at.second())) " UTC · " a href="/" { "all streams" } }
            }
            main {
                h1.name { (foreign(&status.stream)) }
                p.of { "a stream of " (foreign(&status.account)) ", at " (foreign(&status.provider)) }
                (self.state())
                (self.month())
                (self.missing())
                (self.rows())
            }
            (footer())
        };
        page(&cut(&status.stream), false, &body)
    }

    fn state(&self) -> Markup {
        let status = self.stream.status;
        html! {
            section aria-labelledby="state" {
                h2 #state { "State " (badge(self.stream.health)) }
                @if let Some(trouble) = &status.trouble {
                    ul.worries { li.grave {
                        span.kind { "Act" }
                        div { p { (foreign(&trouble.error)) } p.hint { "To do: " (foreign(&trouble.hint)) } }
                    } }
                }
                dl.facts {
                    dt { "Complete up to" }
                    dd { @if let Some(mark) = status.watermark { (moment(mark)) " (" (span(self.stream.lag_s)) " ago)" } @else { "–" } }
                    dt { "Wanted from" } dd { (moment(status.wanted_from)) }
                    dt { "The provider keeps" }
                    dd { @if let Some(kept) = status.retention { (span(kept.as_secs())) } @else { "everything, as far as is known" } }
                    dt { "Messages" } dd { (grouped(status.messages)) }
                    dt { "Missing" } dd { (or_nothing(self.stream.gap_s)) }
                    dt { "Lost for good" } dd { (or_nothing(status.lost_seconds)) }
                    dt { "Suspect windows" } dd { (grouped(status.suspect)) }
                    dt { "In quarantine" } dd { (grouped(status.quarantined)) }
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
        let cells: Vec<Option<&DayOf>> =
            std::iter::repeat_n(None, usize::try_from(skipped).unwrap_or(0))
                .chain(self.days.iter().map(Some))
                .collect();
        html! {
            section aria-labelledby="month" {
                h2 #month { (name) }
                nav.pager aria-label="Months" {
                    a href=(self.href(&format!("month={}#month", month(first.plus(-1))))) rel="prev" { "← " (month(first.plus(-1))) }
                    @if next.window().from() <= self.at.second() {
                        a href=(self.href(&format!("month={}#month", month(next)))) rel="next" { (month(next)) " →" }
                    }
                }
                table.month {
                    caption.quiet { "Messages per day, and what of each day is complete" }
                    thead { tr { @for day in ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"] { th scope="col" { (day) } } } }
                    tbody { @for week in cells.chunks(7) { tr { @for cell in week { (self.cell(*cell)) } } } }
                }
                p.legend {
                    @for state in State::ALL { span { span class={ "day-sign " (state.name()) } { (state.sign()) } " " (state.name()) } }
                }
            }
        }
    }

    fn cell(&self, day: Option<&DayOf>) -> Markup {
        let Some(day) = day else {
            return html! { td.out {} };
        };
        let date = day.day.date();
        let number = date.map(Date::day).unwrap_or_default();
        let iso = date.map(|date| date.to_string()).unwrap_or_default();
        let mut said = day.state.name().to_owned();
        for (seconds, what) in [(day.gap_s, "missing"), (day.lost_s, "lost")] {
            if seconds > 0 {
                said = format!("{said}, {} {what}", span(seconds));
            }
        }
        html! {
            td class=(day.state.name()) title=(said) {
                @if day.state == State::Unwanted {
                    span.date { (number) }
                } @else {
                    a href=(self.href(&format!("day={iso}#rows"))) aria-label={ (iso) ": " (said) ", " (grouped(day.messages)) " messages" }
                        aria-current=[(day.day == self.day).then_some("date")] {
                        span.date { (number) }
                        span.day-sign aria-hidden="true" { (day.state.sign()) }
                        span.count { (short(day.messages)) }
                    }
                }
            }
        }
    }

    /// What is missing can still be had; what is lost cannot.
    fn missing(&self) -> Markup {
        let status = self.stream.status;
        let behind = status
            .horizon
            .and_then(|horizon| Window::new(status.wanted_from, horizon.min(status.settled)));
        let lost = behind
            .map(|behind| self.sealed.missing_from(behind))
            .unwrap_or_default();
        html! {
            @if !self.stream.gaps.is_empty() || !lost.is_empty() {
                section aria-labelledby="gaps" {
                    h2 #gaps { "What it lacks" }
                    table {
                        thead { tr { th scope="col" { "State" } th scope="col" { "From" } th scope="col" { "To" } th.number scope="col" { "Lasting" } } }
                        tbody {
                            (ranges(State::Gap, &self.stream.gaps))
                            (ranges(State::Lost, &lost))
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
        let more = self.rows.get(ROWS as usize).map(|row| row.window.from());
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
                        tbody { @for row in self.rows.iter().take(ROWS as usize) { (ledger_row(row)) } }
                    }
                    @if let Some(from) = more {
                        p.pager { a href=(self.href(&format!("day={date}&from={}#rows", from.0))) rel="next" { "The windows from " (from) " on" } }
                    }
                }
            }
        }
    }
}

fn ledger_row(row: &Sealed) -> Markup {
    html! {
        tr {
            td { (moment(row.window.from())) }
            td { (moment(row.window.to())) }
            td.number { (grouped(row.messages)) }
            td.number.wide { @if let Some(count) = row.provider_count { (grouped(count)) } @else { "–" } }
            td {
                @if let Some(doubt) = &row.doubt {
                    span.badge.suspect { "? suspect" } " " (foreign(doubt))
                } @else {
                    span.badge.sealed { "✓ sealed" }
                }
            }
        }
    }
}

fn ranges(state: State, ranges: &[Window]) -> Markup {
    html! {
        @for range in ranges.iter().take(RANGES) {
            tr {
                td { span class={ "badge " (state.name()) } { (state.sign()) " " (state.name()) } }
                td { (moment(range.from())) }
                td { (moment(range.to())) }
                td.number { (span(range.seconds())) }
            }
        }
        @if ranges.len() > RANGES {
            tr { td colspan="4" { "and " (grouped((ranges.len() - RANGES) as u64)) " more: SELECT * FROM gaps" } }
        }
    }
}

fn or_nothing(seconds: u64) -> String {
    if seconds == 0 {
        "nothing".to_owned()
    } else {
        span(seconds)
    }
}

/// A number that fits a cell.
fn short(n: u64) -> String {
    match n {
        0..10_000 => grouped(n),
        10_000..1_000_000 => format!("{}k", n / 1000),
        _ => format!("{}M", grouped(n / 1_000_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::health::tests::stream;
    use super::*;

    fn day(said: &str) -> Option<String> {
        let (month, day) = if said.len() > 7 {
            ("", said)
        } else {
            (said, "")
        };
        let query = Query {
            month: month.to_owned(),
            day: day.to_owned(),
            ..Query::default()
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
            [7, 9999, 10_000, 999_999, 1_000_000].map(short),
            ["7", "9,999", "10k", "999k", "1M"]
        );
    }

    #[test]
    fn a_month_is_as_long_as_it_is() {
        let day = Day::on(jiff::civil::date(2028, 2, 14)).unwrap();
        let (first, count) = month_of(day);
        assert_eq!(
            (first.date(), count),
            (Some(jiff::civil::date(2028, 2, 1)), 29)
        );
    }
}

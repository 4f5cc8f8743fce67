//! The page of a stream: its state, a month of days, missing ranges, and the ledger rows of a day.

use std::time::Duration;

use jiff::civil::{Date, Weekday};
use maud::{Markup, html};

use super::layout::{badge, footer, layout, prose, timestamp, truncated, untrusted};
use crate::daemon::web::limits::{MAX_LEDGER_ROWS, MAX_RANGES};
use crate::daemon::web::page::model::calendar::{DayState, StreamDay, month_of};
use crate::daemon::web::page::model::health::AssessedStream;
use crate::domain::format::{counted, duration, history, thousands};
use crate::domain::time::{Day, Millis, Second};
use crate::domain::window::{Runs, Window};
use crate::store::{LedgerRow, StreamId};

/// The columns of the calendar.
const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// The contents of a stream's page.
#[derive(Debug)]
pub(crate) struct StreamPage<'a> {
    pub(crate) id: StreamId,
    pub(crate) stream: &'a AssessedStream<'a>,
    pub(crate) taken_at: Millis,
    pub(crate) day: Day,
    /// The days of the month.
    pub(crate) days: Vec<StreamDay>,
    /// All sealed ranges.
    pub(crate) sealed: Runs,
    /// The ledger rows of the day, and one more than the maximum if there are more.
    pub(crate) rows: Vec<LedgerRow>,
    /// The time since the start of the service.
    pub(crate) uptime: Duration,
}

impl StreamPage<'_> {
    /// Renders the page.
    pub(crate) fn render(&self) -> String {
        let status = self.stream.status;
        let body = html! {
            header {
                p.brand { a href="./" { "Backscroll" } }
                p.asof {
                    "as of " (timestamp(self.taken_at.second())) " UTC · "
                    a href="./" { "all streams" }
                }
            }
            main {
                h1.name { (untrusted(&self.stream.title.name)) }
                p.of {
                    @if let Some(kind) = self.stream.title.kind { (kind) ", " }
                    "a stream of " (untrusted(&status.account))
                    ", at " (untrusted(&status.provider))
                    ": " code { (untrusted(&status.stream)) }
                }
                (self.state())
                (self.month())
                (self.missing())
                (self.rows())
            }
            (footer(Some(self.uptime)))
        };
        layout(&truncated(&self.stream.title.name), false, &body)
    }

    fn state(&self) -> Markup {
        let status = self.stream.status;
        html! {
            section aria-labelledby="state" {
                h2 #state { "State " (badge(self.stream.health)) }
                @if let Some(failure) = &status.error {
                    ul.issues { li.action {
                        span.kind { "Action" }
                        div {
                            p { (prose(&failure.error)) }
                            p.hint { "To do: " (prose(&failure.hint)) }
                        }
                    } }
                }
                dl.facts {
                    dt { "Complete up to" } dd { (self.watermark()) }
                    dt { "Wanted from" } dd { (start_of_history(status.wanted_from)) }
                    dt { "Retention at the provider" } dd { (self.retention()) }
                    dt { "Messages" } dd { (thousands(status.messages)) }
                    dt { "Missing" } dd { (duration_or_none(self.stream.gap_s)) }
                    dt { "Permanently lost" } dd { (duration_or_none(status.lost_seconds)) }
                    dt { "Suspect windows" } dd { (thousands(status.suspect_rows)) }
                    dt { "In quarantine" } dd { (thousands(status.quarantined)) }
                    @if status.discovered {
                        dt { "Followed because" }
                        dd { "it was discovered; the configuration does not list it" }
                    }
                }
            }
        }
    }

    fn watermark(&self) -> Markup {
        html! {
            @if let Some(watermark) = self.stream.status.watermark {
                (timestamp(watermark)) " (" (duration(self.stream.lag_s)) " ago)"
            } @else { "–" }
        }
    }

    fn retention(&self) -> String {
        match self.stream.status.frontier.retention {
            Some(retention) => duration(retention.as_secs()),
            None => "unlimited, as far as is known".to_owned(),
        }
    }

    /// Returns an address within the stream's page.
    fn href(&self, query: &str) -> String {
        format!("stream?id={}&{query}", self.id.0)
    }

    fn month(&self) -> Markup {
        let (first, count) = month_of(self.day);
        let name = format_date(first, "%B %Y");
        html! {
            section aria-labelledby="month" {
                h2 #month { (name) }
                (self.month_links(first.plus(-1), first.plus(count as i64)))
                table.month {
                    caption.quiet { "Messages and completeness per day" }
                    thead { tr { @for day in WEEKDAYS { th scope="col" { (day) } } } }
                    tbody {
                        @for week in self.cells(first).chunks(WEEKDAYS.len()) {
                            tr { @for cell in week { (self.day_cell(*cell)) } }
                        }
                    }
                }
                p.legend {
                    @for state in DayState::ALL {
                        span {
                            span class={ "day-sign " (state.name()) } { (state.sign()) }
                            " " (state.name())
                        }
                    }
                }
            }
        }
    }

    /// Renders the links to the months of these days. The next month is linked if it has begun.
    fn month_links(&self, previous: Day, next: Day) -> Markup {
        let link = |month: &str| self.href(&format!("month={month}#month"));
        let (previous, next_month) = (format_date(previous, "%Y-%m"), format_date(next, "%Y-%m"));
        html! {
            nav.pager aria-label="Months" {
                a href=(link(&previous)) rel="prev" { "← " (previous) }
                @if next.start() <= self.taken_at.second() {
                    a href=(link(&next_month)) rel="next" { (next_month) " →" }
                }
            }
        }
    }

    /// Returns the days of the month, preceded by empty cells so that weeks begin on Monday.
    fn cells(&self, first: Day) -> Vec<Option<&StreamDay>> {
        let weekday = first.date().map(Date::weekday);
        let offset = weekday.map_or(0, Weekday::to_monday_zero_offset);
        let empty = usize::try_from(offset).unwrap_or(0);
        let days = self.days.iter().map(Some);
        std::iter::repeat_n(None, empty).chain(days).collect()
    }

    fn day_cell(&self, day: Option<&StreamDay>) -> Markup {
        let Some(day) = day else {
            return html! { td.out {} };
        };
        let number = day.day.date().map_or(0, Date::day);
        let date = format_date(day.day, "%Y-%m-%d");
        let mut state = day.state.name().to_owned();
        for (seconds, name) in [(day.gap_s, "missing"), (day.lost_s, "lost")] {
            if seconds > 0 {
                state = format!("{state}, {} {name}", duration(seconds));
            }
        }
        let messages = counted(day.messages, "message", "messages");
        let label = format!("{date}: {state}, {messages}");
        let is_current = day.day == self.day;
        html! {
            td class=(day.state.name()) title=(state) {
                @if day.state == DayState::NotWanted {
                    span.date { (number) }
                } @else {
                    a href=(self.href(&format!("day={date}#rows"))) aria-label=(label)
                        aria-current=[is_current.then_some("date")] {
                        span.date { (number) }
                        span.day-sign aria-hidden="true" { (day.state.sign()) }
                        span.count { (compact(day.messages)) }
                    }
                }
            }
        }
    }

    /// Renders the missing ranges, which can still be fetched, and the lost ranges.
    fn missing(&self) -> Markup {
        let status = self.stream.status;
        let expired = status.frontier.horizon.and_then(|horizon| {
            Window::new(status.wanted_from, horizon.min(status.frontier.settled_to))
        });
        let lost = expired.map_or(vec![], |expired| self.sealed.gaps_in(expired));
        html! {
            @if !self.stream.gaps.is_empty() || !lost.is_empty() {
                section aria-labelledby="gaps" {
                    h2 #gaps { "Missing and lost ranges" }
                    table {
                        thead { tr {
                            th scope="col" { "State" }
                            th scope="col" { "From" } th scope="col" { "To" }
                            th.number scope="col" { "Duration" }
                        } }
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
        let date = format_date(self.day, "%Y-%m-%d");
        html! {
            section aria-labelledby="rows" {
                h2 #rows { "Windows of " (date) }
                @if self.rows.is_empty() {
                    p.none { "No window of this day is sealed." }
                } @else {
                    table.rows {
                        thead { tr {
                            th scope="col" { "From" } th scope="col" { "To" }
                            th.number scope="col" { "Messages" }
                            th.number.wide scope="col" { "Provider's count" }
                            th scope="col" { "State" }
                        } }
                        tbody {
                            @for row in self.rows.iter().take(MAX_LEDGER_ROWS) { (ledger_row(row)) }
                        }
                    }
                    @if let Some(next) = self.rows.get(MAX_LEDGER_ROWS) {
                        (self.next_rows_link(&date, next.window.from()))
                    }
                }
            }
        }
    }

    fn next_rows_link(&self, date: &str, from: Second) -> Markup {
        let href = self.href(&format!("day={date}&from={}#rows", from.0));
        html! { p.pager { a href=(href) rel="next" { "Windows from " (from) } } }
    }
}

/// Formats a day; empty if it is outside the calendar's range.
fn format_date(day: Day, format: &str) -> String {
    let date = day.date();
    date.map_or_else(String::new, |date| date.strftime(format).to_string())
}

fn ledger_row(row: &LedgerRow) -> Markup {
    html! {
        tr {
            td { (timestamp(row.window.from())) }
            td { (timestamp(row.window.to())) }
            td.number { (thousands(row.messages)) }
            td.number.wide {
                @if let Some(count) = row.provider_count { (thousands(count)) } @else { "–" }
            }
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

fn range_rows(state: DayState, ranges: &[Window]) -> Markup {
    html! {
        @for range in ranges.iter().take(MAX_RANGES) {
            tr {
                td {
                    span class={ "badge " (state.name()) } { (state.sign()) " " (state.name()) }
                }
                td { (timestamp(range.from())) }
                td { (timestamp(range.to())) }
                td.number { (duration(range.seconds())) }
            }
        }
        @if ranges.len() > MAX_RANGES {
            @let more = thousands((ranges.len() - MAX_RANGES) as u64);
            tr { td colspan="4" { "and " (more) " more: " code { "SELECT * FROM gaps" } } }
        }
    }
}

fn duration_or_none(seconds: u64) -> String {
    if seconds == 0 {
        "nothing".to_owned()
    } else {
        history(seconds)
    }
}

/// Renders the start of the wanted history. A stream without one is wanted from 1970 on.
fn start_of_history(wanted_from: Second) -> Markup {
    html! {
        @if wanted_from == Second::EPOCH { "the beginning" } @else { (timestamp(wanted_from)) }
    }
}

/// Returns a number short enough for a table cell.
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

    #[test]
    fn numbers_are_compacted_for_cells() {
        assert_eq!(
            [7, 9999, 10_000, 999_999, 1_000_000].map(compact),
            ["7", "9,999", "10k", "999k", "1M"]
        );
    }
}

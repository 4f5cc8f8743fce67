//! The front page: headline, issues, accounts, streams and recent passes.

use std::time::Duration;

use maud::{Markup, html};

use super::chart::{Bar, bar_chart, message_sample, sample, strip};
use super::layout::{badge, code_spans, footer, layout, prose, timestamp, truncated, untrusted};
use super::progress::progress_bar;
use super::{accounts, incidents, passes};
use crate::daemon::web::limits::{CHART_DAYS, LISTED_DAYS, MAX_SEARCH_CHARS};
use crate::daemon::web::page::model::calendar::{DayState, StreamDay};
use crate::daemon::web::page::model::headline::{Headline, OverallState};
use crate::daemon::web::page::model::health::AssessedStream;
use crate::daemon::web::page::model::intervals::{DAY, by_interval};
use crate::daemon::web::page::model::issue::{Issue, Severity};
use crate::daemon::web::page::model::list::{ListQuery, SortOrder, StreamList};
use crate::daemon::web::page::snapshot::PageSnapshot;
use crate::domain::format::{bytes, counted, duration, history, thousands};
use crate::domain::time::Millis;

/// The contents of the front page.
#[derive(Debug)]
pub(crate) struct FrontPage<'a> {
    pub(crate) snapshot: &'a PageSnapshot,
    pub(crate) streams: &'a [AssessedStream<'a>],
    pub(crate) headline: Headline,
    pub(crate) issues: Vec<Issue>,
    pub(crate) query: &'a ListQuery,
    pub(crate) list: StreamList<'a>,
    /// The recent days of each listed stream.
    pub(crate) days: Vec<Vec<StreamDay>>,
    /// The time since the start of the service.
    pub(crate) uptime: Duration,
}

impl FrontPage<'_> {
    /// Renders the page.
    pub(crate) fn render(&self) -> String {
        let refreshes = self.query.refreshes();
        let body = html! {
            (self.header())
            main {
                (self.headline_box())
                (self.issue_list())
                (accounts::account_cards(self.snapshot, self.streams))
                (self.streams())
                (self.messages())
                (incidents::incidents(self.snapshot))
                (passes::recent_passes(self.snapshot))
            }
            (footer(Some(self.uptime)))
        };
        layout(&self.headline.text, refreshes, &body)
    }

    fn header(&self) -> Markup {
        let refreshing = |refreshes: bool| self.query.clone().with_refresh(refreshes).href();
        html! {
            header {
                p.brand { a href="./" { "Backscroll" } }
                p.asof {
                    "as of " (timestamp(self.snapshot.taken_at.second())) " UTC · "
                    a href=(self.query.href()) { "refresh" } " · "
                    @if self.query.refreshes() {
                        "refreshes every minute (" a href=(refreshing(false)) { "pause" } ")"
                    } @else {
                        a href=(refreshing(true)) { "refresh every minute" }
                    }
                }
            }
        }
    }

    fn headline_box(&self) -> Markup {
        let (class, sign) = match self.headline.state {
            OverallState::Complete => ("complete", "✓"),
            OverallState::CatchingUp | OverallState::Empty => ("working", "○"),
            OverallState::ActionNeeded => ("action", "!"),
        };
        let messages = self.streams.iter().map(|stream| stream.status.messages);
        let messages: u64 = messages.sum();
        html! {
            div class={ "headline " (class) } {
                span.sign aria-hidden="true" { (sign) }
                div {
                    h1 { (code_spans(&self.headline.text)) }
                    p {
                        (counted(messages, "message", "messages"))
                        " (a message in two streams counts twice), "
                        (bytes(self.snapshot.bytes))
                        " in " (untrusted(&self.snapshot.location))
                    }
                    @if self.headline.state == OverallState::CatchingUp {
                        (progress_bar(self.snapshot.progress()))
                    }
                }
            }
        }
    }

    fn issue_list(&self) -> Markup {
        html! {
            @if !self.issues.is_empty() {
                section aria-labelledby="issues" {
                    h2 #issues { "Issues" }
                    ul.issues { @for issue in &self.issues { (issue_item(issue)) } }
                }
            }
        }
    }

    fn streams(&self) -> Markup {
        html! {
            section aria-labelledby="streams" {
                h2 #streams { "Streams" }
                @if self.query.refreshes() { (self.link_to_search()) } @else { (self.search()) }
                @if self.list.shown.is_empty() {
                    p.none {
                        @if self.streams.is_empty() { "There are no streams yet." }
                        @else { "No streams match. " a href="./" { "Show all" } }
                    }
                } @else {
                    (legend())
                    (self.table())
                    (self.pager())
                }
            }
        }
    }

    /// A page that reloads itself has no field: what is typed would be lost.
    fn link_to_search(&self) -> Markup {
        let paused = self.query.clone().with_refresh(false).href();
        html! { p { a href={ (paused) "#q" } { "Search the streams" } } }
    }

    fn search(&self) -> Markup {
        let query = self.query;
        let (text, sort) = (query.search(), query.sort());
        html! {
            form.search action="./" method="get" role="search" {
                label for="q" { "Name contains" }
                input #q type="search" name="q" value=(text) maxlength=(MAX_SEARCH_CHARS);
                (self.account_choice())
                label.check {
                    input type="checkbox" name="show" value="incomplete" checked[query.only_incomplete()];
                    " only incomplete streams"
                }
                @if sort != SortOrder::Worst {
                    input type="hidden" name="sort" value=(sort.key());
                }
                @if !query.refresh().is_empty() {
                    input type="hidden" name="refresh" value=(query.refresh());
                }
                button type="submit" { "Search" }
            }
        }
    }

    /// Renders the choice of an account; nothing if there is only one.
    fn account_choice(&self) -> Markup {
        let accounts = self.snapshot.account_names();
        html! {
            @if accounts.len() > 1 {
                label for="account" { "Account" }
                select #account name="account" {
                    option value="" { "all" }
                    @for account in accounts {
                        option value=(account) selected[self.query.is_for(account)] {
                            (truncated(account))
                        }
                    }
                }
            }
        }
    }

    fn table(&self) -> Markup {
        let has_several_accounts = self.snapshot.account_names().len() > 1;
        html! {
            table.streams {
                caption.quiet { "Each stream with its last " (LISTED_DAYS) " days" }
                thead {
                    tr {
                        (self.heading("Stream", SortOrder::Name, ""))
                        (self.heading("State", SortOrder::Worst, ""))
                        (self.heading("Lag", SortOrder::Lag, "number"))
                        (self.heading("Messages", SortOrder::Messages, "number wide"))
                        (self.heading("Missing", SortOrder::Missing, "number wide"))
                        (self.heading("Lost", SortOrder::Lost, "number wide"))
                    }
                }
                tbody {
                    @for (stream, days) in self.list.shown.iter().zip(&self.days) {
                        (stream_row(stream, days, has_several_accounts))
                    }
                }
            }
        }
    }

    fn heading(&self, name: &str, sort: SortOrder, class: &str) -> Markup {
        let is_sorted = self.query.sort() == sort;
        let (order, arrow) = match sort {
            SortOrder::Name => ("ascending", " ↑"),
            _ => ("descending", " ↓"),
        };
        html! {
            th scope="col" class=(class) aria-sort=[is_sorted.then_some(order)] {
                a href={ (self.query.clone().sorted_by(sort).href()) "#streams" } {
                    (name)
                    @if is_sorted { span.arrow aria-hidden="true" { (arrow) } }
                }
            }
        }
    }

    fn pager(&self) -> Markup {
        let StreamList {
            shown,
            found,
            page,
            pages,
            first,
        } = &self.list;
        let last = first + shown.len() - 1;
        let [first, last, found] = [*first, last, *found].map(|n| thousands(n as u64));
        let link = |page: usize| format!("{}#streams", self.query.clone().on_page(page).href());
        html! {
            nav.pager aria-label="Pages of streams" {
                span { (first) "–" (last) " of " (found) }
                @if *page > 1 {
                    a href=(link(1)) { "first" }
                    a href=(link(page - 1)) rel="prev" { "previous" }
                }
                @if page < pages {
                    a href=(link(page + 1)) rel="next" { "next" }
                    a href=(link(*pages)) { "last" }
                }
            }
        }
    }

    fn messages(&self) -> Markup {
        let (days, now) = (&self.snapshot.days, self.snapshot.taken_at);
        let messages = by_interval(days, now, DAY, CHART_DAYS, |from, buckets| {
            let new: u64 = buckets.iter().map(|bucket| bucket.new).sum();
            (date_text(from), new)
        });
        let most = messages.iter().map(|(_, new)| *new).max().unwrap_or(0);
        let bars: Vec<Bar> = messages
            .iter()
            .map(|(date, new)| Bar {
                value: *new as f64,
                text: format!("{date}: {}", thousands(*new)),
            })
            .collect();
        let at_most = thousands(most);
        let label =
            format!("messages archived on each of the last {CHART_DAYS} days, at most {at_most}");
        html! {
            section aria-labelledby="messages" {
                h2 #messages { "Messages archived per day" }
                figure {
                    (bar_chart(&label, most as f64, &bars))
                    figcaption {
                        "the last " (CHART_DAYS) " days, today last; at most " (at_most) " a day"
                    }
                }
                details {
                    summary { "As a table" }
                    table {
                        thead { tr {
                            th scope="col" { "Day" }
                            th.number scope="col" { "New messages" }
                        } }
                        tbody {
                            @for (date, new) in messages.iter().rev() {
                                tr { td { (date) } td.number { (thousands(*new)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn issue_item(issue: &Issue) -> Markup {
    let (class, word) = match issue.severity {
        Severity::Action => ("action", "Action"),
        Severity::Info => ("info", "Info"),
    };
    html! {
        li class=(class) {
            span.kind { (word) }
            div {
                p {
                    strong { (untrusted(&issue.subject)) } ": " (prose(&issue.problem))
                    @if let Some(since) = issue.since {
                        " (since " (timestamp(since.second())) ")"
                    }
                }
                p.hint { "To do: " (prose(&issue.hint)) }
            }
        }
    }
}

fn legend() -> Markup {
    html! {
        p.legend {
            span { (message_sample()) " messages of a day" }
            @for state in DayState::ALL { span { (sample(state)) " " (state.name()) } }
        }
    }
}

fn stream_row(stream: &AssessedStream<'_>, days: &[StreamDay], shows_account: bool) -> Markup {
    let status = stream.status;
    html! {
        tr {
            th scope="row" {
                @if let Some(id) = status.id {
                    a href={ "stream?id=" (id.0) } { (untrusted(&stream.title.name)) }
                } @else { (untrusted(&stream.title.name)) }
                @if let Some(kind) = stream.title.kind { span.of { " " (kind) } }
                @if shows_account { span.of { " · " (untrusted(&status.account)) } }
                (strip(days))
            }
            td { (badge(stream.health)) }
            td.number {
                @if status.watermark.is_some() { (duration(stream.lag_s)) } @else { "–" }
            }
            td.number.wide { (thousands(status.messages)) }
            td.number.wide { (duration_or_dash(stream.gap_s)) }
            td.number.wide { (duration_or_dash(stream.lost_s)) }
        }
    }
}

fn duration_or_dash(seconds: u64) -> String {
    match seconds {
        0 => "–".to_owned(),
        _ => history(seconds),
    }
}

/// `2026-11-21`
fn date_text(from: Millis) -> String {
    from.to_string().chars().take(10).collect()
}

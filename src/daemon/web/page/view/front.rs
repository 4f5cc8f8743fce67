//! The front page: the verdict, what to do, the accounts, the streams, the last passes.

use std::collections::BTreeSet;
use std::time::Duration;

use maud::{Markup, html};

use super::accounts;
use super::chart::{bars, sample, strip};
use super::layout::{ago, badge, footer, layout, timestamp, truncated, untrusted};
use crate::daemon::web::page::model::calendar::{DayState, StreamDay};
use crate::daemon::web::page::model::health::{AssessedStream, EVER_S, Headline, OverallState};
use crate::daemon::web::page::model::issues::{Issue, Severity};
use crate::daemon::web::page::model::list::{ListQuery, SortOrder, StreamList};
use crate::daemon::web::page::snapshot::{CHART_DAYS, DAY, PageSnapshot, by_interval};
use crate::domain::format::{bytes, duration, thousands};
use crate::domain::time::Millis;
use crate::store::PassRecord;

/// Everything that the front page shows.
#[derive(Debug)]
pub(crate) struct FrontPage<'a> {
    pub(crate) snapshot: &'a PageSnapshot,
    pub(crate) streams: &'a [AssessedStream<'a>],
    pub(crate) headline: Headline,
    pub(crate) issues: Vec<Issue>,
    pub(crate) query: &'a ListQuery,
    pub(crate) list: StreamList<'a>,
    /// The last days of each stream that is listed.
    pub(crate) days: Vec<Vec<StreamDay>>,
    /// Those of the configuration, and others that the archive holds.
    pub(crate) accounts: BTreeSet<&'a str>,
}

impl FrontPage<'_> {
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
                (self.passes())
            }
            (footer())
        };
        layout(&self.headline.text, refreshes, &body)
    }

    fn header(&self) -> Markup {
        let refreshing = |refreshes: bool| self.query.clone().with_refresh(refreshes).href();
        html! {
            header {
                p.brand { a href="/" { "Backscroll" } }
                p.asof {
                    "as of " (timestamp(self.snapshot.taken_at.second())) " UTC · "
                    a href=(self.query.href()) { "look again" } " · "
                    @if self.query.refreshes() {
                        a href=(refreshing(false)) { "stop looking every minute" }
                    } @else {
                        a href=(refreshing(true)) { "look every minute" }
                    }
                }
            }
        }
    }

    fn headline_box(&self) -> Markup {
        let (class, sign) = match self.headline.state {
            OverallState::Complete => ("whole", "✓"),
            OverallState::CatchingUp | OverallState::Empty => ("working", "○"),
            OverallState::ActionNeeded => ("trouble", "!"),
        };
        let messages: u64 = self
            .streams
            .iter()
            .map(|stream| stream.status.messages)
            .sum();
        html! {
            div class={ "verdict " (class) } {
                span.sign aria-hidden="true" { (sign) }
                div {
                    h1 { (self.headline.text) }
                    p {
                        (thousands(messages)) @if messages == 1 { " message" } @else { " messages" } " (one in two streams counts twice), "
                        (bytes(self.snapshot.bytes)) " in " (untrusted(&self.snapshot.location))
                    }
                }
            }
        }
    }

    fn issue_list(&self) -> Markup {
        html! {
            @if !self.issues.is_empty() {
                section aria-labelledby="todo" {
                    h2 #todo { "What is wrong, and what to do" }
                    ul.worries {
                        @for worry in &self.issues {
                            @let (class, word) = match worry.severity {
                                Severity::Action => ("grave", "Act"),
                                Severity::Info => ("light", "Know"),
                            };
                            li class=(class) {
                                span.kind { (word) }
                                div {
                                    p { strong { (untrusted(&worry.subject)) } ": " (untrusted(&worry.problem)) @if let Some(since) = worry.since { " (since " (timestamp(since.second())) ")" } }
                                    p.hint { "To do: " (untrusted(&worry.hint)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    fn streams(&self) -> Markup {
        html! {
            section aria-labelledby="streams" {
                h2 #streams { "Streams" }
                (self.search())
                @if self.list.shown.is_empty() {
                    p.none {
                        @if self.streams.is_empty() { "There are none yet." } @else { "None is like that. " a href="/" { "Show all" } }
                    }
                } @else {
                    (legend())
                    (self.table())
                    (self.pager())
                }
            }
        }
    }

    fn search(&self) -> Markup {
        let query = self.query;
        html! {
            form.search action="/" method="get" role="search" {
                label for="q" { "Name contains" }
                input #q type="search" name="q" value=(query.search()) maxlength="200" autocomplete="off";
                @if self.accounts.len() > 1 {
                    label for="account" { "Account" }
                    select #account name="account" {
                        option value="" { "all" }
                        @for account in &self.accounts {
                            option value=(account) selected[query.is_for(account)] { (truncated(account)) }
                        }
                    }
                }
                label.check { input type="checkbox" name="show" value="ill" checked[query.only_incomplete()]; " only those not whole" }
                @if query.sort() != SortOrder::Worst { input type="hidden" name="sort" value=(query.sort().key()); }
                @if query.refreshes() { input type="hidden" name="refresh" value="60"; }
                button type="submit" { "Search" }
            }
        }
    }

    fn table(&self) -> Markup {
        let several = self.accounts.len() > 1;
        html! {
            table.streams {
                caption.quiet { "Each stream with its last " (self.days.first().map_or(0, Vec::len)) " days" }
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
                    @for (stream, days) in self.list.shown.iter().zip(&self.days) { (row(stream, days, several)) }
                }
            }
        }
    }

    fn heading(&self, name: &str, sort: SortOrder, class: &str) -> Markup {
        let is_it = self.query.sort() == sort;
        let order = if sort == SortOrder::Name {
            "ascending"
        } else {
            "descending"
        };
        html! {
            th scope="col" class=(class) aria-sort=[is_it.then_some(order)] {
                a href={ (self.query.clone().sorted_by(sort).href()) "#streams" } {
                    (name)
                    @if is_it { span.arrow aria-hidden="true" { @if sort == SortOrder::Name { " ↑" } @else { " ↓" } } }
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
        let link = |page: usize| format!("{}#streams", self.query.clone().on_page(page).href());
        html! {
            nav.pager aria-label="Pages of streams" {
                span { (thousands(*first as u64)) "–" (thousands((first + shown.len() - 1) as u64)) " of " (thousands(*found as u64)) }
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
        let sums = by_interval(
            &self.snapshot.days,
            self.snapshot.taken_at,
            DAY,
            CHART_DAYS,
            |from, pulses| (from, pulses.iter().map(|pulse| pulse.new).sum::<u64>()),
        );
        let most = sums.iter().map(|(_, new)| *new).max().unwrap_or(0);
        let date = |from: &Millis| from.to_string().chars().take(10).collect::<String>();
        let drawn: Vec<_> = sums
            .iter()
            .map(|(from, new)| (*new as f64, format!("{}: {}", date(from), thousands(*new))))
            .collect();
        html! {
            section aria-labelledby="messages" {
                h2 #messages { "Messages archived per day" }
                figure {
                    (bars(&format!("messages archived on each of the last {CHART_DAYS} days, at most {}", thousands(most)), most as f64, &drawn))
                    figcaption { "the last " (CHART_DAYS) " days, today last; at most " (thousands(most)) " a day" }
                }
                details {
                    summary { "As a table" }
                    table {
                        thead { tr { th scope="col" { "Day" } th.number scope="col" { "New messages" } } }
                        tbody {
                            @for (from, new) in sums.iter().rev() {
                                tr { td { (date(from)) } td.number { (thousands(*new)) } }
                            }
                        }
                    }
                }
            }
        }
    }

    fn passes(&self) -> Markup {
        html! {
            section aria-labelledby="passes" {
                h2 #passes { "The last passes" }
                @if self.snapshot.passes.is_empty() {
                    p.none { "There has been none." }
                } @else {
                    table.passes {
                        thead {
                            tr {
                                th scope="col" { "Began" }
                                th scope="col" { "Account" }
                                th scope="col" { "For" }
                                th.number.wide scope="col" { "Took" }
                                th scope="col" { "Brought" }
                            }
                        }
                        tbody {
                            @for (n, pass) in self.snapshot.passes.iter().enumerate() {
                                @let is_last = self.snapshot.passes[..n].iter().all(|later| later.account != pass.account);
                                (pass_row(pass, is_last, self.snapshot.taken_at))
                            }
                        }
                    }
                }
            }
        }
    }
}

fn legend() -> Markup {
    html! {
        p.legend {
            @for state in DayState::ALL { span { (sample(state)) " " (state.name()) } }
        }
    }
}

fn row(stream: &AssessedStream<'_>, days: &[StreamDay], several: bool) -> Markup {
    let status = stream.status;
    let or_dash = |seconds: u64| match seconds {
        0 => "–".to_owned(),
        EVER_S.. => "all".to_owned(),
        some => duration(some),
    };
    html! {
        tr {
            th scope="row" {
                @if let Some(id) = status.id {
                    a href={ "/stream?id=" (id.0) } { (untrusted(&status.stream)) }
                } @else { (untrusted(&status.stream)) }
                @if several { span.of { " " (untrusted(&status.account)) } }
                (strip(days))
            }
            td { (badge(stream.health)) }
            td.number { @if status.watermark.is_some() { (duration(stream.lag_s)) } @else { "–" } }
            td.number.wide { (thousands(status.messages)) }
            td.number.wide { (or_dash(stream.gap_s)) }
            td.number.wide { (or_dash(stream.lost_s)) }
        }
    }
}

fn pass_row(pass: &PassRecord, is_last: bool, now: Millis) -> Markup {
    let tally = &pass.totals;
    let took = pass
        .finished_at
        .map(|at| at.since(pass.started_at))
        .map(|took: Duration| {
            if took.as_secs() < 10 {
                format!("{:.1}s", took.as_secs_f64())
            } else {
                duration(took.as_secs())
            }
        });
    html! {
        tr {
            td { (ago(pass.started_at, now)) }
            td { (untrusted(&pass.account)) }
            td { (untrusted(&pass.why)) }
            td.number.wide { (took.as_deref().unwrap_or("–")) }
            td {
                @if took.is_none() {
                    @if is_last { "under way" } @else { "broken off" }
                } @else {
                    (thousands(tally.new)) " new"
                    @if tally.changed > 0 { ", " (thousands(tally.changed)) " changed" }
                    ", " (thousands(tally.requests)) " requests"
                    @if tally.errors > 0 { ", " strong { (thousands(tally.errors)) @if tally.errors == 1 { " error" } @else { " errors" } } }
                    @if let Some(error) = &tally.last_error { ": " (untrusted(error)) }
                }
            }
        }
    }
}

//! The front page: the verdict, what to do, the accounts, the streams, the last passes.

use std::collections::BTreeSet;
use std::time::Duration;

use maud::{Markup, html};

use super::accounts;
use super::calendar::{DayOf, State};
use super::chart::{bars, sample, strip};
use super::frame::{ago, badge, cut, footer, foreign, moment, page};
use super::health::{EVER_S, Judged, Tone, Verdict};
use super::list::{List, Query, Sort};
use super::look::{DAY, DAYS, Look, by_span};
use super::worries::{Weight, Worry};
use crate::domain::figures::{grouped, size, span};
use crate::domain::time::Millis;
use crate::store::Passed;

/// Everything that the front page shows.
#[derive(Debug)]
pub(super) struct Front<'a> {
    pub(super) look: &'a Look,
    pub(super) judged: &'a [Judged<'a>],
    pub(super) verdict: Verdict,
    pub(super) worries: Vec<Worry>,
    pub(super) query: &'a Query,
    pub(super) list: List<'a>,
    /// The last days of each stream that is listed.
    pub(super) days: Vec<Vec<DayOf>>,
    /// Those of the configuration, and others that the archive holds.
    pub(super) accounts: BTreeSet<&'a str>,
}

impl Front<'_> {
    pub(super) fn render(&self) -> String {
        let refreshes = self.query.refreshes();
        let body = html! {
            (self.header())
            main {
                (self.verdict())
                (self.todo())
                (accounts::cards(self.look, self.judged))
                (self.streams())
                (self.messages())
                (self.passes())
            }
            (footer())
        };
        page(&self.verdict.headline, refreshes, &body)
    }

    fn header(&self) -> Markup {
        let refreshing = |refreshes: bool| self.query.clone().refreshing(refreshes).href();
        html! {
            header {
                p.brand { a href="/" { "Backscroll" } }
                p.asof {
                    "as of " (moment(self.look.at.second())) " UTC · "
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

    fn verdict(&self) -> Markup {
        let (class, sign) = match self.verdict.tone {
            Tone::Whole => ("whole", "✓"),
            Tone::CatchingUp | Tone::Empty => ("working", "○"),
            Tone::Trouble => ("trouble", "!"),
        };
        let messages: u64 = self
            .judged
            .iter()
            .map(|stream| stream.status.messages)
            .sum();
        html! {
            div class={ "verdict " (class) } {
                span.sign aria-hidden="true" { (sign) }
                div {
                    h1 { (self.verdict.headline) }
                    p {
                        (grouped(messages)) @if messages == 1 { " message" } @else { " messages" } " (one in two streams counts twice), "
                        (size(self.look.bytes)) " in " (foreign(&self.look.place))
                    }
                }
            }
        }
    }

    fn todo(&self) -> Markup {
        html! {
            @if !self.worries.is_empty() {
                section aria-labelledby="todo" {
                    h2 #todo { "What is wrong, and what to do" }
                    ul.worries {
                        @for worry in &self.worries {
                            @let (class, word) = match worry.weight {
                                Weight::Grave => ("grave", "Act"),
                                Weight::Light => ("light", "Know"),
                            };
                            li class=(class) {
                                span.kind { (word) }
                                div {
                                    p { strong { (foreign(&worry.whose)) } ": " (foreign(&worry.what)) @if let Some(since) = worry.since { " (since " (moment(since.second())) ")" } }
                                    p.hint { "To do: " (foreign(&worry.hint)) }
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
                        @if self.judged.is_empty() { "There are none yet." } @else { "None is like that. " a href="/" { "Show all" } }
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
                            option value=(account) selected[query.is_of(account)] { (cut(account)) }
                        }
                    }
                }
                label.check { input type="checkbox" name="show" value="ill" checked[query.only_ill()]; " only those not whole" }
                @if query.sort() != Sort::Worst { input type="hidden" name="sort" value=(query.sort().key()); }
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
                        (self.heading("Stream", Sort::Name, ""))
                        (self.heading("State", Sort::Worst, ""))
                        (self.heading("Lag", Sort::Lag, "number"))
                        (self.heading("Messages", Sort::Messages, "number wide"))
                        (self.heading("Missing", Sort::Missing, "number wide"))
                        (self.heading("Lost", Sort::Lost, "number wide"))
                    }
                }
                tbody {
                    @for (stream, days) in self.list.shown.iter().zip(&self.days) { (row(stream, days, several)) }
                }
            }
        }
    }

    fn heading(&self, name: &str, sort: Sort, class: &str) -> Markup {
        let is_it = self.query.sort() == sort;
        let order = if sort == Sort::Name {
            "ascending"
        } else {
            "descending"
        };
        html! {
            th scope="col" class=(class) aria-sort=[is_it.then_some(order)] {
                a href={ (self.query.clone().in_order(sort).href()) "#streams" } {
                    (name)
                    @if is_it { span.arrow aria-hidden="true" { @if sort == Sort::Name { " ↑" } @else { " ↓" } } }
                }
            }
        }
    }

    fn pager(&self) -> Markup {
        let List {
            shown,
            found,
            page,
            pages,
            first,
        } = &self.list;
        let link = |page: usize| format!("{}#streams", self.query.clone().on_page(page).href());
        html! {
            nav.pager aria-label="Pages of streams" {
                span { (grouped(*first as u64)) "–" (grouped((first + shown.len() - 1) as u64)) " of " (grouped(*found as u64)) }
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
        let sums = by_span(&self.look.days, self.look.at, DAY, DAYS, |from, pulses| {
            (from, pulses.iter().map(|pulse| pulse.new).sum::<u64>())
        });
        let most = sums.iter().map(|(_, new)| *new).max().unwrap_or(0);
        let date = |from: &Millis| from.to_string().chars().take(10).collect::<String>();
        let drawn: Vec<_> = sums
            .iter()
            .map(|(from, new)| (*new as f64, format!("{}: {}", date(from), grouped(*new))))
            .collect();
        html! {
            section aria-labelledby="messages" {
                h2 #messages { "Messages archived per day" }
                figure {
                    (bars(&format!("messages archived on each of the last {DAYS} days, at most {}", grouped(most)), most as f64, &drawn))
                    figcaption { "the last " (DAYS) " days, today last; at most " (grouped(most)) " a day" }
                }
                details {
                    summary { "As a table" }
                    table {
                        thead { tr { th scope="col" { "Day" } th.number scope="col" { "New messages" } } }
                        tbody {
                            @for (from, new) in sums.iter().rev() {
                                tr { td { (date(from)) } td.number { (grouped(*new)) } }
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
                @if self.look.passes.is_empty() {
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
                            @for (n, pass) in self.look.passes.iter().enumerate() {
                                @let is_last = self.look.passes[..n].iter().all(|later| later.account != pass.account);
                                (pass_row(pass, is_last, self.look.at))
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
            @for state in State::ALL { span { (sample(state)) " " (state.name()) } }
        }
    }
}

fn row(stream: &Judged<'_>, days: &[DayOf], several: bool) -> Markup {
    let status = stream.status;
    let or_dash = |seconds: u64| match seconds {
        0 => "–".to_owned(),
        EVER_S.. => "all".to_owned(),
        some => span(some),
    };
    html! {
        tr {
            th scope="row" {
                @if let Some(id) = status.id {
                    a href={ "/stream?id=" (id.0) } { (foreign(&status.stream)) }
                } @else { (foreign(&status.stream)) }
                @if several { span.of { " " (foreign(&status.account)) } }
                (strip(days))
            }
            td { (badge(stream.health)) }
            td.number { @if status.watermark.is_some() { (span(stream.lag_s)) } @else { "–" } }
            td.number.wide { (grouped(status.messages)) }
            td.number.wide { (or_dash(stream.gap_s)) }
            td.number.wide { (or_dash(stream.lost_s)) }
        }
    }
}

fn pass_row(pass: &Passed, is_last: bool, now: Millis) -> Markup {
    let tally = &pass.tally;
    let took = pass
        .finished_at
        .map(|at| at.since(pass.started_at))
        .map(|took: Duration| {
            if took.as_secs() < 10 {
                format!("{:.1}s", took.as_secs_f64())
            } else {
                span(took.as_secs())
            }
        });
    html! {
        tr {
            td { (ago(pass.started_at, now)) }
            td { (foreign(&pass.account)) }
            td { (foreign(&pass.why)) }
            td.number.wide { (took.as_deref().unwrap_or("–")) }
            td {
                @if took.is_none() {
                    @if is_last { "under way" } @else { "broken off" }
                } @else {
                    (grouped(tally.new)) " new"
                    @if tally.changed > 0 { ", " (grouped(tally.changed)) " changed" }
                    ", " (grouped(tally.requests)) " requests"
                    @if tally.errors > 0 { ", " strong { (grouped(tally.errors)) @if tally.errors == 1 { " error" } @else { " errors" } } }
                    @if let Some(error) = &tally.last_error { ": " (foreign(error)) }
                }
            }
        }
    }
}

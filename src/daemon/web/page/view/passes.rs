//! The table of recent passes.

use maud::{Markup, html};

use super::layout::{ago, prose, untrusted};
use crate::daemon::web::page::snapshot::PageSnapshot;
use crate::domain::format::{counted, duration, thousands};
use crate::domain::time::Millis;
use crate::store::{PassRecord, RunTotals};

/// Renders the recent passes of all accounts, the latest first.
pub(crate) fn recent_passes(snapshot: &PageSnapshot) -> Markup {
    let passes = &snapshot.passes;
    html! {
        section aria-labelledby="passes" {
            h2 #passes { "Recent passes" }
            @if passes.is_empty() {
                p.none { "No pass has run yet." }
            } @else {
                table.passes {
                    thead {
                        tr {
                            th scope="col" { "Started" }
                            th scope="col" { "Account" }
                            th scope="col" { "Purpose" }
                            th.number.wide scope="col" { "Duration" }
                            th scope="col" { "Result" }
                        }
                    }
                    tbody {
                        @for (n, pass) in passes.iter().enumerate() {
                            @let is_latest = is_latest_of_account(passes, n);
                            (pass_row(pass, is_latest, snapshot.taken_at))
                        }
                    }
                }
            }
        }
    }
}

/// True if no later pass over the same account is in the table.
fn is_latest_of_account(passes: &[PassRecord], position: usize) -> bool {
    let account = &passes[position].account;
    let mut later = passes[..position].iter();
    later.all(|pass| pass.account != *account)
}

/// Renders a pass. `is_latest`: no later pass over the account has begun.
fn pass_row(pass: &PassRecord, is_latest: bool, now: Millis) -> Markup {
    let took = pass.finished_at.map(|at| {
        let took = at.since(pass.started_at);
        match took.as_secs() {
            0..10 => format!("{:.1}s", took.as_secs_f64()),
            seconds => duration(seconds),
        }
    });
    html! {
        tr {
            td { (ago(pass.started_at, now)) }
            td { (untrusted(&pass.account)) }
            td { (untrusted(&pass.why)) }
            td.number.wide { (took.as_deref().unwrap_or("–")) }
            td {
                @if took.is_some() { (pass_result(&pass.totals)) }
                @else if is_latest { "running" }
                @else { "interrupted" }
            }
        }
    }
}

fn pass_result(tally: &RunTotals) -> Markup {
    let errors = match tally.errors {
        0 => None,
        some => Some(counted(some, "error", "errors")),
    };
    html! {
        (thousands(tally.new)) " new"
        @if tally.changed > 0 { ", " (thousands(tally.changed)) " changed" }
        ", " (counted(tally.requests, "request", "requests"))
        @if let Some(errors) = errors { ", " strong { (errors) } }
        @if let Some(error) = &tally.last_error { ": " (prose(error)) }
    }
}

//! The accounts, each on a card: how far it is, and how it has fared lately.

use maud::{Markup, html};

use super::chart::bars;
use super::layout::{NBSP, ago, untrusted};
use crate::daemon::web::page::model::health::{AssessedStream, StreamHealth};
use crate::daemon::web::page::model::list::ListQuery;
use crate::daemon::web::page::snapshot::{
    AccountOverview, CHART_HOURS, HOUR, PageSnapshot, by_interval,
};
use crate::domain::format::{duration, thousands};
use crate::domain::time::Millis;
use crate::store::ThroughputBucket;

/// More accounts than this are not shown on cards.
const MAX_CARDS: usize = 24;

pub(crate) fn account_cards(look: &PageSnapshot, streams: &[AssessedStream<'_>]) -> Markup {
    html! {
        section aria-labelledby="accounts" {
            h2 #accounts { "Accounts" }
            div.cards {
                @for account in look.accounts.iter().take(MAX_CARDS) { (account_card(look, account, streams)) }
            }
            @if look.accounts.len() > MAX_CARDS {
                p.none { "And " (thousands((look.accounts.len() - MAX_CARDS) as u64)) " more, whose streams are below." }
            }
        }
    }
}

fn account_card(
    look: &PageSnapshot,
    account: &AccountOverview,
    streams: &[AssessedStream<'_>],
) -> Markup {
    let is_ours = |stream: &&AssessedStream<'_>| {
        stream.status.account == account.name && stream.status.id.is_some()
    };
    let ours: Vec<&AssessedStream<'_>> = streams.iter().filter(is_ours).collect();
    let whole = ours
        .iter()
        .filter(|stream| matches!(stream.health, StreamHealth::Complete | StreamHealth::Lost))
        .count();
    let lag = ours.iter().map(|stream| stream.lag_s).max();
    let pulses: Vec<ThroughputBucket> = look
        .hours
        .iter()
        .filter(|pulse| pulse.account == account.name)
        .cloned()
        .collect();
    let all = ListQuery::for_account(&account.name).href();
    html! {
        article.card {
            h3 { (untrusted(&account.name)) " " span.of { (account.provider) } }
            dl {
                dt { "Complete up to" }
                dd {
                    @if ours.iter().any(|stream| stream.health == StreamHealth::NotStarted) { "some have not begun" }
                    @else if let Some(lag) = lag { (duration(lag)) " ago" }
                    @else { "–" }
                }
                dt { "Streams" }
                dd {
                    a href={ (all) "#streams" } { (thousands(ours.len() as u64)) }
                    @if whole < ours.len() { ", " (thousands((ours.len() - whole) as u64)) " of them not whole" }
                }
                @if let Some(left) = time_left(account, &ours) { dt { "Done in" } dd { (left) } }
                dt { "Last pass" }
                dd { @if let Some(last) = account.last_pass { (ago(last, look.taken_at)) } @else { "none yet" } }
            }
            (lag_chart(&pulses, look.taken_at, lag))
            (quota_chart(&pulses, look.taken_at, account.requests_per_second))
        }
    }
}

/// How long it will go on until nothing is missing, where something is.
fn time_left(account: &AccountOverview, streams: &[&AssessedStream<'_>]) -> Option<String> {
    if streams.iter().all(|stream| stream.gaps.is_empty()) {
        return None;
    }
    let progress = account.progress.filter(|progress| !progress.left.is_zero());
    let guess = progress.is_some_and(|progress| progress.is_estimate);
    let left = match (progress, &account.forecast) {
        (Some(progress), _) => progress.left,
        (None, Some(forecast)) if forecast.has_density => forecast.outlook.duration,
        _ => return Some("not known yet".to_owned()),
    };
    Some(format!(
        "about {}{}",
        duration(left.as_secs().max(1)),
        if guess { ", or more" } else { "" }
    ))
}

/// An hour in which no pass came to its end was as much later as it was long.
fn lag_chart(pulses: &[ThroughputBucket], now: Millis, lag: Option<u64>) -> Markup {
    let mut last: Option<(Millis, u64)> = None;
    let lags = by_interval(pulses, now, HOUR, CHART_HOURS, |from, pulses| {
        let known = pulses.iter().filter_map(|pulse| pulse.lag_seconds).max();
        let lag = known.or_else(|| last.map(|(at, lag)| lag + from.since(at).as_secs()));
        if let Some(known) = known {
            last = Some((from, known));
        }
        (from, lag.unwrap_or(0))
    });
    let most = lags
        .iter()
        .map(|(_, lag)| *lag)
        .max()
        .unwrap_or(0)
        .max(lag.unwrap_or(0));
    let drawn: Vec<_> = lags
        .iter()
        .map(|(from, lag)| {
            (
                *lag as f64,
                format!("{}: {}", hour_text(*from), duration(*lag)),
            )
        })
        .collect();
    chart_figure(
        "Lag",
        &format!("at most {} behind", duration(most)),
        most as f64,
        &drawn,
    )
}

fn quota_chart(pulses: &[ThroughputBucket], now: Millis, rate: Option<f64>) -> Markup {
    let requests = by_interval(pulses, now, HOUR, CHART_HOURS, |from, pulses| {
        (from, pulses.iter().map(|pulse| pulse.requests).sum::<u64>())
    });
    let most = requests
        .iter()
        .map(|(_, requests)| *requests)
        .max()
        .unwrap_or(0);
    let (full, said) = match rate {
        Some(rate) => {
            let full = rate * HOUR.as_secs_f64();
            let percent = most as f64 / full * 100.0;
            (
                full,
                format!("at most {percent:.0} % of {rate:.1} requests a second"),
            )
        }
        None => (
            most as f64,
            format!(
                "at most {} requests an hour, without a limit",
                thousands(most)
            ),
        ),
    };
    let share = |requests: u64| {
        rate.map_or_else(String::new, |_| {
            format!(", {:.0} %", requests as f64 / full * 100.0)
        })
    };
    let drawn: Vec<_> = requests
        .iter()
        .map(|(from, requests)| {
            (
                *requests as f64,
                format!(
                    "{}: {} requests{}",
                    hour_text(*from),
                    thousands(*requests),
                    share(*requests)
                ),
            )
        })
        .collect();
    chart_figure("Quota used", &said, full, &drawn)
}

fn chart_figure(name: &str, said: &str, full: f64, drawn: &[(f64, String)]) -> Markup {
    html! {
        figure {
            (bars(&format!("{name} in the last {CHART_HOURS} hours: {said}"), full, drawn))
            figcaption { strong { (name) } ", " (CHART_HOURS) (NBSP) "h: " (said) }
        }
    }
}

/// `2026-11-21 08:00`
fn hour_text(from: Millis) -> String {
    from.to_string()
        .chars()
        .take(16)
        .map(|c| if c == 'T' { ' ' } else { c })
        .collect()
}

//! The cards of the accounts: progress, lag and requests.

use maud::{Markup, html};

use super::chart::{Bar, bar_chart};
use super::layout::{NBSP, ago, until, untrusted};
use super::progress::progress_bar;
use crate::daemon::web::limits::{CHART_HOURS, MAX_CARDS};
use crate::daemon::web::page::model::health::{AssessedStream, StreamHealth};
use crate::daemon::web::page::model::intervals::{HOUR, by_interval};
use crate::daemon::web::page::model::list::ListQuery;
use crate::daemon::web::page::snapshot::{AccountOverview, PageSnapshot};
use crate::domain::format::{FROM_THE_BEGINNING, counted, duration, history, thousands};
use crate::domain::time::{Millis, UNBOUNDED_HISTORY_S};
use crate::store::ThroughputBucket;
use crate::sync::forecast::Forecast;

/// Renders a card for each account.
pub(crate) fn account_cards(snapshot: &PageSnapshot, streams: &[AssessedStream<'_>]) -> Markup {
    let accounts = &snapshot.accounts;
    html! {
        section aria-labelledby="accounts" {
            h2 #accounts { "Accounts" }
            div.cards {
                @for account in accounts.iter().take(MAX_CARDS) {
                    (account_card(snapshot, account, streams))
                }
            }
            @if accounts.len() > MAX_CARDS {
                @let more = thousands((accounts.len() - MAX_CARDS) as u64);
                p.none { "And " (more) " more; their streams are listed below." }
            }
        }
    }
}

fn account_card(
    snapshot: &PageSnapshot,
    account: &AccountOverview,
    streams: &[AssessedStream<'_>],
) -> Markup {
    let streams: Vec<&AssessedStream<'_>> = streams
        .iter()
        .filter(|stream| stream.status.account == account.name && stream.is_archived())
        .collect();
    let hours: Vec<ThroughputBucket> = snapshot
        .hours
        .iter()
        .filter(|bucket| bucket.account == account.name)
        .cloned()
        .collect();
    let now = snapshot.taken_at;
    let lag_s = streams.iter().map(|stream| stream.lag_s).max();
    let is_behind = streams.iter().any(|stream| !stream.gaps.is_empty());
    html! {
        article.card {
            h3 { (untrusted(&account.name)) " " span.of { (account.provider) } }
            dl {
                dt { "Complete up to" } dd { (completeness(&streams, lag_s)) }
                dt { "Streams" } dd { (stream_counts(account, &streams)) }
                @if let Some(left) = time_left(account, &streams) {
                    dt { "Time left" } dd { (left) }
                }
                dt { "Last pass" }
                dd {
                    @if let Some(last) = account.last_pass { (ago(last, now)) }
                    @else { "none yet" }
                }
                @if let Some(next) = account.next_pass { dt { "Next pass" } dd { (until(next, now)) } }
            }
            @if let Some(progress) = account.progress.filter(|_| is_behind) {
                (progress_bar(progress))
            }
            (lag_chart(&hours, now, lag_s))
            (quota_chart(&hours, now, account.requests_per_second))
        }
    }
}

fn completeness(streams: &[&AssessedStream<'_>], lag_s: Option<u64>) -> String {
    let mut streams = streams.iter();
    if streams.any(|stream| stream.health == StreamHealth::NotStarted) {
        return "some streams have not started".to_owned();
    }
    lag_s.map_or_else(
        || "–".to_owned(),
        |lag_s| match lag_s {
            UNBOUNDED_HISTORY_S.. => format!("nothing {FROM_THE_BEGINNING} yet"),
            lag_s => format!("{} ago", duration(lag_s)),
        },
    )
}

/// Renders the number of streams, and of incomplete ones if there are any.
fn stream_counts(account: &AccountOverview, streams: &[&AssessedStream<'_>]) -> Markup {
    let is_incomplete = |stream: &&&AssessedStream<'_>| {
        !matches!(stream.health, StreamHealth::Complete | StreamHealth::Lost)
    };
    let incomplete = streams.iter().filter(is_incomplete).count();
    let all = ListQuery::for_account(&account.name).href();
    html! {
        a href={ (all) "#streams" } { (thousands(streams.len() as u64)) }
        @if incomplete > 0 { ", " (thousands(incomplete as u64)) " of them incomplete" }
    }
}

/// Returns the estimated time until nothing is missing; `None` if nothing is.
fn time_left(account: &AccountOverview, streams: &[&AssessedStream<'_>]) -> Option<String> {
    if streams.iter().all(|stream| stream.gaps.is_empty()) {
        return None;
    }
    let progress = account.progress.filter(|progress| !progress.left.is_zero());
    let is_estimate = progress.is_some_and(|progress| progress.is_estimate);
    let forecast_left = || account.forecast.as_ref().and_then(Forecast::time_left);
    let left = progress
        .map(|progress| progress.left)
        .or_else(forecast_left);
    let Some(left) = left else {
        return Some("not known yet".to_owned());
    };
    let left = duration(left.as_secs().max(1));
    let or_more = if is_estimate { ", or more" } else { "" };
    Some(format!("about {left}{or_more}"))
}

/// Charts the lag at the end of passes. In an hour in which no pass ended, the lag grew by an hour.
fn lag_chart(hours: &[ThroughputBucket], now: Millis, current_lag_s: Option<u64>) -> Markup {
    let mut last: Option<(Millis, u64)> = None;
    let lags_s = by_interval(hours, now, HOUR, CHART_HOURS, |from, buckets| {
        let known = buckets.iter().filter_map(|bucket| bucket.lag_seconds).max();
        if let Some(known) = known {
            last = Some((from, known));
        }
        let lag_s = last.map_or(0, |(at, lag_s)| lag_s + from.since(at).as_secs());
        (from, lag_s)
    });
    let charted_s = lags_s.iter().map(|(_, lag_s)| *lag_s);
    let longest_s = charted_s.chain(current_lag_s).max().unwrap_or(0);
    let bars: Vec<Bar> = lags_s
        .iter()
        .map(|(from, lag_s)| Bar {
            value: *lag_s as f64,
            text: format!("{}: {}", hour_text(*from), history(*lag_s)),
        })
        .collect();
    let summary = format!("at most {}", history(longest_s));
    chart_figure("Lag", &summary, longest_s as f64, &bars)
}

fn quota_chart(hours: &[ThroughputBucket], now: Millis, rate: Option<f64>) -> Markup {
    let requests = by_interval(hours, now, HOUR, CHART_HOURS, |from, buckets| {
        let requests: u64 = buckets.iter().map(|bucket| bucket.requests).sum();
        (from, requests)
    });
    let most = requests.iter().map(|(_, requests)| *requests).max();
    let most = most.unwrap_or(0);
    let hourly_quota = rate.map(|rate| rate * HOUR.as_secs_f64());
    let percent = |requests: u64| hourly_quota.map(|quota| requests as f64 / quota * 100.0);
    let summary = if let (Some(rate), Some(percent)) = (rate, percent(most)) {
        format!("at most {percent:.0} % of {rate:.1} requests a second")
    } else {
        let most = counted(most, "request", "requests");
        format!("at most {most} an hour, without a limit")
    };
    let bars: Vec<Bar> = requests
        .iter()
        .map(|(from, requests)| {
            let share = percent(*requests);
            let share = share.map_or_else(String::new, |percent| format!(", {percent:.0} %"));
            let count = counted(*requests, "request", "requests");
            Bar {
                value: *requests as f64,
                text: format!("{}: {count}{share}", hour_text(*from)),
            }
        })
        .collect();
    let full = hourly_quota.unwrap_or(most as f64);
    chart_figure("Quota used", &summary, full, &bars)
}

fn chart_figure(name: &str, summary: &str, full: f64, bars: &[Bar]) -> Markup {
    let label = format!("{name} in the last {CHART_HOURS} hours: {summary}");
    html! {
        figure {
            (bar_chart(&label, full, bars))
            figcaption { strong { (name) } ", " (CHART_HOURS) (NBSP) "h: " (summary) }
        }
    }
}

/// `2026-11-21 08:00`
fn hour_text(from: Millis) -> String {
    let text: String = from.to_string().chars().take(16).collect();
    text.replace('T', " ")
}

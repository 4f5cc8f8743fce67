//! The summary of a sync, and the table of streams.

use std::collections::BTreeMap;

use super::limits::MAX_LISTED_STREAMS;
use super::output::{print_line, print_with_hint};
use super::table::{build_table, counted, duration, history, sanitized, thousands};
use crate::domain::time::Second;
use crate::store::{RecordedError, StreamStatus};
use crate::sync::{HistoryBounds, PassReport};

const REPORT_HEADINGS: [&str; 5] = ["ACCOUNT", "NEW#", "CHANGED#", "REQUESTS#", "STATE"];

/// Prints the result of each account, the state of the streams, and the errors.
pub(super) fn print_sync_summary(
    reports: &[PassReport],
    bounds: HistoryBounds,
    mut streams: Vec<StreamStatus>,
    now: Second,
) {
    let suspect = by_account(&streams, |stream| {
        Some(&stream.suspect_rows).filter(|_| stream.refetchable_suspects() > 0)
    });
    let rows = reports
        .iter()
        .map(|report| report_row(report, suspect.contains_key(&*report.account)));
    print_line(build_table(REPORT_HEADINGS, rows));
    let suspect: u64 = streams.iter().map(StreamStatus::refetchable_suspects).sum();
    let expired: u64 = streams
        .iter()
        .map(|stream| stream.expired_suspect_rows)
        .sum();
    print_line("");
    if streams.len() > MAX_LISTED_STREAMS {
        let all = counted(streams.len() as u64, "stream", "streams");
        let healthy = thousands(count_healthy(&streams));
        print_line(format_args!(
            "{all}, {healthy} of them ok; `backscroll status` lists all"
        ));
        streams.retain(|stream| !is_healthy(stream));
        streams.truncate(MAX_LISTED_STREAMS);
    }
    print_streams(&streams, now);
    if suspect + expired > 0 {
        print_line("");
        print_doubts(suspect, expired);
    }
    if !bounds.is_unbounded() {
        print_line(
            "\nOnly a part of the history was asked for; `backscroll sync` archives the rest.",
        );
    }
    for report in reports {
        // The failure of an account is among its notes already.
        let is_shown = streams
            .iter()
            .any(|stream| stream.account == report.account && unpaused_error(stream).is_some());
        if let Some(error) = report.failure.as_ref().filter(|_| !is_shown) {
            print_with_hint(format_args!("\n{}: {error}", report.account), error.hint());
        }
    }
}

/// Prints the result of each account after an interrupt. The accounts are unknown if they did not
/// end in time.
pub(super) fn print_interrupted(reports: &[PassReport]) {
    if !reports.is_empty() {
        let rows = reports.iter().map(|report| report_row(report, false));
        print_line(build_table(REPORT_HEADINGS, rows));
        print_line("");
    }
    print_line("interrupted: what was committed is archived; the next sync continues from there");
}

fn report_row(report: &PassReport, is_in_doubt: bool) -> [String; 5] {
    let tally = &report.tally;
    let [new, changed, requests] = [tally.new, tally.changed, tally.requests].map(thousands);
    let state = if !report.is_complete() {
        "NOT COMPLETE"
    } else if is_in_doubt {
        "IN DOUBT"
    } else {
        "complete"
    };
    [
        report.account.clone(),
        new,
        changed,
        requests,
        state.to_owned(),
    ]
}

/// Prints the numbers of windows in doubt: of those that are refetched, and of those that the
/// provider has no longer.
pub(super) fn print_doubts(suspect: u64, expired: u64) {
    if suspect > 0 {
        let suspect = counted(suspect, "window is", "windows are");
        print_with_hint(
            format_args!("{suspect} in doubt and may be incomplete."),
            "the view `coverage` tells why; `sync` and `run` refetch what is in doubt, ever less often",
        );
    }
    if expired > 0 {
        let expired = thousands(expired);
        print_with_hint(
            format_args!(
                "Windows in doubt that have expired at the provider, and may be incomplete for \
                 good: {expired}."
            ),
            "nothing can be done; the view `coverage` tells when and why",
        );
    }
}

/// Prints one row per stream, and below them the errors.
pub(super) fn print_streams(streams: &[StreamStatus], now: Second) {
    if streams.is_empty() {
        return;
    }
    let headings = [
        "ACCOUNT",
        "STREAM",
        "COMPLETE TO",
        "LAG#",
        "MESSAGES#",
        "MISSING#",
        "LOST#",
        "STATE",
    ];
    let rows = streams.iter().map(|stream| stream_row(stream, now));
    print_line(build_table(headings, rows));
    if streams.iter().any(|stream| stream.discovered) {
        print_line("* discovered: not listed in the configuration");
    }
    print_stream_errors(streams);
    print_account_notes(streams);
}

fn stream_row(stream: &StreamStatus, now: Second) -> [String; 8] {
    let mark = if stream.discovered { " *" } else { "" };
    let lag = |watermark| duration(stream.lag_s(watermark, now));
    [
        stream.account.clone(),
        format!("{}{mark}", stream.stream),
        stream
            .watermark
            .map_or("-".to_owned(), |watermark| watermark.to_string()),
        stream.watermark.map_or("-".to_owned(), lag),
        thousands(stream.messages),
        history_or_dash(stream.missing_seconds),
        history_or_dash(stream.lost_seconds),
        state_label(stream),
    ]
}

fn print_stream_errors(streams: &[StreamStatus]) {
    for stream in streams {
        let is_account_error = stream.error == stream.account_error;
        if let Some(RecordedError { error, hint }) = &stream.error
            && !is_account_error
        {
            let name = format!("{} {}", stream.account, sanitized(&stream.stream));
            print_with_hint(
                format_args!("\n{name}: {}", sanitized(error)),
                sanitized(hint),
            );
        }
    }
}

/// Prints failures, failed discovery, clock skews, widened settle ages and pauses, once per account.
fn print_account_notes(streams: &[StreamStatus]) {
    for (account, RecordedError { error, hint }) in by_account(streams, unpaused_error) {
        print_with_hint(
            format_args!("\n{account}: nothing can be fetched: {}", sanitized(error)),
            hint,
        );
    }
    for (account, skew) in by_account(streams, |stream| Some(&stream.clock_skew)) {
        if !skew.is_negligible() {
            print_line(format_args!(
                "\n{account}: {skew}; the provider's is used instead"
            ));
        }
    }
    for (account, RecordedError { error, hint }) in
        by_account(streams, |stream| stream.discovery_error.as_ref())
    {
        print_with_hint(format_args!("\n{account}: {}", sanitized(error)), hint);
    }
    for (account, settle) in by_account(streams, |stream| stream.settle_override.as_ref()) {
        let age = duration(settle.as_secs());
        print_line(format_args!(
            "\n{account}: messages kept arriving late, so ranges are sealed at an age of {age}"
        ));
    }
    for (account, pause) in by_account(streams, |stream| stream.pause.as_ref()) {
        print_with_hint(
            format_args!(
                "\n{account}: paused until {}: {}",
                pause.until,
                sanitized(&pause.reason)
            ),
            "`backscroll check` tries it at once and lifts the pause",
        );
    }
}

/// Returns the failure of the stream's account. A pause has the same reason and is shown instead.
fn unpaused_error(stream: &StreamStatus) -> Option<&RecordedError> {
    let error = stream.account_error.as_ref();
    error.filter(|_| stream.pause.is_none())
}

/// Returns a value of each account that has it. All streams of an account have the same.
fn by_account<'a, T>(
    streams: &'a [StreamStatus],
    value: impl Fn(&'a StreamStatus) -> Option<&'a T>,
) -> BTreeMap<&'a str, &'a T> {
    let values = streams
        .iter()
        .filter_map(|stream| Some((&*stream.account, value(stream)?)));
    values.collect()
}

fn is_healthy(stream: &StreamStatus) -> bool {
    state_label(stream) == "ok"
}

fn count_healthy(streams: &[StreamStatus]) -> u64 {
    streams.iter().filter(|stream| is_healthy(stream)).count() as u64
}

/// Returns the label of the most severe problem of a stream.
fn state_label(stream: &StreamStatus) -> String {
    if stream.pause.is_some() {
        "paused".to_owned()
    } else if stream.error.is_some() || stream.account_error.is_some() {
        "failing".to_owned()
    } else if stream.suspect_rows > 0 && stream.quarantined > 0 {
        let (suspect, quarantined) = (stream.suspect_rows, stream.quarantined);
        format!("{suspect} suspect, {quarantined} in quarantine")
    } else if stream.suspect_rows > 0 {
        format!("{} suspect", stream.suspect_rows)
    } else if stream.quarantined > 0 {
        format!("{} in quarantine", stream.quarantined)
    } else if stream.missing_seconds > 0 {
        "behind".to_owned()
    } else if stream.watermark.is_none() {
        "not started".to_owned()
    } else if stream.lost_seconds > 0 {
        "some lost".to_owned()
    } else {
        "ok".to_owned()
    }
}

fn history_or_dash(seconds: u64) -> String {
    if seconds == 0 {
        "-".to_owned()
    } else {
        history(seconds)
    }
}

//! The summary of a sync, and the table of streams.

use super::print_line;
use super::table::{build_table, duration, sanitized, thousands};
use crate::domain::time::Second;
use crate::store::{RecordedError, StreamStatus};
use crate::sync::PassReport;

/// The maximum number of streams in the summary. If there are more, only unhealthy ones are listed.
const MAX_LISTED_STREAMS: usize = 24;

/// Prints the result of each account, the state of the streams, and the errors.
pub(super) fn print_sync_summary(reports: &[PassReport], streams: Vec<StreamStatus>, now: Second) {
    print_line(build_table(
        ["ACCOUNT", "NEW#", "CHANGED#", "REQUESTS#", "STATE"],
        reports.iter().map(|report| {
            let state = if report.is_complete() {
                "complete"
            } else {
                "NOT COMPLETE"
            };
            let tally = &report.tally;
            let figures = [tally.new, tally.changed, tally.requests].map(thousands);
            let [new, changed, requests] = figures;
            [
                report.account.clone(),
                new,
                changed,
                requests,
                state.to_owned(),
            ]
        }),
    ));
    let ours = |stream: &StreamStatus| {
        reports
            .iter()
            .any(|report| report.account == stream.account)
    };
    let streams: Vec<StreamStatus> = streams.into_iter().filter(ours).collect();
    print_line("");
    if streams.len() <= MAX_LISTED_STREAMS {
        print_streams(&streams, now);
    } else {
        let of_note: Vec<_> = streams
            .iter()
            .filter(|stream| !is_healthy(stream))
            .take(MAX_LISTED_STREAMS)
            .cloned()
            .collect();
        print_line(format_args!(
            "{} streams, {} of them ok; `backscroll status` lists all",
            streams.len(),
            count_healthy(&streams)
        ));
        print_streams(&of_note, now);
    }
    for report in reports {
        if let Some(failure) = &report.failure {
            print_line(format_args!(
                "\n{}: {failure}\n  hint: {}",
                report.account,
                failure.hint()
            ));
        }
    }
}

/// Prints one row per stream, and below them the errors.
pub(super) fn print_streams(streams: &[StreamStatus], now: Second) {
    if streams.is_empty() {
        return;
    }
    print_line(build_table(
        [
            "ACCOUNT",
            "STREAM",
            "COMPLETE TO",
            "LAG#",
            "MESSAGES#",
            "MISSING#",
            "LOST#",
            "STATE",
        ],
        streams.iter().map(|stream| {
            let behind = |mark: Second| duration(now.0.abs_diff(mark.0));
            [
                stream.account.clone(),
                if stream.discovered {
                    format!("{} *", stream.stream)
                } else {
                    stream.stream.clone()
                },
                stream
                    .watermark
                    .map_or("-".to_owned(), |mark| mark.to_string()),
                stream.watermark.map_or("-".to_owned(), behind),
                thousands(stream.messages),
                duration_or_dash(stream.missing_seconds),
                duration_or_dash(stream.lost_seconds),
                state_label(stream),
            ]
        }),
    ));
    if streams.iter().any(|stream| stream.discovered) {
        print_line("* discovered: not listed in the configuration");
    }
    for stream in streams {
        let name = format!("{} {}", stream.account, sanitized(&stream.stream));
        if let Some(trouble) = &stream.error {
            print_line(format_args!(
                "\n{name}: {}\n  hint: {}",
                trouble.error, trouble.hint
            ));
        }
    }
    let unlisted: std::collections::BTreeMap<_, _> = streams
        .iter()
        .filter_map(|stream| Some((&stream.account, stream.discovery_error.as_ref()?)))
        .collect();
    for (account, RecordedError { error, hint }) in unlisted {
        print_line(format_args!(
            "\n{account}: discovery of further streams fails: {error}\n  hint: streams that are already \
             followed are archived all the same; {hint}"
        ));
    }
    let settles: std::collections::BTreeMap<_, _> = streams
        .iter()
        .filter_map(|stream| Some((&stream.account, stream.settle?)))
        .collect();
    for (account, settle) in settles {
        let age = duration(settle.as_secs());
        print_line(format_args!(
            "\n{account}: messages kept arriving late, so ranges are sealed at an age of {age}"
        ));
    }
    let pauses: std::collections::BTreeMap<_, _> = streams
        .iter()
        .filter_map(|stream| Some((&stream.account, stream.pause.as_ref()?)))
        .collect();
    for (account, pause) in pauses {
        print_line(format_args!(
            "\n{account}: paused until {}: {}\n  hint: `backscroll check` tries it at once and lifts the pause",
            pause.until, pause.reason
        ));
    }
}

fn is_healthy(stream: &StreamStatus) -> bool {
    state_label(stream) == "ok"
}

fn count_healthy(streams: &[StreamStatus]) -> usize {
    streams.iter().filter(|stream| is_healthy(stream)).count()
}

/// Returns the label of the most severe problem of a stream.
fn state_label(stream: &StreamStatus) -> String {
    match stream {
        StreamStatus { pause: Some(_), .. } => "paused".to_owned(),
        StreamStatus { error: Some(_), .. } => "failing".to_owned(),
        StreamStatus {
            suspect_rows: 1.., ..
        } => format!("{} suspect", stream.suspect_rows),
        StreamStatus {
            quarantined: 1.., ..
        } => format!("{} in quarantine", stream.quarantined),
        StreamStatus {
            missing_seconds: 1..,
            ..
        } => "behind".to_owned(),
        StreamStatus {
            watermark: None, ..
        } => "not started".to_owned(),
        StreamStatus {
            lost_seconds: 1.., ..
        } => "some lost".to_owned(),
        _ => "ok".to_owned(),
    }
}

fn duration_or_dash(seconds: u64) -> String {
    if seconds == 0 {
        "-".to_owned()
    } else {
        duration(seconds)
    }
}

//! The issues of streams: failures, and doubtful or lost history. Pure.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::health::AssessedStream;
use super::issue::{ActiveAlarms, Issue};
use crate::daemon::web::limits::MAX_FAILURES;
use crate::domain::alarm::AlarmKind;
use crate::domain::format::{counted, duration, thousands};
use crate::store::StreamStatus;

/// The alarm kinds that cover stream failures.
const FAILURE_KINDS: &[AlarmKind] = &[AlarmKind::Parked, AlarmKind::Failing, AlarmKind::Stuck];

/// Returns the failures of streams. Streams that fail with the same error are one issue.
pub(super) fn failure_issues(
    streams: &[AssessedStream<'_>],
    alarms: ActiveAlarms<'_>,
) -> Vec<Issue> {
    let mut by_error: BTreeMap<(&str, &str), Vec<&StreamStatus>> = BTreeMap::new();
    for AssessedStream { status, .. } in streams {
        if let Some(failure) = &status.error
            && !alarms.covers(&status.account, FAILURE_KINDS)
        {
            let error = (status.account.as_str(), failure.error.as_str());
            by_error.entry(error).or_default().push(status);
        }
    }
    let mut by_error: Vec<_> = by_error.into_iter().collect();
    by_error.sort_by_key(|(_, streams)| Reverse(streams.len()));
    let rest = by_error.len().saturating_sub(MAX_FAILURES);
    let mut issues = Vec::new();
    for ((account, error), streams) in by_error.into_iter().take(MAX_FAILURES) {
        let subject = match streams.as_slice() {
            [one] => format!("{account} {}", one.stream),
            some => format!(
                "{account}, {}",
                counted(some.len() as u64, "stream", "streams")
            ),
        };
        let failure = streams.first().and_then(|status| status.error.as_ref());
        let hint = failure.map_or("", |failure| failure.hint.as_str());
        issues.push(Issue::action(subject, error, hint));
    }
    if rest > 0 {
        let others = counted(rest as u64, "other error", "other errors");
        let problem = format!("streams fail with {others}");
        let hint = "see the streams below, the worst first";
        issues.push(Issue::action("more", problem, hint));
    }
    issues
}

/// Returns the issues of data that no pass repairs today.
pub(super) fn data_issues(streams: &[AssessedStream<'_>]) -> Vec<Issue> {
    let suspect = nonzero(streams, |stream| stream.status.refetchable_suspects());
    let expired = nonzero(streams, |stream| stream.status.expired_suspect_rows);
    let quarantined = nonzero(streams, |stream| stream.status.quarantined);
    let lost = nonzero(streams, |stream| stream.lost_s);
    let mut issues = Vec::new();
    if !suspect.is_empty() {
        let windows = thousands(suspect.iter().sum());
        let problem = format!("windows that may be incomplete: {windows}");
        let hint =
            "nothing: they are refetched automatically; a stream's own page shows the reason";
        issues.push(Issue::info(count_streams(&suspect), problem, hint));
    }
    if !expired.is_empty() {
        let windows = thousands(expired.iter().sum());
        let problem = format!("windows that may be incomplete and have expired: {windows}");
        let hint = "nothing: the provider has deleted them; a stream's own page shows the reason";
        issues.push(Issue::info(count_streams(&expired), problem, hint));
    }
    if !quarantined.is_empty() {
        let messages = thousands(quarantined.iter().sum());
        let problem = format!("messages that could not be parsed and are kept raw: {messages}");
        let hint = "after an upgrade, `backscroll requeue` parses them again";
        issues.push(Issue::info(count_streams(&quarantined), problem, hint));
    }
    if let Some(longest_s) = lost.iter().max() {
        let longest = duration(*longest_s);
        let problem = format!(
            "permanently lost, up to {longest} of a stream: it expired at the provider before it \
             was fetched"
        );
        let hint = "it cannot be recovered; a stream's own page shows the days";
        issues.push(Issue::info(count_streams(&lost), problem, hint));
    }
    issues
}

/// Returns the values of the streams for which it is not zero.
fn nonzero(streams: &[AssessedStream<'_>], value: fn(&AssessedStream<'_>) -> u64) -> Vec<u64> {
    streams
        .iter()
        .map(value)
        .filter(|value| *value > 0)
        .collect()
}

fn count_streams(values: &[u64]) -> String {
    counted(values.len() as u64, "stream", "streams")
}

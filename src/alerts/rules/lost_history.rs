//! Lost history, and the forecast of losses. Pure.

use crate::alerts::check::{CheckResult, DetectedProblem};
use crate::alerts::limits::ABANDONED_AFTER;
use crate::alerts::text::LOSS_HINT;
use crate::domain::alarm::AlarmKind;
use crate::domain::format::{counted, duration};
use crate::domain::time::{Millis, Second};
use crate::store::StreamStatus;
use crate::sync::forecast::Forecast;

const LOST_HINT: &str = "the lost history cannot be recovered; the SQL view `gaps` lists the lost \
                         ranges (WHERE lost = 1). Earlier alarms may show the cause";

/// Checks if messages will expire unfetched. Returns `None` if the forecast is based on too little
/// data.
pub fn check_loss_ahead(account: &str, forecast: Option<&Forecast>) -> Option<CheckResult> {
    if forecast.is_some_and(|forecast| !forecast.has_density) {
        return None;
    }
    let problem = forecast.and_then(loss_ahead_problem);
    let kind = AlarmKind::LossAhead;
    Some(CheckResult::for_whole(Some(account), kind, problem))
}

fn loss_ahead_problem(forecast: &Forecast) -> Option<DetectedProblem> {
    let text = forecast.outlook.loss_sentence(forecast.rate)?;
    Some(DetectedProblem::new(text, LOSS_HINT))
}

/// Returns the lost seconds of all streams.
pub fn lost_seconds(streams: &[&StreamStatus]) -> i64 {
    i64::try_from(lost_by_stream(streams).sum::<u64>()).unwrap_or(i64::MAX)
}

fn lost_by_stream(streams: &[&StreamStatus]) -> impl Iterator<Item = u64> {
    let lost = streams.iter().map(|stream| stream.lost_seconds);
    lost.filter(|lost_s| *lost_s > 0)
}

/// Checks if more history is lost than before. `reported_s`: the lost seconds that were last
/// reported.
pub fn check_lost(account: &str, streams: &[&StreamStatus], reported_s: i64) -> CheckResult {
    let lost_s = lost_seconds(streams);
    let problem = (lost_s > reported_s).then(|| {
        let count = lost_by_stream(streams).count() as u64;
        let streams = counted(count, "stream", "streams");
        let [total, more] =
            [lost_s, lost_s - reported_s].map(|seconds| duration(seconds.unsigned_abs()));
        let text = format!(
            "history expired at the provider before it was fetched: {total} in total, of \
             {streams}; {more} more than last reported"
        );
        DetectedProblem {
            level: Some(lost_s),
            ..DetectedProblem::new(text, LOST_HINT)
        }
    });
    CheckResult::for_whole(Some(account), AlarmKind::Lost, problem)
}

/// Ends the alarms of an account that no process works on any more. Returns no results if another
/// process may still work on it. `checked_at` is the time of its last pass.
pub fn clear_abandoned(account: &str, checked_at: Second, now: Millis) -> Vec<CheckResult> {
    if checked_at > now.second().minus(ABANDONED_AFTER) {
        return vec![];
    }
    let kinds = AlarmKind::ALL.into_iter();
    kinds
        .filter(|kind| !kind.concerns_archive())
        .map(|kind| CheckResult::for_whole(Some(account), kind, None))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_abandoned_account_has_no_problems() {
        let now = Second(1_000_000);
        assert_eq!(
            clear_abandoned("shop", now.minus(ABANDONED_AFTER).plus(1), now.start()),
            [],
            "another process may"
        );
        let results = clear_abandoned("shop", now.minus(ABANDONED_AFTER), now.start());
        assert!(
            results
                .iter()
                .all(|result| result.problems.is_empty()
                    && result.account.as_deref() == Some("shop"))
        );
        assert_eq!(results.len(), 6, "all but those of the archive");
    }
}

//! What of an account's history is lost, and what will be. Pure.

use std::time::Duration;

use crate::alerts::check::{CheckResult, DetectedProblem};
use crate::domain::alarm::AlarmKind;
use crate::domain::time::{Millis, Second};
use crate::store::StreamStatus;
use crate::sync::forecast::Forecast;

/// What a stream has lost at the edge itself, in seconds, while its first range was fetched, is not worth a word.
const NEGLIGIBLE_LOSS_S: u64 = 60;

/// An account on which no process has worked for so long was taken out of the configuration.
const ABANDONED_AFTER: Duration = Duration::from_hours(24);

/// What can be done where the provider forgets sooner than its history is fetched.
pub const LOSS_HINT: &str = "raise requests_per_second if the provider grants more; follow fewer streams, or set `since`; \
                             have the provider keep messages for longer";
const LOST_HINT: &str = "what the provider has forgotten cannot be had any more; `gaps` in SQL says which ranges of which \
                         streams (WHERE lost = 1). See which alarms stood before it: the cause may be there";

/// Whether messages will be gone before they can be fetched. Nothing where that cannot be told.
pub fn check_loss_ahead(account: &str, forecast: Option<&Forecast>) -> Option<CheckResult> {
    let look = |wrong| {
        Some(CheckResult::for_whole(
            Some(account),
            AlarmKind::LossAhead,
            wrong,
        ))
    };
    let Some(Forecast {
        has_density: is_informed,
        outlook,
        rate,
        ..
    }) = forecast
    else {
        return look(None);
    };
    if !is_informed {
        return None;
    }
    let Some(text) = outlook.loss_sentence(*rate) else {
        return look(None);
    };
    look(Some(DetectedProblem {
        stream: None,
        text,
        hint: LOSS_HINT.to_owned(),
        level: None,
    }))
}

/// How many seconds of history are lost for good.
pub fn lost_seconds(streams: &[&StreamStatus]) -> i64 {
    i64::try_from(lost_by_stream(streams).sum::<u64>()).unwrap_or(i64::MAX)
}

fn lost_by_stream(streams: &[&StreamStatus]) -> impl Iterator<Item = u64> {
    streams
        .iter()
        .map(|stream| stream.lost_seconds)
        .filter(|lost| *lost > NEGLIGIBLE_LOSS_S)
}

/// Whether more history is lost than was known. `known` is how many seconds had been lost when that was last told of.
pub fn check_lost(account: &str, streams: &[&StreamStatus], known: i64) -> CheckResult {
    let lost = lost_seconds(streams);
    let wrong = (lost > known).then(|| {
        let (of, more) = (lost_by_stream(streams).count(), lost - known);
        let text = format!(
            "history has fallen behind the provider's edge before it was fetched: {lost} seconds in all by now, of {of} \
             streams; {more} seconds more than was known"
        );
        DetectedProblem { stream: None, text, hint: LOST_HINT.to_owned(), level: Some(lost) }
    });
    CheckResult::for_whole(Some(account), AlarmKind::Lost, wrong)
}

/// Of an account that this process does not work on: nothing is wrong of it any more if no other does either. It was last
/// looked at then.
pub fn clear_abandoned(account: &str, looked_at: Second, now: Millis) -> Vec<CheckResult> {
    if looked_at > now.second().minus(ABANDONED_AFTER) {
        return vec![];
    }
    let kinds = AlarmKind::ALL
        .into_iter()
        .filter(|kind| !kind.concerns_archive());
    kinds
        .map(|kind| CheckResult::for_whole(Some(account), kind, None))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_that_nobody_works_on_any_more_has_nothing_wrong() {
        let now = Second(1_000_000);
        assert_eq!(
            clear_abandoned("shop", now.minus(ABANDONED_AFTER).plus(1), now.start()),
            [],
            "another process may"
        );
        let looks = clear_abandoned("shop", now.minus(ABANDONED_AFTER), now.start());
        assert!(
            looks
                .iter()
                .all(|look| look.problems.is_empty() && look.account.as_deref() == Some("shop"))
        );
        assert_eq!(looks.len(), 6, "all but those of the archive");
    }
}

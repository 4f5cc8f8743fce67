//! Which streams have fallen silent: of those that the configuration lists, for of those that were found many end as
//! conversations do.
//!
//! A stream that brought anything since it was last looked at is not silent, and costs nothing. Of the others the hours of
//! the last weeks are looked up, once an hour, and not of too many at a time.

use std::collections::{BTreeMap, HashMap};

use super::weekly_activity::{LOOKBACK_H, is_silent};
use crate::alerts::check::{CheckResult, DetectedProblem};
use crate::domain::alarm::{AlarmKind, AlarmSubject};
use crate::domain::time::{Hour, Millis};
use crate::store::{Archive, StoreError, StreamStatus};

/// How many streams are looked up at a time: a few seconds' worth at the most, where each has much to tell.
const MAX_LOOKUPS_PER_CHECK: usize = 1000;

const SILENCE_HINT: &str = "see whether people still write there, and whether the account may still read it; a stream that is to \
                    be silent from now on can be taken off the configuration's list, and keeps what it has";

/// What is known of the streams, by account and key.
#[derive(Debug, Default)]
pub struct SilenceDetector(HashMap<(String, String), StreamActivity>);

#[derive(Clone, Copy, Debug, Default)]
struct StreamActivity {
    /// How many messages it had.
    messages: u64,
    /// Up to which hour it has been judged.
    checked_to_hour: Option<i64>,
    /// The last hour in which it was active, if it has been silent since, against its rhythm.
    last_active_hour: Option<i64>,
}

impl SilenceDetector {
    /// Looks at an account's streams. `stands` tells of which an alarm stands: what is said of those is always looked up.
    pub async fn check(
        &mut self,
        store: &dyn Archive,
        account: &str,
        streams: &[&StreamStatus],
        is_active: impl Fn(&AlarmSubject) -> bool,
        now: Millis,
    ) -> Result<CheckResult, StoreError> {
        let mut look = CheckResult::for_whole(Some(account), AlarmKind::Silent, None);
        let mut silent = BTreeMap::new();
        let mut left = MAX_LOOKUPS_PER_CHECK;
        for stream in streams.iter().filter(|stream| !stream.discovered) {
            let key = || stream.stream.clone();
            let known = self.0.entry((account.to_owned(), key())).or_default();
            let before = std::mem::replace(&mut known.messages, stream.messages);
            let subject = AlarmSubject {
                account: Some(account.to_owned()),
                stream: Some(key()),
                kind: AlarmKind::Silent,
            };
            let hour = stream.watermark.map(|mark| Hour::containing(mark).0);
            let has_brought = before > 0 && before != stream.messages;
            if has_brought && !is_active(&subject) {
                *known = StreamActivity {
                    messages: stream.messages,
                    checked_to_hour: hour,
                    last_active_hour: None,
                };
            } else if hour.is_none() {
                known.checked_to_hour = None;
            } else if (known.checked_to_hour < hour || has_brought) && left > 0 {
                left -= 1;
                known.last_active_hour =
                    last_hour_before_silence(store, account, stream, now).await?;
                known.checked_to_hour = hour;
            }
            match (known.checked_to_hour, known.last_active_hour) {
                (None, _) => drop(look.inconclusive.insert(key())),
                (_, Some(last)) => drop(silent.insert(key(), last)),
                _ => {}
            }
        }
        look.problems = silent
            .into_iter()
            .map(|(stream, last)| silence_problem(stream, last))
            .collect();
        Ok(look)
    }
}

/// The last hour in which a stream was active, if it is silent against its rhythm.
async fn last_hour_before_silence(
    store: &dyn Archive,
    account: &str,
    stream: &StreamStatus,
    now: Millis,
) -> Result<Option<i64>, StoreError> {
    let (Some(scope), Some(mark)) = (&stream.scope, stream.watermark) else {
        return Ok(None);
    };
    let from = mark
        .plus(-LOOKBACK_H * Hour::SECONDS)
        .max(stream.wanted_from);
    let active = store
        .active_hours(account, scope, from, now.second().plus(1))
        .await?;
    let is_silent = is_silent(&active, Hour::containing(mark).0);
    Ok(active.last().copied().filter(|_| is_silent))
}

fn silence_problem(stream: String, last: i64) -> DetectedProblem {
    let since = Hour(last + 1).start();
    let text = format!(
        "it always brought messages, by its own rhythm, and has brought none since {since}"
    );
    DetectedProblem {
        stream: Some(stream),
        text,
        hint: SILENCE_HINT.to_owned(),
        level: None,
    }
}

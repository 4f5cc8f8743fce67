//! Detects which streams have fallen silent. Only configured streams are checked, because many
//! discovered streams end as conversations do.
//!
//! A stream with new messages since the last check is not silent, and costs no query. For the
//! others, the active hours are queried once an hour, with a limit per check.

use std::collections::HashMap;

use super::weekly_activity::is_silent;
use crate::alerts::check::{CheckResult, DetectedProblem};
use crate::alerts::limits::{LOOKBACK_H, MAX_LOOKUPS_PER_CHECK};
use crate::domain::alarm::{AlarmKind, AlarmSubject};
use crate::domain::time::{Hour, Millis};
use crate::store::{Archive, StoreError, StreamStatus};

const SILENCE_HINT: &str = "check that people still write there, and that the account may still \
                            read it; a stream that will stay silent can be removed from the \
                            configuration, and its archived messages are kept";

/// The known activity of streams, by account and stream key.
#[derive(Debug, Default)]
pub struct SilenceDetector(HashMap<(String, String), StreamActivity>);

#[derive(Clone, Copy, Debug, Default)]
struct StreamActivity {
    /// The number of messages at the last check.
    messages: u64,
    /// The hour up to which the stream was checked.
    checked_to_hour: Option<i64>,
    /// The last active hour, if the stream has been silent since.
    last_active_hour: Option<i64>,
}

impl SilenceDetector {
    /// Checks an account's streams. Streams with an active alarm (`is_active`) are always queried.
    pub async fn check(
        &mut self,
        store: &dyn Archive,
        account: &str,
        streams: &[&StreamStatus],
        is_active: impl Fn(&AlarmSubject) -> bool,
        now: Millis,
    ) -> Result<CheckResult, StoreError> {
        let mut result = CheckResult::for_whole(Some(account), AlarmKind::Silent, None);
        let mut lookups_left = MAX_LOOKUPS_PER_CHECK;
        for stream in streams.iter().filter(|stream| !stream.discovered) {
            let key = stream.stream.clone();
            let subject = result.subject_for(Some(&key));
            let activity = self.0.entry((account.to_owned(), key.clone())).or_default();
            if activity.needs_lookup(stream, is_active(&subject)) && lookups_left > 0 {
                lookups_left -= 1;
                activity.last_active_hour =
                    last_hour_before_silence(store, account, stream, now).await?;
                activity.checked_to_hour = watermark_hour(stream);
            }
            match (activity.checked_to_hour, activity.last_active_hour) {
                (None, _) => {
                    result.inconclusive.insert(key);
                }
                (Some(_), Some(last)) => result.problems.push(silence_problem(key, last)),
                (Some(_), None) => {}
            }
        }
        result.problems.sort_by(|a, b| a.stream.cmp(&b.stream));
        Ok(result)
    }
}

impl StreamActivity {
    /// Updates the number of messages. Returns true if the stream's active hours must be queried.
    fn needs_lookup(&mut self, stream: &StreamStatus, has_alarm: bool) -> bool {
        let earlier = std::mem::replace(&mut self.messages, stream.messages);
        let has_new_messages = earlier > 0 && earlier != stream.messages;
        let hour = watermark_hour(stream);
        if has_new_messages && !has_alarm {
            self.checked_to_hour = hour;
            self.last_active_hour = None;
            return false;
        }
        if hour.is_none() {
            self.checked_to_hour = None;
            return false;
        }
        self.checked_to_hour < hour || has_new_messages
    }
}

/// Returns the hour since 1970 of the stream's watermark.
fn watermark_hour(stream: &StreamStatus) -> Option<i64> {
    stream.watermark.map(|mark| Hour::containing(mark).0)
}

/// Returns the last active hour of a stream if it is silent now.
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

fn silence_problem(stream: String, last_active_hour: i64) -> DetectedProblem {
    let since = Hour(last_active_hour + 1).start();
    let text =
        format!("no messages since {since}, although the stream is usually active at these times");
    DetectedProblem::of_stream(stream, text, SILENCE_HINT)
}

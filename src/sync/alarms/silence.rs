//! Which streams have fallen silent: of those that the configuration lists, for of those that were found many end as
//! conversations do.
//!
//! A stream that brought anything since it was last looked at is not silent, and costs nothing. Of the others the hours of
//! the last weeks are looked up, once an hour, and not of too many at a time.

use std::collections::{BTreeMap, HashMap};

use super::board::{Look, Wrong};
use super::rhythm::{LOOKBACK, is_silent};
use crate::domain::alarm::{Kind, Subject};
use crate::domain::time::{Millis, Second};
use crate::store::{Store, StoreError, StreamStatus};

const HOUR_S: i64 = 3600;
/// How many streams are looked up at a time: a few seconds' worth at the most, where each has much to tell.
const AT_A_TIME: usize = 1000;

const HINT: &str = "see whether people still write there, and whether the account may still read it; a stream that is to \
                    be silent from now on can be taken off the configuration's list, and keeps what it has";

/// What is known of the streams, by account and key.
#[derive(Debug, Default)]
pub struct Silences(HashMap<(String, String), Known>);

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// How many messages it had.
    messages: u64,
    /// Up to which hour it has been judged.
    judged: Option<i64>,
    /// The last hour in which it was active, if it has been silent since, against its rhythm.
    silent_since: Option<i64>,
}

impl Silences {
    /// Looks at an account's streams. `stands` tells of which an alarm stands: what is said of those is always looked up.
    pub async fn look(
        &mut self,
        store: &dyn Store,
        account: &str,
        streams: &[&StreamStatus],
        stands: impl Fn(&Subject) -> bool,
        now: Millis,
    ) -> Result<Look, StoreError> {
        let mut look = Look::at(Some(account), Kind::Silent, None);
        let mut silent = BTreeMap::new();
        let mut left = AT_A_TIME;
        for stream in streams.iter().filter(|stream| !stream.discovered) {
            let key = || stream.stream.clone();
            let known = self.0.entry((account.to_owned(), key())).or_default();
            let before = std::mem::replace(&mut known.messages, stream.messages);
            let subject = Subject {
                account: Some(account.to_owned()),
                stream: Some(key()),
                kind: Kind::Silent,
            };
            let hour = stream.watermark.map(|mark| mark.0.div_euclid(HOUR_S));
            let has_brought = before > 0 && before != stream.messages;
            if has_brought && !stands(&subject) {
                *known = Known {
                    messages: stream.messages,
                    judged: hour,
                    silent_since: None,
                };
            } else if hour.is_none() {
                known.judged = None;
            } else if (known.judged < hour || has_brought) && left > 0 {
                left -= 1;
                known.silent_since = judge(store, account, stream, now).await?;
                known.judged = hour;
            }
            match (known.judged, known.silent_since) {
                (None, _) => drop(look.unjudged.insert(key())),
                (_, Some(last)) => drop(silent.insert(key(), last)),
                _ => {}
            }
        }
        look.wrong = silent
            .into_iter()
            .map(|(stream, last)| wrong(stream, last))
            .collect();
        Ok(look)
    }
}

/// The last hour in which a stream was active, if it is silent against its rhythm.
async fn judge(
    store: &dyn Store,
    account: &str,
    stream: &StreamStatus,
    now: Millis,
) -> Result<Option<i64>, StoreError> {
    let (Some(scope), Some(mark)) = (&stream.scope, stream.watermark) else {
        return Ok(None);
    };
    let from = mark.plus(-LOOKBACK * HOUR_S).max(stream.wanted_from);
    let active = store
        .active_hours(account, scope, from, now.second().plus(1))
        .await?;
    let is_silent = is_silent(&active, mark.0.div_euclid(HOUR_S));
    Ok(active.last().copied().filter(|_| is_silent))
}

fn wrong(stream: String, last: i64) -> Wrong {
    let since = Second((last + 1) * HOUR_S);
    let text = format!(
        "it always brought messages, by its own rhythm, and has brought none since {since}"
    );
    Wrong {
        stream: Some(stream),
        text,
        hint: HINT.to_owned(),
        level: None,
    }
}

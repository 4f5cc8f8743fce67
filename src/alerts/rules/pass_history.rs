//! What an account's passes come to, as far as this process knows: whether the account can be worked on at all. Pure.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use crate::alerts::check::{CheckResult, DetectedProblem};
use crate::domain::alarm::AlarmKind;
use crate::domain::time::Millis;
use crate::provider::{Disposition, ProviderError};
use crate::store::StreamStatus;

/// So many passes in a row that fail are no accident any more.
const FAILED_PASSES_BEFORE_ALARM: u64 = 3;
/// A pass begins no windows after ten minutes. One that is not over after so long hangs, unless the quota is tiny.
const HANG_AFTER: Duration = Duration::from_hours(1);

const HANG_HINT: &str = "raise requests_per_second if it is below one in ten seconds; else restart Backscroll (nothing is \
                         lost), and please report it";

/// See above.
#[derive(Debug, Default)]
pub struct PassHistory {
    /// Whether this process works on the account, and no other.
    is_ours: bool,
    /// When the pass began that is under way.
    running_since: Option<Millis>,
    condition: AccountCondition,
    /// How many have ended in which the account could be worked on.
    working_passes: u64,
    /// How many had when a stream was first seen in trouble.
    first_failed_at: HashMap<String, u64>,
}

#[derive(Debug, Default)]
enum AccountCondition {
    #[default]
    Unknown,
    Working,
    Failing {
        times: u64,
        error: String,
        hint: &'static str,
    },
    Parked {
        error: String,
        hint: &'static str,
    },
}

impl PassHistory {
    pub fn record_begin(&mut self, now: Millis) {
        self.running_since = Some(now);
    }

    /// Whether another process works on the account. What it sees is its own to tell.
    pub fn release_to_other_process(&mut self) {
        *self = Self::default();
    }

    /// One ended because the archive failed: of the account it says nothing.
    pub fn record_abort(&mut self) {
        (self.is_ours, self.running_since) = (true, None);
    }

    /// One ended, having met this failure at the provider, and having made so many requests of it. Where there was nothing
    /// to ask, nothing was learned.
    pub fn record_end(&mut self, failure: Option<&ProviderError>, requests: u64) {
        (self.is_ours, self.running_since) = (true, None);
        if failure.is_none() && requests == 0 {
            return;
        }
        let hint = failure.map_or("", ProviderError::hint);
        let state = std::mem::take(&mut self.condition);
        self.condition = match (failure, state) {
            // What it waits for has been told of; a pause that an earlier process was given may be of either kind.
            (Some(ProviderError::Stopped), state)
            | (
                Some(ProviderError::Paused { .. }),
                state @ (AccountCondition::Parked { .. } | AccountCondition::Unknown),
            ) => state,
            (Some(failure), state) => match (failure.disposition(), state) {
                (Disposition::Park, _) => AccountCondition::Parked {
                    error: failure.to_string(),
                    hint,
                },
                (Disposition::SkipAccount, AccountCondition::Failing { times, .. }) => {
                    AccountCondition::Failing {
                        times: times + 1,
                        error: failure.to_string(),
                        hint,
                    }
                }
                (Disposition::SkipAccount, _) => AccountCondition::Failing {
                    times: 1,
                    error: failure.to_string(),
                    hint,
                },
                (Disposition::SkipStream, _) => AccountCondition::Working,
            },
            (None, _) => AccountCondition::Working,
        };
        self.working_passes += u64::from(matches!(self.condition, AccountCondition::Working));
    }

    /// Whether this process, and no other, is known to work on the account.
    pub fn is_ours(&self) -> bool {
        self.is_ours
    }

    /// What is known of the account by now. Where nothing is, there is no look.
    pub fn check(&self, account: &str, now: Millis) -> Vec<CheckResult> {
        let wrong = |text: String, hint: &str| {
            Some(DetectedProblem {
                stream: None,
                text,
                hint: hint.to_owned(),
                level: None,
            })
        };
        let look = |kind, wrong| CheckResult::for_whole(Some(account), kind, wrong);
        if let Some(begun) = self
            .running_since
            .filter(|begun| now.since(*begun) >= HANG_AFTER)
        {
            let text = format!("a pass has been under way since {begun} and does not end");
            return vec![look(AlarmKind::Failing, wrong(text, HANG_HINT))];
        }
        match &self.condition {
            AccountCondition::Working => vec![
                look(AlarmKind::Failing, None),
                look(AlarmKind::Parked, None),
            ],
            AccountCondition::Failing { times, error, hint }
                if *times >= FAILED_PASSES_BEFORE_ALARM =>
            {
                vec![look(
                    AlarmKind::Failing,
                    wrong(format!("passes fail again and again: {error}"), hint),
                )]
            }
            AccountCondition::Unknown | AccountCondition::Failing { .. } => vec![],
            AccountCondition::Parked { error, hint } => {
                let text = format!(
                    "the account is left alone, but for a try every quarter of an hour: {error}"
                );
                vec![
                    look(AlarmKind::Failing, None),
                    look(AlarmKind::Parked, wrong(text, hint)),
                ]
            }
        }
    }

    /// Which of the account's streams cannot be fetched though others can. While the account as a whole cannot be worked
    /// on nothing is known of its streams.
    pub fn check_streams(
        &mut self,
        account: &str,
        streams: &[&StreamStatus],
    ) -> Option<CheckResult> {
        if !matches!(self.condition, AccountCondition::Working) {
            return None;
        }
        let troubled: BTreeSet<&str> = streams
            .iter()
            .filter(|stream| stream.error.is_some())
            .map(|stream| stream.stream.as_str())
            .collect();
        self.first_failed_at
            .retain(|stream, _| troubled.contains(stream.as_str()));
        let mut look = CheckResult::for_whole(Some(account), AlarmKind::Stuck, None);
        for stream in streams {
            let Some(trouble) = &stream.error else {
                continue;
            };
            let seen = *self
                .first_failed_at
                .entry(stream.stream.clone())
                .or_insert(self.working_passes);
            if self.working_passes - seen + 1 >= FAILED_PASSES_BEFORE_ALARM {
                let text = format!("it cannot be fetched, though others can: {}", trouble.error);
                let stream = Some(stream.stream.clone());
                look.problems.push(DetectedProblem {
                    stream,
                    text,
                    hint: trouble.hint.clone(),
                    level: None,
                });
            } else {
                look.inconclusive.insert(stream.stream.clone());
            }
        }
        Some(look)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_795_343_200_123);

    fn unreachable() -> ProviderError {
        ProviderError::Unreachable {
            operation: "count",
            cause: "status 503".to_owned(),
            attempts: 6,
        }
    }

    fn refused() -> ProviderError {
        ProviderError::Credentials {
            operation: "count",
            status: 401,
            message: None,
        }
    }

    fn blocked() -> ProviderError {
        ProviderError::Paused {
            remaining: Duration::from_mins(14),
        }
    }

    /// What is known after these passes: of each kind whether it is wrong.
    fn conditions_after(failures: &[Option<ProviderError>]) -> Vec<(&'static str, bool)> {
        let mut passes = PassHistory::default();
        for failure in failures {
            passes.record_begin(NOW);
            passes.record_end(failure.as_ref(), 1);
        }
        passes
            .check("shop", NOW)
            .iter()
            .map(|look| (look.kind.name(), !look.problems.is_empty()))
            .collect()
    }

    #[test]
    fn a_single_failure_says_nothing() {
        assert_eq!(conditions_after(&[]), []);
        assert_eq!(
            conditions_after(&[None]),
            [("failing", false), ("parked", false)]
        );
        assert_eq!(
            conditions_after(&[None, Some(unreachable()), Some(unreachable())]),
            []
        );
        assert_eq!(
            conditions_after(&[
                Some(unreachable()),
                None,
                Some(unreachable()),
                Some(unreachable())
            ]),
            []
        );
        assert_eq!(
            conditions_after(&[Some(unreachable()), Some(unreachable()), Some(blocked())]),
            [("failing", true)]
        );
    }

    #[test]
    fn a_pass_that_asked_nothing_says_nothing() {
        let mut passes = PassHistory::default();
        for _ in 0..3 {
            passes.record_end(Some(&unreachable()), 6);
            passes.record_end(None, 0);
        }
        assert_eq!(passes.check("shop", NOW)[0].problems.len(), 1);
    }

    #[test]
    fn refused_credentials_stand_until_they_are_accepted() {
        let parked = [("failing", false), ("parked", true)];
        assert_eq!(conditions_after(&[Some(refused())]), parked);
        assert_eq!(
            conditions_after(&[
                Some(refused()),
                Some(blocked()),
                Some(refused()),
                Some(ProviderError::Stopped)
            ]),
            parked
        );
        assert_eq!(
            conditions_after(&[Some(refused()), Some(unreachable())]),
            [],
            "whether they are accepted by now is not known"
        );
        assert_eq!(
            conditions_after(&[Some(refused()), Some(unreachable()), None]),
            [("failing", false), ("parked", false)]
        );
    }

    #[test]
    fn what_an_earlier_process_was_refused_for_is_not_known() {
        assert_eq!(
            conditions_after(&[
                Some(blocked()),
                Some(blocked()),
                Some(blocked()),
                Some(blocked())
            ]),
            []
        );
    }

    #[test]
    fn a_stream_that_fails_is_not_the_account() {
        let odd = || Some(ProviderError::HistoryChanged { attempts: 3 });
        assert_eq!(
            conditions_after(&[odd(), odd(), odd(), odd()]),
            [("failing", false), ("parked", false)]
        );
    }

    #[test]
    fn a_pass_that_hangs_is_noticed() {
        let mut passes = PassHistory::default();
        passes.record_end(None, 1);
        passes.record_begin(NOW);
        assert!(
            passes
                .check("shop", NOW.plus(Duration::from_mins(59)))
                .iter()
                .all(|look| look.problems.is_empty())
        );
        let looks = passes.check("shop", NOW.plus(HANG_AFTER));
        assert!(
            looks[0].problems[0].text.contains(&NOW.to_string()),
            "{looks:?}"
        );
    }
}

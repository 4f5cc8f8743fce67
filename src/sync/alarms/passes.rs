//! What an account's passes come to, as far as this process knows: whether the account can be worked on at all. Pure.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::board::{Look, Wrong};
use crate::domain::alarm::Kind;
use crate::domain::time::Millis;
use crate::provider::{Advice, ProviderError};
use crate::store::StreamStatus;

/// So many passes in a row that fail are no accident any more.
const AGAIN_AND_AGAIN: u64 = 3;
/// A pass begins no windows after ten minutes. One that is not over after so long hangs, unless the quota is tiny.
const HANGS: Duration = Duration::from_hours(1);

const HANG_HINT: &str = "raise requests_per_second if it is below one in ten seconds; else restart Backscroll (nothing is \
                         lost), and please report it";

/// See above.
#[derive(Debug, Default)]
pub struct Passes {
    /// Whether this process works on the account, and no other.
    is_ours: bool,
    /// When the pass began that is under way.
    under_way: Option<Millis>,
    state: State,
    /// How many have ended in which the account could be worked on.
    ended: u64,
    /// How many had when a stream was first seen in trouble.
    ill: HashMap<String, u64>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Unknown,
    Well,
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

impl Passes {
    pub fn begins(&mut self, now: Millis) {
        self.under_way = Some(now);
    }

    /// Whether another process works on the account. What it sees is its own to tell.
    pub fn belongs_to_another(&mut self) {
        *self = Self::default();
    }

    /// One ended because the archive failed: of the account it says nothing.
    pub fn breaks_off(&mut self) {
        (self.is_ours, self.under_way) = (true, None);
    }

    /// One ended, having met this failure at the provider, and having made so many requests of it. Where there was nothing
    /// to ask, nothing was learned.
    pub fn ends(&mut self, failure: Option<&ProviderError>, requests: u64) {
        (self.is_ours, self.under_way) = (true, None);
        if failure.is_none() && requests == 0 {
            return;
        }
        let hint = failure.map_or("", ProviderError::hint);
        let state = std::mem::take(&mut self.state);
        self.state = match (failure, state) {
            // What it waits for has been told of; a pause that an earlier process was given may be of either kind.
            (Some(ProviderError::Stopped), state)
            | (
                Some(ProviderError::Blocked { .. }),
                state @ (State::Parked { .. } | State::Unknown),
            ) => state,
            (Some(failure), state) => match (failure.advice(), state) {
                (Advice::Park, _) => State::Parked {
                    error: failure.to_string(),
                    hint,
                },
                (Advice::SkipAccount, State::Failing { times, .. }) => State::Failing {
                    times: times + 1,
                    error: failure.to_string(),
                    hint,
                },
                (Advice::SkipAccount, _) => State::Failing {
                    times: 1,
                    error: failure.to_string(),
                    hint,
                },
                (Advice::SkipStream, _) => State::Well,
            },
            (None, _) => State::Well,
        };
        self.ended += u64::from(matches!(self.state, State::Well));
    }

    /// Whether this process, and no other, is known to work on the account.
    pub fn is_ours(&self) -> bool {
        self.is_ours
    }

    /// What is known of the account by now. Where nothing is, there is no look.
    pub fn looks(&self, account: &str, now: Millis) -> Vec<Look> {
        let wrong = |text: String, hint: &str| {
            Some(Wrong {
                stream: None,
                text,
                hint: hint.to_owned(),
                level: None,
            })
        };
        let look = |kind, wrong| Look::at(Some(account), kind, wrong);
        if let Some(begun) = self.under_way.filter(|begun| now.since(*begun) >= HANGS) {
            let text = format!("a pass has been under way since {begun} and does not end");
            return vec![look(Kind::Failing, wrong(text, HANG_HINT))];
        }
        match &self.state {
            State::Well => vec![look(Kind::Failing, None), look(Kind::Parked, None)],
            State::Failing { times, error, hint } if *times >= AGAIN_AND_AGAIN => {
                vec![look(
                    Kind::Failing,
                    wrong(format!("passes fail again and again: {error}"), hint),
                )]
            }
            State::Unknown | State::Failing { .. } => vec![],
            State::Parked { error, hint } => {
                let text = format!(
                    "the account is left alone, but for a try every quarter of an hour: {error}"
                );
                vec![
                    look(Kind::Failing, None),
                    look(Kind::Parked, wrong(text, hint)),
                ]
            }
        }
    }

    /// Which of the account's streams cannot be fetched though others can. While the account as a whole cannot be worked
    /// on nothing is known of its streams.
    pub fn stuck(&mut self, account: &str, streams: &[&StreamStatus]) -> Option<Look> {
        if !matches!(self.state, State::Well) {
            return None;
        }
        let troubled: BTreeSet<&str> = streams
            .iter()
            .filter(|stream| stream.trouble.is_some())
            .map(|stream| stream.stream.as_str())
            .collect();
        self.ill
            .retain(|stream, _| troubled.contains(stream.as_str()));
        let mut look = Look::at(Some(account), Kind::Stuck, None);
        for stream in streams {
            let Some(trouble) = &stream.trouble else {
                continue;
            };
            let seen = *self.ill.entry(stream.stream.clone()).or_insert(self.ended);
            if self.ended - seen + 1 >= AGAIN_AND_AGAIN {
                let text = format!("it cannot be fetched, though others can: {}", trouble.error);
                let stream = Some(stream.stream.clone());
                look.wrong.push(Wrong {
                    stream,
                    text,
                    hint: trouble.hint.clone(),
                    level: None,
                });
            } else {
                look.unjudged.insert(stream.stream.clone());
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
            what: "count",
            cause: "status 503".to_owned(),
            tries: 6,
        }
    }

    fn refused() -> ProviderError {
        ProviderError::Credentials {
            what: "count",
            status: 401,
            said: None,
        }
    }

    fn blocked() -> ProviderError {
        ProviderError::Blocked {
            left: Duration::from_mins(14),
        }
    }

    /// What is known after these passes: of each kind whether it is wrong.
    fn known(failures: &[Option<ProviderError>]) -> Vec<(&'static str, bool)> {
        let mut passes = Passes::default();
        for failure in failures {
            passes.begins(NOW);
            passes.ends(failure.as_ref(), 1);
        }
        passes
            .looks("shop", NOW)
            .iter()
            .map(|look| (look.kind.name(), !look.wrong.is_empty()))
            .collect()
    }

    #[test]
    fn a_single_failure_says_nothing() {
        assert_eq!(known(&[]), []);
        assert_eq!(known(&[None]), [("failing", false), ("parked", false)]);
        assert_eq!(known(&[None, Some(unreachable()), Some(unreachable())]), []);
        assert_eq!(
            known(&[
                Some(unreachable()),
                None,
                Some(unreachable()),
                Some(unreachable())
            ]),
            []
        );
        assert_eq!(
            known(&[Some(unreachable()), Some(unreachable()), Some(blocked())]),
            [("failing", true)]
        );
    }

    #[test]
    fn a_pass_that_asked_nothing_says_nothing() {
        let mut passes = Passes::default();
        for _ in 0..3 {
            passes.ends(Some(&unreachable()), 6);
            passes.ends(None, 0);
        }
        assert_eq!(passes.looks("shop", NOW)[0].wrong.len(), 1);
    }

    #[test]
    fn refused_credentials_stand_until_they_are_accepted() {
        let parked = [("failing", false), ("parked", true)];
        assert_eq!(known(&[Some(refused())]), parked);
        assert_eq!(
            known(&[
                Some(refused()),
                Some(blocked()),
                Some(refused()),
                Some(ProviderError::Stopped)
            ]),
            parked
        );
        assert_eq!(
            known(&[Some(refused()), Some(unreachable())]),
            [],
            "whether they are accepted by now is not known"
        );
        assert_eq!(
            known(&[Some(refused()), Some(unreachable()), None]),
            [("failing", false), ("parked", false)]
        );
    }

    #[test]
    fn what_an_earlier_process_was_refused_for_is_not_known() {
        assert_eq!(
            known(&[
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
        let odd = || Some(ProviderError::Unsteady { tries: 3 });
        assert_eq!(
            known(&[odd(), odd(), odd(), odd()]),
            [("failing", false), ("parked", false)]
        );
    }

    #[test]
    fn a_pass_that_hangs_is_noticed() {
        let mut passes = Passes::default();
        passes.ends(None, 1);
        passes.begins(NOW);
        assert!(
            passes
                .looks("shop", NOW.plus(Duration::from_mins(59)))
                .iter()
                .all(|look| look.wrong.is_empty())
        );
        let looks = passes.looks("shop", NOW.plus(HANGS));
        assert!(
            looks[0].wrong[0].text.contains(&NOW.to_string()),
            "{looks:?}"
        );
    }
}

//! The decision what of a fetched window is sealed. Pure.

use crate::domain::identity::IdentifiedMessage;
use crate::domain::stream::Scope;
use crate::domain::time::{Millis, Second};
use crate::domain::window::Window;
use crate::store::Seal;
use crate::sync::limits::{HORIZON_TOLERANCE_S, LATE_WITHIN_SETTLES, MIN_UNREADABLE_FOR_DOUBT};
use crate::sync::plan::job::{Job, Refetch};

/// The decision about the completeness of a fetched window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SealDecision {
    /// This part is complete and is sealed.
    Seal(Window),
    /// The provider contradicted itself about a window that is settled in part only, or some of its
    /// messages cannot be read. The settled part is fetched again by itself; the doubt may be due to
    /// the rest.
    RefetchSettledPart(Window),
    /// Nothing of the window is sealed.
    Nothing,
}

/// The facts about a fetched window on which the decision rests.
#[derive(Clone, Copy, Debug)]
pub(super) struct WindowFacts {
    /// The provider is trusted to have shown every message before this time.
    pub(super) settled_to: Second,
    /// True if the provider contradicted itself while the window was fetched, or some messages could
    /// not be read.
    pub(super) is_doubtful: bool,
    /// True if the window was read in parts: then only the whole is counted.
    pub(super) is_parted: bool,
    /// The part before this time expired while the window was fetched; see [`overtaken_to`].
    pub(super) overtaken_to: Option<Second>,
}

/// Decides what of the fetched range of a job is sealed.
///
/// Only the settled part is sealed, and nothing of a peek. A refetched row was settled before and
/// is replaced whole or not at all. The part that the horizon has overtaken is never sealed.
pub(super) fn decide(job: &Job, facts: &WindowFacts) -> SealDecision {
    if job.is_peek() {
        return SealDecision::Nothing;
    }
    let settled = match job.refetch {
        Some(_) => Some(job.range),
        None => job.range.up_to(facts.settled_to),
    };
    let Some(settled) = settled else {
        return SealDecision::Nothing;
    };
    if settled != job.range && facts.is_doubtful {
        return SealDecision::RefetchSettledPart(settled);
    }
    if job.refetch.is_some() && facts.overtaken_to.is_some() {
        return SealDecision::Nothing;
    }
    let fetched_in_time = match facts.overtaken_to {
        Some(edge) => settled.starting_at(edge),
        None => Some(settled),
    };
    match fetched_in_time {
        Some(range) if facts.is_parted && range != job.range => {
            SealDecision::RefetchSettledPart(range)
        }
        Some(range) => SealDecision::Seal(range),
        None => SealDecision::Nothing,
    }
}

/// Returns the horizon if it has overtaken the range of a job while that was fetched.
///
/// `None` if it has overtaken no more than is tolerated. A range at the start of the stream's
/// wanted history misses nothing: that history begins wherever the horizon is. A refetched range
/// was complete before, unless it was in doubt.
pub(super) fn overtaken_to(
    job: &Job,
    wanted_from: Second,
    horizon: Option<Second>,
) -> Option<Second> {
    let horizon = horizon?;
    let misses_nothing = match job.refetch {
        Some(refetch) => !refetch.is_doubted,
        None => job.range.from() <= wanted_from,
    };
    let is_overtaken = job.range.from().plus(HORIZON_TOLERANCE_S) < horizon;
    (is_overtaken && !misses_nothing).then_some(horizon)
}

/// Returns the seal for the part of a fetched window that was decided to be complete.
///
/// `provider_count` is the provider's count of the fetched range. It equals the number of messages
/// there, so that the count of a part is the number of messages in the part.
pub(super) fn seal_of(
    job: &Job,
    sealed: Window,
    messages: &[IdentifiedMessage],
    provider_count: Option<u64>,
    doubt: Option<String>,
    scope: Scope,
) -> Seal {
    let is_inside = |message: &&IdentifiedMessage| sealed.contains(message.message.sent_at);
    let provider_count = if sealed == job.range {
        provider_count
    } else {
        provider_count.map(|_| messages.iter().filter(is_inside).count() as u64)
    };
    match job.refetch {
        None => Seal {
            window: sealed,
            scope,
            provider_count,
            shown_outside: 0,
            doubt,
            replaces: false,
        },
        Some(Refetch { row, outside, .. }) => {
            let provider_count = provider_count.map(|count| count + outside);
            Seal {
                window: row,
                scope,
                provider_count,
                shown_outside: outside,
                doubt,
                replaces: true,
            }
        }
    }
}

/// Returns the doubt about a window of which most messages could not be read: the provider's format
/// has changed, or it is not the provider that answers. `None` for the odd message.
pub(super) fn unreadable_doubt(messages: usize, unreadable: usize) -> Option<String> {
    let is_most = unreadable > messages && unreadable >= MIN_UNREADABLE_FOR_DOUBT;
    let all = messages + unreadable;
    is_most.then(|| format!("{unreadable} of {all} messages could not be read"))
}

/// True if a refetch of a range found a message that a longer settle age would have caught.
/// Messages that came even later are no argument for it, nor are those beside the range.
///
/// `known_times` are the times of the messages of the range that were archived before, in order.
pub(super) fn argues_for_longer_settle(
    sealed_at: Millis,
    (range, known_times): (Window, &[Millis]),
    messages: &[IdentifiedMessage],
    settle: std::time::Duration,
) -> bool {
    let times = messages.iter().map(|message| message.message.sent_at);
    let newest_late = times
        .filter(|at| range.contains(*at) && known_times.binary_search(at).is_err())
        .max();
    newest_late.is_some_and(|newest| sealed_at.since(newest) < settle * LATE_WITHIN_SETTLES)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::identity::identify;
    use crate::domain::message::Message;
    use crate::domain::stream::StreamIndex;
    use crate::sync::plan::job::TailPoll;

    const RANGE: (i64, i64) = (100, 200);

    fn window(from: i64, to: i64) -> Window {
        Window::new(Second(from), Second(to)).unwrap()
    }

    fn backfill() -> Job {
        let range = window(RANGE.0, RANGE.1);
        Job {
            range,
            stream: StreamIndex::new(0),
            is_piece: false,
            refetch: None,
            poll: None,
        }
    }

    fn tail(poll: TailPoll) -> Job {
        Job {
            poll: Some(poll),
            ..backfill()
        }
    }

    fn refetch() -> Job {
        let row = window(50, 250);
        let refetch = Refetch {
            row,
            outside: 7,
            sealed_at: Millis(300_000),
            is_doubted: false,
        };
        Job {
            refetch: Some(refetch),
            ..backfill()
        }
    }

    fn refetch_of_doubt() -> Job {
        let refetch = refetch().refetch.map(|refetch| Refetch {
            is_doubted: true,
            ..refetch
        });
        Job {
            refetch,
            ..backfill()
        }
    }

    fn seals(from: i64, to: i64) -> SealDecision {
        SealDecision::Seal(window(from, to))
    }

    fn refetches(from: i64, to: i64) -> SealDecision {
        SealDecision::RefetchSettledPart(window(from, to))
    }

    /// A window that was fetched without a doubt and in time.
    fn settled(to: i64) -> WindowFacts {
        WindowFacts {
            settled_to: Second(to),
            is_doubtful: false,
            is_parted: false,
            overtaken_to: None,
        }
    }

    impl WindowFacts {
        fn doubtful(self) -> Self {
            Self {
                is_doubtful: true,
                ..self
            }
        }

        fn parted(self) -> Self {
            Self {
                is_parted: true,
                ..self
            }
        }

        fn overtaken(self, to: i64) -> Self {
            Self {
                overtaken_to: Some(Second(to)),
                ..self
            }
        }
    }

    #[test]
    fn settled_part_that_was_fetched_in_time_is_sealed() {
        let nothing = SealDecision::Nothing;
        let cases = [
            // All settled.
            (backfill(), settled(200), seals(100, 200)),
            (backfill(), settled(900), seals(100, 200)),
            (backfill(), settled(200).doubtful(), seals(100, 200)),
            // Half settled.
            (backfill(), settled(150), seals(100, 150)),
            (backfill(), settled(150).doubtful(), refetches(100, 150)),
            // Not settled.
            (backfill(), settled(100), nothing),
            (backfill(), settled(100).doubtful(), nothing),
            // Overtaken by the horizon.
            (backfill(), settled(200).overtaken(120), seals(120, 200)),
            (backfill(), settled(200).overtaken(200), nothing),
            (backfill(), settled(150).overtaken(150), nothing),
            (
                backfill(),
                settled(150).overtaken(120).doubtful(),
                refetches(100, 150),
            ),
            // Read in parts.
            (backfill(), settled(200).parted(), seals(100, 200)),
            (backfill(), settled(150).parted(), refetches(100, 150)),
            (backfill(), settled(100).parted(), nothing),
            (
                backfill(),
                settled(200).overtaken(120).parted(),
                refetches(120, 200),
            ),
            // A tail poll that seals.
            (tail(TailPoll::Seal), settled(150), seals(100, 150)),
            (
                tail(TailPoll::Seal),
                settled(150).doubtful(),
                refetches(100, 150),
            ),
            // A peek.
            (tail(TailPoll::Peek), settled(200), nothing),
            (tail(TailPoll::Peek), settled(150).doubtful(), nothing),
            // A refetch, which was settled before.
            (refetch(), settled(200), seals(100, 200)),
            (refetch(), settled(0).doubtful(), seals(100, 200)),
            (refetch_of_doubt(), settled(200), seals(100, 200)),
            (refetch_of_doubt(), settled(200).overtaken(106), nothing),
        ];
        for (job, facts, expected) in cases {
            assert_eq!(decide(&job, &facts), expected, "{job:?}, {facts:?}");
        }
    }

    #[test]
    fn horizon_overtakes_only_what_was_promised_and_lies_well_behind_it() {
        let wanted_before = Second(0);
        let overtaken = |job: Job, wanted_from, horizon: i64| {
            overtaken_to(&job, wanted_from, Some(Second(horizon)))
        };
        assert_eq!(overtaken(backfill(), wanted_before, 106), Some(Second(106)));
        assert_eq!(
            overtaken(backfill(), wanted_before, 105),
            None,
            "within the tolerance"
        );
        assert_eq!(
            overtaken(backfill(), Second(100), 106),
            None,
            "the start of the history"
        );
        assert_eq!(
            overtaken(refetch(), wanted_before, 106),
            None,
            "it was complete before"
        );
        let of_doubt = |horizon| overtaken(refetch_of_doubt(), Second(100), horizon);
        assert_eq!(of_doubt(106), Some(Second(106)), "it was in doubt");
        assert_eq!(of_doubt(105), None, "within the tolerance");
        assert_eq!(
            overtaken_to(&backfill(), wanted_before, None),
            None,
            "nothing expires"
        );
    }

    #[test]
    fn refetched_row_is_replaced_whole_with_the_count_outside_of_the_range() {
        let doubt = Some("pages differ".to_owned());
        let scope = Scope::default();
        let seal = seal_of(
            &refetch(),
            window(100, 200),
            &[],
            Some(3),
            doubt,
            scope.clone(),
        );
        assert_eq!(
            (seal.window, seal.provider_count),
            (window(50, 250), Some(10))
        );
        assert_eq!(seal.shown_outside, 7);
        assert!(seal.replaces && seal.doubt.is_some());
        let seal = seal_of(
            &backfill(),
            window(100, 150),
            &[],
            Some(3),
            None,
            scope.clone(),
        );
        assert_eq!(
            (seal.window, seal.provider_count),
            (window(100, 150), Some(0))
        );
        let seal = seal_of(&backfill(), window(100, 200), &[], Some(3), None, scope);
        assert_eq!((seal.provider_count, seal.replaces), (Some(3), false));
    }

    #[test]
    fn window_is_in_doubt_if_most_of_it_cannot_be_read() {
        let is_doubtful = |messages, unreadable| unreadable_doubt(messages, unreadable).is_some();
        assert!(is_doubtful(0, 10) && is_doubtful(9, 10) && is_doubtful(100, 101));
        assert!(!is_doubtful(0, 9), "a few odd messages");
        assert!(!is_doubtful(10, 10) && !is_doubtful(1000, 100));
    }

    fn message(sent_at_ms: i64) -> IdentifiedMessage {
        let message = Message::text("alice", "bob", Millis(sent_at_ms), "");
        identify(vec![message]).remove(0)
    }

    #[test]
    fn only_messages_that_came_soon_after_the_seal_argue_for_a_longer_settle_age() {
        let settle = Duration::from_secs(10);
        let sealed_at = Millis(1_000_000);
        let range = window(900, 995);
        let argues = |sent_at: i64, known: &[i64]| {
            let known: Vec<Millis> = known.iter().copied().map(Millis).collect();
            argues_for_longer_settle(sealed_at, (range, &known), &[message(sent_at)], settle)
        };
        assert!(argues(920_001, &[]));
        assert!(!argues(920_000, &[]), "eight settle ages before");
        assert!(!argues(990_000, &[990_000]), "it was known");
        assert!(!argues(995_000, &[]), "it lies beside the range");
        let nothing = argues_for_longer_settle(sealed_at, (range, &[]), &[], settle);
        assert!(!nothing);
    }
}

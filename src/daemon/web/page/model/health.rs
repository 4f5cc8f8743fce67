//! How well a stream is, and all of them together. Pure.

use crate::domain::format::{duration, thousands};
use crate::domain::time::Second;
use crate::domain::window::Window;
use crate::store::StreamStatus;

/// The end of a stream is fetched again and again: one that is complete up to less than this ago lacks nothing, in
/// seconds.
const TAIL_GRACE_S: i64 = 3600;

/// What falls behind the provider's edge while a history is fetched for the first time is not worth a word, in seconds.
const NEGLIGIBLE_LOSS_S: u64 = 60;

/// What is wanted "from the beginning" reaches back to 1970: more than this is all there is, in seconds.
pub(crate) const EVER_S: u64 = 20 * 365 * 86_400;

/// What stands first on a stream's list of worries, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StreamHealth {
    Failing,
    Paused,
    Behind,
    NotStarted,
    Suspect,
    Quarantine,
    Lost,
    Complete,
}

impl StreamHealth {
    /// What it is called, in words and for style sheets.
    pub(crate) fn name_and_class(self) -> (&'static str, &'static str) {
        match self {
            Self::Failing => ("failing", "bad"),
            Self::Paused => ("paused", "bad"),
            Self::Behind => ("behind", "gap"),
            Self::NotStarted => ("not begun", "gap"),
            Self::Suspect => ("suspect", "suspect"),
            Self::Quarantine => ("quarantine", "suspect"),
            Self::Lost => ("some lost", "lost"),
            Self::Complete => ("whole", "sealed"),
        }
    }
}

/// A stream as it is judged at a moment.
#[derive(Debug)]
pub(crate) struct AssessedStream<'a> {
    pub(crate) status: &'a StreamStatus,
    pub(crate) health: StreamHealth,
    /// What it lacks, apart from an end that is still fetched again and again.
    pub(crate) gaps: Vec<Window>,
    /// How many seconds that is.
    pub(crate) gap_s: u64,
    /// How many seconds of it are lost, apart from hardly any.
    pub(crate) lost_s: u64,
    /// For how long it has not been complete, in seconds.
    pub(crate) lag_s: u64,
}

impl<'a> AssessedStream<'a> {
    pub(crate) fn new(status: &'a StreamStatus, now: Second) -> Self {
        let gaps = overdue_gaps(status, now);
        let complete_to = status
            .missing
            .first()
            .map_or(status.frontier.settled_to, |range| range.from());
        let lost_s = if status.lost_seconds > NEGLIGIBLE_LOSS_S {
            status.lost_seconds
        } else {
            0
        };
        let health = match status {
            StreamStatus { error: Some(_), .. } => StreamHealth::Failing,
            StreamStatus { pause: Some(_), .. } => StreamHealth::Paused,
            _ if !gaps.is_empty() && status.watermark.is_none() && status.messages == 0 => {
                StreamHealth::NotStarted
            }
            _ if !gaps.is_empty() => StreamHealth::Behind,
            StreamStatus {
                suspect_rows: 1.., ..
            } => StreamHealth::Suspect,
            StreamStatus {
                quarantined: 1.., ..
            } => StreamHealth::Quarantine,
            _ if lost_s > 0 => StreamHealth::Lost,
            _ => StreamHealth::Complete,
        };
        let gap_s = gaps.iter().map(|gap| gap.seconds()).sum();
        let lag_s = now.0.saturating_sub(complete_to.0).max(0).unsigned_abs();
        Self {
            status,
            health,
            gaps,
            gap_s,
            lost_s,
            lag_s,
        }
    }
}

/// What a stream lacks that it should have by now.
fn overdue_gaps(status: &StreamStatus, now: Second) -> Vec<Window> {
    let is_young = |gap: &Window| {
        gap.to() >= status.frontier.settled_to && now.0.saturating_sub(gap.from().0) < TAIL_GRACE_S
    };
    status
        .missing
        .iter()
        .filter(|gap| !is_young(gap))
        .copied()
        .collect()
}

/// How the whole archive is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum OverallState {
    /// Nothing is archived yet.
    Empty,
    Complete,
    /// Something is missing, and is being fetched.
    CatchingUp,
    /// Somebody should look.
    ActionNeeded,
}

/// The answer to whether the archive is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Headline {
    pub(crate) state: OverallState,
    pub(crate) text: String,
}

impl Headline {
    /// Over all streams. `is_troubled`: there is something that somebody should look at.
    pub(crate) fn new(streams: &[AssessedStream<'_>], is_troubled: bool) -> Self {
        let named: Vec<&AssessedStream<'_>> = streams
            .iter()
            .filter(|stream| stream.status.id.is_some())
            .collect();
        let lacking: Vec<&&AssessedStream<'_>> = named
            .iter()
            .filter(|stream| !stream.gaps.is_empty())
            .collect();
        let state = match (named.is_empty(), is_troubled, lacking.is_empty()) {
            (_, true, _) => OverallState::ActionNeeded,
            (true, ..) => OverallState::Empty,
            (_, _, true) => OverallState::Complete,
            (_, _, false) => OverallState::CatchingUp,
        };
        let text = if named.is_empty() {
            match state {
                OverallState::ActionNeeded => "Trouble: nothing is archived yet".to_owned(),
                _ => {
                    "Nothing is archived yet: the first pass has not come to any stream".to_owned()
                }
            }
        } else {
            let word = match state {
                OverallState::Empty | OverallState::Complete => "Whole",
                OverallState::CatchingUp => "Catching up",
                OverallState::ActionNeeded => "Trouble",
            };
            format!(
                "{word}: {}{}",
                completeness_text(&named, &lacking),
                loss_text(&named)
            )
        };
        Self { state, text }
    }
}

fn completeness_text(streams: &[&AssessedStream<'_>], lacking: &[&&AssessedStream<'_>]) -> String {
    let all = thousands(streams.len() as u64);
    match lacking.iter().map(|stream| stream.gap_s).max() {
        None => {
            let ago = duration(streams.iter().map(|stream| stream.lag_s).max().unwrap_or(0));
            match streams.len() {
                1 => format!("the one stream is complete up to {ago} ago"),
                _ => format!("all {all} streams are complete up to {ago} ago"),
            }
        }
        Some(longest) => {
            let longest = missing_text(longest);
            match (lacking.len(), streams.len()) {
                (1, 1) => format!("the one stream lacks {longest}"),
                (1, _) => format!("1 of {all} streams lacks {longest}"),
                (some, _) => format!(
                    "{} of {all} streams lack up to {longest}",
                    thousands(some as u64)
                ),
            }
        }
    }
}

/// A stretch of history in words.
fn missing_text(seconds: u64) -> String {
    if seconds > EVER_S {
        "all of their history".to_owned()
    } else {
        format!("{} of history", duration(seconds))
    }
}

fn loss_text(streams: &[&AssessedStream<'_>]) -> String {
    let lost: Vec<u64> = streams
        .iter()
        .map(|stream| stream.lost_s)
        .filter(|lost| *lost > 0)
        .collect();
    match (lost.len(), lost.iter().max()) {
        (_, None) => String::new(),
        (1, Some(longest)) => format!("; 1 has lost {} for good", duration(*longest)),
        (some, Some(longest)) => {
            format!(
                "; {} have lost up to {} for good",
                thousands(some as u64),
                duration(*longest)
            )
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::domain::frontier::Frontier;
    use crate::domain::window::Runs;
    use crate::store::{AccountId, Pause, RecordedError, StreamId};

    pub(crate) const NOW: Second = Second(1_795_343_200);

    /// A stream of which nothing is missing up to two minutes ago.
    pub(crate) fn stream(id: i64) -> StreamStatus {
        let settled = NOW.plus(-120);
        let sealed = Window::new(NOW.plus(-700_000), settled).unwrap();
        StreamStatus {
            id: Some(StreamId(id)),
            account_id: AccountId(1),
            account: "shop".to_owned(),
            provider: "agora".to_owned(),
            stream: format!("source=user {id}"),
            scope: None,
            wanted_from: sealed.from(),
            sealed: Runs::from_iter([sealed]),
            watermark: Some(settled),
            frontier: Frontier {
                horizon: None,
                settled_to: settled,
                wanted_to: NOW,
                retention: None,
            },
            messages: 10,
            recent_messages: 10,
            recent_seconds: 10,
            suspect_rows: 0,
            quarantined: 0,
            missing: vec![],
            missing_seconds: 0,
            lost_seconds: 0,
            error: None,
            discovery_error: None,
            discovered: false,
            pause: None,
            settle_override: None,
        }
    }

    /// The same, lacking the range that begins and ends so many seconds ago.
    pub(crate) fn lacking(id: i64, from: i64, to: i64) -> StreamStatus {
        let gap = Window::new(NOW.plus(-from), NOW.plus(-to)).unwrap();
        StreamStatus {
            missing: vec![gap],
            missing_seconds: gap.seconds(),
            ..stream(id)
        }
    }

    fn headline(streams: &[StreamStatus]) -> String {
        let judged: Vec<AssessedStream<'_>> = streams
            .iter()
            .map(|stream| AssessedStream::new(stream, NOW))
            .collect();
        Headline::new(&judged, false).text
    }

    #[test]
    fn the_headline_says_whether_the_archive_is_whole_and_up_to_when() {
        assert_eq!(
            headline(&[stream(1)]),
            "Whole: the one stream is complete up to 2m ago"
        );
        assert_eq!(
            headline(&[stream(1), stream(2)]),
            "Whole: all 2 streams are complete up to 2m ago"
        );
        let lost = StreamStatus {
            lost_seconds: 180_000,
            ..stream(3)
        };
        assert_eq!(
            headline(&[stream(1), lacking(2, 20_000, 9200), lost]),
            "Catching up: 1 of 3 streams lacks 3h of history; 1 has lost 2d 2h for good"
        );
        let nothing = "Nothing is archived yet: the first pass has not come to any stream";
        assert_eq!(headline(&[]), nothing);
        assert_eq!(
            headline(&[StreamStatus {
                id: None,
                ..stream(1)
            }]),
            nothing
        );
        assert_eq!(
            Headline::new(&[], true).text,
            "Trouble: nothing is archived yet"
        );
    }

    #[test]
    fn an_end_that_is_fetched_again_and_again_is_no_gap_until_it_grows_old() {
        assert_eq!(
            headline(&[stream(1), lacking(2, 1200, 120)]),
            "Whole: all 2 streams are complete up to 20m ago",
            "its end is to be fetched"
        );
        assert_eq!(
            headline(&[lacking(1, 3600, 120)]),
            "Catching up: the one stream lacks 58m of history"
        );
        assert_eq!(
            headline(&[lacking(1, 1200, 600)]),
            "Catching up: the one stream lacks 10m of history",
            "a hole"
        );
        assert_eq!(
            headline(&[lacking(1, NOW.0, 120)]),
            "Catching up: the one stream lacks all of their history",
            "wanted from the beginning of time"
        );
    }

    #[test]
    fn what_can_be_helped_comes_before_what_cannot() {
        let health = |status: StreamStatus| AssessedStream::new(&status, NOW).health;
        let trouble = Some(RecordedError {
            error: "no".to_owned(),
            hint: "try".to_owned(),
        });
        let pause = Some(Pause {
            until: NOW.start(),
            reason: "told".to_owned(),
        });
        let lost = StreamStatus {
            lost_seconds: NEGLIGIBLE_LOSS_S + 1,
            ..stream(1)
        };
        let hardly = StreamStatus {
            lost_seconds: NEGLIGIBLE_LOSS_S,
            ..stream(1)
        };
        let quarantined = StreamStatus {
            quarantined: 1,
            ..lost.clone()
        };
        let suspect = StreamStatus {
            suspect_rows: 1,
            ..quarantined.clone()
        };
        let behind = StreamStatus {
            suspect_rows: 1,
            ..lacking(1, 9000, 120)
        };
        let paused = StreamStatus {
            pause,
            ..behind.clone()
        };
        let failing = StreamStatus {
            error: trouble,
            ..paused.clone()
        };
        let all = [failing, paused, behind, suspect, quarantined, lost, hardly].map(health);
        assert_eq!(
            all,
            [
                StreamHealth::Failing,
                StreamHealth::Paused,
                StreamHealth::Behind,
                StreamHealth::Suspect,
                StreamHealth::Quarantine,
                StreamHealth::Lost,
                StreamHealth::Complete
            ]
        );
        assert!(all.is_sorted());
        let none = StreamStatus {
            watermark: None,
            messages: 0,
            ..lacking(1, 9000, 120)
        };
        assert_eq!(health(none), StreamHealth::NotStarted);
    }
}

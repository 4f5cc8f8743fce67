//! The headline of the page: the state of the whole archive in one sentence. Pure.

use super::health::AssessedStream;
use super::issue::{Issue, Severity};
use crate::daemon::web::limits::MAX_HEADLINE_CHARS;
use crate::domain::format::{FROM_THE_BEGINNING, counted, duration, sanitized, thousands};
use crate::domain::time::UNBOUNDED_HISTORY_S;

/// The state of the whole archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum OverallState {
    /// Nothing is archived yet.
    Empty,
    Complete,
    /// Some history is missing and is being fetched.
    CatchingUp,
    /// A person should act.
    ActionNeeded,
}

/// The headline of the page: the state of the archive in one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Headline {
    pub(crate) state: OverallState,
    pub(crate) text: String,
}

impl Headline {
    /// Names the worst issue that needs action, or summarizes all streams. The issues come in the
    /// order of their severity.
    pub(crate) fn new(streams: &[AssessedStream<'_>], issues: &[Issue]) -> Self {
        let worst = issues.first();
        if let Some(worst) = worst.filter(|issue| issue.severity == Severity::Action) {
            return Self::action_needed(worst, issues);
        }
        let archived: Vec<&AssessedStream<'_>> = streams
            .iter()
            .filter(|stream| stream.is_archived())
            .collect();
        let is_complete = archived.iter().all(|stream| stream.gaps.is_empty());
        let state = if archived.is_empty() {
            OverallState::Empty
        } else if is_complete {
            OverallState::Complete
        } else {
            OverallState::CatchingUp
        };
        let text = if archived.is_empty() {
            "Nothing is archived yet: the first pass has not reached any stream".into()
        } else {
            let word = state.word();
            let completeness = completeness_text(&archived);
            format!("{word}: {completeness}{}", loss_text(&archived))
        };
        Self { state, text }
    }

    fn action_needed(worst: &Issue, issues: &[Issue]) -> Self {
        let Issue {
            subject, problem, ..
        } = worst;
        let others = issues
            .iter()
            .filter(|issue| issue.severity == Severity::Action)
            .count()
            - 1;
        let others = match others {
            0 => String::new(),
            some => format!(
                " (and {})",
                counted(some as u64, "other issue", "other issues")
            ),
        };
        let word = OverallState::ActionNeeded.word();
        let problem = shortened(&sanitized(problem), MAX_HEADLINE_CHARS);
        let text = format!("{word}: {}: {problem}{others}", sanitized(subject));
        Self {
            state: OverallState::ActionNeeded,
            text,
        }
    }
}

impl OverallState {
    /// Returns the name for programs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Complete => "complete",
            Self::CatchingUp => "catching_up",
            Self::ActionNeeded => "action_needed",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Empty | Self::Complete => "Up to date",
            Self::CatchingUp => "Catching up",
            Self::ActionNeeded => "Action needed",
        }
    }
}

/// Returns a text of at most `max` characters and an ellipsis.
fn shortened(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Returns the age up to which all streams are complete, or the missing history.
fn completeness_text(streams: &[&AssessedStream<'_>]) -> String {
    let all = thousands(streams.len() as u64);
    let gaps_s: Vec<u64> = streams
        .iter()
        .filter(|stream| !stream.gaps.is_empty())
        .map(|stream| stream.gap_s)
        .collect();
    let Some(longest_s) = gaps_s.iter().max() else {
        let lags_s = streams.iter().map(|stream| stream.lag_s);
        let ago = duration(lags_s.max().unwrap_or(0));
        return match streams.len() {
            1 => format!("the one stream is complete up to {ago} ago"),
            _ => format!("all {all} streams are complete up to {ago} ago"),
        };
    };
    let missing = missing_text(*longest_s);
    match (gaps_s.len(), streams.len()) {
        (1, 1) => format!("the one stream lacks {missing}"),
        (1, _) => format!("1 of {all} streams lacks {missing}"),
        (some, _) => {
            let some = thousands(some as u64);
            format!("{some} of {all} streams lack up to {missing}")
        }
    }
}

/// Returns the amount of missing history in words.
fn missing_text(seconds: u64) -> String {
    if seconds > UNBOUNDED_HISTORY_S {
        format!("history {FROM_THE_BEGINNING}")
    } else {
        format!("{} of history", duration(seconds))
    }
}

/// Returns the permanently lost history in words; empty if there is none.
fn loss_text(streams: &[&AssessedStream<'_>]) -> String {
    let losses_s: Vec<u64> = streams
        .iter()
        .map(|stream| stream.lost_s)
        .filter(|lost_s| *lost_s > 0)
        .collect();
    let Some(longest_s) = losses_s.iter().max() else {
        return String::new();
    };
    let longest = duration(*longest_s);
    let some = counted(
        losses_s.len() as u64,
        "has permanently lost",
        "have permanently lost up to",
    );
    format!("; {some} {longest}")
}

#[cfg(test)]
mod tests {
    use super::super::health::tests::{NOW, lacking, stream};
    use super::*;
    use crate::store::StreamStatus;

    fn headline(streams: &[StreamStatus]) -> String {
        let assessed: Vec<AssessedStream<'_>> = streams
            .iter()
            .map(|stream| AssessedStream::new(stream, NOW))
            .collect();
        Headline::new(&assessed, &[]).text
    }

    #[test]
    fn headline_says_if_the_archive_is_complete_and_up_to_when() {
        assert_eq!(
            headline(&[stream(1)]),
            "Up to date: the one stream is complete up to 2m ago"
        );
        assert_eq!(
            headline(&[stream(1), stream(2)]),
            "Up to date: all 2 streams are complete up to 2m ago"
        );
        let lost = StreamStatus {
            lost_seconds: 180_000,
            ..stream(3)
        };
        assert_eq!(
            headline(&[stream(1), lacking(2, 20_000, 9200), lost]),
            "Catching up: 1 of 3 streams lacks 3h of history; 1 has permanently lost 2d 2h"
        );
        let nothing = "Nothing is archived yet: the first pass has not reached any stream";
        assert_eq!(headline(&[]), nothing);
        assert_eq!(
            headline(&[StreamStatus {
                id: None,
                ..stream(1)
            }]),
            nothing
        );
    }

    #[test]
    fn headline_names_the_worst_issue() {
        let healthy = stream(1);
        let assessed = [AssessedStream::new(&healthy, NOW)];
        let parked = Issue::action("shop", "refused \u{202E}", "renew");
        let info = Issue::info("other", "catching up", "wait");
        let text = |issues: &[Issue]| Headline::new(&assessed, issues).text;
        assert_eq!(
            text(&[parked.clone(), parked.clone(), info.clone()]),
            "Action needed: shop: refused \u{FFFD} (and 1 other issue)"
        );
        assert_eq!(
            text(&[info]),
            "Up to date: the one stream is complete up to 2m ago"
        );
        let long = Issue::action("shop", "x".repeat(1000), "renew");
        assert!(text(&[long]).ends_with("xxx…"));
    }

    #[test]
    fn a_recent_tail_is_no_gap() {
        assert_eq!(
            headline(&[stream(1), lacking(2, 1200, 120)]),
            "Up to date: all 2 streams are complete up to 20m ago",
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
            "Catching up: the one stream lacks history from the beginning",
            "wanted from the beginning of time"
        );
    }
}

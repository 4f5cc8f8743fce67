//! The result of a check: the problems that a rule has found.

use std::collections::BTreeSet;

use super::limits::MAX_NAMED_STREAMS;
use crate::domain::alarm::{AlarmKind, AlarmSubject};
use crate::domain::time::Millis;

/// The result of one check for one kind of problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckResult {
    /// The checked account; `None` if the archive itself was checked.
    pub account: Option<String>,
    pub kind: AlarmKind,
    /// The problems found; empty if there is none.
    pub problems: Vec<DetectedProblem>,
    /// Streams without a result. Their alarms keep their state.
    pub inconclusive: BTreeSet<String>,
}

/// A problem found by a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetectedProblem {
    /// The affected stream; `None` if the whole account, or the archive, is affected.
    pub stream: Option<String>,
    /// The problem, in one line.
    pub text: String,
    /// The recommended action.
    pub hint: String,
    /// See [`Alarm::level`](crate::domain::alarm::Alarm::level).
    pub level: Option<i64>,
    /// The time since which the problem has lasted, by the timer of the monitor. `None` if it was
    /// found just now.
    pub since: Option<Millis>,
}

impl CheckResult {
    /// Creates the result of a check of a whole account, or of the archive (`None`).
    pub fn for_whole(
        account: Option<&str>,
        kind: AlarmKind,
        problem: Option<DetectedProblem>,
    ) -> Self {
        Self {
            account: account.map(str::to_owned),
            kind,
            problems: problem.into_iter().collect(),
            inconclusive: BTreeSet::new(),
        }
    }

    /// Returns the subject of an alarm about this stream, or about the whole (`None`).
    pub(super) fn subject_for(&self, stream: Option<&str>) -> AlarmSubject {
        AlarmSubject {
            account: self.account.clone(),
            stream: stream.map(str::to_owned),
            kind: self.kind,
        }
    }

    /// True if an alarm on this subject depends on this check.
    pub(super) fn covers(&self, subject: &AlarmSubject) -> bool {
        subject.account == self.account && subject.kind == self.kind
    }
}

impl DetectedProblem {
    /// Creates a problem of a whole account, or of the archive.
    pub fn new(text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            stream: None,
            text: text.into(),
            hint: hint.into(),
            level: None,
            since: None,
        }
    }

    /// Dates the problem back.
    pub(super) fn lasting_since(self, since: Millis) -> Self {
        Self {
            since: Some(since),
            ..self
        }
    }

    /// Creates a problem of one stream.
    pub fn of_stream(
        stream: impl Into<String>,
        text: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            stream: Some(stream.into()),
            ..Self::new(text, hint)
        }
    }

    /// Combines the problems of many streams into one.
    pub(super) fn combined(problems: &[&Self]) -> Self {
        let names: Vec<&str> = problems
            .iter()
            .filter_map(|problem| problem.stream.as_deref())
            .take(MAX_NAMED_STREAMS)
            .collect();
        let count = problems.len();
        let more = match count - names.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let names = names.join(", ");
        let first = problems.first();
        let first_text = first.map_or("", |problem| problem.text.as_str());
        let first_hint = first.map_or("", |problem| problem.hint.as_str());
        let text = format!("{count} streams: {names}{more}; first problem: {first_text}");
        Self::new(text, first_hint)
    }
}

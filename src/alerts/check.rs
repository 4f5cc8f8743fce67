//! The result of a check: the problems that a rule has found.

use std::collections::BTreeSet;

use crate::domain::alarm::{AlarmKind, AlarmSubject};

/// What was found by looking at one kind of thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckResult {
    /// Nothing where the archive itself was looked at.
    pub account: Option<String>,
    pub kind: AlarmKind,
    /// What is wrong of it, if anything.
    pub problems: Vec<DetectedProblem>,
    /// Streams that could not be judged, and stay as they are.
    pub inconclusive: BTreeSet<String>,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetectedProblem {
    /// Nothing where all of the account is concerned.
    pub stream: Option<String>,
    pub text: String,
    pub hint: String,
    /// See [`Alarm::level`].
    pub level: Option<i64>,
}

impl CheckResult {
    /// At what concerns an account, or the archive, as a whole.
    pub fn for_whole(
        account: Option<&str>,
        kind: AlarmKind,
        wrong: Option<DetectedProblem>,
    ) -> Self {
        Self {
            account: account.map(str::to_owned),
            kind,
            problems: wrong.into_iter().collect(),
            inconclusive: BTreeSet::new(),
        }
    }

    pub(super) fn subject_for(&self, stream: Option<&str>) -> AlarmSubject {
        AlarmSubject {
            account: self.account.clone(),
            stream: stream.map(str::to_owned),
            kind: self.kind,
        }
    }
}

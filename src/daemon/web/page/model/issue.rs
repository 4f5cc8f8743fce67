//! An issue: a problem, and what to do about it. Pure.

use crate::alerts::text::affected;
use crate::domain::alarm::{Alarm, AlarmKind};
use crate::domain::time::Millis;

/// The severity of an issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// A person should act.
    Action,
    /// For information: nothing can or needs to be done.
    Info,
}

/// A problem, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Issue {
    pub(crate) severity: Severity,
    /// The affected account, stream or archive.
    pub(crate) subject: String,
    pub(crate) problem: String,
    /// The recommended action.
    pub(crate) hint: String,
    /// The start of the problem, if known.
    pub(crate) since: Option<Millis>,
}

impl Issue {
    fn new(
        severity: Severity,
        subject: impl Into<String>,
        problem: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            severity,
            subject: subject.into(),
            problem: problem.into(),
            hint: hint.into(),
            since: None,
        }
    }

    /// Creates an issue that needs action.
    pub(super) fn action(
        subject: impl Into<String>,
        problem: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::new(Severity::Action, subject, problem, hint)
    }

    /// Creates an issue for information.
    pub(super) fn info(
        subject: impl Into<String>,
        problem: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::new(Severity::Info, subject, problem, hint)
    }

    pub(super) fn from_alarm(alarm: &Alarm) -> Self {
        Self {
            since: Some(alarm.since),
            ..Self::action(affected(&alarm.subject), &alarm.text, &alarm.hint)
        }
    }
}

/// The active alarms.
#[derive(Clone, Copy)]
pub(super) struct ActiveAlarms<'a>(pub(super) &'a [Alarm]);

impl ActiveAlarms<'_> {
    /// True if an alarm of one of these kinds is active for an account.
    pub(super) fn covers(self, account: &str, kinds: &[AlarmKind]) -> bool {
        self.0.iter().any(|alarm| {
            let subject = &alarm.subject;
            subject.account.as_deref() == Some(account) && kinds.contains(&subject.kind)
        })
    }
}

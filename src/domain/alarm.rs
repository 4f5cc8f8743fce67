//! Alarms: conditions that an operator is notified of when they begin and when they end.

use std::fmt;
use std::time::Duration;

use super::time::Millis;

/// The kind of problem that an alarm reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlarmKind {
    /// A stream that usually receives messages receives none.
    Silent,
    /// A stream fails repeatedly while other streams of its account succeed.
    Stuck,
    /// Nothing of the account can be fetched.
    Failing,
    /// The provider refuses the account's credentials.
    Parked,
    /// Messages will expire at the provider before they can be fetched.
    LossAhead,
    /// History expired at the provider before it was fetched.
    Lost,
    /// Disk space for the archive is low or exhausted.
    Disk,
    /// The database cannot be reached, read or written.
    Archive,
}

impl AlarmKind {
    /// All kinds, in the order of their declaration.
    pub const ALL: [Self; 8] = [
        Self::Silent,
        Self::Stuck,
        Self::Failing,
        Self::Parked,
        Self::LossAhead,
        Self::Lost,
        Self::Disk,
        Self::Archive,
    ];

    /// Returns the name used in SQL, metrics, logs and the webhook.
    pub fn name(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Stuck => "stuck",
            Self::Failing => "failing",
            Self::Parked => "parked",
            Self::LossAhead => "loss_ahead",
            Self::Lost => "lost",
            Self::Disk => "disk",
            Self::Archive => "archive",
        }
    }

    /// Returns the kind with this name. `None` if the name is unknown, for example because a later
    /// version of Backscroll introduced it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Returns the place among all kinds, the worst first: what concerns everything, then whole
    /// accounts, then what will be lost, then single streams.
    pub fn rank(self) -> u8 {
        match self {
            Self::Archive => 0,
            Self::Disk => 1,
            Self::Parked => 2,
            Self::Failing => 3,
            Self::LossAhead => 4,
            Self::Lost => 5,
            Self::Stuck => 6,
            Self::Silent => 7,
        }
    }

    /// True if the problem concerns the archive itself and not an account.
    pub fn concerns_archive(self) -> bool {
        matches!(self, Self::Disk | Self::Archive)
    }

    /// Returns the time for which a problem must persist before the alarm starts. Problems that
    /// resolve themselves within this time notify nobody.
    pub fn start_delay(self) -> Duration {
        match self {
            Self::Parked | Self::Lost | Self::Disk | Self::Silent => Duration::ZERO,
            Self::Archive => Duration::from_mins(2),
            // With the interval of the checks, both are reported within five minutes. It takes
            // three passes until a stream counts as stuck.
            Self::Failing => Duration::from_mins(4),
            Self::Stuck => Duration::from_mins(3),
            Self::LossAhead => Duration::from_mins(10),
        }
    }
}

impl fmt::Display for AlarmKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The subject of an alarm. At most one alarm per subject is active at a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlarmSubject {
    /// The account's name. `None` if the alarm concerns the archive.
    pub account: Option<String>,
    /// The stream's key. `None` if the alarm concerns the whole account or several streams.
    pub stream: Option<String>,
    /// The kind of the problem.
    pub kind: AlarmKind,
}

/// The notifications that the webhook has already received for an alarm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Notified {
    /// Nothing was notified.
    #[default]
    Nothing,
    /// The start was notified.
    Start,
    /// The start and the end were notified, or no further notification is due.
    All,
}

/// A problem that is active or has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// The subject of the problem.
    pub subject: AlarmSubject,
    /// The time at which the problem was detected.
    pub since: Millis,
    /// The time at which the problem ended. `None` while the alarm is active.
    pub until: Option<Millis>,
    /// A description of the problem in one line.
    pub text: String,
    /// The action that the operator can take.
    pub hint: String,
    /// The size of damage that only grows: for [`AlarmKind::Lost`], seconds of lost history. `None`
    /// for other kinds.
    pub level: Option<i64>,
    /// The notifications sent so far.
    pub notified: Notified,
}

impl Alarm {
    /// True if the alarm has not ended.
    pub fn is_active(&self) -> bool {
        self.until.is_none()
    }

    /// Returns the key that identifies this alarm among all alarms.
    pub fn id(&self) -> (AlarmSubject, Millis) {
        (self.subject.clone(), self.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarm_kinds_are_parsed_from_their_names() {
        for kind in AlarmKind::ALL {
            assert_eq!(AlarmKind::from_name(kind.name()), Some(kind));
        }
        assert_eq!(AlarmKind::from_name("unknown"), None);
    }
}

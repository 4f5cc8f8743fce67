//! What an operator is to be told of: once when it begins, and once when it is over.

use std::fmt;
use std::time::Duration;

use super::time::Millis;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlarmKind {
    /// A stream that always brought messages brings none.
    Silent,
    /// A stream cannot be fetched, again and again, while others of its account can.
    Stuck,
    /// Passes over the account fail, again and again.
    Failing,
    /// The provider refuses the account's credentials.
    Parked,
    /// Messages will be gone before they can be fetched.
    LossAhead,
    /// History has fallen behind the provider's edge before it was fetched.
    Lost,
    /// There is hardly any room left for the archive, or none.
    Disk,
    /// The database cannot be reached, read or written.
    Archive,
}

impl AlarmKind {
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

    /// Its name in SQL, metrics, logs and the webhook.
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

    /// The kind of this name; nothing where a later Backscroll has given it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether it concerns the archive itself, and no account.
    pub fn concerns_archive(self) -> bool {
        matches!(self, Self::Disk | Self::Archive)
    }

    /// How long it must have been so before anybody is told: what passes by itself wakes nobody.
    pub fn start_delay(self) -> Duration {
        match self {
            Self::Parked | Self::Lost | Self::Disk | Self::Silent => Duration::ZERO,
            Self::Archive => Duration::from_mins(2),
            Self::Stuck | Self::Failing => Duration::from_mins(5),
            Self::LossAhead => Duration::from_mins(10),
        }
    }
}

impl fmt::Display for AlarmKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an alarm is about. Of two at once that are about the same there is only one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlarmSubject {
    /// The account's name; nothing where the archive itself is concerned.
    pub account: Option<String>,
    /// The stream's key; nothing where all of the account is concerned, or many of its streams.
    pub stream: Option<String>,
    pub kind: AlarmKind,
}

/// What the webhook has been told of an alarm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Notified {
    #[default]
    Nothing,
    /// That it began.
    Start,
    /// That it began and that it is over; or it never will be told more.
    All,
}

/// Something that is wrong, or was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    pub subject: AlarmSubject,
    /// When it was noticed.
    pub since: Millis,
    /// From when on all was well again; nothing while it stands.
    pub until: Option<Millis>,
    /// What is wrong, in one line.
    pub text: String,
    /// What the operator can do about it.
    pub hint: String,
    /// How far the harm has come, where it grows and does not go away again: of [`Kind::Lost`], seconds of history.
    pub level: Option<i64>,
    pub told: Notified,
}

impl Alarm {
    /// Whether it is not over yet.
    pub fn is_active(&self) -> bool {
        self.until.is_none()
    }

    /// Which of all alarms it is.
    pub fn id(&self) -> (AlarmSubject, Millis) {
        (self.subject.clone(), self.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        for kind in AlarmKind::ALL {
            assert_eq!(AlarmKind::from_name(kind.name()), Some(kind));
        }
        assert_eq!(AlarmKind::from_name("something of later"), None);
    }
}

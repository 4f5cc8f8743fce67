//! The log lines of alarms.

use crate::domain::alarm::{Alarm, AlarmKind};

/// Tells the log.
pub(super) fn log_alarm(alarm: &Alarm) {
    let Alarm {
        subject,
        since,
        text: problem,
        hint,
        ..
    } = alarm;
    let account = subject.account.as_deref().map(tracing::field::display);
    let stream = subject.stream.as_deref().map(tracing::field::display);
    let kind = subject.kind.name();
    match (alarm.is_active(), subject.kind) {
        (false, _) => tracing::info!(account, stream, kind, %since, problem, "alarm over"),
        (true, AlarmKind::Silent | AlarmKind::Stuck) => {
            tracing::warn!(account, stream, kind, problem, hint, "alarm");
        }
        (true, _) => tracing::error!(account, stream, kind, problem, hint, "alarm"),
    }
}

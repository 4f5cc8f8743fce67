//! Alarms in words.

use crate::domain::alarm::{Alarm, AlarmKind, AlarmSubject};
use crate::domain::format::sanitized;

/// The hint for history that expires at the provider sooner than it is fetched.
pub const LOSS_HINT: &str = "raise requests_per_second if the provider grants more; follow fewer \
                             streams, or set `since`; ask the provider for a longer retention";

/// Returns the affected account and stream, or "the archive".
pub fn affected(subject: &AlarmSubject) -> String {
    match (&subject.account, &subject.stream) {
        (Some(account), Some(stream)) => format!("{account} {}", sanitized(stream)),
        (Some(account), None) => account.clone(),
        (None, _) => "the archive".to_owned(),
    }
}

/// Writes an alarm that began or ended to the log.
pub(super) fn log_alarm(alarm: &Alarm) {
    let Alarm {
        subject,
        since,
        text: problem,
        hint,
        ..
    } = alarm;
    let account = subject.account.as_deref().map(tracing::field::display);
    let stream = subject.stream.as_deref().map(sanitized);
    let stream = stream.map(tracing::field::display);
    let kind = subject.kind.name();
    match (alarm.is_active(), subject.kind) {
        (false, _) => tracing::info!(account, stream, kind, %since, problem, "alarm over"),
        (true, AlarmKind::Silent | AlarmKind::Stuck) => {
            tracing::warn!(account, stream, kind, problem, hint, "alarm");
        }
        (true, _) => tracing::error!(account, stream, kind, problem, hint, "alarm"),
    }
}

//! The output of alarms.

use super::output::print_with_hint;
use super::table::{duration, sanitized};
use crate::alerts::limits::ALARM_RETENTION;
use crate::alerts::text::affected;
use crate::domain::alarm::{Alarm, AlarmKind, AlarmSubject};
use crate::domain::time::Millis;
use crate::store::{Archive, StoreError};

/// Ends the alarms that say that nothing of an account works: it has just been found to work.
pub(super) async fn end_account_alarms(
    store: &dyn Archive,
    account: &str,
    now: Millis,
) -> Result<(), StoreError> {
    let mut alarms = store.active_alarms().await?;
    alarms.retain(|alarm| {
        let of = alarm.subject.account.as_deref();
        of == Some(account) && says_nothing_works(&alarm.subject)
    });
    if alarms.is_empty() {
        return Ok(());
    }
    for alarm in &mut alarms {
        alarm.until = Some(now.max(alarm.since));
    }
    store.save_alarms(&alarms, now.minus(ALARM_RETENTION)).await
}

/// True for an alarm that says that nothing of its account works.
pub(super) fn says_nothing_works(subject: &AlarmSubject) -> bool {
    matches!(subject.kind, AlarmKind::Parked | AlarmKind::Failing)
}

/// Prints each alarm with its hint.
pub(super) fn print_alarms(alarms: &[Alarm], now: Millis) {
    for alarm in alarms {
        let subject = sanitized(&affected(&alarm.subject));
        let kind = alarm.subject.kind;
        let lasts = duration(now.since(alarm.since).as_secs());
        let text = sanitized(&alarm.text);
        print_with_hint(
            format_args!("\nALARM: {subject}: {kind}, for {lasts}: {text}"),
            &alarm.hint,
        );
    }
}

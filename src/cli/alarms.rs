//! The output of alarms.

use serde_json::{Value, json};

use super::print_line;
use super::table::{duration, sanitized};
use crate::domain::alarm::Alarm;
use crate::domain::time::Millis;
use crate::store::{Archive, StoreError, StreamStatus};

/// Returns the active alarms, the oldest first.
pub(super) async fn active_alarms(store: &dyn Archive) -> Result<Vec<Alarm>, StoreError> {
    let alarms = store.alarms(Millis(i64::MAX)).await?;
    Ok(alarms.into_iter().filter(Alarm::is_active).collect())
}

/// Prints each alarm with its hint.
pub(super) fn print_alarms(alarms: &[Alarm], now: Millis) {
    for Alarm {
        subject,
        since,
        text,
        hint,
        ..
    } in alarms
    {
        let whose = [subject.account.as_deref(), subject.stream.as_deref()]
            .into_iter()
            .flatten();
        let whose = whose.map(sanitized).collect::<Vec<_>>().join(" ");
        let whose = if whose.is_empty() {
            "the archive".to_owned()
        } else {
            whose
        };
        let (kind, lasts) = (subject.kind, duration(now.since(*since).as_secs()));
        print_line(format_args!(
            "\nALARM: {whose}: {kind}, for {lasts}: {}\n  hint: {hint}",
            sanitized(text)
        ));
    }
}

/// Returns the alarms that concern a stream: its own, its account's and the archive's.
pub(super) fn alarms_json(stream: &StreamStatus, alarms: &[Alarm]) -> Value {
    let concerns = |alarm: &&Alarm| {
        let subject = &alarm.subject;
        subject
            .account
            .as_ref()
            .is_none_or(|account| *account == stream.account)
            && subject
                .stream
                .as_ref()
                .is_none_or(|key| *key == stream.stream)
    };
    let alarms = alarms.iter().filter(concerns).map(
        |Alarm {
             subject,
             since,
             text,
             hint,
             ..
         }| {
            json!({
                "kind": subject.kind.name(),
                "account": subject.account,
                "stream": subject.stream,
                "since": since.to_string(),
                "text": text,
                "hint": hint,
            })
        },
    );
    alarms.collect()
}

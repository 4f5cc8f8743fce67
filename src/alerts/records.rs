//! What is on record of alarms: in the archive, and in memory for as long as that cannot be written.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::board::AlarmBoard;
use super::check::CheckResult;
use super::log::log_alarm;
use super::rules::silence::SilenceDetector;
use crate::domain::alarm::{Alarm, AlarmKind, AlarmSubject, Notified};
use crate::domain::time::Millis;
use crate::store::{Archive, StoreError, StreamStatus};

/// What is over is kept for so long.
const ALARM_RETENTION: Duration = Duration::from_hours(2160);
/// What was over, or began, longer ago is no news any more.
const NOTIFY_WITHIN: Duration = Duration::from_hours(24);

type AlarmId = (AlarmSubject, Millis);

/// See above.
#[derive(Debug, Default)]
pub(super) struct AlarmRecords {
    board: AlarmBoard,
    silence_detector: SilenceDetector,
    /// What stands, what is to be told, and how far harm had come.
    alarms: BTreeMap<AlarmId, Alarm>,
    /// What of it the archive does not know.
    unsaved: BTreeSet<AlarmId>,
}

impl AlarmRecords {
    /// Reads what the archive has. What is too old to be told, or has nobody to be told to, is taken for told.
    pub(super) async fn reload(&mut self, store: &dyn Archive, now: Millis, has_webhook: bool) {
        match store.alarms(now).await {
            Ok(alarms) => {
                self.alarms.retain(|id, _| self.unsaved.contains(id));
                for alarm in alarms {
                    self.alarms.entry(alarm.id()).or_insert(alarm);
                }
            }
            Err(error) => {
                tracing::debug!(%error, "the record of alarms cannot be read; going by memory");
            }
        }
        for (id, alarm) in &mut self.alarms {
            let is_news = alarm
                .until
                .is_none_or(|until| has_webhook && now.since(until) < NOTIFY_WITHIN);
            if !is_news && alarm.notified < Notified::All {
                alarm.notified = Notified::All;
                self.unsaved.insert(id.clone());
            }
        }
        self.board.restore(
            self.alarms
                .values()
                .filter(|alarm| alarm.is_active())
                .cloned(),
        );
    }

    /// Takes note of a look, and tells the log what began and what is over.
    pub(super) fn apply(&mut self, look: &CheckResult, now: Millis, has_webhook: bool) {
        for mut alarm in self.board.apply(look, now) {
            let id = alarm.id();
            if !alarm.is_active() && !has_webhook {
                alarm.notified = Notified::All;
            }
            if !alarm.is_active() || !self.alarms.contains_key(&id) {
                log_alarm(&alarm);
            }
            self.alarms.insert(id.clone(), alarm);
            self.unsaved.insert(id);
        }
    }

    /// Whether an alarm stands.
    pub(super) fn is_active(&self, subject: &AlarmSubject) -> bool {
        self.board.active().any(|alarm| alarm.subject == *subject)
    }

    /// How many seconds of an account's history had been lost when that was last told of. It is no more than are lost by
    /// now: where less history is wanted than before, less of it is lost.
    pub(super) fn reported_loss_s(&mut self, account: &str, lost: i64) -> i64 {
        let of_it = |subject: &AlarmSubject| {
            subject.kind == AlarmKind::Lost && subject.account.as_deref() == Some(account)
        };
        let last = self
            .alarms
            .values_mut()
            .filter(|alarm| of_it(&alarm.subject))
            .max_by_key(|alarm| alarm.since);
        let Some((alarm, level)) = last.and_then(|alarm| alarm.level.map(|level| (alarm, level)))
        else {
            return 0;
        };
        if lost < level {
            alarm.level = Some(lost);
            self.unsaved.insert(alarm.id());
        }
        level.min(lost)
    }

    /// Looks at which of an account's streams have fallen silent.
    pub(super) async fn check_silence(
        &mut self,
        store: &dyn Archive,
        account: &str,
        streams: &[&StreamStatus],
        now: Millis,
    ) -> Result<CheckResult, StoreError> {
        let standing: BTreeSet<&AlarmSubject> =
            self.board.active().map(|alarm| &alarm.subject).collect();
        self.silence_detector
            .check(
                store,
                account,
                streams,
                |subject| standing.contains(subject),
                now,
            )
            .await
    }

    /// The oldest alarm of which the webhook has not been told all, and that may be told.
    pub(super) fn next_unnotified(&self, may_notify: impl Fn(&Alarm) -> bool) -> Option<&Alarm> {
        let is_untold = |alarm: &&Alarm| match alarm.notified {
            Notified::Nothing => true,
            Notified::Start => !alarm.is_active(),
            Notified::All => false,
        };
        self.alarms
            .values()
            .filter(is_untold)
            .filter(|alarm| may_notify(alarm))
            .min_by_key(|alarm| alarm.since)
    }

    /// The webhook has been told.
    pub(super) fn mark_notified(&mut self, id: &AlarmId, mark_notified: Notified) {
        if let Some(alarm) = self.alarms.get_mut(id) {
            alarm.notified = alarm.notified.max(mark_notified);
            self.unsaved.insert(id.clone());
        }
    }

    /// Writes down what the archive does not know. What cannot be written now is written later.
    pub(super) async fn save(&mut self, store: &dyn Archive, now: Millis) {
        let alarms: Vec<Alarm> = self
            .unsaved
            .iter()
            .filter_map(|id| self.alarms.get(id))
            .cloned()
            .collect();
        if alarms.is_empty() {
            return;
        }
        match store.save_alarms(&alarms, now.minus(ALARM_RETENTION)).await {
            Ok(()) => self.unsaved.clear(),
            Err(error) => {
                tracing::debug!(%error, "alarms cannot be put on record; they are kept in memory");
            }
        }
    }
}

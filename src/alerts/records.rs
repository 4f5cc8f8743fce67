//! The record of alarms: in the archive, and in memory while the archive cannot be written.

use std::collections::{BTreeMap, BTreeSet};

use super::board::{AlarmBoard, CheckTime};
use super::check::CheckResult;
use super::limits::{ALARM_RETENTION, NOTIFY_WITHIN};
use super::rules::silence::SilenceDetector;
use super::text::log_alarm;
use crate::domain::alarm::{Alarm, AlarmKind, AlarmSubject, Notified};
use crate::domain::time::Millis;
use crate::store::{Archive, StoreError, StreamStatus};

type AlarmId = (AlarmSubject, Millis);

/// The alarms that may still change, or that the webhook must be notified of.
#[derive(Debug, Default)]
pub(super) struct AlarmRecords {
    board: AlarmBoard,
    silence_detector: SilenceDetector,
    /// Active alarms, alarms to be notified of, and the latest alarms with a level.
    alarms: BTreeMap<AlarmId, Alarm>,
    /// The alarms that the archive does not have in this state yet.
    unsaved: BTreeSet<AlarmId>,
}

impl AlarmRecords {
    /// Reads the alarms of the archive. Alarms that are too old for a notification, or that have no
    /// webhook to go to, are marked as notified.
    pub(super) async fn reload(&mut self, store: &dyn Archive, now: Millis, has_webhook: bool) {
        match store.alarms(now).await {
            Ok(alarms) => {
                self.alarms.retain(|id, _| self.unsaved.contains(id));
                for alarm in alarms {
                    self.alarms.entry(alarm.id()).or_insert(alarm);
                }
            }
            Err(error) => {
                tracing::debug!(
                    %error,
                    "the alarms in the archive could not be read; using those in memory"
                );
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
        let active = self.alarms.values().filter(|alarm| alarm.is_active());
        self.board.restore(active.cloned());
    }

    /// Applies the result of a check, and logs alarms that began or ended.
    pub(super) fn apply(&mut self, result: &CheckResult, now: CheckTime, has_webhook: bool) {
        for mut alarm in self.board.apply(result, now) {
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

    /// True if an alarm on this subject is active.
    pub(super) fn is_active(&self, subject: &AlarmSubject) -> bool {
        self.board.active().any(|alarm| alarm.subject == *subject)
    }

    /// Returns the seconds of lost history that were last reported for an account, but at most
    /// `lost`. The loss shrinks if less history is wanted than before; the stored level is then
    /// lowered too.
    pub(super) fn reported_loss_s(&mut self, account: &str, lost: i64) -> i64 {
        let is_loss = |alarm: &&mut Alarm| {
            let subject = &alarm.subject;
            subject.kind == AlarmKind::Lost && subject.account.as_deref() == Some(account)
        };
        let losses = self.alarms.values_mut().filter(is_loss);
        let Some(alarm) = losses.max_by_key(|alarm| alarm.since) else {
            return 0;
        };
        let Some(level) = alarm.level else {
            return 0;
        };
        if lost < level {
            alarm.level = Some(lost);
            self.unsaved.insert(alarm.id());
        }
        level.min(lost)
    }

    /// Checks an account's streams for silence.
    pub(super) async fn check_silence(
        &mut self,
        store: &dyn Archive,
        account: &str,
        streams: &[&StreamStatus],
        now: Millis,
    ) -> Result<CheckResult, StoreError> {
        let active: BTreeSet<&AlarmSubject> =
            self.board.active().map(|alarm| &alarm.subject).collect();
        let is_active = |subject: &AlarmSubject| active.contains(subject);
        self.silence_detector
            .check(store, account, streams, is_active, now)
            .await
    }

    /// Returns the oldest alarm with a pending notification for which `may_notify` is true.
    pub(super) fn next_unnotified(&self, may_notify: impl Fn(&Alarm) -> bool) -> Option<&Alarm> {
        let is_pending = |alarm: &&Alarm| match alarm.notified {
            Notified::Nothing => true,
            Notified::Start => !alarm.is_active(),
            Notified::All => false,
        };
        self.alarms
            .values()
            .filter(is_pending)
            .filter(|alarm| may_notify(alarm))
            .min_by_key(|alarm| alarm.since)
    }

    /// Records that the webhook has been notified.
    pub(super) fn mark_notified(&mut self, id: &AlarmId, state: Notified) {
        if let Some(alarm) = self.alarms.get_mut(id) {
            alarm.notified = alarm.notified.max(state);
            self.unsaved.insert(id.clone());
        }
    }

    /// Returns the alarms that the archive does not have in their latest state.
    pub(super) fn unsaved(&self) -> impl Iterator<Item = &Alarm> {
        self.unsaved.iter().filter_map(|id| self.alarms.get(id))
    }

    /// Writes unsaved alarms to the archive. If that fails, they stay in memory and are written by
    /// a later call.
    pub(super) async fn save(&mut self, store: &dyn Archive, now: Millis) {
        let alarms: Vec<Alarm> = self.unsaved().cloned().collect();
        if alarms.is_empty() {
            return;
        }
        match store.save_alarms(&alarms, now.minus(ALARM_RETENTION)).await {
            Ok(()) => self.unsaved.clear(),
            Err(error) => {
                tracing::debug!(%error, "alarms could not be saved; they are kept in memory");
            }
        }
    }
}

//! What is on record of alarms: in the archive, and in memory for as long as that cannot be written.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::log;
use crate::domain::alarm::{Alarm, Kind, Subject, Told};
use crate::domain::time::Millis;
use crate::store::{Store, StoreError, StreamStatus};
use crate::sync::alarms::board::{Board, Look};
use crate::sync::alarms::silence::Silences;

/// What is over is kept for so long.
const KEPT: Duration = Duration::from_hours(2160);
/// What was over, or began, longer ago is no news any more.
const NEWS: Duration = Duration::from_hours(24);

type Id = (Subject, Millis);

/// See above.
#[derive(Debug, Default)]
pub(super) struct Records {
    board: Board,
    silences: Silences,
    /// What stands, what is to be told, and how far harm had come.
    known: BTreeMap<Id, Alarm>,
    /// What of it the archive does not know.
    unsaved: BTreeSet<Id>,
}

impl Records {
    /// Reads what the archive has. What is too old to be told, or has nobody to be told to, is taken for told.
    pub(super) async fn refresh(&mut self, store: &dyn Store, now: Millis, has_webhook: bool) {
        match store.alarms(now).await {
            Ok(alarms) => {
                self.known.retain(|id, _| self.unsaved.contains(id));
                for alarm in alarms {
                    self.known.entry(alarm.id()).or_insert(alarm);
                }
            }
            Err(error) => {
                tracing::debug!(%error, "the record of alarms cannot be read; going by memory")
            }
        }
        for (id, alarm) in &mut self.known {
            let is_news = alarm
                .until
                .is_none_or(|until| has_webhook && now.since(until) < NEWS);
            if !is_news && alarm.told < Told::All {
                alarm.told = Told::All;
                self.unsaved.insert(id.clone());
            }
        }
        self.board.recall(
            self.known
                .values()
                .filter(|alarm| alarm.is_standing())
                .cloned(),
        );
    }

    /// Takes note of a look, and tells the log what began and what is over.
    pub(super) fn take(&mut self, look: &Look, now: Millis, has_webhook: bool) {
        for mut alarm in self.board.take(look, now) {
            let id = alarm.id();
            if !alarm.is_standing() && !has_webhook {
                alarm.told = Told::All;
            }
            if !alarm.is_standing() || !self.known.contains_key(&id) {
                log(&alarm);
            }
            self.known.insert(id.clone(), alarm);
            self.unsaved.insert(id);
        }
    }

    /// Whether an alarm stands.
    pub(super) fn stands(&self, subject: &Subject) -> bool {
        self.board.standing().any(|alarm| alarm.subject == *subject)
    }

    /// How many seconds of an account's history had been lost when that was last told of. It is no more than are lost by
    /// now: where less history is wanted than before, less of it is lost.
    pub(super) fn known_loss(&mut self, account: &str, lost: i64) -> i64 {
        let of_it = |subject: &Subject| {
            subject.kind == Kind::Lost && subject.account.as_deref() == Some(account)
        };
        let last = self
            .known
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
    pub(super) async fn silent(
        &mut self,
        store: &dyn Store,
        account: &str,
        streams: &[&StreamStatus],
        now: Millis,
    ) -> Result<Look, StoreError> {
        let standing: BTreeSet<&Subject> =
            self.board.standing().map(|alarm| &alarm.subject).collect();
        self.silences
            .look(
                store,
                account,
                streams,
                |subject| standing.contains(subject),
                now,
            )
            .await
    }

    /// The oldest alarm of which the webhook has not been told all, and that may be told.
    pub(super) fn untold(&self, may_be_told: impl Fn(&Alarm) -> bool) -> Option<&Alarm> {
        let is_untold = |alarm: &&Alarm| match alarm.told {
            Told::Nothing => true,
            Told::Begun => !alarm.is_standing(),
            Told::All => false,
        };
        self.known
            .values()
            .filter(is_untold)
            .filter(|alarm| may_be_told(alarm))
            .min_by_key(|alarm| alarm.since)
    }

    /// The webhook has been told.
    pub(super) fn told(&mut self, id: &Id, told: Told) {
        if let Some(alarm) = self.known.get_mut(id) {
            alarm.told = alarm.told.max(told);
            self.unsaved.insert(id.clone());
        }
    }

    /// Writes down what the archive does not know. What cannot be written now is written later.
    pub(super) async fn save(&mut self, store: &dyn Store, now: Millis) {
        let alarms: Vec<Alarm> = self
            .unsaved
            .iter()
            .filter_map(|id| self.known.get(id))
            .cloned()
            .collect();
        if alarms.is_empty() {
            return;
        }
        match store.note_alarms(&alarms, now.minus(KEPT)).await {
            Ok(()) => self.unsaved.clear(),
            Err(error) => {
                tracing::debug!(%error, "alarms cannot be put on record; they are kept in memory")
            }
        }
    }
}

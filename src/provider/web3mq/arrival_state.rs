//! The state of a topic that may be read in order of arrival: how far it is archived, and whose turn it
//! is to read on.

use std::sync::{Arc, Mutex as SyncMutex};

use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::domain::arrival::ArrivalMark;
use crate::domain::lock::lock;

/// The state of a topic that may be read in order of arrival.
#[derive(Debug, Default)]
pub(super) struct ArrivalState {
    /// The place up to which the topic is archived. `None` while it counts as being in order of
    /// time.
    mark: SyncMutex<Option<ArrivalMark>>,
    /// Held from the reading of a part until that is archived.
    turn: Arc<Mutex<()>>,
}

impl ArrivalState {
    pub(super) fn mark(&self) -> Option<ArrivalMark> {
        *lock(&self.mark)
    }

    pub(super) fn set_mark(&self, mark: Option<ArrivalMark>) {
        *lock(&self.mark) = mark;
    }

    /// Begins to read by arrival, from the oldest message on. False if that was begun before.
    pub(super) fn begin(&self) -> bool {
        let mut mark = lock(&self.mark);
        let is_new = mark.is_none();
        mark.get_or_insert_default();
        is_new
    }

    /// Waits until the part before is archived.
    pub(super) async fn next_turn(&self) -> (OwnedMutexGuard<()>, ArrivalMark) {
        let turn = self.turn.clone().lock_owned().await;
        (turn, self.mark().unwrap_or_default())
    }
}

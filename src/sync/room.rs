//! Room in memory for the messages that are in hand.
//!
//! Each account has room for two windows of its own, one that is being finished and the next, so that none waits for
//! another. What more it takes in hand comes out of what all of them share.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Windows for which each account has room.
const OWN: usize = 2;
/// Bytes of other messages in hand at once, about: being fetched, waiting to be written, being written.
const SHARED: u64 = 8 << 20;
/// Bytes that a message takes besides its payload, about.
const BESIDES: u64 = 500;
/// Bytes are counted by so many.
const UNIT: u64 = 1 << 10;
const UNITS: u32 = (SHARED / UNIT) as u32;

/// An account's room.
#[derive(Clone, Debug)]
pub(super) struct Room {
    shared: Arc<Semaphore>,
    own: Arc<Semaphore>,
    /// Bytes to a message.
    size: u64,
}

/// Room that is taken until this is dropped.
pub(super) type Held = OwnedSemaphorePermit;

impl Room {
    /// Of the first account.
    pub(super) fn new() -> Self {
        Self {
            shared: Arc::new(Semaphore::new(UNITS as usize)),
            own: Arc::new(Semaphore::new(OWN)),
            size: BESIDES,
        }
    }

    /// Of another.
    pub(super) fn beside(&self) -> Self {
        Self {
            own: Arc::new(Semaphore::new(OWN)),
            ..self.clone()
        }
    }

    /// The same room, for messages with so many bytes of payload.
    pub(super) fn of(&self, payload: u64) -> Self {
        Self {
            size: payload + BESIDES,
            ..self.clone()
        }
    }

    /// Waits until there is room for a window of so many messages.
    pub(super) async fn take(&self, messages: u64) -> Option<Held> {
        tokio::select! {
            biased;
            held = self.own.clone().acquire_owned() => held.ok(),
            held = self.shared.clone().acquire_many_owned(self.units(messages)) => held.ok(),
        }
    }

    /// Whether there is room for such a window at present.
    pub(super) fn is_left(&self, messages: u64) -> bool {
        self.own.available_permits() > 0
            || self.shared.available_permits() >= self.units(messages) as usize
    }

    fn units(&self, messages: u64) -> u32 {
        u32::try_from(messages.saturating_mul(self.size) / UNIT)
            .unwrap_or(UNITS)
            .min(UNITS)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn what_all_have_in_hand_is_bounded_and_each_has_room_of_its_own() {
        let one = Room::new().of(1000);
        let other = one.beside();
        let taken = |room: &Room, messages| room.take(messages).now_or_never().flatten();
        let own = [7000, 1_000_000].map(|messages| taken(&one, messages).unwrap());
        let most = taken(&one, 5000).unwrap();
        assert!(!one.is_left(2000) && taken(&one, 2000).is_none());
        assert!(other.is_left(2000) && other.is_left(1_000_000), "its own");
        let others = [2000, 1_000_000].map(|messages| taken(&other, messages).unwrap());
        assert!(!other.is_left(2000) && taken(&other, 2000).is_none());
        assert!(other.is_left(500), "of what is shared");
        drop(own);
        assert!(one.is_left(2000) && !other.is_left(2000));
        drop(most);
        assert!(other.is_left(5000));
        drop(others);
    }
}

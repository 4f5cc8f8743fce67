//! Room in memory for the messages that are in hand.
//!
//! Each account has room for two windows of its own, one that is being finished and the next, so that none waits for
//! another. What more it takes in hand comes out of what all of them share.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Windows for which each account has room.
const OWN_WINDOWS: usize = 2;
/// Bytes of other messages in hand at once, about: being fetched, waiting to be written, being written.
const SHARED_BYTES: u64 = 8 << 20;
/// Bytes that a message takes besides its payload, about.
const MESSAGE_OVERHEAD_BYTES: u64 = 500;
/// Bytes are counted by so many.
const UNIT_BYTES: u64 = 1 << 10;
const UNITS: u32 = (SHARED_BYTES / UNIT_BYTES) as u32;

/// An account's room.
#[derive(Clone, Debug)]
pub(super) struct MemoryBudget {
    shared: Arc<Semaphore>,
    own: Arc<Semaphore>,
    /// Bytes to a message.
    message_bytes: u64,
}

/// Room that is taken until this is dropped.
pub(super) type MemoryPermit = OwnedSemaphorePermit;

impl MemoryBudget {
    /// Of the first account.
    pub(super) fn new() -> Self {
        Self {
            shared: Arc::new(Semaphore::new(UNITS as usize)),
            own: Arc::new(Semaphore::new(OWN_WINDOWS)),
            message_bytes: MESSAGE_OVERHEAD_BYTES,
        }
    }

    /// Of another.
    pub(super) fn for_another_account(&self) -> Self {
        Self {
            own: Arc::new(Semaphore::new(OWN_WINDOWS)),
            ..self.clone()
        }
    }

    /// The same room, for messages with so many bytes of payload.
    pub(super) fn with_payload_size(&self, payload: u64) -> Self {
        Self {
            message_bytes: payload + MESSAGE_OVERHEAD_BYTES,
            ..self.clone()
        }
    }

    /// Waits until there is room for a window of so many messages.
    pub(super) async fn acquire(&self, messages: u64) -> Option<MemoryPermit> {
        tokio::select! {
            biased;
            held = self.own.clone().acquire_owned() => held.ok(),
            held = self.shared.clone().acquire_many_owned(self.units(messages)) => held.ok(),
        }
    }

    /// Whether there is room for such a window at present.
    pub(super) fn has_room_for(&self, messages: u64) -> bool {
        self.own.available_permits() > 0
            || self.shared.available_permits() >= self.units(messages) as usize
    }

    fn units(&self, messages: u64) -> u32 {
        u32::try_from(messages.saturating_mul(self.message_bytes) / UNIT_BYTES)
            .unwrap_or(UNITS)
            .min(UNITS)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn memory_is_bounded_and_each_account_has_its_own_share() {
        let one = MemoryBudget::new().with_payload_size(1000);
        let other = one.for_another_account();
        let taken = |room: &MemoryBudget, messages| room.acquire(messages).now_or_never().flatten();
        let own = [7000, 1_000_000].map(|messages| taken(&one, messages).unwrap());
        let most = taken(&one, 5000).unwrap();
        assert!(!one.has_room_for(2000) && taken(&one, 2000).is_none());
        assert!(
            other.has_room_for(2000) && other.has_room_for(1_000_000),
            "its own"
        );
        let others = [2000, 1_000_000].map(|messages| taken(&other, messages).unwrap());
        assert!(!other.has_room_for(2000) && taken(&other, 2000).is_none());
        assert!(other.has_room_for(500), "of what is shared");
        drop(own);
        assert!(one.has_room_for(2000) && !other.has_room_for(2000));
        drop(most);
        assert!(other.has_room_for(5000));
        drop(others);
    }
}

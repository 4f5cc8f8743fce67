//! Room in memory for the messages that a pass has in hand.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of messages in hand at once, about: being fetched, waiting to be written, being written.
const IN_HAND: u64 = 16 << 20;
/// Bytes that a message takes besides its payload, about.
const BESIDES: u64 = 600;
/// Bytes are counted by so many.
const UNIT: u64 = 1 << 10;
const UNITS: u32 = (IN_HAND / UNIT) as u32;

/// Room for messages of a size.
#[derive(Clone, Debug)]
pub(super) struct Room {
    free: Arc<Semaphore>,
    /// Bytes to a message.
    size: u64,
}

/// Room that is taken until this is dropped.
pub(super) type Held = OwnedSemaphorePermit;

impl Room {
    pub(super) fn new() -> Self {
        Self { free: Arc::new(Semaphore::new(UNITS as usize)), size: BESIDES }
    }

    /// The same room, for messages with so many bytes of payload.
    pub(super) fn of(&self, payload: u64) -> Self {
        Self { size: payload + BESIDES, ..self.clone() }
    }

    /// Waits until there is room for so many messages, or, where there never will be, for them alone.
    pub(super) async fn take(&self, messages: u64) -> Option<Held> {
        self.free.clone().acquire_many_owned(self.units(messages)).await.ok()
    }

    /// Whether there is room for so many at present.
    pub(super) fn is_left(&self, messages: u64) -> bool {
        self.free.available_permits() >= self.units(messages) as usize
    }

    fn units(&self, messages: u64) -> u32 {
        u32::try_from(messages.saturating_mul(self.size) / UNIT).unwrap_or(UNITS).min(UNITS)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn what_is_in_hand_is_bounded_and_what_is_too_large_goes_alone() {
        let room = Room::new().of(200);
        let taken = |messages| room.take(messages).now_or_never().flatten();
        let half = taken(10_000).unwrap();
        let rest = taken(10_000).unwrap();
        assert!(!room.is_left(1000) && taken(1000).is_none());
        drop(half);
        assert!(room.is_left(1000) && taken(1000).is_some());
        assert!(!room.is_left(1_000_000) && taken(1_000_000).is_none());
        drop(rest);
        assert!(room.is_left(1_000_000));
        let all = taken(1_000_000).unwrap();
        assert!(!room.is_left(2) && taken(2).is_none());
        drop(all);
    }
}

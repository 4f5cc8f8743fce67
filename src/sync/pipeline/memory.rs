//! The memory budget for messages in flight.
//!
//! Each account can always hold two windows: one that is being completed and the next, so that no
//! account waits for another. Further windows share one budget.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::identity::IdentifiedMessage;
use crate::sync::limits::{
    MESSAGE_OVERHEAD_BYTES, OWN_WINDOWS, PERMIT_BYTES, READ_ROOM_BYTES, SHARED_BYTES,
    WINDOW_PAYLOAD_BYTES,
};

/// The number of permits of the shared budget.
const SHARED_PERMITS: u32 = (SHARED_BYTES / PERMIT_BYTES) as u32;

/// The memory budget of an account: its own windows, and the budget that all accounts share.
#[derive(Clone, Debug)]
pub(in crate::sync) struct MemoryBudget {
    shared: Arc<Semaphore>,
    own: Arc<Semaphore>,
    /// Approximate bytes per message.
    message_bytes: u64,
}

/// Memory that is occupied until this is dropped.
#[derive(Debug)]
pub(super) struct MemoryPermit {
    /// They are given back when this is dropped.
    permits: Vec<OwnedSemaphorePermit>,
    /// The bytes that they stand for.
    bytes: u64,
}

impl MemoryBudget {
    /// Creates the budget of the first account.
    pub(in crate::sync) fn new() -> Self {
        Self {
            shared: Arc::new(Semaphore::new(SHARED_PERMITS as usize)),
            own: Arc::new(Semaphore::new(OWN_WINDOWS)),
            message_bytes: MESSAGE_OVERHEAD_BYTES,
        }
    }

    /// Creates the budget of another account, with the same shared part.
    pub(in crate::sync) fn for_another_account(&self) -> Self {
        Self {
            own: Arc::new(Semaphore::new(OWN_WINDOWS)),
            ..self.clone()
        }
    }

    /// Returns the same budget for messages with this many bytes of payload.
    pub(super) fn with_payload_size(&self, payload_bytes: u64) -> Self {
        Self {
            message_bytes: payload_bytes + MESSAGE_OVERHEAD_BYTES,
            ..self.clone()
        }
    }

    /// Waits until there is memory for a window of this many messages.
    pub(super) async fn acquire(&self, messages: u64) -> Option<MemoryPermit> {
        let needed = self.permits(messages);
        let (permit, bytes) = tokio::select! {
            biased;
            permit = self.own.clone().acquire_owned() => (permit, READ_ROOM_BYTES),
            permit = self.shared.clone().acquire_many_owned(needed) => {
                (permit, u64::from(needed) * PERMIT_BYTES)
            }
        };
        let permits = vec![permit.ok()?];
        Some(MemoryPermit { permits, bytes })
    }

    /// Accounts for messages that have turned out to occupy `held` bytes. They are in memory
    /// already, so this does not wait: what is missing is taken from the shared budget as far as it
    /// goes, and the next window waits for it.
    pub(super) fn extend(&self, permit: Option<MemoryPermit>, held: u64) -> Option<MemoryPermit> {
        let known = permit.as_ref().map_or(0, |permit| permit.bytes);
        let missing = (held.saturating_sub(known) / PERMIT_BYTES) as usize;
        let permits = missing.min(self.shared.available_permits());
        let permits = u32::try_from(permits).ok().filter(|permits| *permits > 0);
        let more = permits.and_then(|n| self.shared.clone().try_acquire_many_owned(n).ok());
        let Some(more) = more else { return permit };
        let bytes = known + more.num_permits() as u64 * PERMIT_BYTES;
        let mut permits = permit.map_or_else(Vec::new, |permit| permit.permits);
        permits.push(more);
        Some(MemoryPermit { permits, bytes })
    }

    /// True if there is memory for such a window now.
    pub(super) fn has_room_for(&self, messages: u64) -> bool {
        let needed = self.permits(messages) as usize;
        self.own.available_permits() > 0 || self.shared.available_permits() >= needed
    }

    /// Returns the permits for this many messages, at most all there are.
    fn permits(&self, messages: u64) -> u32 {
        let permits = messages.saturating_mul(self.message_bytes) / PERMIT_BYTES;
        u32::try_from(permits)
            .unwrap_or(SHARED_PERMITS)
            .min(SHARED_PERMITS)
    }
}

/// The mean size of the content of the messages seen lately, in bytes. It outlasts a pass.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::sync) struct PayloadSize {
    mean_bytes: u64,
}

impl PayloadSize {
    /// Returns the mean size, in bytes. 0 before any message was seen.
    pub(super) fn mean_bytes(self) -> u64 {
        self.mean_bytes
    }

    /// Returns the number of messages that a window should hold: `usual`, and down to a tenth of it
    /// where messages are large.
    pub(super) fn messages_per_window(self, usual: u64) -> u64 {
        (WINDOW_PAYLOAD_BYTES / self.mean_bytes.max(1)).clamp(usual / 10, usual)
    }

    /// Adds the messages of a window. The mean follows larger messages at once and smaller ones
    /// slowly, since underestimating costs memory.
    pub(super) fn observe(&mut self, messages: &[IdentifiedMessage]) {
        let payloads = messages
            .iter()
            .map(|message| message.message.content_bytes());
        let Some(mean) = payloads.sum::<u64>().checked_div(messages.len() as u64) else {
            return;
        };
        let decayed = (self.mean_bytes * 7 + mean) / 8;
        self.mean_bytes = if mean > self.mean_bytes {
            mean
        } else {
            decayed
        };
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
        let taken =
            |budget: &MemoryBudget, messages| budget.acquire(messages).now_or_never().flatten();
        let own = [7000, 1_000_000].map(|messages| taken(&one, messages).unwrap());
        let most = taken(&one, 5000).unwrap();
        assert!(!one.has_room_for(2000) && taken(&one, 2000).is_none());
        assert!(
            other.has_room_for(2000) && other.has_room_for(1_000_000),
            "its own"
        );
        let others = [2000, 1_000_000].map(|messages| taken(&other, messages).unwrap());
        assert!(!other.has_room_for(2000) && taken(&other, 2000).is_none());
        assert!(other.has_room_for(500), "of the shared budget");
        drop(own);
        assert!(one.has_room_for(2000) && !other.has_room_for(2000));
        drop(most);
        assert!(other.has_room_for(5000));
        drop(others);
    }

    #[test]
    fn windows_hold_fewer_messages_where_payloads_are_large() {
        let window = |mean_bytes| PayloadSize { mean_bytes }.messages_per_window(5000);
        assert_eq!(
            (window(0), window(800), window(4 << 10)),
            (5000, 5000, 1024)
        );
        assert_eq!(window(1 << 20), 500, "no fewer than a tenth");
    }
}

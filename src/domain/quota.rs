//! Blocks of time in which one of several processes may send requests for an account.

use std::time::Duration;

use super::time::Millis;

/// A request for the next block of an account's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockRequest {
    /// The length of the block.
    pub length: Duration,
    /// The distance from the block of another process.
    pub distance: Duration,
    /// The end of this process's last block, as it was recorded.
    pub last_end: Option<Millis>,
}

/// A block of time that belongs to one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReservedBlock {
    /// The time from the answer of the record until the block begins.
    pub begins_in: Duration,
    /// Its end, as it was recorded.
    pub end: Millis,
}

impl ReservedBlock {
    /// True if the block begins where the last one of the same process ends.
    pub fn continues(&self, request: &BlockRequest) -> bool {
        request.last_end.map(|last| last.plus(request.length)) == Some(self.end)
    }
}

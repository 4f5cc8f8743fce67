//! How far a sync has come, for whoever watches.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters that only grow, shared by all accounts of a sync.
#[derive(Debug, Default)]
pub struct Progress {
    /// Messages that surveys have announced.
    expected: AtomicU64,
    /// Messages that were fetched and committed, new or not.
    fetched: AtomicU64,
    new: AtomicU64,
    windows: AtomicU64,
}

/// A reading of [`Progress`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    pub expected: u64,
    pub fetched: u64,
    pub new: u64,
    pub windows: u64,
}

impl Progress {
    pub(super) fn expect(&self, messages: u64) {
        self.expected.fetch_add(messages, Ordering::Relaxed);
    }

    pub(super) fn committed(&self, fetched: u64, new: u64) {
        self.fetched.fetch_add(fetched, Ordering::Relaxed);
        self.new.fetch_add(new, Ordering::Relaxed);
        self.windows.fetch_add(1, Ordering::Relaxed);
    }

    pub fn read(&self) -> Reading {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Reading {
            expected: read(&self.expected),
            fetched: read(&self.fetched),
            new: read(&self.new),
            windows: read(&self.windows),
        }
    }
}

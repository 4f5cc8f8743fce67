//! A clock that a test sets.

use std::sync::atomic::{AtomicI64, Ordering};

use backscroll::domain::clock::Clock;
use backscroll::domain::time::Millis;

/// A clock that a test sets: another clock and an offset.
#[derive(Debug)]
pub(crate) struct SteppedClock<C> {
    clock: C,
    offset_ms: AtomicI64,
}

impl<C: Clock> SteppedClock<C> {
    pub(crate) fn new(clock: C) -> Self {
        Self {
            clock,
            offset_ms: AtomicI64::new(0),
        }
    }

    pub(crate) fn step(&self, ms: i64) {
        self.offset_ms.fetch_add(ms, Ordering::Relaxed);
    }
}

impl<C: Clock> Clock for SteppedClock<C> {
    fn now(&self) -> Millis {
        Millis(self.clock.now().0 + self.offset_ms.load(Ordering::Relaxed))
    }
}

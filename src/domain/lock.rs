//! Locking of mutexes over plain data.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex, even if a thread has panicked while it held it.
///
/// Use it for data that every statement leaves consistent: counters, maps, caches. A panic then
/// costs one update, while a poisoned mutex would stop every other task.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

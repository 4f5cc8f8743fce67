//! Results of tasks that run beside others.

use std::panic::resume_unwind;

use tokio::task::JoinError;

/// Returns the result of a task, and passes a panic in it on. Tasks are never aborted while they are
/// waited for, so that one without a result has panicked.
pub fn unwrap_task<T>(task: Result<T, JoinError>) -> T {
    task.unwrap_or_else(|panic| resume_unwind(panic.into_panic()))
}

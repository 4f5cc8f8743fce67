//! The outcome of a command, as its exit status.

/// The result of a command that did its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExitOutcome {
    Success,
    /// The exit status is 1, because the command found a problem.
    Incomplete,
}

impl ExitOutcome {
    pub(super) fn success_if(condition: bool) -> Self {
        if condition {
            Self::Success
        } else {
            Self::Incomplete
        }
    }
}

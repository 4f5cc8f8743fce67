//! The parts of an account that its passes share, and the result of a pass.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::memory::{MemoryBudget, PayloadSize};
use super::partial_window::PartialWindows;
use crate::provider::{Disposition, ProviderError};
use crate::store::RunTotals;
use crate::sync::discovery::DiscoveredStreams;
use crate::sync::progress::AccountProgress;

/// The parts of an account that its passes share. They outlast each pass.
pub(in crate::sync) struct PassContext {
    pub(in crate::sync) progress: Arc<AccountProgress>,
    pub(in crate::sync) memory: MemoryBudget,
    pub(in crate::sync) payload_size: PayloadSize,
    pub(in crate::sync) partial_windows: PartialWindows,
    /// The signal to drop even the windows in flight.
    pub(in crate::sync) abort: CancellationToken,
}

/// The result of a pass.
#[derive(Default)]
pub(in crate::sync) struct PassOutcome {
    pub(in crate::sync) tally: RunTotals,
    /// The gravest failure.
    pub(in crate::sync) failure: Option<ProviderError>,
    /// True if the provider has answered for a stream at least.
    pub(in crate::sync) has_answers: bool,
    /// True if a failure has ended the pass.
    pub(in crate::sync) has_failed_account: bool,
    /// The number of refetched ranges with messages that a longer settle age would have caught.
    pub(in crate::sync) stragglers: u64,
    /// The streams that messages of this pass lead to.
    pub(in crate::sync) discovered: DiscoveredStreams,
}

impl PassOutcome {
    /// Adds the outcome of a further part of the same pass.
    pub(in crate::sync) fn add(&mut self, further: Self) {
        let tally = std::mem::replace(&mut self.tally, further.tally);
        self.tally.add(&tally);
        if let Some(failure) = further.failure {
            self.report_failure(failure);
        }
        self.has_answers |= further.has_answers;
        self.has_failed_account |= further.has_failed_account;
        self.stragglers += further.stragglers;
        self.discovered.extend(further.discovered);
    }

    /// Reports this failure unless a graver one is known: refused credentials are never replaced,
    /// any other failure is by the latest.
    pub(in crate::sync) fn report_failure(&mut self, failure: ProviderError) {
        let is_refused = |known: &ProviderError| known.disposition() == Disposition::Park;
        if !self.failure.as_ref().is_some_and(is_refused) {
            self.failure = Some(failure);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latest_failure_is_reported_unless_credentials_were_refused() {
        let refused = || ProviderError::Credentials {
            operation: "count",
            status: 401,
            message: None,
        };
        let changed = |attempts| ProviderError::HistoryChanged { attempts };
        let reported = |failures: Vec<ProviderError>| {
            let mut outcome = PassOutcome::default();
            for failure in failures {
                outcome.report_failure(failure);
            }
            outcome.failure.map(|failure| failure.to_string())
        };
        let text = |failure: ProviderError| Some(failure.to_string());
        assert_eq!(reported(vec![]), None);
        let twice = vec![changed(1), changed(2)];
        assert_eq!(reported(twice), text(changed(2)));
        let refused_first = vec![refused(), changed(1)];
        assert_eq!(reported(refused_first), text(refused()));
        let refused_last = vec![changed(1), refused()];
        assert_eq!(reported(refused_last), text(refused()));
    }
}

//! The purpose of a pass, and its report.

use crate::domain::format::sanitized;
use crate::domain::time::Second;
use crate::provider::ProviderError;
use crate::store::RunTotals;

/// Bounds of the wanted history, in addition to those of the configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct HistoryBounds {
    /// Nothing older than this is wanted.
    pub since: Option<Second>,
    /// Nothing from this time on is wanted.
    pub until: Option<Second>,
}

impl HistoryBounds {
    /// True if all of the account's history is wanted.
    pub fn is_unbounded(self) -> bool {
        self.since.is_none() && self.until.is_none()
    }
}

/// The purpose of a pass.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// Fetches wanted history that is missing, and refetches suspect windows.
    Sync(HistoryBounds),
    /// Refetches suspect windows, and those whose count differs from the provider's.
    Reconcile,
    /// Refetches messages that their recipients had not read when they were fetched.
    Refresh,
}

impl Purpose {
    /// The names of all purposes.
    pub const NAMES: [&str; 3] = ["sync", "reconcile", "refresh"];

    /// Returns the name that the view `runs` and the metrics use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sync(_) => "sync",
            Self::Reconcile => "reconcile",
            Self::Refresh => "refresh",
        }
    }

    pub(super) fn bounds(self) -> HistoryBounds {
        if let Self::Sync(bounds) = self {
            bounds
        } else {
            HistoryBounds::default()
        }
    }
}

/// The result of a pass, for one account.
#[derive(Debug)]
pub struct PassReport {
    pub account: String,
    pub tally: RunTotals,
    /// Seconds of wanted and settled history that are not sealed yet, over all streams. `None` if
    /// the account could not be worked on.
    pub missing_seconds: Option<u64>,
    /// Streams that were discovered and are followed from the next pass on.
    pub discovered_streams: u64,
    /// True if a directory of the provider could not be read when they were last read.
    pub discovery_failed: bool,
    /// True if the provider has answered for a stream at least.
    pub has_answers: bool,
    /// True if the failure concerns the account as a whole: it came before all of its streams, or
    /// ended the pass, or none of the streams could be fetched.
    pub is_account_failure: bool,
    /// The failure that stopped the account or some of its streams.
    pub failure: Option<ProviderError>,
}

impl PassReport {
    /// Returns the report of a pass that failed before all streams.
    pub(super) fn not_begun(account: &str, tally: RunTotals, failure: ProviderError) -> Self {
        Self {
            account: account.to_owned(),
            tally,
            missing_seconds: None,
            discovered_streams: 0,
            discovery_failed: false,
            has_answers: false,
            is_account_failure: true,
            failure: Some(failure),
        }
    }

    /// True if the pass has confirmed something of the account, and no failure has ended it.
    pub fn shows_working_account(&self) -> bool {
        self.has_answers && self.account_failure().is_none()
    }

    /// Returns the failure that concerns the account as a whole, whatever it is called.
    pub fn account_failure(&self) -> Option<&ProviderError> {
        self.failure.as_ref().filter(|_| self.is_account_failure)
    }

    /// True if some streams of a working account failed, or were not discovered.
    pub fn has_stream_failures(&self) -> bool {
        (self.failure.is_some() && !self.is_account_failure) || self.discovery_failed
    }

    /// True if all wanted history that the provider is trusted to show is sealed, and all streams
    /// are known.
    pub fn is_complete(&self) -> bool {
        let is_sealed = self.missing_seconds == Some(0) && self.failure.is_none();
        is_sealed && self.discovered_streams == 0 && !self.discovery_failed
    }

    /// True if another pass right away has more to do, judging by this one.
    pub fn has_more_work(&self) -> bool {
        let has_backlog = self.missing_seconds != Some(0) && self.failure.is_none();
        self.discovered_streams > 0 || has_backlog && self.tally.windows > 0
    }
}

/// A failure of the provider that kept the engine from an account, or from one of its streams.
#[derive(Debug)]
pub struct AccountFailure {
    pub account: String,
    /// `None` if the account as a whole is concerned.
    pub stream: Option<String>,
    pub failure: ProviderError,
}

impl std::fmt::Display for AccountFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            account,
            stream,
            failure,
        } = self;
        match stream {
            Some(stream) => write!(f, "{account} {}: {failure}", sanitized(stream)),
            None => write!(f, "{account}: {failure}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(missing_seconds: Option<u64>, discovered_streams: u64, windows: u64) -> PassReport {
        PassReport {
            account: "shop".to_owned(),
            tally: RunTotals {
                windows,
                ..RunTotals::default()
            },
            missing_seconds,
            discovered_streams,
            discovery_failed: false,
            has_answers: true,
            is_account_failure: false,
            failure: None,
        }
    }

    #[test]
    fn another_pass_is_worth_it_after_progress_or_discoveries() {
        let is_complete = |report: PassReport| (report.is_complete(), report.has_more_work());
        assert_eq!(is_complete(report(Some(0), 0, 9)), (true, false));
        assert_eq!(is_complete(report(Some(5), 0, 9)), (false, true));
        assert_eq!(
            is_complete(report(Some(5), 0, 0)),
            (false, false),
            "no progress"
        );
        assert_eq!(is_complete(report(Some(0), 1, 0)), (false, true));
        assert!(!report(None, 0, 0).is_complete(), "it is not known");
    }
}

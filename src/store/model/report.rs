//! Reports on streams, accounts, passes and ledger days.

use std::path::Path;
use std::time::Duration;

use super::account::{AccountId, Pause, RecordedError, RunTotals, StreamId};
use crate::domain::clock::MachineSkew;
use crate::domain::frontier::Frontier;
use crate::domain::stream::Scope;
use crate::domain::time::{Millis, Second};
use crate::domain::window::{Runs, Window};

/// The status of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamStatus {
    /// The stream's id. `None` if the row stands for an account of which no stream is known yet.
    pub id: Option<StreamId>,
    pub account_id: AccountId,
    pub account: String,
    pub provider: String,
    pub stream: String,
    /// The messages that belong to the stream. `None` if it was last followed before scopes were
    /// recorded.
    pub scope: Option<Scope>,
    /// The start of the wanted history.
    pub wanted_from: Second,
    /// The provider's time when the stream was first followed.
    pub followed_at: Second,
    /// The sealed runs within the provider's retention.
    pub sealed: Runs,
    /// The end of the unbroken run of sealed windows from the start of the wanted history that
    /// can still be fetched. `None` if nothing is sealed there.
    pub watermark: Option<Second>,
    /// The account's frontier when it was last saved.
    pub frontier: Frontier,
    /// The number of messages in sealed windows.
    pub messages: u64,
    /// The number of messages in sealed windows that the provider still had at the last pass.
    pub recent_messages: u64,
    /// The length of these windows in seconds.
    pub recent_seconds: u64,
    /// The number of ledger rows in doubt.
    pub suspect_rows: u64,
    /// The number of those that the provider has no longer. They stay in doubt.
    pub expired_suspect_rows: u64,
    pub quarantined: u64,
    /// The ranges that were settled, wanted and unsealed at the last pass, and still fetchable.
    pub missing: Vec<Window>,
    /// The length of these ranges in seconds.
    pub missing_seconds: u64,
    /// The seconds of wanted history that passed the horizon unsealed.
    pub lost_seconds: u64,
    pub error: Option<RecordedError>,
    /// The reason why the latest pass could not work on the account. `None` if it could.
    pub account_error: Option<RecordedError>,
    /// The reason why discovery failed for the account. `None` if it succeeded or is disabled.
    pub discovery_error: Option<RecordedError>,
    /// True if the stream was discovered rather than configured.
    pub discovered: bool,
    pub pause: Option<Pause>,
    /// The account's settle age, if late messages have raised it above the configured one.
    pub settle_override: Option<Duration>,
    /// This machine's clock minus the provider's, at the account's latest pass.
    pub clock_skew: MachineSkew,
}

impl StreamStatus {
    /// Returns the number of ledger rows in doubt that can still be fetched again.
    #[must_use]
    pub fn refetchable_suspects(&self) -> u64 {
        self.suspect_rows.saturating_sub(self.expired_suspect_rows)
    }

    /// True if the account is paused, or its latest pass or discovery has failed.
    pub(in crate::store) fn has_account_fault(&self) -> bool {
        self.pause.is_some() || self.account_error.is_some() || self.discovery_error.is_some()
    }
}

/// The status of an account in a few numbers. Reading it costs little at any archive size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountSummary {
    pub account: String,
    pub provider: String,
    /// The number of active streams.
    pub streams: u64,
    /// The number of active streams with a recorded error.
    pub failing_streams: u64,
    /// The account's frontier when it was last saved.
    pub frontier: Frontier,
    pub pause: Option<Pause>,
    /// The end of the unbroken run of sealed windows of the stream furthest behind, or the start
    /// of its wanted history if nothing of it is sealed. `None` if no stream has settled history.
    pub complete_to: Option<Second>,
    /// The ranges that were settled, wanted and unsealed at the last pass, and still fetchable.
    pub missing: Vec<(StreamId, Window)>,
    /// The seconds of wanted history that passed the horizon unsealed, over all streams.
    pub lost_seconds: u64,
    /// The number of ledger rows in doubt.
    pub suspect_rows: u64,
    /// The number of those that the provider has no longer. They stay in doubt.
    pub expired_suspect_rows: u64,
    /// The number of messages in quarantine.
    pub quarantined: u64,
    /// The number of messages in sealed windows that the provider still had at the last pass.
    pub recent_messages: u64,
    /// The length of these windows in seconds.
    pub recent_seconds: u64,
}

/// The request rate of an account over its recent passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestRate {
    /// The account's name.
    pub account: String,
    pub requests: u64,
    /// The total duration of the passes that sent these requests.
    pub busy: Duration,
    /// The end of the last pass, or its start if it has not ended.
    pub last_pass: Option<Millis>,
}

/// A pass that has ended or is running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassRecord {
    /// The account's name.
    pub account: String,
    /// The purpose of the pass.
    pub why: String,
    pub started_at: Millis,
    /// `None` while the pass is running, and if it was aborted.
    pub finished_at: Option<Millis>,
    pub totals: RunTotals,
}

/// The totals of an account's passes that began within one time bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThroughputBucket {
    /// The account's name.
    pub account: String,
    /// The start of the bucket. All buckets have the same length and are aligned to 1970.
    pub from: Millis,
    pub requests: u64,
    pub new: u64,
    pub errors: u64,
    /// The largest lag in seconds, at the end of any of these passes, of the stream furthest
    /// behind.
    pub lag_seconds: Option<u64>,
}

/// The ledger rows of a stream that begin on one day and end on one day (UTC), added up. Rows
/// that cross midnight form an entry of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerDay {
    /// The range from the start of the first row to the end of the last.
    pub window: Window,
    /// The sealed seconds within the range.
    pub seconds: u64,
    pub messages: u64,
    /// True if the rows are in doubt.
    pub is_suspect: bool,
}

/// Messages of one conversation within a minute that are known to be unread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadGroup {
    pub sender: String,
    pub recipient: String,
    pub conversation: String,
    /// The send times of the first and the last message.
    pub first: Millis,
    pub last: Millis,
}

/// The size of the file system that holds the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSpace {
    pub free_bytes: u64,
    pub total_bytes: u64,
    /// True if nothing can be written to it.
    pub is_read_only: bool,
}

impl StreamStatus {
    /// Returns the provider's time at the account's latest pass. `None` before the first one.
    pub fn last_pass_at(&self) -> Option<Second> {
        Some(self.frontier.wanted_to).filter(|at| *at > Second::EPOCH)
    }

    /// Returns the age of a moment in the stream's history, in seconds, when this machine's clock
    /// shows `now`. The provider's clock decides.
    pub fn lag_s(&self, moment: Second, now: Second) -> u64 {
        let now = self.clock_skew.provider_time(now.start()).second();
        now.0.saturating_sub(moment.0).max(0).unsigned_abs()
    }
}

impl DiskSpace {
    /// Asks the file system that holds a folder. `None` if it does not answer.
    pub fn of(folder: &Path) -> Option<Self> {
        let found = rustix::fs::statvfs(folder).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Some(Self {
            free_bytes: bytes(found.f_bavail),
            total_bytes: bytes(found.f_blocks),
            is_read_only: found.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY),
        })
    }
}

impl AccountSummary {
    /// Returns the number of missing seconds, over all streams.
    pub fn missing_seconds(&self) -> u64 {
        self.missing.iter().map(|(_, range)| range.seconds()).sum()
    }
}

impl RequestRate {
    /// Returns the requests per second. `None` if no pass was long enough to measure.
    pub fn per_second(&self) -> Option<f64> {
        (self.busy > Duration::ZERO).then(|| self.requests as f64 / self.busy.as_secs_f64())
    }
}

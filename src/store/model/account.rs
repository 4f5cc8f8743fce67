//! Accounts, their runs, and errors and pauses recorded with them.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::account::AccountIdentity;
use crate::domain::frontier::Frontier;
use crate::domain::stream::Stream;
use crate::domain::time::{Millis, Second};

/// An account's id in the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(pub i64);

/// A stream's id in the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub i64);

/// A run's id in the archive. The default precedes all others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunId(pub i64);

/// An account as the configuration names it.
#[derive(Debug)]
pub struct NewAccount<'a> {
    pub name: &'a str,
    pub provider: &'a str,
    /// The identity that the account has and keeps. `None` leaves it unchanged and unchecked.
    pub identity: Option<&'a AccountIdentity>,
    /// The configured settle age. `None` leaves the recorded one unchanged.
    pub settle: Option<Duration>,
    /// The streams that become active, and their wanted history. `None` leaves the account's
    /// streams unchanged.
    pub streams: Option<(&'a [Arc<Stream>], WantedHistory)>,
}

/// The history that is wanted of streams: what is configured, and the provider's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WantedHistory {
    /// The configured start.
    pub since: Option<Second>,
    /// The time for which a message can be fetched. Without `since`, a stream is wanted as far
    /// back as could be fetched when it was first followed. `None`: everything is wanted.
    pub reach: Option<Duration>,
    /// The provider's time.
    pub now: Second,
}

impl WantedHistory {
    /// Returns the start of the wanted history of a stream that was first followed at
    /// `followed_at`; `None` if it is not followed yet. A time of a clock that was ahead does not
    /// count: no stream was first followed in the future.
    pub fn start(self, followed_at: Option<Second>) -> Second {
        let first = followed_at.map_or(self.now, |first| first.min(self.now));
        let reached = self.reach.map(|reach| first.minus(reach));
        self.since.or(reached).unwrap_or(Second::EPOCH)
    }
}

impl<'a> NewAccount<'a> {
    /// Returns an account of which only the name and the provider are known.
    pub fn named(name: &'a str, provider: &'a str) -> Self {
        Self {
            name,
            provider,
            identity: None,
            settle: None,
            streams: None,
        }
    }
}

/// The result of registering an account.
#[derive(Debug)]
pub struct RegisteredAccount {
    pub account: AccountId,
    /// The id and the start of the wanted history of each stream given, in the order given.
    pub streams: Vec<(StreamId, Second)>,
    /// The account's frontier when it was last saved.
    pub frontier: Frontier,
    /// The pause that an earlier process recorded.
    pub pause: Option<Pause>,
    /// The fingerprint of the credentials that the provider last accepted.
    pub accepted_credentials: Option<String>,
    /// The settle age, if late messages have raised it above the configured one.
    pub settle_override: Option<Duration>,
}

/// A time before which no request is sent for an account, and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    pub until: Millis,
    pub reason: String,
    /// The fingerprint of the credentials that were refused. `None` if the pause has another
    /// reason.
    pub refused_credentials: Option<String>,
}

/// An archive's record of an account, apart from its messages and its ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRecord {
    /// The account's name.
    pub account: String,
    pub pause: Option<Pause>,
    /// The fingerprint of the credentials that the provider last accepted.
    pub accepted_credentials: Option<String>,
    /// The failure of the account as a whole.
    pub error: Option<RecordedError>,
    /// The configured settle age at the latest start, in milliseconds.
    pub settle_ms: Option<i64>,
    /// The settle age, if late messages have raised it above the configured one.
    pub settle_override: Option<Duration>,
    /// The stragglers since the settle age was last changed.
    pub stragglers: i64,
    pub discovery_error: Option<RecordedError>,
    /// The streams whose latest request failed.
    pub stream_errors: Vec<StreamErrorRecord>,
}

/// The error of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamErrorRecord {
    /// The stream's key.
    pub stream: String,
    pub error: RecordedError,
    /// The time since when the stream fails.
    pub at: Option<Millis>,
}

/// An error recorded with a stream or an account, and what the operator can do about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordedError {
    pub error: String,
    pub hint: String,
}

/// The part of an account that an error belongs to. Each keeps its own last error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorSubject {
    /// The account as a whole: a pass could not work on it.
    Account(AccountId),
    /// The discovery of its streams.
    Discovery(AccountId),
    /// One stream. `now` is kept as the time of an error that is new.
    Stream { id: StreamId, now: Millis },
}

/// The totals of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunTotals {
    pub requests: u64,
    pub new: u64,
    pub changed: u64,
    pub windows: u64,
    pub errors: u64,
    pub last_error: Option<String>,
    /// The final lag in seconds of the stream furthest behind. `None` if it was not measured.
    pub lag_seconds: Option<u64>,
}

impl RunTotals {
    /// Adds the totals of an earlier run of the same account. The earlier run's last error is
    /// kept only if this run has none.
    pub fn add(&mut self, earlier: &Self) {
        self.requests += earlier.requests;
        self.new += earlier.new;
        self.changed += earlier.changed;
        self.windows += earlier.windows;
        self.errors += earlier.errors;
        if self.last_error.is_none() {
            self.last_error.clone_from(&earlier.last_error);
        }
    }
}

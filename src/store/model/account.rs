//! Accounts, their runs, and errors and pauses recorded with them.

use std::sync::Arc;
use std::time::Duration;

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
    /// The streams that become active. `None` leaves the account's streams unchanged.
    pub streams: Option<&'a [Arc<Stream>]>,
    /// The configured start of the wanted history.
    pub since: Option<Second>,
    /// The provider's retention edge. A new stream is wanted from here if `since` is `None`.
    pub horizon: Option<Second>,
}

/// The result of registering an account.
#[derive(Debug)]
pub struct RegisteredAccount {
    pub account: AccountId,
    /// The id and the start of the wanted history of each stream given, in the order given.
    pub streams: Vec<(StreamId, Second)>,
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

/// What an archive knows of an account besides its messages and its ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRecord {
    /// The account's name.
    pub account: String,
    pub pause: Option<Pause>,
    /// The fingerprint of the credentials that the provider last accepted.
    pub accepted_credentials: Option<String>,
    /// The failure of the account as a whole.
    pub error: Option<RecordedError>,
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

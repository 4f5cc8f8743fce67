//! Where the archive lies: messages, and the ledger of what is complete.

mod account_summary;
mod activity;
mod alarms;
mod archived;
pub mod copy;
mod dialect;
mod discovery;
mod error;
mod eviction;
mod interner;
mod jsonb;
mod lease;
mod ledger;
mod postgres;
mod process_id;
mod quarantine;
mod rows;
mod schema;
mod seal;
mod sql;
mod sql_store;
mod sqlite;
mod status;
mod table;
mod write;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::alarm::Alarm;
use crate::domain::digest::Digest;
use crate::domain::frontier::Frontier;
use crate::domain::identity::IdentifiedMessage;
use crate::domain::message::UnparsableMessage;
use crate::domain::participant::Participant;
use crate::domain::stream::{Scope, Stream};
use crate::domain::time::{Millis, Second};
use crate::domain::window::{Runs, Window};
pub use account_summary::AccountSummary;
pub use activity::{PassRecord, Pulse, Stretch};
pub use alarms::Room;
pub use archived::{ArchivedMessage, Cursor};
pub use error::StoreError;
pub use eviction::Eviction;
pub use lease::Lease;
pub use ledger::{AccountLedger, KnownStream, QuarantineEntry, StreamLedger};
pub use postgres::PostgresStore;
pub use process_id::describe_this_process;
pub use quarantine::{HeldId, QuarantinedMessage, UnreadGroup};
pub use schema::{Schema, ViewFile};
pub use sql_store::SqlStore;
pub use sqlite::SqliteStore;
pub use status::{Pace, StreamStatus};
pub use table::QueryTable;

/// Whether an archive that is not there is made or is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfMissing {
    Create,
    Refuse,
}

/// An account's number in the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(pub i64);

/// A stream's number in the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub i64);

/// A run's number in the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunId(pub i64);

/// An archive.
///
/// Every method is one transaction, or one read. Time comes in as an argument; the database's own clock is never
/// asked. None is cancelled half-way: a future that is dropped leaves either all of its effect or none.
#[async_trait]
pub trait Archive: Send + Sync {
    /// Makes an account and its streams known. Streams that are no longer among them stay, inactive, with all they hold.
    /// A stream's history is wanted from `since`, else from `horizon` as it stood when the stream was first seen,
    /// else from the beginning.
    async fn register(&self, account: &NewAccount<'_>) -> Result<RegisteredAccount, StoreError>;

    /// Adds streams, each of them once, to those of an account; their history is wanted from `from` on. Answers with
    /// their numbers, in their order.
    async fn follow(
        &self,
        account: AccountId,
        streams: &[Arc<Stream>],
        from: Second,
    ) -> Result<Vec<StreamId>, StoreError>;

    /// The streams of an account, active or not, that were found and not listed, in the order in which they were found.
    async fn discovered_streams(&self, account: AccountId) -> Result<Vec<Stream>, StoreError>;

    /// Who appears in an account's messages, some of them more than once. As many lookups as there are names.
    async fn parties(&self, account: AccountId) -> Result<Vec<Participant<'static>>, StoreError>;

    /// Notes why the provider could not be asked what there is to follow; `None`: it could, or is not asked.
    async fn record_discovery_error(
        &self,
        account: AccountId,
        trouble: Option<&RecordedError>,
    ) -> Result<(), StoreError>;

    /// Makes sure that nobody but this process works on the account, or errors with [`StoreError::Held`]. `holder` is
    /// what others are told who ask. It is given back with [`Self::release`], or when the process ends.
    async fn acquire_lease(&self, account: AccountId, holder: &str) -> Result<Lease, StoreError>;

    /// Gives back all accounts.
    async fn release_leases(&self);

    /// What is sealed of an account's active streams, as far back as the provider remembers.
    async fn sealed_runs(&self, account: AccountId) -> Result<HashMap<StreamId, Runs>, StoreError>;

    /// Notes where an account stands now. Nothing of it ever moves back.
    async fn save_frontier(&self, account: AccountId, frontier: Frontier)
    -> Result<(), StoreError>;

    /// Lays down windows with their messages: all of them or, on an error, none.
    async fn commit(&self, batch: &[Commit], now: Millis) -> Result<Vec<WriteCounts>, StoreError>;

    /// Notes what is wrong with a stream; `None`: nothing any more.
    async fn record_stream_error(
        &self,
        stream: StreamId,
        record_stream_error: Option<&RecordedError>,
        now: Millis,
    ) -> Result<(), StoreError>;

    /// Nothing is to be asked of the account before `until`. `None` lifts the pause.
    async fn pause(&self, account: AccountId, pause: Option<&Pause>) -> Result<(), StoreError>;

    /// Begins a row of `runs`.
    async fn begin_run(
        &self,
        account: AccountId,
        why: &str,
        now: Millis,
    ) -> Result<RunId, StoreError>;

    /// Completes it.
    async fn end_run(&self, run: RunId, tally: &Tally, now: Millis) -> Result<(), StoreError>;

    /// Every active stream, in the order of accounts and keys; and of an account that is paused before any of its
    /// streams was looked at, a row in their place.
    async fn status(&self) -> Result<Vec<StreamStatus>, StoreError>;

    /// How every account stands, in the order of their names. It costs little, however much is archived.
    async fn account_summaries(&self) -> Result<Vec<AccountSummary>, StoreError>;

    /// What is sealed of a stream, however long ago.
    async fn sealed_runs_of(&self, stream: StreamId) -> Result<Runs, StoreError>;

    /// What is sealed of a stream that has a part in `window`, by days (UTC): a day costs one of these, however many
    /// ledger rows it has.
    async fn days(&self, stream: StreamId, window: Window) -> Result<Vec<Stretch>, StoreError>;

    /// The latest passes, over all accounts, the newest first.
    async fn passes(&self, limit: u64) -> Result<Vec<PassRecord>, StoreError>;

    /// What passes came to since a moment, by account and by spans of this length, in order of time.
    async fn pulse(&self, since: Millis, span: Duration) -> Result<Vec<Pulse>, StoreError>;

    /// How fast every account has worked since a moment: over its passes that lasted at least `lasting`. Shorter ones had
    /// nothing to hurry for.
    async fn paces(&self, since: Millis, lasting: Duration) -> Result<Vec<Pace>, StoreError>;

    /// The bytes that the archive takes on disk.
    async fn size_bytes(&self) -> Result<u64, StoreError>;

    /// Up to `limit` messages behind the cursor and before `to`, in order of time.
    async fn messages(
        &self,
        after: &Cursor,
        to: Millis,
        limit: u64,
    ) -> Result<Vec<ArchivedMessage>, StoreError>;

    /// Every stream that there ever was, in the order of accounts and keys.
    async fn streams(&self) -> Result<Vec<KnownStream>, StoreError>;

    /// The first `limit` ledger rows of a stream that have a part in `window`, in order. Whoever means to replace some
    /// reads again exactly what they span.
    async fn ledger_rows(
        &self,
        stream: StreamId,
        window: Window,
        limit: u64,
    ) -> Result<Vec<LedgerRow>, StoreError>;

    /// The ledger rows of an account's active streams that are in doubt.
    async fn doubted_rows(
        &self,
        account: AccountId,
    ) -> Result<Vec<(StreamId, LedgerRow)>, StoreError>;

    /// When the messages were sent that the archive holds of a stream from one moment up to another, in order.
    async fn message_times(
        &self,
        account: AccountId,
        scope: &Scope,
        from: Millis,
        to: Millis,
    ) -> Result<Vec<Millis>, StoreError>;

    /// How many they are; nothing where that is costly to tell.
    async fn count(
        &self,
        account: AccountId,
        scope: &Scope,
        from: Millis,
        to: Millis,
    ) -> Result<Option<u64>, StoreError>;

    /// Where an account's messages since a moment are that are known not to have been read, the newest first.
    async fn unread(
        &self,
        account: AccountId,
        since: Millis,
        limit: u64,
    ) -> Result<Vec<UnreadGroup>, StoreError>;

    /// Opens the ledger rows that lie within a window: they are missing again.
    async fn unseal(&self, stream: StreamId, window: Window) -> Result<(), StoreError>;

    /// Adds to the count of an account's stragglers; answers with how many there are by now.
    async fn stragglers(&self, account: AccountId, more: u64) -> Result<u64, StoreError>;

    /// Makes the settle age another than the configuration has it, and counts stragglers anew.
    async fn settle(&self, account: AccountId, settle: Duration) -> Result<(), StoreError>;

    /// Up to `limit` of an account's messages in quarantine, behind the one given.
    async fn quarantined(
        &self,
        account: AccountId,
        after: HeldId,
        limit: u64,
    ) -> Result<Vec<QuarantinedMessage>, StoreError>;

    /// Lets a message out of quarantine, or says anew why it stays.
    async fn reconsider(
        &self,
        account: AccountId,
        held: HeldId,
        reason: Option<&str>,
    ) -> Result<(), StoreError>;

    /// Gives a digest to ledger rows that have none, and are otherwise as given still.
    async fn add_digests(&self, stamps: &[DigestUpdate]) -> Result<(), StoreError>;

    /// Moves messages that were changed or added behind the archive's back into quarantine, under this stream; answers
    /// with how many.
    async fn move_to_quarantine(
        &self,
        stream: StreamId,
        aside: &[Eviction<'_>],
        now: Millis,
    ) -> Result<u64, StoreError>;

    /// All that the archive says of its accounts, apart from their messages.
    async fn ledgers(&self) -> Result<Vec<AccountLedger>, StoreError>;

    /// Makes an account's ledger the one given. Its messages must be in the archive already.
    async fn restore_ledger(&self, ledger: &AccountLedger) -> Result<(), StoreError>;

    /// The alarms that stand, and those that are over since a moment; and some that are over longer: those of which the
    /// webhook has not been told all, and of each harm that does not go away again the last that told how far it has come.
    async fn alarms(&self, ended_since: Millis) -> Result<Vec<Alarm>, StoreError>;

    /// Writes alarms down as they are by now, new ones and known ones, and forgets those that were over before `forget`.
    async fn save_alarms(&self, alarms: &[Alarm], forget: Millis) -> Result<(), StoreError>;

    /// The hours since 1970 in which messages of a stream of the account of this name were sent, in order: of those that
    /// begin at `from` or later, and by messages before `to`.
    async fn active_hours(
        &self,
        account: &str,
        scope: &Scope,
        from: Second,
        to: Second,
    ) -> Result<Vec<i64>, StoreError>;

    /// The space that there is for the archive; nothing where only the database's own machine knows.
    async fn room(&self) -> Option<Room>;

    /// How many commits at once it gains by.
    fn max_parallel_commits(&self) -> usize;

    /// Where the archive is, for people.
    fn location(&self) -> &str;

    /// The schema of its tables.
    fn schema_version(&self) -> i64;

    /// Answers once the database does.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Gives back all accounts and closes the database; what was committed is on disk.
    async fn close(&self);
}

/// An account as the configuration has it.
#[derive(Debug)]
pub struct NewAccount<'a> {
    pub name: &'a str,
    pub provider: &'a str,
    /// Its streams; nothing: they stay as they are.
    pub streams: Option<&'a [Arc<Stream>]>,
    pub since: Option<Second>,
    pub horizon: Option<Second>,
}

/// What [`Store::register`] answers.
#[derive(Debug)]
pub struct RegisteredAccount {
    pub account: AccountId,
    /// In the order of the streams given: number, and from when on its history is wanted.
    pub streams: Vec<(StreamId, Second)>,
    /// The pause that an earlier process was given.
    pub pause: Option<Pause>,
    /// The settle age, where late messages have made it another than the configuration has it.
    pub settle: Option<Duration>,
}

/// A time before which an account is left alone, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    pub until: Millis,
    pub reason: String,
}

/// One window on its way into the archive.
#[derive(Debug)]
pub struct Commit {
    pub account: AccountId,
    pub stream: StreamId,
    /// What was fetched.
    pub window: Window,
    /// The part of it that is now complete: what makes its ledger row.
    pub seal: Option<Seal>,
    pub messages: Vec<IdentifiedMessage>,
    pub unreadable: Vec<UnparsableMessage>,
}

/// The claim that all of a stream's messages in a window are in the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    pub window: Window,
    /// Which messages it is about. Others that the provider served are archived, but are no part of the window.
    pub scope: Scope,
    pub provider_count: Option<u64>,
    /// Why it may not be complete.
    pub doubt: Option<String>,
    /// Whether it takes the place of the ledger rows that lie in the window. Else, and where one of them reaches beyond
    /// it, a window of which a part is sealed already is left as it is.
    pub replaces: bool,
}

/// A ledger row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerRow {
    pub window: Window,
    /// How many of the stream's messages the archive held in it. What could not be read is not among them.
    pub messages: u64,
    /// Over these messages; nothing where the row was sealed before there were digests.
    pub digest: Option<Digest>,
    pub provider_count: Option<u64>,
    /// Why it may not be complete.
    pub doubt: Option<String>,
    /// Since when there has been a doubt.
    pub doubted_at: Option<Millis>,
    pub sealed_at: Millis,
}

/// The digest of a ledger row that has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DigestUpdate {
    pub stream: StreamId,
    pub window: Window,
    pub messages: u64,
    pub digest: Digest,
}

/// What a commit changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteCounts {
    /// Messages that were not in the archive.
    pub new: u64,
    /// Messages of which something was learned: a further status, the kind of their conversation.
    pub changed: u64,
}

/// Something wrong with a stream, and what the operator can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedError {
    pub error: String,
    pub hint: String,
}

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub requests: u64,
    pub new: u64,
    pub changed: u64,
    pub windows: u64,
    pub errors: u64,
    pub last_error: Option<String>,
    /// How far the stream that is furthest behind lagged in the end; nothing where that was not looked at.
    pub lag_seconds: Option<u64>,
}

impl Tally {
    /// Adds what another run of the same account came to; its last error is kept unless there is a later one.
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

/// Short ledger rows are joined to their neighbour as long as both together hold no more than this.
const MAX_JOINED_MESSAGES: u64 = 1000;

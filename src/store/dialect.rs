//! What a database must be able to do for an archive to lie in it.
//!
//! The archive's statements are written once, for all databases, and put through [`Dialect::execute`] and
//! [`Dialect::fetch`]. What must be fast, and what no two databases do alike, each does in its own way behind the
//! same method.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use super::StoreError;
use super::rows::{ExistingMessages, MessageKey, MessageRow, MutableColumns};
use crate::domain::stream::Scope;
use crate::domain::time::Millis;

/// A value on its way into a statement. Integers, text and bytes are all that every database has in common.
#[derive(Clone, Copy, Debug)]
pub(super) enum Arg<'a> {
    Int(Option<i64>),
    Text(Option<&'a str>),
    Bytes(Option<&'a [u8]>),
}

/// What a driver answers.
pub(super) type DriverResult<T> = Result<T, sqlx::Error>;

/// The index that leads to a stream's messages with the fewest others among them, and the name by which it does.
#[derive(Clone, Copy, Debug)]
pub(super) enum AccessPath<'a> {
    Conversation(&'a str),
    Sender(&'a str),
    Recipient(&'a str),
}

impl<'a> AccessPath<'a> {
    pub(super) fn for_scope(scope: &'a Scope) -> Self {
        match (&scope.conversation, &scope.sender, &scope.recipient) {
            (Some(name), ..) => Self::Conversation(name),
            (None, Some(name), _) => Self::Sender(name),
            (None, None, name) => Self::Recipient(name.as_deref().unwrap_or_default()),
        }
    }
}

/// The same question by each of the ways that may lead to its answer.
#[derive(Debug)]
pub(super) struct PerAccessPath {
    pub(super) by_conversation: &'static str,
    pub(super) by_sender: &'static str,
    pub(super) by_recipient: &'static str,
}

impl PerAccessPath {
    pub(super) fn statement_for(&self, way: AccessPath<'_>) -> &'static str {
        match way {
            AccessPath::Conversation(_) => self.by_conversation,
            AccessPath::Sender(_) => self.by_sender,
            AccessPath::Recipient(_) => self.by_recipient,
        }
    }
}

/// Whether messages are expected not to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InsertMode {
    /// They are not: should one be there, the transaction fails, and is done again in doubt.
    ExpectNew,
    SkipExisting,
}

/// A database.
pub(super) trait Dialect: sqlx::Database {
    /// What begins a transaction that will write.
    const BEGIN: &'static str;

    /// How many transactions at once it gains by.
    const MAX_PARALLEL_COMMITS: usize;

    /// Reads messages in order of time. Binds a place (millisecond, the end, hash, occurrence, recipient, slot) and a
    /// limit; the place's five parts are compared as one, in the order in which the rows are answered. A message that
    /// refers to what is not there is answered all the same.
    const READ_MESSAGES: &'static str;

    /// How many messages to a recipient there may be in a range of time: no fewer than there are, and NULL where there
    /// are too many to look at. Binds the range in ms, the recipient's name, and how many may be looked at.
    const COUNT_BY_RECIPIENT: &'static str;

    /// Reads what identifies the messages of a stream's window. Binds the range in ms, the account, and the names of
    /// sender, recipient and conversation, NULL for any.
    const READ_LINKS: PerAccessPath;

    /// Writes streams down as active, those that are known already like those that are not. Binds the account, from when
    /// on the history of a new one is wanted, from when on that of every one is where that is said, and the streams: a
    /// list of objects in JSON. Answers with number, key and the start of what is wanted, in any order.
    const UPSERT_STREAMS: &'static str;

    /// The bytes that the archive takes on disk.
    const ARCHIVE_SIZE: &'static str;

    /// Whether several processes may share an archive, each with accounts of its own.
    const IS_SHARED: bool;

    /// The folder of this machine in which an archive lies, by where it is; nothing where a server keeps it.
    fn local_folder(place: &str) -> Option<PathBuf>;

    /// Tries to keep an account for this session, until it ends.
    fn try_lock_account(
        connection: &mut Self::Connection,
        account: i64,
    ) -> impl Future<Output = DriverResult<bool>> + Send;

    /// The number of an account's lease, which stays what it is until the transaction ends.
    fn hold_lease_number(
        connection: &mut Self::Connection,
        account: i64,
    ) -> impl Future<Output = DriverResult<Option<i64>>> + Send;

    /// Carries out a statement; answers with how many rows it affected.
    fn execute(
        connection: &mut Self::Connection,
        sql: &'static str,
        args: &[Arg<'_>],
    ) -> impl Future<Output = DriverResult<u64>> + Send;

    /// Carries out a statement that answers with rows.
    fn fetch(
        connection: &mut Self::Connection,
        sql: &'static str,
        args: &[Arg<'_>],
    ) -> impl Future<Output = DriverResult<Vec<Self::Row>>> + Send;

    /// The same, row by row: of an answer that is long no more than a few rows are held at once.
    fn for_each_row(
        connection: &mut Self::Connection,
        what: &'static str,
        sql: &'static str,
        take: impl FnMut(&Self::Row) -> Result<(), StoreError> + Send,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    fn int(row: &Self::Row, column: &'static str) -> DriverResult<Option<i64>>;

    fn text(row: &Self::Row, column: &'static str) -> DriverResult<Option<String>>;

    fn bytes(row: &Self::Row, column: &'static str) -> DriverResult<Option<Vec<u8>>>;

    /// Makes room for messages of these moments, where a database needs that.
    fn ensure_partitions(
        connection: &mut Self::Connection,
        moments: impl Iterator<Item = Millis> + Send,
    ) -> impl Future<Output = DriverResult<()>> + Send;

    /// Which of the names are known, and by what numbers.
    fn find_names(
        connection: &mut Self::Connection,
        names: &[&str],
    ) -> impl Future<Output = DriverResult<Vec<(String, i64)>>> + Send;

    /// Which of an account's conversations are known: name, number and kind.
    fn find_conversations(
        connection: &mut Self::Connection,
        account: i64,
        names: &[&str],
    ) -> impl Future<Output = DriverResult<Vec<(String, i64, u8)>>> + Send;

    /// How many messages are in the archive, filed under the same conversations, and whether one of those might learn
    /// something. It may say so of one that will not; it never overlooks one that will. A way is given if it leads to
    /// few others between the first and the last of them.
    fn count_existing(
        connection: &mut Self::Connection,
        rows: &[&MessageRow<'_>],
        among: Option<AccessPath<'_>>,
    ) -> impl Future<Output = DriverResult<ExistingMessages>> + Send;

    /// Which of an account's messages lie where they belong in the archive, and how.
    fn load_existing(
        connection: &mut Self::Connection,
        account: i64,
        rows: &[&MessageRow<'_>],
    ) -> impl Future<Output = DriverResult<HashMap<MessageKey, MutableColumns>>> + Send;

    /// All messages of a recipient's millisecond, whosever: account, key, and how they lie there.
    fn load_millisecond(
        connection: &mut Self::Connection,
        recipient: i64,
        sent_at_ms: i64,
    ) -> impl Future<Output = DriverResult<Vec<(i64, MessageKey, MutableColumns)>>> + Send;

    /// Adds messages, passing over those whose slot is taken; answers with how many were added. In good faith it may fail
    /// instead where one is taken.
    fn insert_messages(
        connection: &mut Self::Connection,
        rows: &[&MessageRow<'_>],
        faith: InsertMode,
        now: Millis,
    ) -> impl Future<Output = DriverResult<u64>> + Send;

    /// Changes messages that are there.
    fn update_messages(
        connection: &mut Self::Connection,
        learned: &[(MessageKey, MutableColumns)],
    ) -> impl Future<Output = DriverResult<u64>> + Send;
}

impl From<i64> for Arg<'_> {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}

impl From<Option<i64>> for Arg<'_> {
    fn from(value: Option<i64>) -> Self {
        Self::Int(value)
    }
}

/// SQL counts in signed numbers; so many of anything there never are.
impl From<u64> for Arg<'_> {
    fn from(value: u64) -> Self {
        Self::Int(Some(i64::try_from(value).unwrap_or(i64::MAX)))
    }
}

impl<'a> From<&'a str> for Arg<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(Some(value))
    }
}

impl<'a> From<&'a String> for Arg<'a> {
    fn from(value: &'a String) -> Self {
        Self::Text(Some(value))
    }
}

impl<'a> From<Option<&'a str>> for Arg<'a> {
    fn from(value: Option<&'a str>) -> Self {
        Self::Text(value)
    }
}

impl<'a> From<&'a [u8]> for Arg<'a> {
    fn from(value: &'a [u8]) -> Self {
        Self::Bytes(Some(value))
    }
}

impl<'a> From<Option<&'a [u8]>> for Arg<'a> {
    fn from(value: Option<&'a [u8]>) -> Self {
        Self::Bytes(value)
    }
}

/// The one row that a statement answers with.
pub(super) async fn fetch_one<DB: Dialect>(
    connection: &mut DB::Connection,
    what: &'static str,
    sql: &'static str,
    args: &[Arg<'_>],
) -> Result<DB::Row, StoreError> {
    let rows = DB::fetch(connection, sql, args)
        .await
        .map_err(StoreError::at(what))?;
    rows.into_iter()
        .next()
        .ok_or_else(|| StoreError::at(what)(sqlx::Error::RowNotFound))
}

pub(super) fn int<DB: Dialect>(row: &DB::Row, column: &'static str) -> Result<i64, StoreError> {
    optional_int::<DB>(row, column)?.ok_or_else(|| StoreError::Inconsistent {
        what: column,
        fault: "NULL where a number must be".to_owned(),
    })
}

pub(super) fn optional_int<DB: Dialect>(
    row: &DB::Row,
    column: &'static str,
) -> Result<Option<i64>, StoreError> {
    DB::int(row, column).map_err(StoreError::at(column))
}

/// A length of time in whole seconds.
pub(super) fn duration_s<DB: Dialect>(
    row: &DB::Row,
    column: &'static str,
) -> Result<Option<Duration>, StoreError> {
    Ok(optional_int::<DB>(row, column)?
        .and_then(|seconds| u64::try_from(seconds).ok())
        .map(Duration::from_secs))
}

pub(super) fn text<DB: Dialect>(
    row: &DB::Row,
    column: &'static str,
) -> Result<Option<String>, StoreError> {
    DB::text(row, column).map_err(StoreError::at(column))
}

pub(super) fn bytes<DB: Dialect>(
    row: &DB::Row,
    column: &'static str,
) -> Result<Option<Vec<u8>>, StoreError> {
    DB::bytes(row, column).map_err(StoreError::at(column))
}

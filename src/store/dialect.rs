//! The operations that each database implements in its own way: the message table and locking.

use std::collections::HashMap;
use std::fmt::Debug;
use std::path::PathBuf;

use sqlx::Pool;

use super::driver::{Driver, DriverResult};
use super::error::StoreError;
use super::message_reader::MessagePages;
use super::model::IndexEntry;
use super::rows::{ExistingMessages, MessageKey, MessageRow, MutableColumns};
use super::snapshot::Snapshot;
use crate::domain::search::query::SearchQuery;
use crate::domain::search::time_slice::TimeSlice;
use crate::domain::stream::Scope;
use crate::domain::time::Millis;

/// The index through which a stream's messages are read: the one that holds the fewest other
/// messages, and the name to look up in it.
#[derive(Clone, Copy, Debug)]
pub(super) enum AccessPath<'a> {
    Conversation(&'a str),
    Sender(&'a str),
    Recipient(&'a str),
}

impl<'a> AccessPath<'a> {
    /// Returns the access path for a scope: the conversation, else the sender, else the recipient.
    pub(super) fn for_scope(scope: &'a Scope) -> Self {
        match (&scope.conversation, &scope.sender, &scope.recipient) {
            (Some(name), ..) => Self::Conversation(name),
            (None, Some(name), _) => Self::Sender(name),
            (None, None, name) => Self::Recipient(name.as_deref().unwrap_or_default()),
        }
    }
}

/// The same query, once for each access path.
#[derive(Debug)]
pub(super) struct PerAccessPath {
    pub(super) by_conversation: &'static str,
    pub(super) by_sender: &'static str,
    pub(super) by_recipient: &'static str,
}

impl PerAccessPath {
    /// Returns the statement for this access path.
    pub(super) fn statement_for(&self, path: AccessPath<'_>) -> &'static str {
        match path {
            AccessPath::Conversation(_) => self.by_conversation,
            AccessPath::Sender(_) => self.by_sender,
            AccessPath::Recipient(_) => self.by_recipient,
        }
    }
}

/// The treatment of messages that exist already when messages are inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InsertMode {
    /// None is expected to exist. If one does, the transaction fails; it is then repeated with
    /// `SkipExisting`. This is the cheaper mode.
    ExpectNew,
    /// Existing messages are skipped.
    SkipExisting,
}

/// The bulk statements of the message table, and the tables of names beside it.
pub(super) trait MessageTable: Driver {
    /// Returns an upper bound on the number of an account's messages to a recipient in a time
    /// range. Binds the range in ms, the recipient's name, and the account.
    const COUNT_BY_RECIPIENT: &'static str;

    /// Raises the latest id to `$1`, unless it is higher: new messages get higher ids.
    const RESERVE_IDS: &'static str;

    /// Reads the identities of the messages in a stream's window. Binds the range in ms, the
    /// account, and the names of sender, recipient and conversation, NULL for any.
    const READ_LINKS: PerAccessPath;

    /// Creates the partitions for messages of these moments, if the table is partitioned.
    fn ensure_partitions(
        connection: &mut Self::Connection,
        moments: impl Iterator<Item = Millis> + Send,
    ) -> impl Future<Output = DriverResult<()>> + Send;

    /// Returns the names that have an id, with their ids.
    fn find_names(
        connection: &mut Self::Connection,
        names: &[&str],
    ) -> impl Future<Output = DriverResult<Vec<(String, i64)>>> + Send;

    /// Returns the conversations of an account that have an id: name, id and kind.
    fn find_conversations(
        connection: &mut Self::Connection,
        account: i64,
        names: &[&str],
    ) -> impl Future<Output = DriverResult<Vec<(String, i64, u8)>>> + Send;

    /// Counts the rows that exist in the same conversation, and tells if one of them may need an
    /// update. A false "may need" is allowed, a missed update is not. `among` is given if the path
    /// holds few other messages between the first and the last of the rows.
    fn count_existing(
        connection: &mut Self::Connection,
        rows: &[&MessageRow<'_>],
        among: Option<AccessPath<'_>>,
    ) -> impl Future<Output = DriverResult<ExistingMessages>> + Send;

    /// Returns the mutable columns of the account's messages that exist in the slots of these rows.
    fn load_existing(
        connection: &mut Self::Connection,
        account: i64,
        rows: &[&MessageRow<'_>],
    ) -> impl Future<Output = DriverResult<HashMap<MessageKey, MutableColumns>>> + Send;

    /// Returns all messages to a recipient in one millisecond, of any account: account id, key and
    /// mutable columns.
    fn load_millisecond(
        connection: &mut Self::Connection,
        recipient: i64,
        sent_at_ms: i64,
    ) -> impl Future<Output = DriverResult<Vec<(i64, MessageKey, MutableColumns)>>> + Send;

    /// Inserts messages, skips those whose slot is taken, and returns those inserted. With
    /// [`InsertMode::ExpectNew`] it fails instead if a slot is taken.
    fn insert_messages<'r, 'm>(
        connection: &mut Self::Connection,
        rows: &[&'r MessageRow<'m>],
        mode: InsertMode,
    ) -> impl Future<Output = DriverResult<Vec<&'r MessageRow<'m>>>> + Send;

    /// Updates the mutable columns of existing messages and returns the number of rows updated.
    fn update_messages(
        connection: &mut Self::Connection,
        updates: &[(MessageKey, MutableColumns)],
    ) -> impl Future<Output = DriverResult<u64>> + Send;
}

/// The index through which messages are walked from the newest on.
#[derive(Clone, Copy, Debug)]
pub(super) enum WalkPath {
    /// All messages.
    Time,
    /// The messages of the conversation with this id.
    Conversation(i64),
    /// The messages of the sender with this id.
    Sender(i64),
}

impl WalkPath {
    /// Returns the id that the path is bound to.
    pub(super) fn id(self) -> Option<i64> {
        match self {
            Self::Time => None,
            Self::Conversation(id) | Self::Sender(id) => Some(id),
        }
    }
}

/// The same query, once for each path.
#[derive(Debug)]
pub(super) struct PerWalkPath {
    pub(super) by_time: &'static str,
    pub(super) by_conversation: &'static str,
    pub(super) by_sender: &'static str,
}

impl PerWalkPath {
    /// Returns the statement for this path.
    pub(super) fn statement_for(&self, path: WalkPath) -> &'static str {
        match path {
            WalkPath::Time => self.by_time,
            WalkPath::Conversation(_) => self.by_conversation,
            WalkPath::Sender(_) => self.by_sender,
        }
    }
}

/// The queries of the search index. Each returns `id`, `sent_at_ms`, and `is_certain`: 0 if the index
/// does not know the words of the message.
pub(super) trait WordSearch: Driver {
    /// Returns the numbers of messages that are walked through before hits of a query are looked up.
    /// With more of them, words that are rarer are found without looking up their hits.
    fn walk_lengths(query: &SearchQuery) -> &'static [u64];

    /// Walks through the newest messages of a path, and returns the newest hits among them. Binds the
    /// selection ([`Selection::args`](super::model::Selection::args)), the id of the path, the
    /// number of messages to walk through, the query, and the maximum number of hits. Each row has
    /// the number of messages that were walked through as `examined`; without hits there is one
    /// row, whose other columns are NULL.
    const WALK: PerWalkPath;

    /// Returns the newest of all hits. Binds the selection, the query and the maximum number of hits.
    const HITS_BY_TIME: &'static str;

    /// Returns the newest hits in some slices of time. Binds the same, and the slices in the language of
    /// the database.
    const HITS_IN_SLICES: &'static str;

    /// Returns the most relevant of all hits. Binds the same as [`Self::HITS_BY_TIME`].
    const HITS_BY_RELEVANCE: &'static str;

    /// Returns the messages of hits, in any order. Binds the hits as a JSON list of `[id, sent_at_ms]`.
    const MESSAGES_OF_HITS: &'static str;

    /// Returns the number of `messages` in the index whose words it does not know.
    const COUNT_WITHOUT_WORDS: &'static str;

    /// Returns a query in the language of the database.
    fn notation_of(query: &SearchQuery) -> String;

    /// Returns the query for the messages of some slices of time in the language of the database.
    fn notation_of_slices(slices: impl Iterator<Item = TimeSlice>) -> String;
}

/// The table of the search index.
pub(super) trait WordTable: Driver {
    /// Returns messages whose payload is text, in the order of their ids: `id`, `sent_at_ms`, and
    /// either `body` or `payload`. Binds the id before the first, the last id, and a limit.
    const READ_TEXTS: &'static str;

    /// Empties the index.
    const CLEAR_INDEX: &'static str;

    /// Returns the words of a text and of its slice of time in the form that the index stores. Empty
    /// if the text has none. `None`: they are too many.
    fn words_of(text: &str, slice: TimeSlice) -> Option<String>;

    /// Adds messages that are not in the index.
    fn add_to_index(
        connection: &mut Self::Connection,
        entries: &[IndexEntry],
    ) -> impl Future<Output = DriverResult<()>> + Send;

    /// Removes messages. Those that are not in the index are skipped.
    fn remove_from_index(
        connection: &mut Self::Connection,
        entries: &[IndexEntry],
    ) -> impl Future<Output = DriverResult<()>> + Send;
}

/// Locks that keep several processes from working on one account.
pub(super) trait Locking: Driver {
    /// The statement that begins a writing transaction.
    const BEGIN: &'static str;

    /// The statement that begins a transaction that only reads. All of its queries see the archive as
    /// it is at the first of them.
    const BEGIN_SNAPSHOT: &'static str;

    /// True if several processes may share an archive, each with its own accounts.
    const IS_SHARED: bool;

    /// The settings that a new session gets by statements.
    type SessionSettings: Clone + Debug + Default + Send + Sync;

    /// Opens a session that does not belong to the pool. It reports why it failed. A pool would
    /// wait without a word.
    fn open_session(
        pool: &Pool<Self>,
        settings: &Self::SessionSettings,
    ) -> impl Future<Output = DriverResult<Self::Connection>> + Send;

    /// Tries to lock an account for this session. The lock is held until the session ends.
    fn try_lock_account(
        connection: &mut Self::Connection,
        account: i64,
    ) -> impl Future<Output = DriverResult<bool>> + Send;

    /// Returns the number of an account's lease and keeps it from changing until the transaction
    /// ends. `None` if the account does not exist or leases are not numbered.
    fn hold_lease_number(
        connection: &mut Self::Connection,
        account: i64,
    ) -> impl Future<Output = DriverResult<Option<i64>>> + Send;
}

/// A database that can hold an archive.
pub(super) trait Dialect: MessageTable + WordTable + WordSearch + Locking {
    /// Reads messages page by page.
    type MessagePages: MessagePages;

    /// The number of transactions that commit faster in parallel than one after the other.
    const MAX_PARALLEL_COMMITS: usize;

    /// Inserts new streams and updates existing ones, and makes all of them active. Binds the
    /// account, the provider's time, the configured start of the wanted history or NULL, the streams
    /// as a JSON list of objects, and the reach in seconds or NULL. Returns id, key and start, in
    /// any order.
    const UPSERT_STREAMS: &'static str;

    /// Returns the ledger rows that overlap a window, and keeps them from being changed by another
    /// transaction. Binds the stream, the window, and the maximum number of rows.
    const LOCK_LEDGER_ROWS: &'static str;

    /// Returns the ledger rows, with the scopes of their streams, that may contain one of some
    /// messages: they overlap the time range, and the stream is for one of the names. Binds the
    /// account; the conversations, the recipients and the senders, each as a JSON list; and the
    /// first and the last second.
    const AFFECTED_ROWS: &'static str;

    /// Deletes from quarantine what is archived. Binds the account, and the ids as a JSON list of
    /// hexadecimal numbers.
    const RELEASE_ARCHIVED: &'static str;

    /// Inserts a stream as another archive has it, or updates it. Returns its id.
    const RESTORE_STREAM: &'static str;

    /// Inserts a conversation, or sets the kind of an existing one whose kind is unknown.
    const UPSERT_CONVERSATION: &'static str;

    /// Inserts or updates an alarm.
    const UPSERT_ALARM: &'static str;

    /// Reserves a block of an account's time. Binds the account's name; the length of the block; the
    /// end of the caller's last block or NULL; the distance from the block of another process; the
    /// latest end of the others' blocks, from now; and, unless the database is shared, the current
    /// time. All are in milliseconds. Returns the time until it begins, and its end.
    const RESERVE_BLOCK: &'static str;

    /// Returns the size of the archive on disk in bytes.
    const ARCHIVE_SIZE: &'static str;

    /// Returns the place (`place`) in which a server keeps the archive. `None` if it is a file.
    const PLACE: Option<&'static str>;

    /// Returns the places (`place`) of some texts that contain U+0000, which Postgres cannot store.
    /// `None`: the database itself refuses such texts.
    const FIND_NUL: Option<&'static str>;

    /// Moves the write-ahead log into the file that is open, and empties it.
    const EMPTY_LOG: &'static str;

    /// Brings a view, by its name, to the tables before it is replaced. `None`: it lies there.
    const TAKE_VIEW: Option<&'static str>;

    /// Brings a view, by its name, to the schema of the readers. `None`: there is no other schema.
    const HAND_OUT_VIEW: Option<&'static str>;

    /// Returns a reader of messages. It holds no connection of the pool between two pages.
    fn open_message_pages(
        pool: &Pool<Self>,
    ) -> impl Future<Output = Result<Self::MessagePages, StoreError>> + Send;

    /// Begins to read one state of the archive.
    fn open_snapshot(
        pool: &Pool<Self>,
    ) -> impl Future<Output = Result<Box<dyn Snapshot>, StoreError>> + Send;

    /// Returns the folder on this machine that holds the archive at `location`. `None` if a server
    /// keeps it.
    fn local_folder(location: &str) -> Option<PathBuf>;
}

//! The archive: messages, and the ledger of the windows that are complete.
//!
//! Callers see the trait [`Archive`] and its eleven roles: [`Accounts`], [`Quotas`], [`Windows`],
//! [`ArrivalMarks`], [`Audit`], [`Records`], [`Reading`], [`SearchIndex`], [`Search`], [`Reports`]
//! and [`AlarmLog`]. [`SqlStore`] implements them once for all databases.
//!
//! | question | file |
//! |---|---|
//! | what can a caller ask of an archive | `archive.rs`, and the trait of the role |
//! | accounts, streams, runs, pauses, errors | `accounts.rs` |
//! | how is a batch of windows committed | `windows.rs` (transaction), then `write.rs`, `seal.rs` |
//! | how far was a stream read that is not in order of time | `arrival_marks.rs` |
//! | how are messages inserted or updated | `write.rs`; the rows in `rows.rs` |
//! | messages that a database cannot hold | `isolation.rs` |
//! | when is a ledger row extended or replaced | `seal.rs`; the statements in `ledger_rows.rs` |
//! | how do the rows of other streams stay true | `adjust.rs` |
//! | messages that could not be read or were tampered with | `quarantine.rs` |
//! | whole ledgers, reading messages in order | `audit.rs` |
//! | pauses, errors and runs as a whole | `records.rs` |
//! | names that readers filter by, coverage of streams | `reading.rs` |
//! | all messages in the order of digests | `message_reader.rs`, `chunks.rs`; the statements: `sqlite/message_reader.rs`, `postgres/message_reader.rs` |
//! | messages that readers select, in one snapshot | `snapshot.rs`, `row_values.rs`, `read_names.rs`; its statements: `sqlite/snapshot.rs`, `postgres/snapshot.rs` |
//! | a digest over all that is kept of messages | `content_digest.rs` |
//! | status, summaries, charts | `reports.rs` |
//! | recorded alarms, disk space | `alarms.rs` |
//! | how does the search index follow the commits | `indexing.rs`; its tables: `sqlite/words.rs`, `postgres/words.rs` |
//! | how are messages searched | `search.rs`; its statements: `sqlite/search.rs`, `postgres/search.rs` |
//! | names and conversations become ids | `interner.rs` |
//! | who may write: leases; the lock of an SQLite file | `lease.rs`, `archive_file.rs` |
//! | where is the SQL of a role | `sql/` and the role's name |
//! | where is the SQL of the message table | `sqlite/sql.rs`, `postgres/sql.rs` |
//! | how are rows bound to bulk statements | `sqlite/bulk.rs`, `postgres/bulk.rs` |
//! | how is a row decoded | `decode/` |
//! | what must a database be able to do | `driver.rs`, `dialect.rs` |
//! | how is an archive opened | `sqlite/mod.rs`, `postgres/mod.rs` |
//! | what is said if it cannot be opened, and what can be done | `path_fault.rs`, `failure.rs` |
//! | schema versions, migrations and views | `schema.rs`, and the folder `migrations/` |
//! | copying an archive into another | `copy.rs` |
//! | queries of people: read-only, streamed, stoppable | `query/` |
//! | tunables | `limits.rs` |
//!
//! Files import only files below them: `archive`, the roles, `write`, `seal` and `quarantine`,
//! `indexing`, `adjust`, `ledger_rows`, `links`, `sql_store`, `interner` and `lease`, `decode`, `dialect`,
//! `driver`, `model`, `error`, `failure`, `path_fault`.

mod accounts;
mod adjust;
mod alarms;
mod archive;
mod archive_file;
mod arrival_marks;
mod audit;
mod chunks;
mod content_digest;
pub mod copy;
mod decode;
mod dialect;
mod driver;
mod error;
mod failure;
mod indexing;
mod interner;
mod isolation;
mod jsonb;
mod lease;
mod ledger_rows;
mod limits;
mod links;
mod log_readers;
mod message_reader;
mod model;
mod path_fault;
mod postgres;
mod process_id;
mod quarantine;
pub mod query;
mod quota;
mod read_names;
mod reading;
mod records;
mod reports;
mod row_values;
mod rows;
mod schema;
mod seal;
mod search;
mod snapshot;
mod split;
mod sql;
mod sql_store;
mod sqlite;
mod table;
mod windows;
mod write;

pub use accounts::Accounts;
pub use alarms::AlarmLog;
pub use archive::Archive;
pub use archive_file::permission_warning;
pub use arrival_marks::ArrivalMarks;
pub use audit::Audit;
pub use chunks::Chunks;
pub use content_digest::ContentDigest;
pub use error::StoreError;
pub use indexing::SearchIndex;
pub use lease::Lease;
pub use message_reader::MessageReader;
pub use model::{
    AccountId, AccountLedger, AccountRecord, AccountSummary, ArchivedMessage, ChangeMark, Commit,
    ConversationId, CopiedMessages, Cursor, DigestUpdate, DiskSpace, DisplayedMessage,
    ErrorSubject, Eviction, FiledConversation, FoundConversation, HitOrder, IndexExtent,
    KnownStream, LedgerDay, LedgerRow, NameKind, NewAccount, Origin, PassRecord, Pause,
    QuarantineEntry, QuarantineId, QuarantinedMessage, ReadPath, RecordedError, RegisteredAccount,
    RequestRate, RunId, RunTotals, Seal, SearchHits, SelectedMessage, Selection, SenderId,
    StreamCoverage, StreamErrorRecord, StreamId, StreamLedger, StreamStatus, ThroughputBucket,
    UnreadGroup, WantedHistory, WriteCounts,
};
pub use path_fault::{Owner, PathFault};
pub use postgres::PostgresStore;
pub use process_id::describe_this_process;
pub use quota::Quotas;
pub use reading::{Reading, StreamFilter};
pub use records::Records;
pub use reports::Reports;
pub use schema::{Schema, ViewFile};
pub use search::Search;
pub use snapshot::{PageSender, Snapshot};
pub use sql_store::{IfMissing, SqlStore};
pub use sqlite::SqliteStore;
pub use table::QueryTable;
pub use windows::Windows;

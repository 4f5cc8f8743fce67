//! The values that an archive takes and returns. None of them reads or writes a database.
//!
//! | question | file |
//! |---|---|
//! | accounts, wanted history, runs, pauses, recorded errors | `account.rs` |
//! | a window to commit, its seal, ledger rows | `window.rs` |
//! | an archived message, a reading position | `message.rs` |
//! | a whole ledger, quarantined messages | `ledger.rs` |
//! | status, summaries, throughput | `report.rs` |
//! | which messages a reader selects, coverage of streams | `selection.rs` |
//! | messages as a reader gets them, marks of their changes | `selected.rs` |
//! | the search index | `search.rs` |

mod account;
mod ledger;
mod message;
mod report;
mod search;
mod selected;
mod selection;
mod window;

pub use account::{
    AccountId, AccountRecord, ErrorSubject, NewAccount, Pause, RecordedError, RegisteredAccount,
    RunId, RunTotals, StreamErrorRecord, StreamId, WantedHistory,
};
pub(super) use ledger::EVICTED_FIELD;
pub use ledger::{
    AccountLedger, Eviction, KnownStream, QuarantineEntry, QuarantineId, QuarantinedMessage,
    StreamLedger,
};
pub(super) use message::DisplayedBody;
pub use message::{ArchivedMessage, Cursor};
pub use report::{
    AccountSummary, DiskSpace, LedgerDay, PassRecord, RequestRate, StreamStatus, ThroughputBucket,
    UnreadGroup,
};
pub use search::{DisplayedMessage, HitOrder, IndexExtent, SearchHits};
pub(super) use search::{IndexEntry, IndexHit};
pub use selected::{ChangeMark, ConversationId, FiledConversation, ReadPath, SelectedMessage};
pub(super) use selected::{MessageRecord, NameIds, PerReadPath, SelectedStatements};
pub use selection::{FoundConversation, NameKind, Selection, SenderId, StreamCoverage};
pub use window::{Commit, CopiedMessages, DigestUpdate, LedgerRow, Origin, Seal, WriteCounts};

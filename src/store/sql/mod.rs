//! The statements that every database understands, in files named after the roles that run them.
//!
//! Statements that must be fast, or that differ between databases, stand in
//! [`sqlite::sql`](super::sqlite) and [`postgres::sql`](super::postgres). Macros build statements
//! that share a part, because `sqlx` takes only `&'static str`.

mod accounts;
mod alarms;
mod arrival_marks;
mod audit;
mod indexing;
mod messages;
mod reading;
mod records;
mod reports;
mod search;
mod windows;

pub(super) use accounts::{
    ACCOUNT_IDENTITY, ADD_STRAGGLERS, BEGIN_RUN, CONVERSATIONS_OF_ACCOUNT, DEACTIVATE_STREAMS,
    DELETE_OLD_RUNS, DISCOVERED_STREAMS, END_RUN, INCREMENT_LEASE, LEASE_HOLDER,
    RECORD_ACCOUNT_ERROR, RECORD_DISCOVERY_ERROR, RECORD_STREAM_ERROR, REGISTER_ACCOUNT,
    SAVE_FRONTIER, SENDERS_OF_ACCOUNT, SET_ACCEPTED_CREDENTIALS, SET_CLOCK_SKEW, SET_PAUSE,
    SET_SETTLE_OVERRIDE, reserve_block, upsert_streams,
};
pub(super) use alarms::{ACTIVE_ALARMS, ALARMS, DELETE_OLD_ALARMS, upsert_alarm};
pub(super) use arrival_marks::{
    ARRIVAL_MARK_OF_STREAM, ARRIVAL_MARKS, MOVE_ARRIVAL_MARK, RESTORE_ARRIVAL_MARK,
};
pub(super) use audit::{
    ACCOUNT_OF_STREAM, ADD_DIGEST, ALL_STREAMS, DELETE_QUARANTINE, DELETE_STREAM_LEDGER,
    HAS_QUARANTINE, ID_OF_NAME, INSERT_QUARANTINE, LATEST_ID, LEDGER_ACCOUNTS, LEDGER_QUARANTINE,
    LEDGER_STREAMS, LEDGER_WINDOWS, QUARANTINED_MESSAGES, UPDATE_QUARANTINE_REASON, USED_IDS,
    restore_stream,
};
pub(super) use indexing::{ANNOUNCE_CHANGE, EXTEND_INDEX, INDEX_EXTENT, RESET_INDEX};
pub(super) use messages::{
    COUNT_BY_CONVERSATION, COUNT_BY_SENDER, DELETE_MESSAGE, INSERT_NAME, MOVE_TO_SLOT, read_links,
    upsert_conversation,
};
pub(super) use reading::{
    ACCOUNT_NAMES, CONVERSATION_NAMES, FIND_ACCOUNT, FIND_CONVERSATIONS, FIND_SENDER,
    FIRST_OF_CONVERSATIONS, LATEST_PARTICIPANTS, LEDGER_RUNS, LEDGER_SPANS, SENDER_NAMES,
    STREAM_LIMITS, is_selected, names_are_selected, per_read_path, selected_statements,
};
pub(super) use records::{
    ACCOUNT_RECORDS, ADD_RUN, CLEAR_STREAM_ERRORS, DELETE_RUNS_OF_ACCOUNT, RESTORE_ACCOUNT_RECORD,
    RESTORE_STREAM_ERROR, RUNS_AFTER, STREAM_ERRORS,
};
pub(super) use reports::{
    ACCOUNT_STATUS, ACCOUNT_SUMMARIES, ACTIVE_HOURS, LEDGER_DAYS, MISSING_RANGES, RECENT_PASSES,
    RECENT_TOTALS, REQUEST_RATES, RUN_ENDS_OF_ACTIVE_STREAMS, RUN_ENDS_OF_STREAM, STREAM_STATUS,
    THROUGHPUT,
};
pub(super) use search::{
    CONVERSATIONS_NAMED, MESSAGES_BEFORE, MESSAGES_BEHIND, NEWEST_MESSAGE, displayed_messages,
    walk, walks,
};
pub(super) use windows::{
    ADJUST_LEDGER_ROW, DELETE_LEDGER_ROWS, DELETE_LEDGER_ROWS_AFTER, DOUBTED_ROWS,
    EXTEND_LEDGER_ROW, INSERT_LEDGER_ROW, LEDGER_ROWS_IN_WINDOW, RETENTION_SPAN, SEALED_WINDOWS,
    UNREAD_MESSAGES, ledger_rows_in_window,
};

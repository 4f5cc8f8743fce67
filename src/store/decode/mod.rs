//! Decoding of rows into the values of [`super::model`]. All columns are read here.
//!
//! A NULL or an impossible value where the schema forbids it is a
//! [`StoreError::Inconsistent`](super::StoreError::Inconsistent).

mod columns;
mod reading;
mod record;
mod report;
mod search;
mod selected;

pub(super) use columns::{
    count, duration_s, int, millis, optional_int, optional_text, scope, second, text, window,
};
pub(super) use reading::{found_conversation, stream_limits};
pub(super) use record::{
    account_ledger, account_record, alarm, arrival_mark, chain_link, conversation,
    discovered_stream, existing_message, frontier, identity, known_stream, ledger_row,
    ledger_row_of_stream, owned_message, pause, quarantine_entry, quarantined_message,
    rows_with_keys, stream_error_record, stream_ledger,
};
pub(super) use report::{
    RunEnd, StreamSums, account_status, account_summary, ledger_day, pass_record, request_rate,
    run_end, runs_from_ends, stream_sums, throughput_bucket, unread_group,
};
pub(super) use search::{displayed_message, examined, index_hit};
pub(super) use selected::{change_mark, filed_conversation, message_record, name_with_id, number};

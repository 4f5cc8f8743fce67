//! Decoding of messages, ledger rows, streams, the quarantine and alarms.

use std::collections::HashSet;

use super::columns::{
    bytes, count, duration_s, flag, inconsistent, int, millis, optional_count, optional_int,
    optional_millis, optional_second, optional_text, scope, second, text, window,
};
use crate::domain::account::AccountIdentity;
use crate::domain::alarm::{Alarm, AlarmKind, AlarmSubject, Notified};
use crate::domain::arrival::ArrivalMark;
use crate::domain::digest::{ChainLink, Digest};
use crate::domain::frontier::Frontier;
use crate::domain::identity::Fingerprint;
use crate::domain::message::{Conversation, ConversationKind, Encoding};
use crate::domain::stream::Stream;
use crate::store::driver::{Driver, DriverResult};
use crate::store::error::StoreError;
use crate::store::model::{
    AccountLedger, AccountRecord, KnownStream, LedgerRow, Pause, QuarantineEntry, QuarantineId,
    QuarantinedMessage, RecordedError, StreamErrorRecord, StreamId, StreamLedger,
};
use crate::store::rows::{MessageKey, MessageRow, MutableColumns, delivery_from_columns};

/// Decodes the pause columns of an account. `None` if it is not paused.
pub(in crate::store) fn pause<DB: Driver>(row: &DB::Row) -> Result<Option<Pause>, StoreError> {
    let reason = text::<DB>(row, "paused_reason")?;
    let until = optional_millis::<DB>(row, "paused_until_ms")?;
    let refused_credentials = optional_text::<DB>(row, "refused_credentials")?;
    Ok(until.map(|until| Pause {
        until,
        reason,
        refused_credentials,
    }))
}

/// Decodes the record of an account, without the errors of its streams.
pub(in crate::store) fn account_record<DB: Driver>(
    row: &DB::Row,
) -> Result<AccountRecord, StoreError> {
    Ok(AccountRecord {
        account: text::<DB>(row, "name")?,
        pause: pause::<DB>(row)?,
        accepted_credentials: optional_text::<DB>(row, "accepted_credentials")?,
        error: recorded_error::<DB>(row, "error", "hint")?,
        settle_ms: optional_int::<DB>(row, "settle_ms")?,
        settle_override: duration_s::<DB>(row, "settle_override_s")?,
        stragglers: int::<DB>(row, "straggler_count")?,
        discovery_error: recorded_error::<DB>(row, "discovery_error", "discovery_hint")?,
        stream_errors: vec![],
    })
}

/// Decodes the error of a stream.
pub(in crate::store) fn stream_error_record<DB: Driver>(
    row: &DB::Row,
) -> Result<StreamErrorRecord, StoreError> {
    Ok(StreamErrorRecord {
        stream: text::<DB>(row, "key")?,
        error: recorded_error::<DB>(row, "error", "hint")?.unwrap_or_default(),
        at: optional_millis::<DB>(row, "error_at_ms")?,
    })
}

/// Decodes an error with its hint. `None` if none is recorded.
pub(super) fn recorded_error<DB: Driver>(
    row: &DB::Row,
    error: &'static str,
    hint: &'static str,
) -> Result<Option<RecordedError>, StoreError> {
    let hint = text::<DB>(row, hint)?;
    Ok(optional_text::<DB>(row, error)?.map(|error| RecordedError { error, hint }))
}

/// Decodes the identity of an account. `None` if it is unknown.
pub(in crate::store) fn identity<DB: Driver>(
    row: &DB::Row,
) -> Result<Option<AccountIdentity>, StoreError> {
    let node = optional_text::<DB>(row, "node")?;
    let identity = |owner| AccountIdentity {
        owner,
        node,
        former_node: None,
    };
    Ok(optional_text::<DB>(row, "owner")?.map(identity))
}

/// Decodes the frontier of an account.
pub(in crate::store) fn frontier<DB: Driver>(row: &DB::Row) -> Result<Frontier, StoreError> {
    Ok(Frontier {
        horizon: optional_second::<DB>(row, "horizon_s")?,
        settled_to: second::<DB>(row, "settled_s")?,
        wanted_to: second::<DB>(row, "wanted_to_s")?,
        retention: duration_s::<DB>(row, "retention_s")?,
    })
}

/// Decodes a discovered stream.
pub(in crate::store) fn discovered_stream<DB: Driver>(row: &DB::Row) -> Result<Stream, StoreError> {
    let scope = scope::<DB>(row)?.unwrap_or_default();
    Ok(Stream {
        key: text::<DB>(row, "key")?,
        scope,
        discovered: true,
    })
}

/// Decodes the name and the kind of a conversation.
pub(in crate::store) fn conversation<DB: Driver>(
    row: &DB::Row,
) -> Result<Conversation, StoreError> {
    let kind = conversation_kind(int::<DB>(row, "kind")?);
    Ok(Conversation {
        kind,
        name: text::<DB>(row, "name")?,
    })
}

/// Decodes the mark of a stream that is read in order of arrival.
pub(in crate::store) fn arrival_mark<DB: Driver>(row: &DB::Row) -> Result<ArrivalMark, StoreError> {
    let last = bytes::<DB>(row, "last_hash")?
        .map(<[u8; 16]>::try_from)
        .transpose();
    let last =
        last.map_err(|_| inconsistent("arrival_mark", "a hash that is not 16 bytes long"))?;
    Ok(ArrivalMark {
        position: count::<DB>(row, "position")?,
        last: last.map(Fingerprint),
    })
}

/// Decodes a ledger row.
pub(in crate::store) fn ledger_row<DB: Driver>(row: &DB::Row) -> Result<LedgerRow, StoreError> {
    let digest = bytes::<DB>(row, "digest")?
        .map(<[u8; 32]>::try_from)
        .transpose();
    let digest =
        digest.map_err(|_| inconsistent("sealed_window", "a digest that is not 32 bytes long"))?;
    Ok(LedgerRow {
        window: window::<DB>(row)?,
        messages: u64::try_from(int::<DB>(row, "messages")?).unwrap_or(0),
        digest: digest.map(Digest),
        provider_count: optional_count::<DB>(row, "provider_count")?,
        not_shown: count::<DB>(row, "not_shown")?,
        doubt: optional_text::<DB>(row, "doubt")?,
        doubted_at: optional_millis::<DB>(row, "doubted_at_ms")?,
        sealed_at: millis::<DB>(row, "sealed_at_ms")?,
    })
}

/// Decodes a ledger row and the stream it belongs to.
pub(in crate::store) fn ledger_row_of_stream<DB: Driver>(
    row: &DB::Row,
) -> Result<(StreamId, LedgerRow), StoreError> {
    Ok((
        StreamId(int::<DB>(row, "stream_id")?),
        ledger_row::<DB>(row)?,
    ))
}

/// Decodes an account's ledger, whose streams are given.
pub(in crate::store) fn account_ledger<DB: Driver>(
    row: &DB::Row,
    streams: Vec<StreamLedger>,
) -> Result<AccountLedger, StoreError> {
    Ok(AccountLedger {
        account: text::<DB>(row, "name")?,
        provider: text::<DB>(row, "provider")?,
        identity: identity::<DB>(row)?,
        frontier: frontier::<DB>(row)?,
        streams,
    })
}

/// Decodes a stream's ledger, whose rows and quarantine are given.
pub(in crate::store) fn stream_ledger<DB: Driver>(
    row: &DB::Row,
    windows: Vec<LedgerRow>,
    quarantine: Vec<QuarantineEntry>,
) -> Result<StreamLedger, StoreError> {
    let has_mark = optional_count::<DB>(row, "position")?.is_some();
    Ok(StreamLedger {
        key: text::<DB>(row, "key")?,
        scope: scope::<DB>(row)?,
        wanted_from: second::<DB>(row, "wanted_from_s")?,
        followed_at: second::<DB>(row, "followed_at_s")?,
        active: flag::<DB>(row, "active")?,
        discovered: flag::<DB>(row, "discovered")?,
        arrival_mark: has_mark.then(|| arrival_mark::<DB>(row)).transpose()?,
        windows,
        quarantine,
    })
}

/// Decodes a stream of any account.
pub(in crate::store) fn known_stream<DB: Driver>(row: &DB::Row) -> Result<KnownStream, StoreError> {
    Ok(KnownStream {
        id: StreamId(int::<DB>(row, "id")?),
        account: text::<DB>(row, "account")?,
        provider: text::<DB>(row, "provider")?,
        key: text::<DB>(row, "key")?,
        scope: scope::<DB>(row)?,
    })
}

/// Decodes an entry of the quarantine.
pub(in crate::store) fn quarantine_entry<DB: Driver>(
    row: &DB::Row,
) -> Result<QuarantineEntry, StoreError> {
    let hash = DB::hash(row, "hash").map_err(StoreError::at("hash"))?;
    let hash =
        hash.ok_or_else(|| inconsistent("quarantine", "a hash that is not 16 bytes long"))?;
    Ok(QuarantineEntry {
        id: QuarantineId(hash),
        window: window::<DB>(row)?,
        found_at: millis::<DB>(row, "found_at_ms")?,
        reason: text::<DB>(row, "reason")?,
        raw: text::<DB>(row, "raw")?,
    })
}

/// Decodes an entry of the quarantine with its stream.
pub(in crate::store) fn quarantined_message<DB: Driver>(
    row: &DB::Row,
) -> Result<QuarantinedMessage, StoreError> {
    Ok(QuarantinedMessage {
        stream: StreamId(int::<DB>(row, "stream_id")?),
        key: text::<DB>(row, "key")?,
        entry: quarantine_entry::<DB>(row)?,
    })
}

/// Decodes the identity of a message for a digest.
pub(in crate::store) fn chain_link<DB: Driver>(row: &DB::Row) -> Result<ChainLink, StoreError> {
    let occurrence = int::<DB>(row, "occurrence")?;
    Ok(ChainLink {
        sent_at: millis::<DB>(row, "sent_at_ms")?,
        fingerprint: Fingerprint(message_hash::<DB>(row)?),
        occurrence: u32::try_from(occurrence).map_err(|_| never_written("occurrence"))?,
    })
}

/// Decodes the key of a message.
pub(in crate::store) fn message_key<DB: Driver>(row: &DB::Row) -> DriverResult<MessageKey> {
    let hash = DB::hash(row, "hash")?;
    Ok(MessageKey {
        recipient: not_null::<DB>(row, "recipient_id")?,
        sent_at_ms: not_null::<DB>(row, "sent_at_ms")?,
        hash: hash.ok_or_else(|| decode_error("a hash that is not 16 bytes long"))?,
        occurrence: not_null::<DB>(row, "occurrence")?,
    })
}

/// Returns the rows whose keys a statement has returned.
pub(in crate::store) fn rows_with_keys<'r, 'm, DB: Driver>(
    rows: &[&'r MessageRow<'m>],
    returned: &[DB::Row],
) -> DriverResult<Vec<&'r MessageRow<'m>>> {
    let keys = returned.iter().map(message_key::<DB>);
    let keys = keys.collect::<DriverResult<HashSet<MessageKey>>>()?;
    let is_returned = |row: &&&'r MessageRow<'m>| keys.contains(&row.key);
    Ok(rows.iter().filter(is_returned).copied().collect())
}

/// Decodes the key and the mutable columns of an existing message.
pub(in crate::store) fn existing_message<DB: Driver>(
    row: &DB::Row,
) -> DriverResult<(MessageKey, MutableColumns)> {
    let key = message_key::<DB>(row)?;
    let slot = i32::try_from(not_null::<DB>(row, "slot")?);
    let status = (DB::int(row, "status")?, DB::int(row, "status_at_ms")?);
    let columns = MutableColumns {
        slot: slot.map_err(|_| decode_error("a slot wider than 32 bits"))?,
        conversation: not_null::<DB>(row, "conversation_id")?,
        kind_unknown: not_null::<DB>(row, "kind_unknown")? != 0,
        message_type: DB::int(row, "message_type_id")?,
        status: delivery_from_columns(status.0, status.1),
    };
    Ok((key, columns))
}

/// Decodes an existing message with the id of its account.
pub(in crate::store) fn owned_message<DB: Driver>(
    row: &DB::Row,
) -> DriverResult<(i64, MessageKey, MutableColumns)> {
    let (key, columns) = existing_message::<DB>(row)?;
    Ok((not_null::<DB>(row, "account_id")?, key, columns))
}

/// Decodes an alarm. `None` if its kind is not known to this version.
pub(in crate::store) fn alarm<DB: Driver>(row: &DB::Row) -> Result<Option<Alarm>, StoreError> {
    let Some(kind) = AlarmKind::from_name(&text::<DB>(row, "kind")?) else {
        return Ok(None);
    };
    let name = |column| Ok(optional_text::<DB>(row, column)?.filter(|name| !name.is_empty()));
    let notified = match int::<DB>(row, "notified")? {
        0 => Notified::Nothing,
        1 => Notified::Start,
        _ => Notified::All,
    };
    Ok(Some(Alarm {
        subject: AlarmSubject {
            account: name("account")?,
            stream: name("stream")?,
            kind,
        },
        since: millis::<DB>(row, "since_ms")?,
        until: optional_millis::<DB>(row, "until_ms")?,
        text: text::<DB>(row, "text")?,
        hint: text::<DB>(row, "hint")?,
        level: optional_int::<DB>(row, "level")?,
        notified,
    }))
}

/// Returns the encoding for a code. An unknown code is raw bytes, as in the view `archive`.
pub(super) fn encoding(code: i64) -> Encoding {
    let known = [Encoding::Utf8, Encoding::Base64];
    known
        .into_iter()
        .find(|encoding| *encoding as i64 == code)
        .unwrap_or(Encoding::Raw)
}

/// Returns the conversation kind for a code. An unknown code is an unknown kind.
pub(super) fn conversation_kind(code: i64) -> ConversationKind {
    use ConversationKind::{Channel, Group, Peer, Topic, Unknown};
    let known = [Peer, Channel, Group, Topic];
    known
        .into_iter()
        .find(|kind| *kind as i64 == code)
        .unwrap_or(Unknown)
}

pub(super) fn message_hash<DB: Driver>(row: &DB::Row) -> Result<[u8; 16], StoreError> {
    let hash = DB::hash(row, "hash").map_err(StoreError::at("hash"))?;
    hash.ok_or_else(|| never_written("hash"))
}

fn not_null<DB: Driver>(row: &DB::Row, column: &'static str) -> DriverResult<i64> {
    DB::int(row, column)?.ok_or_else(|| decode_error("NULL where a number must be"))
}

fn decode_error(fault: &'static str) -> sqlx::Error {
    sqlx::Error::Decode(fault.into())
}

fn never_written(column: &'static str) -> StoreError {
    let fault = format!("a value of `{column}` that Backscroll does not write");
    StoreError::Inconsistent {
        what: "message",
        fault,
    }
}

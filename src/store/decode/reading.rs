//! Decoding of messages that readers select, of what they filter by, and of coverage.

use super::columns::{
    bytes, count, flag, inconsistent, int, millis, optional_int, optional_millis, optional_second,
    optional_text, scope, second, text,
};
use super::record::{conversation, conversation_kind, encoding, frontier, message_hash};
use crate::domain::identity::Fingerprint;
use crate::domain::window::Runs;
use crate::store::driver::Driver;
use crate::store::error::StoreError;
use crate::store::model::{
    ChangeMark, ConversationId, FiledConversation, FoundConversation, SelectedMessage,
    StreamCoverage, StreamId,
};

/// Decodes a conversation that was found by its name. `latest` is the row of its latest message.
pub(in crate::store) fn found_conversation<DB: Driver>(
    row: &DB::Row,
    latest: Option<&DB::Row>,
) -> Result<FoundConversation, StoreError> {
    let participants =
        |row: &DB::Row| Ok((text::<DB>(row, "sender")?, text::<DB>(row, "recipient")?));
    let conversation = conversation::<DB>(row)?;
    Ok(FoundConversation {
        account: text::<DB>(row, "account")?,
        name: conversation.name,
        kind: conversation.kind,
        latest: latest.map(participants).transpose()?,
    })
}

/// Decodes the limits of a stream's history, without its sealed windows.
pub(in crate::store) fn stream_limits<DB: Driver>(
    row: &DB::Row,
) -> Result<StreamCoverage, StoreError> {
    Ok(StreamCoverage {
        stream: StreamId(int::<DB>(row, "id")?),
        account: text::<DB>(row, "account")?,
        key: text::<DB>(row, "key")?,
        scope: scope::<DB>(row)?,
        is_active: flag::<DB>(row, "active")?,
        wanted_from: second::<DB>(row, "wanted_from_s")?,
        followed_at: second::<DB>(row, "followed_at_s")?,
        first_sealed: optional_second::<DB>(row, "first_s")?,
        frontier: frontier::<DB>(row)?,
        error: optional_text::<DB>(row, "error")?,
        sealed: Runs::default(),
        suspect: Vec::new(),
    })
}

/// Decodes a conversation with its account.
pub(in crate::store) fn filed_conversation<DB: Driver>(
    row: &DB::Row,
) -> Result<FiledConversation, StoreError> {
    Ok(FiledConversation {
        id: ConversationId(int::<DB>(row, "id")?),
        account: text::<DB>(row, "account")?,
        provider: text::<DB>(row, "provider")?,
        name: text::<DB>(row, "name")?,
        kind: conversation_kind(int::<DB>(row, "kind")?),
    })
}

/// Decodes a selected message, without the names and the conversation that it refers to.
pub(in crate::store) fn selected_message<DB: Driver>(
    row: &DB::Row,
) -> Result<SelectedMessage, StoreError> {
    let payload = bytes::<DB>(row, "payload")?;
    Ok(SelectedMessage {
        id: int::<DB>(row, "id")?,
        conversation_id: ConversationId(int::<DB>(row, "conversation_id")?),
        conversation: None,
        sender_id: int::<DB>(row, "sender_id")?,
        sender: None,
        recipient: None,
        sent_at: millis::<DB>(row, "sent_at_ms")?,
        repaired_body: optional_text::<DB>(row, "body")?,
        is_text: flag::<DB>(row, "is_text")?,
        payload: payload.ok_or_else(|| inconsistent("payload", "NULL where bytes must be"))?,
        encoding: encoding(int::<DB>(row, "encoding")?),
        message_type: None,
        payload_type: None,
        cipher_suite: None,
        status: optional_int::<DB>(row, "status")?,
        status_at: optional_millis::<DB>(row, "status_at_ms")?,
        provider_message_id: optional_text::<DB>(row, "provider_id")?,
        occurrence: int::<DB>(row, "occurrence")?,
        archived_at: second::<DB>(row, "archived_at_s")?.start(),
        extra: optional_text::<DB>(row, "extra")?,
        stored_fingerprint: Fingerprint(message_hash::<DB>(row)?),
    })
}

/// Decodes the sums of a change mark. Two of them come in two halves of 32 bits.
pub(in crate::store) fn change_mark<DB: Driver>(row: &DB::Row) -> Result<ChangeMark, StoreError> {
    let sum = |column| int::<DB>(row, column).map(i128::from);
    Ok(ChangeMark {
        messages: count::<DB>(row, "messages")?,
        ids: (sum("ids_high")? << 32) + sum("ids_low")?,
        slots: sum("slots")?,
        statuses: sum("statuses")?,
        status_times: (sum("times_high")? << 32) + sum("times_low")?,
        message_types: count::<DB>(row, "message_types")?,
        known_kinds: count::<DB>(row, "known_kinds")?,
    })
}

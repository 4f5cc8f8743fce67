//! Decoding of what a search finds.

use super::columns::{count, flag, int, millis, optional_int, optional_text, text};
use crate::store::driver::Driver;
use crate::store::error::StoreError;
use crate::store::model::{DisplayedMessage, IndexHit};

/// Decodes a message as a reader sees it.
pub(in crate::store) fn displayed_message<DB: Driver>(
    row: &DB::Row,
) -> Result<DisplayedMessage, StoreError> {
    Ok(DisplayedMessage {
        id: int::<DB>(row, "id")?,
        account: text::<DB>(row, "account")?,
        conversation: text::<DB>(row, "conversation")?,
        conversation_id: int::<DB>(row, "conversation_id")?,
        conversation_kind: text::<DB>(row, "conversation_kind")?,
        sender: text::<DB>(row, "sender")?,
        recipient: text::<DB>(row, "recipient")?,
        sent_at: millis::<DB>(row, "sent_at_ms")?,
        body: optional_text::<DB>(row, "body")?,
    })
}

/// Decodes a hit of the index. `None`: the row only has the number of messages that were looked at.
pub(in crate::store) fn index_hit<DB: Driver>(
    row: &DB::Row,
) -> Result<Option<IndexHit>, StoreError> {
    let Some(id) = optional_int::<DB>(row, "id")? else {
        return Ok(None);
    };
    Ok(Some(IndexHit {
        id,
        sent_at_ms: int::<DB>(row, "sent_at_ms")?,
        is_certain: flag::<DB>(row, "is_certain")?,
    }))
}

/// Decodes the number of messages that were looked at.
pub(in crate::store) fn examined<DB: Driver>(row: &DB::Row) -> Result<u64, StoreError> {
    count::<DB>(row, "examined")
}

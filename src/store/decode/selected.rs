//! Decoding of messages that readers select, by the positions of columns.

use super::columns::inconsistent;
use super::record::{conversation_kind, encoding};
use crate::domain::identity::Fingerprint;
use crate::domain::time::{Millis, Second};
use crate::store::error::StoreError;
use crate::store::model::{
    AccountId, ChangeMark, ConversationId, FiledConversation, MessageRecord, NameIds,
    SelectedMessage,
};
use crate::store::row_values::RowValues;

/// Decodes a message. The columns are those of the statements `messages`.
pub(in crate::store) fn message_record(row: &dyn RowValues) -> Result<MessageRecord, StoreError> {
    let hash = bytes(row, 5, "hash")?;
    let hash = hash
        .try_into()
        .map_err(|_| inconsistent("hash", "not 16 bytes"))?;
    let sender = int(row, 2, "sender_id")?;
    let message = SelectedMessage {
        id: int(row, 0, "id")?,
        conversation_id: ConversationId(int(row, 1, "conversation_id")?),
        conversation: None,
        sender_id: sender,
        sender: None,
        recipient: None,
        sent_at: Millis(int(row, 4, "sent_at_ms")?),
        repaired_body: owned(row.text(9, "body")?),
        is_text: int(row, 8, "is_text")? == 1,
        payload: bytes(row, 10, "payload")?.to_vec(),
        encoding: encoding(int(row, 7, "encoding")?),
        message_type: None,
        payload_type: None,
        cipher_suite: None,
        status: row.int(14, "status")?,
        status_at: row.int(15, "status_at_ms")?.map(Millis),
        provider_message_id: owned(row.text(16, "provider_id")?),
        occurrence: int(row, 6, "occurrence")?,
        archived_at: Second(int(row, 17, "archived_at_s")?).start(),
        extra: owned(row.text(18, "extra")?),
        stored_fingerprint: Fingerprint(hash),
    };
    let names = NameIds {
        sender,
        recipient: int(row, 3, "recipient_id")?,
        message_type: row.int(11, "message_type_id")?,
        payload_type: row.int(12, "payload_type_id")?,
        cipher_suite: row.int(13, "cipher_suite_id")?,
    };
    Ok(MessageRecord {
        message,
        names,
        slot: int(row, 19, "slot")?,
    })
}

/// Decodes a conversation with its account.
pub(in crate::store) fn filed_conversation(
    row: &dyn RowValues,
) -> Result<FiledConversation, StoreError> {
    let text = |index, column| Ok::<_, StoreError>(owned(row.text(index, column)?));
    Ok(FiledConversation {
        id: ConversationId(int(row, 0, "id")?),
        account: text(1, "account")?.unwrap_or_default(),
        provider: text(2, "provider")?.unwrap_or_default(),
        name: text(3, "name")?.unwrap_or_default(),
        kind: conversation_kind(int(row, 4, "kind")?),
        account_id: AccountId(int(row, 5, "account_id")?),
    })
}

/// Decodes the id of a name and the name.
pub(in crate::store) fn name_with_id(row: &dyn RowValues) -> Result<(i64, String), StoreError> {
    let name = row.text(1, "value")?.unwrap_or_default();
    Ok((int(row, 0, "id")?, name.to_owned()))
}

/// Decodes the sums of a change mark. Two of them come in two halves of 32 bits.
pub(in crate::store) fn change_mark(row: &dyn RowValues) -> Result<ChangeMark, StoreError> {
    let sum = |index| int(row, index, "change mark").map(i128::from);
    let count = |index| Ok::<_, StoreError>(sum(index)?.try_into().unwrap_or(0));
    Ok(ChangeMark {
        messages: count(0)?,
        ids: (sum(1)? << 32) + sum(2)?,
        slots: sum(3)?,
        statuses: sum(4)?,
        status_times: (sum(5)? << 32) + sum(6)?,
        message_types: count(7)?,
        known_kinds: count(8)?,
    })
}

/// Decodes a row of one number.
pub(in crate::store) fn number(row: &dyn RowValues) -> Result<i64, StoreError> {
    int(row, 0, "number")
}

fn int(row: &dyn RowValues, index: usize, column: &'static str) -> Result<i64, StoreError> {
    let value = row.int(index, column)?;
    value.ok_or_else(|| inconsistent(column, "NULL where a number must be"))
}

fn bytes<'r>(
    row: &'r dyn RowValues,
    index: usize,
    column: &'static str,
) -> Result<&'r [u8], StoreError> {
    let value = row.bytes(index, column)?;
    value.ok_or_else(|| inconsistent(column, "NULL where bytes must be"))
}

fn owned(text: Option<&str>) -> Option<String> {
    text.map(str::to_owned)
}

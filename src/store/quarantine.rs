//! The quarantine: messages that could not be read, and messages evicted from the archive because
//! they were changed or added behind its back.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::adjust::{MessageChange, adjust_rows};
use super::decode::{int, quarantined_message};
use super::dialect::Dialect;
use super::driver::{Arg, execute, fetch_all, fetch_one};
use super::error::StoreError;
use super::indexing::remove_from_index;
use super::model::{
    AccountId, ArchivedMessage, Commit, EVICTED_FIELD, Eviction, QuarantineEntry, QuarantineId,
    QuarantinedMessage, StreamId,
};
use super::rows::{MessageKey, preferred_slot};
use super::sql;
use crate::domain::identity::{Fingerprint, IdentifiedMessage};
use crate::domain::message::{Message, UnparsableMessage};
use crate::domain::time::Millis;
use crate::domain::window::Window;

/// Inserts the unreadable messages of a commit, whose other messages are written. A message that was
/// only not asked for, and that the archive holds through another stream, is left out.
pub(super) async fn insert_unreadable<DB: Dialect>(
    tx: &mut DB::Connection,
    commit: &Commit,
    now: Millis,
) -> Result<(), StoreError> {
    for UnparsableMessage { raw, reason, sound } in &commit.unreadable {
        let id = match sound {
            Some(message) if is_archived::<DB>(tx, commit.account, message).await? => continue,
            Some(message) => QuarantineId(Fingerprint::compute(message).0),
            None => id_of_raw(raw),
        };
        let entry = QuarantineEntry {
            id,
            window: commit.window,
            found_at: now,
            reason: reason.clone(),
            raw: raw.clone(),
        };
        insert_entry::<DB>(tx, commit.account, commit.stream, &entry).await?;
    }
    Ok(())
}

/// Deletes messages from an account's quarantine that are archived now: another stream has brought
/// them.
pub(super) async fn release_archived<DB: Dialect>(
    tx: &mut DB::Connection,
    commit: &Commit,
) -> Result<(), StoreError> {
    const WHAT: &str = "release from quarantine";
    let account = commit.account.0;
    let held = fetch_all::<DB>(tx, WHAT, sql::HAS_QUARANTINE, &[account.into()]).await?;
    if held.is_empty() || commit.messages.is_empty() {
        return Ok(());
    }
    let ids = commit.messages.iter();
    let ids: Vec<String> = ids.map(|m| hex::encode(m.fingerprint.0)).collect();
    let ids = json!(ids).to_string();
    execute::<DB>(
        tx,
        WHAT,
        DB::RELEASE_ARCHIVED,
        &[account.into(), (&ids).into()],
    )
    .await?;
    Ok(())
}

/// True if the archive holds a message.
async fn is_archived<DB: Dialect>(
    tx: &mut DB::Connection,
    account: AccountId,
    message: &Message,
) -> Result<bool, StoreError> {
    const WHAT: &str = "archived message";
    let args = [Arg::from(&message.recipient)];
    let names = fetch_all::<DB>(tx, WHAT, sql::ID_OF_NAME, &args).await?;
    let Some(name) = names.first() else {
        return Ok(false);
    };
    let recipient = int::<DB>(name, "id")?;
    let found = DB::load_millisecond(tx, recipient, message.sent_at.0).await;
    let found = found.map_err(StoreError::at(WHAT))?;
    let hash = Fingerprint::compute(message).0;
    let is_it = |(owner, key, _): &(i64, MessageKey, _)| *owner == account.0 && key.hash == hash;
    Ok(found.iter().any(is_it))
}

/// Returns the id of a message that could not be parsed.
fn id_of_raw(raw: &str) -> QuarantineId {
    let mut id = [0; 16];
    let hash = blake3::hash(storable(raw).as_bytes());
    id.copy_from_slice(&hash.as_bytes()[..16]);
    QuarantineId(id)
}

/// Inserts an entry. A message that is in quarantine already stays unchanged.
pub(super) async fn insert_entry<DB: Dialect>(
    tx: &mut DB::Connection,
    account: AccountId,
    stream: StreamId,
    entry: &QuarantineEntry,
) -> Result<(), StoreError> {
    let (reason, raw) = (storable(&entry.reason), storable(&entry.raw));
    let id: &[u8] = &entry.id.0;
    let args: [Arg<'_>; 8] = [
        account.0.into(),
        id.into(),
        stream.0.into(),
        entry.window.from().0.into(),
        entry.window.to().0.into(),
        entry.found_at.0.into(),
        (&*reason).into(),
        (&*raw).into(),
    ];
    execute::<DB>(tx, "quarantine", sql::INSERT_QUARANTINE, &args).await?;
    Ok(())
}

/// Returns a text that every database can hold: U+0000 is written as its JSON escape.
fn storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        text.replace('\0', "\\u0000").into()
    } else {
        text.into()
    }
}

/// Returns up to `limit` of an account's messages in quarantine, in the order of their ids, after
/// the one given.
pub(super) async fn read_quarantined<DB: Dialect>(
    connection: &mut DB::Connection,
    account: AccountId,
    after: QuarantineId,
    limit: u64,
) -> Result<Vec<QuarantinedMessage>, StoreError> {
    let after: &[u8] = &after.0;
    let args = [account.0.into(), after.into(), limit.into()];
    let statement = sql::QUARANTINED_MESSAGES;
    let rows = fetch_all::<DB>(connection, "quarantine", statement, &args).await?;
    rows.iter().map(quarantined_message::<DB>).collect()
}

/// Deletes messages from the archive, adjusts the ledger rows that contained them, and inserts
/// them into the quarantine. Messages that have left the archive already are skipped. Returns the
/// number moved.
pub(super) async fn evict<DB: Dialect>(
    tx: &mut DB::Connection,
    stream: StreamId,
    evictions: &[Eviction<'_>],
    now: Millis,
) -> Result<u64, StoreError> {
    const WHAT: &str = "move to quarantine";
    let account = fetch_one::<DB>(tx, WHAT, sql::ACCOUNT_OF_STREAM, &[stream.0.into()]).await?;
    let account = AccountId(int::<DB>(&account, "account_id")?);
    let (mut removed, mut unindexed) = (Vec::new(), Vec::new());
    for Eviction { message, reason } in evictions {
        let Some(slot) = current_slot::<DB>(tx, message).await? else {
            continue;
        };
        delete_message::<DB>(tx, message, slot).await?;
        removed.push(MessageChange::removed(&message.identified));
        unindexed.push(*message);
        let second = message.identified.message.sent_at.second();
        let (window, reason, raw) = (
            Window::with_length(second, 1),
            (*reason).to_owned(),
            raw_json(message),
        );
        let entry = QuarantineEntry {
            id: id_of_raw(&raw),
            window,
            found_at: now,
            reason,
            raw,
        };
        insert_entry::<DB>(tx, account, stream, &entry).await?;
    }
    let evicted = removed.len() as u64;
    adjust_rows::<DB>(tx, account, stream, removed).await?;
    remove_from_index::<DB>(tx, &unindexed).await?;
    Ok(evicted)
}

/// Returns the slot of a message, or `None` if it is gone. It may have moved since the message was
/// read, when others of its millisecond were evicted.
async fn current_slot<DB: Dialect>(
    tx: &mut DB::Connection,
    message: &ArchivedMessage,
) -> Result<Option<i64>, StoreError> {
    let cursor = message.cursor();
    let IdentifiedMessage {
        fingerprint,
        occurrence,
        ..
    } = &message.identified;
    let found = DB::load_millisecond(tx, cursor.recipient, cursor.sent_at_ms).await;
    let found = found.map_err(StoreError::at("move to quarantine"))?;
    let is_same =
        |key: &MessageKey| key.hash == fingerprint.0 && key.occurrence == i64::from(*occurrence);
    let same = found.iter().filter(|(_, key, _)| is_same(key));
    let slots: Vec<(i64, i64)> = same
        .map(|(owner, _, columns)| (*owner, i64::from(columns.slot)))
        .collect();
    let unmoved = slots.iter().find(|(_, slot)| *slot == cursor.slot);
    let moved = || slots.iter().find(|(owner, _)| *owner == cursor.account);
    Ok(unmoved.or_else(moved).map(|(_, slot)| *slot))
}

/// Deletes the message in a slot, and closes the gap.
async fn delete_message<DB: Dialect>(
    tx: &mut DB::Connection,
    message: &ArchivedMessage,
    slot: i64,
) -> Result<(), StoreError> {
    let cursor = message.cursor();
    let args = [cursor.recipient, cursor.sent_at_ms, slot].map(Arg::from);
    execute::<DB>(tx, "move to quarantine", sql::DELETE_MESSAGE, &args).await?;
    move_displaced_back::<DB>(tx, cursor.recipient, cursor.sent_at_ms, slot).await
}

/// Moves the message that this slot displaced into it, and so on for the slot that becomes free.
/// A lookup does not search beyond a message's preferred slot while that is free.
async fn move_displaced_back<DB: Dialect>(
    tx: &mut DB::Connection,
    recipient: i64,
    sent_at_ms: i64,
    freed: i64,
) -> Result<(), StoreError> {
    const WHAT: &str = "move to slot";
    let failed = StoreError::at(WHAT);
    let mut freed = freed;
    loop {
        let others = DB::load_millisecond(tx, recipient, sent_at_ms)
            .await
            .map_err(&failed)?;
        let displaced = others.iter().find(|(account, key, columns)| {
            let occurrence = u32::try_from(key.occurrence).unwrap_or(0);
            let preferred = preferred_slot(*account, Fingerprint(key.hash), occurrence);
            i64::from(preferred) == freed && i64::from(columns.slot) != freed
        });
        let Some((.., columns)) = displaced else {
            return Ok(());
        };
        let slot = i64::from(columns.slot);
        let args = [recipient, sent_at_ms, slot, freed].map(Arg::from);
        execute::<DB>(tx, WHAT, sql::MOVE_TO_SLOT, &args).await?;
        freed = slot;
    }
}

/// Returns everything that the archive holds of a message, as JSON that differs from every
/// provider's item.
fn raw_json(archived: &ArchivedMessage) -> String {
    let mut content = content_of(&archived.identified);
    content["account"] = json!(archived.account);
    content["archived_at_ms"] = json!(archived.archived_at.0);
    json!({ EVICTED_FIELD: content }).to_string()
}

/// Returns a message that the database refuses, for the quarantine.
pub(super) fn refused_message(identified: &IdentifiedMessage, reason: String) -> UnparsableMessage {
    let raw = json!({ EVICTED_FIELD: content_of(identified) }).to_string();
    UnparsableMessage::new(raw, reason)
}

fn content_of(identified: &IdentifiedMessage) -> Value {
    let message = &identified.message;
    let status_at = |at: Option<Millis>| at.map(|at| at.0);
    let status = message
        .status
        .map(|status| (status.status as u8, status_at(status.at)));
    json!({
        "sender": message.sender,
        "recipient": message.recipient,
        "sent_at_ms": message.sent_at.0,
        "hash": hex::encode(identified.fingerprint.0),
        "occurrence": identified.occurrence,
        "payload_hex": hex::encode(&message.payload.bytes),
        "payload_encoding": message.payload.encoding.as_str(),
        "payload_type": message.payload_type,
        "cipher_suite": message.cipher_suite,
        "conversation": message.conversation.name,
        "provider_message_id": message.provider_id,
        "message_type": message.message_type,
        "status": status,
        "extra": message.extra,
    })
}

//! Messages out of the archive into quarantine: what was changed or added behind its back.

use serde_json::json;

use super::archived::ArchivedMessage;
use super::dialect::{Dialect, fetch_one, int};
use super::ledger::QuarantineEntry;
use super::rows::preferred_slot;
use super::write::insert_quarantine;
use super::{StoreError, StreamId, sql};
use crate::domain::identity::{Fingerprint, IdentifiedMessage};
use crate::domain::time::Millis;
use crate::domain::window::Window;

/// A message that is to leave the archive, and why. One that has left it already is passed over.
#[derive(Debug)]
pub struct Eviction<'a> {
    pub message: &'a ArchivedMessage,
    pub reason: &'static str,
}

pub(super) async fn evict<DB: Dialect>(
    tx: &mut DB::Connection,
    stream: StreamId,
    aside: &[Eviction<'_>],
    now: Millis,
) -> Result<u64, StoreError> {
    let failed = StoreError::at("set aside");
    let account =
        fetch_one::<DB>(tx, "set aside", sql::ACCOUNT_OF_STREAM, &[stream.0.into()]).await?;
    let account = int::<DB>(&account, "account_id")?;
    let mut set_aside = 0;
    for Eviction { message, reason } in aside {
        let [recipient, sent_at, _] = message.cursor().key_columns();
        let Some(slot) = current_slot::<DB>(tx, message).await? else {
            continue;
        };
        let place = [recipient, sent_at, slot];
        DB::execute(tx, sql::DELETE_MESSAGE, &place.map(Into::into))
            .await
            .map_err(&failed)?;
        move_displaced_back::<DB>(tx, place).await?;
        set_aside += 1;
        let second = message.identified.message.sent_at.second();
        let (window, reason, raw) = (
            Window::with_length(second, 1),
            (*reason).to_owned(),
            raw_json(message),
        );
        let row = QuarantineEntry {
            window,
            found_at: now,
            reason,
            raw,
        };
        insert_quarantine::<DB>(tx, account, stream.0, &row)
            .await
            .map_err(&failed)?;
    }
    Ok(set_aside)
}

/// Where the message lies by now: others may have left meanwhile.
async fn current_slot<DB: Dialect>(
    tx: &mut DB::Connection,
    message: &ArchivedMessage,
) -> Result<Option<i64>, StoreError> {
    let [recipient, sent_at, slot] = message.cursor().key_columns();
    let IdentifiedMessage {
        fingerprint,
        occurrence,
        ..
    } = &message.identified;
    let crowd = DB::load_millisecond(tx, recipient, sent_at)
        .await
        .map_err(StoreError::at("set aside"))?;
    let same = crowd
        .iter()
        .filter(|(_, (.., hash, n), _)| (*hash, *n) == (fingerprint.0, i64::from(*occurrence)));
    let slots: Vec<(i64, i64)> = same
        .map(|(owner, _, known)| (*owner, i64::from(known.slot)))
        .collect();
    let here = slots.iter().find(|(_, there)| *there == slot);
    let moved = || {
        slots
            .iter()
            .find(|(owner, _)| *owner == message.cursor().account())
    };
    Ok(here.or_else(moved).map(|(_, slot)| *slot))
}

/// Lets whoever had to make way for the message in this slot have it. Nobody looks for a message beyond the slot where
/// it belongs while that one is free.
async fn move_displaced_back<DB: Dialect>(
    tx: &mut DB::Connection,
    [recipient, sent_at, freed]: [i64; 3],
) -> Result<(), StoreError> {
    let failed = StoreError::at("close up");
    let mut freed = freed;
    loop {
        let crowd = DB::load_millisecond(tx, recipient, sent_at)
            .await
            .map_err(&failed)?;
        let displaced = crowd
            .iter()
            .find(|(account, (.., hash, occurrence), known)| {
                let occurrence = u32::try_from(*occurrence).unwrap_or(0);
                let home = i64::from(preferred_slot(*account, Fingerprint(*hash), occurrence));
                home == freed && i64::from(known.slot) != freed
            });
        let Some((.., known)) = displaced else {
            return Ok(());
        };
        let slot = i64::from(known.slot);
        let args = [recipient, sent_at, slot, freed].map(Into::into);
        DB::execute(tx, sql::MOVE_TO_SLOT, &args)
            .await
            .map_err(&failed)?;
        freed = slot;
    }
}

impl QuarantineEntry {
    /// Whether it was in the archive once.
    pub fn was_archived(&self) -> bool {
        self.raw.starts_with("{\"set_aside\":")
    }
}

/// All that the archive held of a message, in a form that no provider's answer has.
fn raw_json(archived: &ArchivedMessage) -> String {
    let message = &archived.identified.message;
    let status = message
        .status
        .map(|delivery| (delivery.status as u8, delivery.at.map(|at| at.0)));
    let held = json!({
        "account": archived.account,
        "sender": message.sender,
        "recipient": message.recipient,
        "sent_at_ms": message.sent_at.0,
        "hash": hex::encode(archived.identified.fingerprint.0),
        "occurrence": archived.identified.occurrence,
        "payload_hex": hex::encode(&message.payload.bytes),
        "payload_encoding": message.payload.encoding.as_str(),
        "payload_type": message.payload_type,
        "cipher_suite": message.cipher_suite,
        "conversation": message.conversation.name,
        "provider_message_id": message.provider_id,
        "message_type": message.message_type,
        "status": status,
        "extra": message.extra,
        "archived_at_ms": archived.archived_at.0,
    });
    json!({ "set_aside": held }).to_string()
}

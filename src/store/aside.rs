//! Messages out of the archive into quarantine: what was changed or added behind its back.

use serde_json::json;

use super::dialect::{Dialect, int, one};
use super::ledger::Quarantined;
use super::read::Archived;
use super::write::quarantine_row;
use super::{StoreError, StreamId, sql};
use crate::domain::time::Millis;
use crate::domain::window::Window;

/// A message that is to leave the archive, and why. One that has left it already is passed over.
#[derive(Debug)]
pub struct Aside<'a> {
    pub message: &'a Archived,
    pub reason: &'static str,
}

pub(super) async fn set_aside<DB: Dialect>(
    tx: &mut DB::Connection,
    stream: StreamId,
    aside: &[Aside<'_>],
    now: Millis,
) -> Result<u64, StoreError> {
    let failed = StoreError::at("set aside");
    let account = one::<DB>(tx, "set aside", sql::ACCOUNT_OF, &[stream.0.into()]).await?;
    let account = int::<DB>(&account, "account_id")?;
    let mut set_aside = 0;
    for Aside { message, reason } in aside {
        let place = message.cursor().place().map(Into::into);
        if DB::execute(tx, sql::REMOVE, &place).await.map_err(&failed)? == 0 {
            continue;
        }
        set_aside += 1;
        let second = message.identified.message.sent_at.second();
        let (window, reason, raw) = (Window::lasting(second, 1), (*reason).to_owned(), raw(message));
        let row = Quarantined { window, found_at: now, reason, raw };
        quarantine_row::<DB>(tx, account, stream.0, &row).await.map_err(&failed)?;
    }
    Ok(set_aside)
}

impl Quarantined {
    /// Whether it was in the archive once.
    pub fn is_set_aside(&self) -> bool {
        self.raw.starts_with("{\"set_aside\":")
    }
}

/// All that the archive held of a message, in a form that no provider's answer has.
fn raw(archived: &Archived) -> String {
    let message = &archived.identified.message;
    let status = message.status.map(|delivery| (delivery.status as u8, delivery.at.map(|at| at.0)));
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

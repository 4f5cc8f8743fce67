//! Messages out of the archive again, as they went in.

use super::StoreError;
use super::dialect::{Arg, Dialect, bytes, int, optional_int, text};
use super::rows::delivery_from_columns;
use crate::domain::body::Body;
use crate::domain::identity::{Fingerprint, IdentifiedMessage};
use crate::domain::message::{Conversation, ConversationKind, Encoding, Message, Payload};
use crate::domain::time::{Millis, Second};

/// A message with its place in the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivedMessage {
    /// The account's name.
    pub account: String,
    pub identified: IdentifiedMessage,
    /// When it first came into the archive, to the second.
    pub archived_at: Millis,
    /// What readers are shown of the payload, where that is not the payload itself.
    displayed: DisplayedBody,
    cursor: Cursor,
}

/// What the archive keeps beside a payload for those who read it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct DisplayedBody {
    is_text: bool,
    body: Option<String>,
}

/// A place between two messages, in the order in which [`super::Store::messages`] hands them out. It means nothing in
/// another archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cursor {
    sent_at_ms: i64,
    hash: [u8; 16],
    occurrence: i64,
    recipient: i64,
    slot: i64,
    /// Says nothing about the order.
    account: i64,
}

impl Cursor {
    /// Before the first message of this moment.
    pub fn before(moment: Millis) -> Self {
        Self {
            sent_at_ms: moment.0,
            hash: [0; 16],
            occurrence: -1,
            recipient: 0,
            slot: 0,
            account: 0,
        }
    }

    /// The moment at or after which it stands.
    pub fn moment(&self) -> Millis {
        Millis(self.sent_at_ms)
    }

    /// The number of the account whose message it is behind which it stands; 0 where that cannot be told.
    pub(super) fn account(&self) -> i64 {
        self.account
    }

    /// Where the message lies behind which it stands: recipient, millisecond, slot.
    pub(super) fn key_columns(&self) -> [i64; 3] {
        [self.recipient, self.sent_at_ms, self.slot]
    }
}

impl ArchivedMessage {
    /// Behind this message.
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// What in the row is not as it was archived, as far as the row itself can tell.
    pub fn fault(&self) -> Option<&'static str> {
        let IdentifiedMessage {
            message,
            fingerprint,
            ..
        } = &self.identified;
        if Fingerprint::compute(message) != *fingerprint {
            return Some("does not match its own hash");
        }
        let (is_text, body) = match Body::from_message(message) {
            Body::NotText => (false, None),
            Body::ExactText => (true, None),
            Body::RepairedText(text) => (true, Some(text)),
        };
        (self.displayed != DisplayedBody { is_text, body })
            .then_some("has a body that is not its payload's")
    }
}

/// Up to `limit` messages behind the cursor and before `to`, in order of time.
pub(super) async fn read_messages<DB: Dialect>(
    connection: &mut DB::Connection,
    after: &Cursor,
    to: Millis,
    limit: u64,
) -> Result<Vec<ArchivedMessage>, StoreError> {
    let hash: &[u8] = &after.hash;
    let [sent_at, occurrence, recipient, slot]: [Arg<'_>; 4] = [
        after.sent_at_ms,
        after.occurrence,
        after.recipient,
        after.slot,
    ]
    .map(Into::into);
    let args = [
        sent_at,
        to.0.into(),
        hash.into(),
        occurrence,
        recipient,
        slot,
        limit.into(),
    ];
    let rows = DB::fetch(connection, DB::READ_MESSAGES, &args)
        .await
        .map_err(StoreError::at("messages"))?;
    rows.iter().map(archived_message::<DB>).collect()
}

fn archived_message<DB: Dialect>(row: &DB::Row) -> Result<ArchivedMessage, StoreError> {
    let hash = required(bytes::<DB>(row, "hash")?, "hash")?;
    let hash: [u8; 16] = hash.try_into().map_err(|_| unknown_value("hash"))?;
    let sent_at_ms = int::<DB>(row, "sent_at_ms")?;
    let occurrence = int::<DB>(row, "occurrence")?;
    let message = Message {
        sender: required(text::<DB>(row, "sender")?, "sender")?,
        recipient: required(text::<DB>(row, "recipient")?, "recipient")?,
        sent_at: Millis(sent_at_ms),
        payload: Payload {
            bytes: required(bytes::<DB>(row, "payload")?, "payload")?,
            encoding: encoding_from_code(int::<DB>(row, "encoding")?),
        },
        conversation: Conversation {
            kind: kind_from_code(int::<DB>(row, "kind")?),
            name: required(text::<DB>(row, "conversation")?, "conversation")?,
        },
        provider_id: text::<DB>(row, "provider_id")?,
        message_type: text::<DB>(row, "message_type")?,
        payload_type: text::<DB>(row, "payload_type")?,
        cipher_suite: text::<DB>(row, "cipher_suite")?,
        status: delivery_from_columns(
            optional_int::<DB>(row, "status")?,
            optional_int::<DB>(row, "status_at_ms")?,
        ),
        extra: text::<DB>(row, "extra")?,
    };
    Ok(ArchivedMessage {
        account: required(text::<DB>(row, "account")?, "account")?,
        identified: IdentifiedMessage {
            message,
            fingerprint: Fingerprint(hash),
            occurrence: u32::try_from(occurrence).map_err(|_| unknown_value("occurrence"))?,
        },
        archived_at: Second(int::<DB>(row, "archived_at_s")?).start(),
        displayed: DisplayedBody {
            is_text: int::<DB>(row, "is_text")? == 1,
            body: text::<DB>(row, "body")?,
        },
        cursor: Cursor {
            sent_at_ms,
            hash,
            occurrence,
            recipient: int::<DB>(row, "recipient_id")?,
            slot: int::<DB>(row, "slot")?,
            account: int::<DB>(row, "account_id")?,
        },
    })
}

/// A code that was never written is read as the view reads it.
fn encoding_from_code(code: i64) -> Encoding {
    let known = [Encoding::Utf8, Encoding::Base64];
    known
        .into_iter()
        .find(|encoding| *encoding as i64 == code)
        .unwrap_or(Encoding::Raw)
}

/// See [`encoding`].
pub(super) fn kind_from_code(code: i64) -> ConversationKind {
    use ConversationKind::{Channel, Group, Peer, Topic, Unknown};
    [Peer, Channel, Group, Topic]
        .into_iter()
        .find(|kind| *kind as i64 == code)
        .unwrap_or(Unknown)
}

fn required<T>(value: Option<T>, column: &'static str) -> Result<T, StoreError> {
    value.ok_or_else(|| unknown_value(column))
}

fn unknown_value(column: &'static str) -> StoreError {
    StoreError::Inconsistent {
        what: "message",
        fault: format!("a `{column}` that was never written"),
    }
}

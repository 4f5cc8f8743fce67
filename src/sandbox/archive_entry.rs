//! Rows of the view `archive`: how they are read from an archive, and how they must look.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use sqlx::{ColumnIndex, Decode, FromRow, Row, Type};

use super::agora::{AgoraMessage, RecipientKind};
use super::options::Options;
use super::shape::{ChannelMessageType, FromSignForm};
use super::web3mq::{Web3mqMessage, Web3mqStatus};
use crate::domain::time::Millis;

/// The query that reads every [`ArchiveEntry`] from an SQLite archive.
pub const ENTRIES_IN_SQLITE: &str = "
    SELECT account, provider, conversation, conversation_kind, sender, recipient, sent_at,
           sent_at_ms, payload, payload_encoding, payload_type, cipher_suite, status, status_at,
           provider_message_id, message_type, extra, body
    FROM archive";

/// The query that reads every [`ArchiveEntry`] from a Postgres archive.
pub const ENTRIES_IN_POSTGRES: &str = r#"
    SELECT account, provider, conversation, conversation_kind, sender, recipient,
           to_char(sent_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS sent_at,
           sent_at_ms, payload, payload_encoding, payload_type, cipher_suite, status,
           to_char(status_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS status_at,
           provider_message_id, message_type, extra::TEXT AS extra, body
    FROM archive"#;

/// A row of the view `archive`, without the columns that only the archive can know.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ArchiveEntry {
    pub(super) sent_at_ms: i64,
    pub(super) account: String,
    provider: String,
    conversation: String,
    conversation_kind: String,
    sender: String,
    recipient: String,
    sent_at: String,
    payload: Vec<u8>,
    payload_encoding: String,
    payload_type: Option<String>,
    cipher_suite: Option<String>,
    status: Option<String>,
    status_at: Option<String>,
    provider_message_id: Option<String>,
    message_type: Option<String>,
    extra: Option<String>,
    /// `None` after normalization, unless it differs from the payload.
    body: Option<String>,
}

impl<'r, R: Row> FromRow<'r, R> for ArchiveEntry
where
    &'static str: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    Vec<u8>: Decode<'r, R::Database> + Type<R::Database>,
    Option<String>: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        Ok(Self {
            sent_at_ms: row.try_get("sent_at_ms")?,
            account: row.try_get("account")?,
            provider: row.try_get("provider")?,
            conversation: row.try_get("conversation")?,
            conversation_kind: row.try_get("conversation_kind")?,
            sender: row.try_get("sender")?,
            recipient: row.try_get("recipient")?,
            sent_at: row.try_get("sent_at")?,
            payload: row.try_get("payload")?,
            payload_encoding: row.try_get("payload_encoding")?,
            payload_type: row.try_get("payload_type")?,
            cipher_suite: row.try_get("cipher_suite")?,
            status: row.try_get("status")?,
            status_at: row.try_get("status_at")?,
            provider_message_id: row.try_get("provider_message_id")?,
            message_type: row.try_get("message_type")?,
            extra: row.try_get("extra")?,
            body: row.try_get("body")?,
        })
    }
}

/// Shows at most the first 40 bytes of a payload, which may have 32 KiB.
impl fmt::Debug for ArchiveEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start =
            String::from_utf8_lossy(self.payload.get(..40).unwrap_or(&self.payload)).into_owned();
        write!(
            f,
            "{} {} {}",
            self.account, self.conversation_kind, self.conversation
        )?;
        write!(
            f,
            " {} -> {} {} ({})",
            self.sender, self.recipient, self.sent_at, self.sent_at_ms
        )?;
        write!(
            f,
            " {}×{} {start:?}",
            self.payload.len(),
            self.payload_encoding
        )?;
        write!(
            f,
            " {:?} {:?} {:?} {:?}",
            self.payload_type, self.cipher_suite, self.status, self.status_at
        )?;
        write!(
            f,
            " id {:?} {:?} {:?} {:?}",
            self.provider_message_id, self.message_type, self.extra, self.body
        )
    }
}

impl ArchiveEntry {
    /// Describes the message without its text.
    pub fn summary(&self) -> String {
        let Self {
            account,
            conversation,
            sent_at,
            ..
        } = self;
        format!(
            "{account}, {conversation}, {sent_at} ({} bytes)",
            self.payload.len()
        )
    }
}

/// Builds the expected entry of an Agora message.
pub(super) fn agora_entry(app_id: &str, message: &AgoraMessage, options: &Options) -> ArchiveEntry {
    let (kind, conversation) = match message.kind {
        RecipientKind::Channel => ("channel", message.dst.clone()),
        RecipientKind::Peer => ("peer", pair_name(&message.src, &message.dst)),
    };
    let message_type = match (options.message_type, message.kind) {
        (ChannelMessageType::Absent, _) => None,
        (_, RecipientKind::Peer) => Some("peer_message"),
        (ChannelMessageType::Group, RecipientKind::Channel) => Some("group_message"),
        (ChannelMessageType::Channel, RecipientKind::Channel) => Some("channel_message"),
    };
    let extra = options.extra_fields.then(|| {
        let delivery = json!({ "attempts": 1, "acks": ["sdk", null], "ratio": 0.5 });
        canonical_json(&json!({ "region": "eu-1", "delivery": delivery }))
    });
    ArchiveEntry {
        account: app_id.to_owned(),
        provider: "agora".to_owned(),
        conversation,
        conversation_kind: kind.to_owned(),
        sender: message.src.clone(),
        recipient: message.dst.clone(),
        sent_at: Millis(message.ms).to_string(),
        sent_at_ms: message.ms,
        payload: message.payload.clone(),
        payload_encoding: "utf8".to_owned(),
        payload_type: None,
        cipher_suite: None,
        status: None,
        status_at: None,
        provider_message_id: None,
        message_type: message_type.map(str::to_owned),
        extra,
        body: None,
    }
}

/// Builds the expected entry of a Web3MQ message.
pub(super) fn web3mq_entry(account: &str, row: &Web3mqMessage, options: &Options) -> ArchiveEntry {
    let (kind, conversation) = match row.topic.split_once(':') {
        Some(("user", _)) => ("peer", pair_name(&row.from, &row.row_topic)),
        Some(("group", _)) => ("group", row.topic.clone()),
        _ => ("topic", row.topic.clone()),
    };
    // Base64 is canonical if encoding the decoded bytes gives the same text.
    let canonical = STANDARD
        .decode(&row.payload_text)
        .ok()
        .filter(|bytes| STANDARD.encode(bytes) == row.payload_text);
    let (payload, encoding) = match canonical {
        Some(bytes) => (bytes, "base64"),
        None => (row.payload_text.clone().into_bytes(), "raw"),
    };
    let status = row.status.map(|status| match status {
        Web3mqStatus::Received => "received",
        Web3mqStatus::Delivered => "delivered",
        Web3mqStatus::Read => "read",
    });
    ArchiveEntry {
        account: account.to_owned(),
        provider: "web3mq".to_owned(),
        conversation,
        conversation_kind: kind.to_owned(),
        sender: row.from.clone(),
        recipient: row.row_topic.clone(),
        sent_at: Millis(row.ms).to_string(),
        sent_at_ms: row.ms,
        payload,
        payload_encoding: encoding.to_owned(),
        payload_type: Some(row.payload_type.clone()),
        cipher_suite: Some(row.cipher_suite.clone()),
        status: status.map(str::to_owned),
        status_at: status.map(|_| Millis(row.status_ms).to_string()),
        provider_message_id: Some(row.messageid.clone()).filter(|id| !id.is_empty()),
        message_type: None,
        extra: Some(canonical_json(&extra_object(row, options))),
        body: None,
    }
}

/// Returns the fields of a Web3MQ row that have no column of their own, as a JSON object.
fn extra_object(row: &Web3mqMessage, options: &Options) -> Value {
    let digest = blake3::hash(row.from_sign.as_bytes());
    let [a, b, c, d, ..] = *digest.as_bytes();
    let from_sign = match options.from_sign {
        FromSignForm::Text => json!(row.from_sign),
        FromSignForm::Number => json!(u32::from_be_bytes([a, b, c, d])),
    };
    let mut extra = Map::from_iter([
        ("from_sign".to_owned(), from_sign),
        ("version".to_owned(), json!(row.version)),
    ]);
    if options.extra_fields {
        extra.insert("threadid".to_owned(), json!(""));
        extra.insert("message_type".to_owned(), json!("Web3MQ/thread"));
        extra.insert(
            "extra_data".to_owned(),
            json!({ "client": "sandbox", "tags": [1, null, "two"] }),
        );
    }
    Value::Object(extra)
}

/// Returns the conversation name of two peers, independent of their order.
fn pair_name(one: &str, other: &str) -> String {
    let mut names = [one, other];
    names.sort_unstable();
    names.join("/")
}

/// Normalizes an entry for comparison. Spaces and key order in the JSON of `extra` are irrelevant.
/// `body` is removed, unless the payload is plain text and `body` differs from it.
pub(super) fn normalized(mut row: ArchiveEntry) -> ArchiveEntry {
    row.extra = row.extra.map(|text| match serde_json::from_str(&text) {
        Ok(object) => canonical_json(&object),
        Err(_) => text,
    });
    let text = str::from_utf8(&row.payload)
        .ok()
        .filter(|text| !text.contains('\0') && row.payload_encoding == "utf8");
    if text.is_none() || row.body.as_deref() == text {
        row.body = None;
    } else {
        row.body.get_or_insert_default();
    }
    row
}

/// Returns the JSON object with its keys in alphabetical order.
fn canonical_json(object: &Value) -> String {
    let fields: BTreeMap<&String, &Value> = object.as_object().into_iter().flatten().collect();
    serde_json::to_string(&fields).unwrap_or_default()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::sandbox) fn entry(ms: i64, text: &str) -> ArchiveEntry {
        let message = AgoraMessage {
            src: "a".into(),
            dst: "b".into(),
            kind: RecipientKind::Channel,
            ms,
            payload: text.into(),
        };
        ArchiveEntry {
            body: Some(text.to_owned()),
            ..agora_entry("app", &message, &Options::default())
        }
    }

    #[test]
    fn a_body_that_differs_from_its_payload_is_kept() {
        let wrong = ArchiveEntry {
            body: Some("y".to_owned()),
            ..entry(1, "x")
        };
        let absent = ArchiveEntry {
            body: None,
            ..entry(1, "x")
        };
        assert!(
            [wrong, absent]
                .into_iter()
                .all(|row| normalized(row) != normalized(entry(1, "x")))
        );
    }
}

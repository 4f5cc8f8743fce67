//! The expected content of an archive of the sandbox. It is computed without any of the archiving
//! code.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::agora::{AgoraMessage, RecipientKind};
use super::options::Options;
use super::shape::{ChannelMessageType, FromSignForm};
use super::web3mq::{Web3mqMessage, Web3mqStatus};
use super::world::World;
use crate::domain::time::Millis;

/// The query that reads every [`ArchiveEntry`] from an SQLite archive.
pub const ENTRIES_IN_SQLITE: &str = "
    SELECT account, provider, conversation, conversation_kind, sender, recipient, sent_at, sent_at_ms, payload,
           payload_encoding, payload_type, cipher_suite, status, status_at, provider_message_id, message_type, extra, body
    FROM archive";

/// The query that reads every [`ArchiveEntry`] from a Postgres archive.
pub const ENTRIES_IN_POSTGRES: &str = r#"
    SELECT account, provider, conversation, conversation_kind, sender, recipient,
           to_char(sent_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS sent_at, sent_at_ms, payload,
           payload_encoding, payload_type, cipher_suite, status,
           to_char(status_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS status_at, provider_message_id,
           message_type, extra::TEXT AS extra, body
    FROM archive"#;

/// A row of the view `archive`, without the columns that only the archive can know.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, sqlx::FromRow)]
pub struct ArchiveEntry {
    sent_at_ms: i64,
    account: String,
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

/// Shows at most the first 40 bytes of a payload, which may have 32 KiB.
impl std::fmt::Debug for ArchiveEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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

/// The difference between an archive and the expected entries.
#[derive(Debug, Default)]
pub struct ArchiveDifference {
    /// The number of expected messages.
    pub messages: usize,
    /// Expected entries that the archive lacks.
    pub missing: Vec<ArchiveEntry>,
    /// Entries that the archive holds more often than expected.
    pub duplicated: Vec<ArchiveEntry>,
    /// Entries of the archive that are not expected at all.
    pub unexpected: Vec<ArchiveEntry>,
}

impl ArchiveDifference {
    /// True if there is no difference.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.duplicated.is_empty() && self.unexpected.is_empty()
    }
}

impl World {
    /// Compares an archive of these accounts with the expected entries. The archive must hold every
    /// entry before `until`, and no unexpected entry at all. Equal entries are counted separately.
    pub fn compare_archive(
        &self,
        accounts: &[&str],
        archived: Vec<ArchiveEntry>,
        until: Millis,
    ) -> ArchiveDifference {
        let mut archived: Vec<_> = archived.into_iter().map(normalized).collect();
        archived.sort_unstable();
        let mut truth: Vec<_> = truth(self)
            .into_iter()
            .filter(|row| accounts.contains(&row.account.as_str()))
            .collect();
        truth.sort_unstable();
        let (missing, invented) = diff_sorted(&truth, &archived);
        let (twice, untrue) = invented
            .into_iter()
            .partition(|entry| truth.binary_search(entry).is_ok());
        let missing = missing
            .into_iter()
            .filter(|row| row.sent_at_ms < until.0)
            .collect();
        ArchiveDifference {
            messages: truth.len(),
            missing,
            duplicated: twice,
            unexpected: untrue,
        }
    }
}

/// Returns the entries that are in only one of two sorted lists: those of the left, and those of
/// the right.
fn diff_sorted(
    left: &[ArchiveEntry],
    right: &[ArchiveEntry],
) -> (Vec<ArchiveEntry>, Vec<ArchiveEntry>) {
    let (mut l, mut r) = (left.iter().peekable(), right.iter().peekable());
    let (mut only_left, mut only_right) = (Vec::new(), Vec::new());
    loop {
        match (l.peek(), r.peek()) {
            (Some(a), Some(b)) if a == b => drop((l.next(), r.next())),
            (Some(a), Some(b)) if a < b => only_left.extend(l.next().cloned()),
            (_, Some(_)) => only_right.extend(r.next().cloned()),
            (Some(_), None) => only_left.extend(l.next().cloned()),
            (None, None) => return (only_left, only_right),
        }
    }
}

/// Normalizes an entry for comparison. Spaces and key order in the JSON of `extra` are irrelevant.
/// `body` is removed, unless the payload is plain text and `body` differs from it.
fn normalized(mut row: ArchiveEntry) -> ArchiveEntry {
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

fn canonical_json(object: &Value) -> String {
    let fields: BTreeMap<&String, &Value> = object.as_object().into_iter().flatten().collect();
    serde_json::to_string(&fields).unwrap_or_default()
}

/// Returns the expected entries of all accounts.
fn truth(world: &World) -> Vec<ArchiveEntry> {
    let options = world.options();
    let agora = world.app_ids().into_iter().flat_map(|app_id| {
        world
            .agora_messages(&app_id)
            .into_iter()
            .map(move |message| agora_entry(&app_id, &message, options))
    });
    let web3mq = world
        .user_ids()
        .into_iter()
        .enumerate()
        .flat_map(|(index, user_id)| {
            let account = format!("web3mq-{}", index + 1);
            let mut rows: Vec<_> = world
                .web3mq_topics(&user_id)
                .into_values()
                .flatten()
                .collect();
            // Rows with the same id and content are one message. The most advanced status counts.
            rows.sort_by_key(|row| Reverse((row.status, row.status_ms)));
            let mut seen = HashSet::new();
            let distinct = rows.into_iter().filter(move |row| {
                let identity = (
                    &row.row_topic,
                    &row.from,
                    row.ms,
                    &row.messageid,
                    &row.payload_text,
                );
                row.messageid.is_empty()
                    || seen.insert(blake3::hash(format!("{identity:?}").as_bytes()))
            });
            distinct
                .map(move |row| web3mq_entry(&account, &row, options))
                .collect::<Vec<_>>()
        });
    agora.chain(web3mq).collect()
}

fn agora_entry(app_id: &str, message: &AgoraMessage, options: &Options) -> ArchiveEntry {
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
        canonical_json(&json!({ "region": "eu-1", "delivery": { "attempts": 1, "acks": ["sdk", null], "ratio": 0.5 } }))
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

fn web3mq_entry(account: &str, row: &Web3mqMessage, options: &Options) -> ArchiveEntry {
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
        extra: Some(canonical_json(&Value::Object(uncolumned_fields(
            row, options,
        )))),
        body: None,
    }
}

/// Returns the fields of a Web3MQ row that have no column.
fn uncolumned_fields(row: &Web3mqMessage, options: &Options) -> Map<String, Value> {
    let digest = blake3::hash(row.from_sign.as_bytes());
    let [a, b, c, d, ..] = *digest.as_bytes();
    let from_sign = match options.from_sign {
        FromSignForm::Text => json!(row.from_sign),
        FromSignForm::Number => json!(u32::from_be_bytes([a, b, c, d])),
    };
    let mut more = Map::from_iter([
        ("from_sign".to_owned(), from_sign),
        ("version".to_owned(), json!(row.version)),
    ]);
    if options.extra_fields {
        more.insert("threadid".to_owned(), json!(""));
        more.insert("message_type".to_owned(), json!("Web3MQ/thread"));
        more.insert(
            "extra_data".to_owned(),
            json!({ "client": "sandbox", "tags": [1, null, "two"] }),
        );
    }
    more
}

/// Returns the conversation name of two peers, independent of their order.
fn pair_name(one: &str, other: &str) -> String {
    let mut names = [one, other];
    names.sort_unstable();
    names.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(ms: i64, text: &str) -> ArchiveEntry {
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
    fn the_same_thing_twice_is_two_things() {
        let one = [entry(1, "x"), entry(2, "x"), entry(2, "x")].map(normalized);
        let other = [entry(1, "x"), entry(2, "x"), entry(3, "y")].map(normalized);
        let (only_one, only_other) = diff_sorted(&one, &other);
        assert_eq!(
            (only_one, only_other),
            (
                vec![normalized(entry(2, "x"))],
                vec![normalized(entry(3, "y"))]
            )
        );
    }

    #[test]
    fn a_body_that_is_not_its_payload_makes_a_difference() {
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

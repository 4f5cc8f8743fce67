//! What the archive must hold, worked out from the sandbox's world without any of the code that archives it.

use std::cmp::Reverse;
use std::collections::HashSet;

use backscroll::domain::time::Millis;
use backscroll::sandbox::{AgoraMessage, FromSign, Kind, MessageType, Options, Status, Web3mqMessage, World};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::bed::Bed;

/// Reads every [`Archived`].
pub(crate) const ARCHIVED: &str = "
    SELECT account, provider, conversation, conversation_kind, sender, recipient, sent_at, sent_at_ms, payload,
           payload_encoding, payload_type, cipher_suite, status, status_at, provider_message_id, message_type, extra, body
    FROM archive";

/// A row of `archive`, without what only the archive knows.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, sqlx::FromRow)]
pub(crate) struct Archived {
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
    body: Option<String>,
}

/// Shows no more than the start of a payload: it may be 32 KiB.
impl std::fmt::Debug for Archived {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let start = String::from_utf8_lossy(&self.payload[..self.payload.len().min(40)]).into_owned();
        write!(f, "{} {} {}", self.account, self.conversation_kind, self.conversation)?;
        write!(f, " {} -> {} {} ({})", self.sender, self.recipient, self.sent_at, self.sent_at_ms)?;
        write!(f, " {}×{} {start:?}", self.payload.len(), self.payload_encoding)?;
        write!(f, " {:?} {:?} {:?} {:?}", self.payload_type, self.cipher_suite, self.status, self.status_at)?;
        write!(f, " id {:?} {:?} {:?}", self.provider_message_id, self.message_type, self.extra)
    }
}

/// The archive's rows are the truth about these accounts up to `edge`, and nothing but the truth after it.
#[track_caller]
pub(crate) fn assert_equal(world: &World, accounts: &[&str], archived: Vec<Archived>, edge: Millis) {
    let mut archived: Vec<_> = archived.into_iter().map(normal).collect();
    archived.sort_unstable();
    let mut truth: Vec<_> = truth(world).into_iter().filter(|row| accounts.contains(&row.account.as_str())).collect();
    truth.sort_unstable();
    let (missing, invented) = difference(&truth, &archived);
    let missing: Vec<_> = missing.into_iter().filter(|row| row.sent_at_ms < edge.0).collect();
    assert!(
        missing.is_empty() && invented.is_empty(),
        "of {} messages {} are missing:\n{:#?}\nof {} rows {} are not true:\n{:#?}",
        truth.len(),
        missing.len(),
        &missing[..missing.len().min(3)],
        archived.len(),
        invented.len(),
        &invented[..invented.len().min(3)],
    );
}

/// What is in only one of two sorted lists; the same thing twice is two things.
fn difference<'a>(left: &'a [Archived], right: &'a [Archived]) -> (Vec<&'a Archived>, Vec<&'a Archived>) {
    let (mut l, mut r) = (left.iter().peekable(), right.iter().peekable());
    let (mut only_left, mut only_right) = (Vec::new(), Vec::new());
    loop {
        match (l.peek(), r.peek()) {
            (Some(a), Some(b)) if a == b => drop((l.next(), r.next())),
            (Some(a), Some(b)) if a < b => only_left.extend(l.next()),
            (_, Some(_)) => only_right.extend(r.next()),
            (Some(_), None) => only_left.extend(l.next()),
            (None, None) => return (only_left, only_right),
        }
    }
}

/// `extra` is JSON: its spaces and the order of its keys say nothing. `body` is checked here, where the payload is
/// text beyond doubt, and then left out.
#[track_caller]
fn normal(mut row: Archived) -> Archived {
    row.extra = row.extra.map(|text| sorted(&serde_json::from_str(&text).expect("`extra` is JSON")));
    let text = str::from_utf8(&row.payload).ok().filter(|text| !text.contains('\0'));
    if let Some(text) = text.filter(|_| row.payload_encoding == "utf8") {
        assert_eq!(row.body.as_deref(), Some(text), "the body of a payload that is text");
    }
    row.body = None;
    row
}

fn sorted(object: &Value) -> String {
    let object: std::collections::BTreeMap<_, _> = object.as_object().expect("an object").iter().collect();
    serde_json::to_string(&object).expect("JSON")
}

/// Every message of every account.
fn truth(world: &World) -> Vec<Archived> {
    let options = world.options();
    let agora = world
        .projects()
        .into_iter()
        .flat_map(|app_id| world.agora(&app_id).into_iter().map(move |message| of_agora(&app_id, &message, options)));
    let web3mq = world.users().into_iter().enumerate().flat_map(|(index, user_id)| {
        let account = format!("web3mq-{}", index + 1);
        let mut rows: Vec<_> = world.web3mq(&user_id).into_values().flatten().collect();
        // What bears the same id and is the same is the same, and as far as either has come.
        rows.sort_by_key(|row| Reverse((row.status, row.status_ms)));
        let mut seen = HashSet::new();
        let distinct = rows.into_iter().filter(move |row| {
            let identity = (&row.row_topic, &row.from, row.ms, &row.messageid, &row.payload_text);
            row.messageid.is_empty() || seen.insert(blake3::hash(format!("{identity:?}").as_bytes()))
        });
        distinct.map(move |row| of_web3mq(&account, &row, options)).collect::<Vec<_>>()
    });
    agora.chain(web3mq).collect()
}

fn of_agora(app_id: &str, message: &AgoraMessage, options: &Options) -> Archived {
    let (kind, conversation) = match message.kind {
        Kind::Channel => ("channel", message.dst.clone()),
        Kind::Peer => ("peer", pair(&message.src, &message.dst)),
    };
    let message_type = match (options.message_type, message.kind) {
        (MessageType::Absent, _) => None,
        (_, Kind::Peer) => Some("peer_message"),
        (MessageType::Group, Kind::Channel) => Some("group_message"),
        (MessageType::Channel, Kind::Channel) => Some("channel_message"),
    };
    let extra = options.extra_fields.then(|| {
        sorted(&json!({ "region": "eu-1", "delivery": { "attempts": 1, "acks": ["sdk", null], "ratio": 0.5 } }))
    });
    Archived {
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

fn of_web3mq(account: &str, row: &Web3mqMessage, options: &Options) -> Archived {
    let (kind, conversation) = match row.topic.split_once(':') {
        Some(("user", _)) => ("peer", pair(&row.from, &row.row_topic)),
        Some(("group", _)) => ("group", row.topic.clone()),
        _ => ("topic", row.topic.clone()),
    };
    // Canonical is what comes out again when what was read is written.
    let canonical = STANDARD.decode(&row.payload_text).ok().filter(|bytes| STANDARD.encode(bytes) == row.payload_text);
    let (payload, encoding) = match canonical {
        Some(bytes) => (bytes, "base64"),
        None => (row.payload_text.clone().into_bytes(), "raw"),
    };
    let status = row.status.map(|status| match status {
        Status::Received => "received",
        Status::Delivered => "delivered",
        Status::Read => "read",
    });
    Archived {
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
        extra: Some(sorted(&Value::Object(more(row, options)))),
        body: None,
    }
}

/// The fields of a Web3MQ row that have no column.
fn more(row: &Web3mqMessage, options: &Options) -> Map<String, Value> {
    let digest = blake3::hash(row.from_sign.as_bytes());
    let [a, b, c, d, ..] = *digest.as_bytes();
    let from_sign = match options.from_sign {
        FromSign::Text => json!(row.from_sign),
        FromSign::Number => json!(u32::from_be_bytes([a, b, c, d])),
    };
    let mut more = Map::from_iter([("from_sign".to_owned(), from_sign), ("version".to_owned(), json!(row.version))]);
    if options.extra_fields {
        more.insert("threadid".to_owned(), json!(""));
        more.insert("message_type".to_owned(), json!("Web3MQ/thread"));
        more.insert("extra_data".to_owned(), json!({ "client": "sandbox", "tags": [1, null, "two"] }));
    }
    more
}

/// Two peers, whoever of them wrote.
fn pair(one: &str, other: &str) -> String {
    let mut names = [one, other];
    names.sort_unstable();
    names.join("/")
}

#[test]
fn a_pair_is_one_conversation_in_both_directions() {
    let bed = Bed::new(&["--topic-messages", "300"]);
    bed.archives_the_truth();
    let both_ways = bed.number(
        "SELECT count(*) FROM (SELECT conversation_id FROM archive WHERE conversation_kind = 'peer'
         GROUP BY account, conversation_id HAVING count(DISTINCT sender) = 2)",
    );
    assert!(both_ways > 3, "{both_ways} pairs wrote to each other");
    let scattered = bed.number(
        "SELECT count(*) FROM (SELECT 1 FROM archive WHERE conversation_kind = 'peer'
         GROUP BY account, min(sender, recipient), max(sender, recipient) HAVING count(DISTINCT conversation_id) > 1)",
    );
    assert_eq!(scattered, 0, "pairs with more than one conversation");
    let participants = bed.number("SELECT max(participants) FROM conversations WHERE conversation_kind = 'peer'");
    assert_eq!(participants, 2);
}

#[test]
fn every_account_has_its_own_messages() {
    let bed = Bed::new(&["--projects", "2", "--users", "2", "--messages", "800", "--topic-messages", "700"]);
    bed.archives_the_truth();
    assert_eq!(bed.number("SELECT count(DISTINCT account) FROM archive"), 4);
}

#[test]
fn streams_that_overlap_add_no_row() {
    let bed = Bed::new(&["--plain", "--topic-messages", "0"]).only("agora");
    bed.archives_the_truth();
    let rows = bed.rows::<Archived>(ARCHIVED).len();
    let bed = bed.following(
        r#"{ destination = "lobby" }, { destination = "general" }, { destination = "support" }, { destination = "dev-talk" },
        { source = "alice" }, { source = "bob" }, { source = "carol" }, { source = "dave" }, { source = "erin" },
        { source = "frank" }, { source = "alice", destination = "lobby" }, { source = "bob", destination = "alice" }"#,
    );
    bed.archives_the_truth();
    assert_eq!(bed.rows::<Archived>(ARCHIVED).len(), rows);
    let fetched_again: i64 = bed.number("SELECT CAST(sum(messages) AS INTEGER) FROM coverage");
    assert!(fetched_again > i64::try_from(rows).unwrap(), "{fetched_again} in the ledgers, {rows} in the archive");
}

#[test]
fn a_conversation_in_which_nobody_wrote_is_covered_and_empty() {
    let bed = Bed::silent(&[]);
    bed.archives_the_truth();
    assert_eq!(bed.number("SELECT count(*) FROM archive"), 0);
    assert_eq!(bed.number("SELECT count(*) FROM coverage WHERE messages = 0 AND state = 'sealed'"), 11);
}

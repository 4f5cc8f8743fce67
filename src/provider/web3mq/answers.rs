//! Web3MQ's JSON and URLs. Where the documents and the SDKs disagree, every reading is taken (`payload`/`pyaload`,
//! `result`/`data_list`, `total`/`total_count`, `from_sign` as text or number).

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use reqwest::Url;
use serde::de::MapAccess;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::credentials::SessionKey;
use crate::domain::message::{Delivery, Encoding, Payload, Status, Unreadable};
use crate::domain::time::Millis;
use crate::provider::error::ProviderError;
use crate::provider::json::{self, ExtraFields, ObjectFields, WireTime, Wtf8, item, items, object};

/// What the official SDK leaves as it is in a query; all else is percent-encoded, a space as `%20`.
const UNESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'(')
    .remove(b')')
    .remove(b':')
    .remove(b'$')
    .remove(b',');

/// The URL of a page of a topic's history, signed at `at`. Pages are numbered from 1, newest first.
pub(super) fn history_url(
    base: &Url,
    key: &SessionKey,
    user: &str,
    topic: &str,
    at: Millis,
    page: u64,
    size: u64,
) -> Url {
    let signed = signed(key, user, topic, at);
    let query = format!("{signed}&topic={}&page={page}&size={size}", encode(topic));
    url(base, &["messages", "history"], &query)
}

/// The URL of a page of one of the lists of what a user takes part in, signed at `at`.
pub(super) fn list_url(
    base: &Url,
    list: &str,
    key: &SessionKey,
    user: &str,
    at: Millis,
    page: u64,
    size: u64,
) -> Url {
    url(
        base,
        &[list],
        &format!("{}&page={page}&size={size}", signed(key, user, "", at)),
    )
}

/// Who asks, when, and the proof of it. What is asked about is signed where it is named.
fn signed(key: &SessionKey, user: &str, about: &str, at: Millis) -> String {
    let signature = key.sign(user, about, at);
    format!(
        "userid={}&timestamp={}&web3mq_signature={}",
        encode(user),
        at.0,
        encode(&signature)
    )
}

/// Every path ends in a slash.
fn url(base: &Url, place: &[&str], query: &str) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().push("api").extend(place).push("");
    }
    url.set_query(Some(query));
    url
}

fn encode(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, UNESCAPED)
}

/// A page of a topic's history.
#[derive(Debug)]
pub(super) struct TopicPage {
    /// How many messages the topic holds, where the provider says so.
    pub(super) total: Option<u64>,
    /// Newest first.
    pub(super) rows: Vec<ParsedRow>,
}

/// A message of a page, or what could not be understood as one.
pub(super) type ParsedRow = Result<Sent, Unreadable>;

/// A message as Web3MQ tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) from: String,
    pub(super) topic: Option<String>,
    pub(super) at: Millis,
    pub(super) payload: Payload,
    pub(super) id: Option<String>,
    pub(super) payload_type: Option<String>,
    pub(super) cipher_suite: Option<String>,
    pub(super) status: Option<Delivery>,
    pub(super) extra: Option<String>,
}

/// Why a body is no page.
#[derive(Debug)]
pub(super) enum AnswerError {
    /// `code` is not 0.
    Refused {
        code: i64,
        message: Option<String>,
    },
    Malformed(String),
}

#[derive(Debug, Deserialize)]
struct Envelope<'a> {
    code: Option<i64>,
    #[serde(borrow)]
    msg: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
struct Data<'a> {
    #[serde(alias = "total_count")]
    total: Option<u64>,
    #[serde(borrow, alias = "data_list")]
    result: Option<&'a RawValue>,
}

impl AnswerError {
    /// As the answer to what was asked.
    pub(super) fn error(self, what: &'static str) -> ProviderError {
        match self {
            Self::Refused {
                code,
                message: said,
            } => ProviderError::Failed {
                what,
                code: format!("code {code}"),
                said,
            },
            Self::Malformed(fault) => ProviderError::Malformed { what, fault },
        }
    }
}

/// Reads the answer to a history request.
pub(super) fn page(body: &[u8]) -> Result<TopicPage, AnswerError> {
    let fault = |e: serde_json::Error| AnswerError::Malformed(json::parse_error_text(&e));
    let data: Option<Data> = envelope_data(body)?
        .map_or(Ok(None), |raw| serde_json::from_str(raw.get()))
        .map_err(fault)?;
    let data = data.unwrap_or_default();
    let rows = items(data.result, sent)
        .map_err(|e| AnswerError::Malformed(format!("the rows: {}", json::parse_error_text(&e))))?;
    Ok(TopicPage {
        total: data.total,
        rows,
    })
}

/// What the envelope of a successful answer holds.
pub(super) fn envelope_data(body: &[u8]) -> Result<Option<&RawValue>, AnswerError> {
    let fault = |e: serde_json::Error| AnswerError::Malformed(json::parse_error_text(&e));
    let envelope: Envelope =
        serde_json::from_str(json::utf8_body(body).map_err(AnswerError::Malformed)?)
            .map_err(fault)?;
    match envelope.code {
        Some(0) => {}
        Some(code) => {
            let said = envelope
                .msg
                .map(|m| m.chars().filter(|c| !c.is_control()).take(200).collect());
            return Err(AnswerError::Refused {
                code,
                message: said,
            });
        }
        None => {
            return Err(AnswerError::Malformed(
                "the answer holds no `code`".to_owned(),
            ));
        }
    }
    Ok(envelope.data)
}

/// One message by itself.
pub(super) fn parse_message(raw: &str) -> ParsedRow {
    item(raw, sent)
}

#[derive(Debug, Default)]
struct Web3mqMessageFields {
    from: Option<String>,
    topic: Option<String>,
    timestamp: Option<WireTime>,
    payload: Option<Wtf8>,
    messageid: Option<String>,
    payload_type: Option<String>,
    cipher_suite: Option<String>,
    status: Option<Delivery>,
    extra: ExtraFields,
}

impl<'de> ObjectFields<'de> for Web3mqMessageFields {
    const TYPE_NAME: &'static str = "a message";

    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "from" => self.from = Some(map.next_value()?),
            "topic" => self.topic = map.next_value()?,
            "timestamp" => self.timestamp = Some(map.next_value()?),
            "payload" => self.payload = Some(map.next_value()?),
            "pyaload" if self.payload.is_none() => self.payload = Some(map.next_value()?),
            "messageid" => self.messageid = map.next_value()?,
            "payload_type" => self.payload_type = map.next_value()?,
            "cipher_suite" => self.cipher_suite = map.next_value()?,
            "message_status" | "status" => {
                let raw: &RawValue = map.next_value()?;
                match parse_status(raw) {
                    Some(status) => self.status = Some(status),
                    None if raw.get() == "null" => {}
                    None => self.extra.add(key, raw),
                }
            }
            _ => self.extra.add(key, map.next_value()?),
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Web3mqMessageFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object(deserializer)
    }
}

/// A status that we know how to move forward; any other is kept as it came.
fn parse_status(raw: &RawValue) -> Option<Delivery> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(borrow)]
        status: Cow<'a, str>,
        timestamp: Option<WireTime>,
    }
    let wire: Wire = serde_json::from_str(raw.get()).ok()?;
    Some(Delivery {
        status: Status::parse(&wire.status)?,
        at: wire.timestamp.map(|moment| moment.0),
    })
}

fn sent(raw: Web3mqMessageFields) -> Result<Sent, String> {
    let topic = raw.topic.filter(|topic| !topic.is_empty());
    Ok(Sent {
        from: json::name(raw.from, "from")?,
        topic: topic
            .map(|topic| json::name(Some(topic), "topic"))
            .transpose()?,
        at: raw.timestamp.ok_or("no `timestamp`")?.0,
        payload: decode_payload(raw.payload.ok_or("no `payload`")?.0),
        id: raw
            .messageid
            .filter(|id| !id.is_empty())
            .map(|id| json::name(Some(id), "messageid"))
            .transpose()?,
        payload_type: raw
            .payload_type
            .map(|t| json::name(Some(t), "payload_type"))
            .transpose()?,
        cipher_suite: raw
            .cipher_suite
            .map(|c| json::name(Some(c), "cipher_suite"))
            .transpose()?,
        status: raw.status,
        extra: raw.extra.into_json(),
    })
}

/// The decoded bytes where encoding them again gives the provider's very text, else that text itself.
fn decode_payload(text: Vec<u8>) -> Payload {
    // STANDARD takes nothing but canonical base64: right alphabet, full padding, no stray bits at the end.
    match STANDARD.decode(&text) {
        Ok(bytes) => Payload {
            bytes,
            encoding: Encoding::Base64,
        },
        Err(_) => Payload {
            bytes: text,
            encoding: Encoding::Raw,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED_A: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    const SEED_B: &str = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
    const SEED_C: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const U1: &str = "user:1ac51cff3495beac8f47927ddc719c2de3d08ee3b30f97c7ecd27b77";
    const U2: &str = "user:850b1e20abfce1e514659650834380f584e21c0b03fac89847fa86c6";

    fn key(seed: &str) -> SessionKey {
        SessionKey::from_seed(&hex::decode(seed).unwrap().try_into().unwrap())
    }

    fn url(seed: &str, user: &str, topic: &str, at: i64, page: u64, size: u64) -> String {
        let base = Url::parse("https://testnet-us-west-1-1.web3mq.com").unwrap();
        let url = history_url(&base, &key(seed), user, topic, Millis(at), page, size);
        url.as_str()
            .strip_prefix("https://testnet-us-west-1-1.web3mq.com")
            .unwrap()
            .to_owned()
    }

    /// Vectors V1 to V3: what the official SDK puts on the wire, to the byte.
    #[test]
    fn history_request_matches_the_official_sdk() {
        assert_eq!(
            url(
                SEED_A,
                U1,
                "group:dc6dfb6cb100c52499319e79de0429ddf90fb4db",
                1_656_991_509_327,
                1,
                20
            ),
            "/api/messages/history/?userid=user:1ac51cff3495beac8f47927ddc719c2de3d08ee3b30f97c7ecd27b77&timestamp=1656991509327&web3mq_signature=omaQf5dbi7Rj5g0YoSzxyb8P5%2FDfflx%2FzaEn3J7GjqjRxRgZ2poP94w0ht0uCiiTgKv56MqC4V8nJCCt8VMPDg%3D%3D&topic=group:dc6dfb6cb100c52499319e79de0429ddf90fb4db&page=1&size=20"
        );
        assert_eq!(
            url(SEED_B, U1, U2, 1_700_000_000_000, 2, 100),
            "/api/messages/history/?userid=user:1ac51cff3495beac8f47927ddc719c2de3d08ee3b30f97c7ecd27b77&timestamp=1700000000000&web3mq_signature=WPZKe%2FmnAkgUbUtvZwsCMQo5QUBdisFnbHoRaeYRPJEUXif85jqVOdWoItkBL6A1PO%2FWhTpPbGFmRw%2FOP%2F7LCA%3D%3D&topic=user:850b1e20abfce1e514659650834380f584e21c0b03fac89847fa86c6&page=2&size=100"
        );
        assert_eq!(
            url(
                SEED_C,
                "user:daeb1886610c47430790cf1f20cba93936d418adba5857e678210c40",
                "SwapChat:im@850b1e20abfce1e514659650834380f584e21c0b03fac89847fa86c6",
                1_795_300_000_124,
                1,
                50
            ),
            "/api/messages/history/?userid=user:daeb1886610c47430790cf1f20cba93936d418adba5857e678210c40&timestamp=1795300000124&web3mq_signature=MTKs1ZVczU1X2sRR%2BYVqzJS8N%2FAdCBOzdE3Gz9GzpasWCbPa6Yt2LxPzOXxMMNXT4EXVQxObEEFsBUrBOaAjAw%3D%3D&topic=SwapChat:im%40850b1e20abfce1e514659650834380f584e21c0b03fac89847fa86c6&page=1&size=50"
        );
    }

    #[test]
    fn list_request_matches_the_official_sdk() {
        let base = Url::parse("https://testnet-us-west-1-1.web3mq.com").unwrap();
        let url = list_url(
            &base,
            "chats",
            &key(SEED_A),
            U1,
            Millis(1_656_991_509_327),
            1,
            20,
        );
        assert_eq!(
            url.as_str(),
            "https://testnet-us-west-1-1.web3mq.com/api/chats/?userid=user:1ac51cff3495beac8f47927ddc719c2de3d08ee3b30f97c7ecd27b77&timestamp=1656991509327&web3mq_signature=%2Fw5eCji9sfMtNzCC6sGE4KjqeYipaYtChfUikJNUoER5%2FvROa4PIx%2BkgQFMwMQ1%2FTvwL%2FuduuZMjrYmdASaQAQ%3D%3D&page=1&size=20"
        );
    }

    #[test]
    fn public_key_matches_the_test_vectors() {
        assert_eq!(
            key(SEED_A).public_hex(),
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        );
        assert!(!format!("{:?}", key(SEED_A)).contains("9d61"));
    }

    /// The documents' own example.
    #[test]
    fn documented_answer_is_read() {
        let body = r#"{"code": 0, "msg": "ok", "data": {"total": 35, "result": [{
            "cipher_suite": "NONE",
            "from": "user:1ac51cff3495beac8f47927ddc719c2de3d08ee3b30f97c7ecd27b77",
            "topic": "user:850b1e20abfce1e514659650834380f584e21c0b03fac89847fa86c6",
            "from_sign": "fromSign",
            "messageid": "f8661568f943eff85362075d4e2f15ae261cb169740f257f1a743cdc",
            "payload_type": "text/plain; charset=utf-8",
            "timestamp": 1656583297872,
            "message_status": {"status": "read", "timestamp": 1656583392872},
            "payload": "aGVsbG8gd2ViM21x", "version": 1}]}}"#;
        let TopicPage { total, rows } = page(body.as_bytes()).unwrap();
        assert_eq!(total, Some(35));
        let sent = rows[0].as_ref().unwrap();
        assert_eq!((sent.from.as_str(), sent.topic.as_deref()), (U1, Some(U2)));
        assert_eq!(
            sent.payload,
            Payload {
                bytes: b"hello web3mq".to_vec(),
                encoding: Encoding::Base64
            }
        );
        assert_eq!(
            sent.status,
            Some(Delivery {
                status: Status::Read,
                at: Some(Millis(1_656_583_392_872))
            })
        );
        assert_eq!(
            sent.extra.as_deref(),
            Some(r#"{"from_sign":"fromSign","version":1}"#)
        );
        assert_eq!(
            sent.id.as_deref(),
            Some("f8661568f943eff85362075d4e2f15ae261cb169740f257f1a743cdc")
        );
    }

    fn row(json: &str) -> ParsedRow {
        let body =
            format!(r#"{{"code":0,"msg":"ok","data":{{"total_count":1,"data_list":[{json}]}}}}"#);
        let TopicPage { total, mut rows } = page(body.as_bytes()).unwrap();
        assert_eq!(total, Some(1));
        rows.remove(0)
    }

    #[test]
    fn the_misspelt_payload_and_a_numeric_signature_are_read() {
        let sent = row(r#"{"from":"a","timestamp":1656583297872,"pyaload":"aGk=","from_sign":77}"#)
            .unwrap();
        assert_eq!(
            (sent.payload.bytes.as_slice(), sent.topic, sent.id),
            (b"hi".as_slice(), None, None)
        );
        assert_eq!(sent.extra.as_deref(), Some(r#"{"from_sign":77}"#));
    }

    #[test]
    fn base64_that_is_not_canonical_is_kept_as_it_came() {
        for text in ["aGk", "aGl=", "aGk_", "a", "hello world!", "aG k=", "\u{0}"] {
            let json =
                serde_json::json!({"from": "a", "timestamp": 1, "payload": text}).to_string();
            let payload = row(&json).unwrap().payload;
            assert_eq!(
                (payload.bytes.as_slice(), payload.encoding),
                (text.as_bytes(), Encoding::Raw),
                "{text:?}"
            );
        }
        let empty = row(r#"{"from":"a","timestamp":1,"payload":"","messageid":""}"#).unwrap();
        assert_eq!(
            (
                empty.payload.bytes.as_slice(),
                empty.payload.encoding,
                empty.id
            ),
            (b"".as_slice(), Encoding::Base64, None)
        );
    }

    #[test]
    fn unknown_status_stays_in_extra() {
        let sent = row(
            r#"{"from":"a","timestamp":1,"payload":"","message_status":{"status":"recalled"}}"#,
        )
        .unwrap();
        assert_eq!(
            (sent.status, sent.extra.as_deref()),
            (None, Some(r#"{"message_status":{"status":"recalled"}}"#))
        );
        let none = row(r#"{"from":"a","timestamp":1,"payload":"","message_status":null}"#).unwrap();
        assert_eq!((none.status, none.extra), (None, None));
    }

    #[test]
    fn absent_or_null_list_is_an_empty_page() {
        for data in [
            "null",
            "{}",
            r#"{"total":0,"result":null}"#,
            r#"{"total":0,"result":[]}"#,
        ] {
            let body = format!(r#"{{"code":0,"msg":"ok","data":{data}}}"#);
            assert!(page(body.as_bytes()).unwrap().rows.is_empty(), "{data}");
        }
        assert!(page(br#"{"code":0}"#).unwrap().rows.is_empty());
    }

    #[test]
    fn nonzero_code_is_a_refusal() {
        let refusal = page(br#"{"code":401,"msg":"bad signature"}"#);
        assert!(
            matches!(refusal, Err(AnswerError::Refused { code: 401, message: Some(s) }) if s == "bad signature")
        );
        assert!(matches!(page(b"<html>"), Err(AnswerError::Malformed(_))));
        assert!(matches!(page(b"{}"), Err(AnswerError::Malformed(_))));
    }

    #[test]
    fn one_unreadable_row_costs_no_other() {
        let body = r#"{"code":0,"data":{"result":[{"from":"a","timestamp":1,"payload":""},{"from":"a"},"x"]}}"#;
        let rows = page(body.as_bytes()).unwrap().rows;
        assert!(rows[0].is_ok());
        assert_eq!(rows[1].as_ref().unwrap_err().reason, "no `timestamp`");
        assert_eq!(rows[2].as_ref().unwrap_err().raw, "\"x\"");
    }
}

//! Answers of the history API. Where the documents and the SDKs disagree, every form is accepted
//! (`payload`/`pyaload`, `result`/`data_list`, `total`/`total_count`, `from_sign` as text or
//! number).

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::MapAccess;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::streams::TopicMessages;
use crate::domain::message::{
    Delivery, DeliveryStatus, Encoding, Message, Payload, UnparsableMessage,
};
use crate::provider::error::ProviderError;
use crate::provider::json::{self, ExtraFields, ObjectFields, WireTime, Wtf8};

/// A page of a topic's history.
#[derive(Debug)]
pub(super) struct TopicPage {
    /// The number of messages in the topic, if the provider reports it.
    pub(super) total: Option<u64>,
    /// Newest first.
    pub(super) rows: Vec<ParsedRow>,
}

/// A message of a page, or the raw text of one that could not be parsed.
pub(super) type ParsedRow = Result<Message, UnparsableMessage>;

/// The reason why a body is not the expected answer.
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
struct CodeEnvelope<'a> {
    code: Option<i64>,
    #[serde(borrow)]
    msg: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
struct PageData<'a> {
    #[serde(alias = "total_count")]
    total: Option<u64>,
    #[serde(borrow, alias = "data_list")]
    result: Option<&'a RawValue>,
}

impl AnswerError {
    pub(super) fn into_provider_error(self, operation: &'static str) -> ProviderError {
        match self {
            Self::Refused { code, message } => ProviderError::Failed {
                operation,
                code: format!("code {code}"),
                message,
            },
            Self::Malformed(fault) => ProviderError::Malformed { operation, fault },
        }
    }

    /// `subject` names the part that is malformed; empty if it is the whole answer.
    pub(super) fn malformed(subject: &str, error: &serde_json::Error) -> Self {
        Self::Malformed(format!("{subject}{}", json::parse_error_text(error)))
    }
}

/// Parses the answer to a history request.
pub(super) fn parse_page(body: &[u8], topic: TopicMessages<'_>) -> Result<TopicPage, AnswerError> {
    let data: Option<PageData> = match envelope_data(body)? {
        Some(raw) => serde_json::from_str(raw.get()).map_err(|e| AnswerError::malformed("", &e))?,
        None => None,
    };
    let data = data.unwrap_or_default();
    let rows = json::parse_list(data.result, |fields: Web3mqMessageFields| {
        fields.into_message(topic)
    })
    .map_err(|e| AnswerError::malformed("the rows: ", &e))?;
    Ok(TopicPage {
        total: data.total,
        rows,
    })
}

/// Returns the `data` of a successful answer.
pub(super) fn envelope_data(body: &[u8]) -> Result<Option<&RawValue>, AnswerError> {
    let text = json::utf8_body(body).map_err(AnswerError::Malformed)?;
    let envelope: CodeEnvelope =
        serde_json::from_str(text).map_err(|e| AnswerError::malformed("", &e))?;
    match envelope.code {
        Some(0) => Ok(envelope.data),
        Some(code) => {
            let message = envelope.msg.map(|text| json::printable(&text));
            Err(AnswerError::Refused { code, message })
        }
        None => Err(AnswerError::Malformed(
            "the answer holds no `code`".to_owned(),
        )),
    }
}

/// Parses one message by itself.
pub(super) fn parse_message(raw: &str, topic: TopicMessages<'_>) -> ParsedRow {
    json::parse_item(raw, |fields: Web3mqMessageFields| {
        fields.into_message(topic)
    })
}

/// The fields of a message, as they were sent.
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

    fn read_field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
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
        json::read_object(deserializer)
    }
}

/// Parses a status whose progress we know; `None` for any other, which is kept as it was sent.
fn parse_status(raw: &RawValue) -> Option<Delivery> {
    #[derive(Deserialize)]
    struct StatusFields<'a> {
        #[serde(borrow)]
        status: Cow<'a, str>,
        timestamp: Option<WireTime>,
    }
    let fields: StatusFields = serde_json::from_str(raw.get()).ok()?;
    Some(Delivery {
        status: DeliveryStatus::parse(&fields.status)?,
        at: fields.timestamp.map(|time| time.0),
    })
}

impl Web3mqMessageFields {
    /// Makes the message, or says which field is missing or wrong.
    fn into_message(self, topic: TopicMessages<'_>) -> Result<Message, String> {
        let sender = json::require_name(self.from, "from")?;
        // A row's topic is its recipient. In a chat of two it is the user's own id for incoming
        // messages.
        let recipient = json::optional_name(non_empty(self.topic), "topic")?;
        let recipient = recipient.unwrap_or_else(|| topic.topic.to_owned());
        let sent_at = self.timestamp.ok_or("no `timestamp`")?.0;
        let payload = decode_payload(self.payload.ok_or("no `payload`")?.0);
        let conversation = topic.conversation(&sender, &recipient);
        Ok(Message {
            sender,
            recipient,
            sent_at,
            payload,
            conversation,
            provider_id: json::optional_name(non_empty(self.messageid), "messageid")?,
            message_type: None,
            payload_type: json::optional_name(self.payload_type, "payload_type")?,
            cipher_suite: json::optional_name(self.cipher_suite, "cipher_suite")?,
            status: self.status,
            extra: self.extra.into_json(),
        })
    }
}

fn non_empty(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

/// Decodes base64 if encoding the bytes again gives the provider's very text. Any other text is
/// kept as it is.
fn decode_payload(text: Vec<u8>) -> Payload {
    // STANDARD accepts only canonical base64: right alphabet, full padding, no stray bits at the
    // end.
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
    use crate::domain::time::Millis;

    const U1: &str = "user:1ac51cff3495beac8f47927ddc719c2de3d08ee3b30f97c7ecd27b77";
    const U2: &str = "user:850b1e20abfce1e514659650834380f584e21c0b03fac89847fa86c6";

    fn page(body: &[u8]) -> Result<TopicPage, AnswerError> {
        parse_page(
            body,
            TopicMessages {
                user: U1,
                topic: "topic:1",
            },
        )
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
        let message = rows[0].as_ref().unwrap();
        assert_eq!(
            (message.sender.as_str(), message.recipient.as_str()),
            (U1, U2)
        );
        assert_eq!(
            message.payload,
            Payload {
                bytes: b"hello web3mq".to_vec(),
                encoding: Encoding::Base64
            }
        );
        assert_eq!(
            message.status,
            Some(Delivery {
                status: DeliveryStatus::Read,
                at: Some(Millis(1_656_583_392_872))
            })
        );
        assert_eq!(
            message.extra.as_deref(),
            Some(r#"{"from_sign":"fromSign","version":1}"#)
        );
        assert_eq!(
            message.provider_id.as_deref(),
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
        let message =
            row(r#"{"from":"a","timestamp":1656583297872,"pyaload":"aGk=","from_sign":77}"#)
                .unwrap();
        assert_eq!(
            (message.payload.bytes.as_slice(), message.provider_id),
            (b"hi".as_slice(), None)
        );
        assert_eq!(
            message.recipient, "topic:1",
            "a row without a topic is addressed to the page's"
        );
        assert_eq!(message.extra.as_deref(), Some(r#"{"from_sign":77}"#));
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
                empty.provider_id
            ),
            (b"".as_slice(), Encoding::Base64, None)
        );
    }

    #[test]
    fn unknown_status_stays_in_extra() {
        let message = row(
            r#"{"from":"a","timestamp":1,"payload":"","message_status":{"status":"recalled"}}"#,
        )
        .unwrap();
        assert_eq!(
            (message.status, message.extra.as_deref()),
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

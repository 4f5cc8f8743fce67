//! One message as Web3MQ sends it. Where the documents and the SDKs disagree, every form is
//! accepted (`payload`/`pyaload`, `message_status`/`status`, `from_sign` as text or number).

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
use crate::domain::time::Millis;
use crate::provider::json::{self, ExtraFields, ObjectFields, Refusal, Wtf8};
use crate::provider::wire_time::WireTime;

/// A message of a page, or the raw text of one that could not be parsed.
pub(super) type ParsedRow = Result<Message, UnparsableMessage>;

/// Parses a list of rows. A message of another topic is kept raw. An error means that it is no list.
pub(super) fn parse_rows(
    list: Option<&RawValue>,
    topic: TopicMessages<'_>,
) -> Result<Vec<ParsedRow>, serde_json::Error> {
    json::parse_list(list, |fields: Web3mqMessageFields| {
        fields.into_requested_message(topic)
    })
}

/// Parses one message of a topic by itself.
pub(super) fn parse_message(raw: &str, topic: TopicMessages<'_>) -> ParsedRow {
    json::parse_item(raw, |fields: Web3mqMessageFields| {
        fields.into_requested_message(topic)
    })
}

/// Returns the time of a row. It is read by itself if the row could not be parsed: another field may
/// be the one that is wrong. `None` if the row has no time that can be read.
pub(super) fn time_of(row: &ParsedRow) -> Option<Millis> {
    #[derive(Deserialize)]
    struct TimeField {
        timestamp: Option<WireTime>,
    }
    match row {
        Ok(message) => Some(message.sent_at),
        Err(unparsable) => {
            let field: TimeField = serde_json::from_str(&unparsable.raw).ok()?;
            field.timestamp.map(|time| time.0)
        }
    }
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
    /// Makes the message, if the topic may hold it.
    fn into_requested_message(self, topic: TopicMessages<'_>) -> Result<Message, Refusal> {
        let message = self.into_message(topic)?;
        let is_requested = topic.may_hold(&message);
        json::require_requested(message, is_requested)
    }

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

    fn row(json: &str) -> ParsedRow {
        parse_message(
            json,
            TopicMessages {
                user: "user:1",
                topic: "topic:1",
            },
        )
    }

    #[test]
    fn misspelt_payload_and_numeric_signature_are_read() {
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
    fn noncanonical_base64_is_kept_unchanged() {
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
}

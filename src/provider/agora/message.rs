//! One message as Agora sends it. Where the documents and recorded answers disagree, every form is
//! accepted (`dst`/`dest`, `ms`/`ts`, `message_type` absent or present).

use serde::de::MapAccess;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::conversations::ConversationKinds;
use super::requested::{self, RequestedMessages};
use crate::domain::message::{Encoding, Message, Payload, UnparsableMessage};
use crate::domain::stream::Stream;
use crate::provider::json::{self, ExtraFields, ObjectFields, Wtf8};
use crate::provider::wire_time::WireTime;

/// A message of a page, or the raw text of one that could not be parsed.
pub(super) type ParsedMessage = Result<Message, UnparsableMessage>;

/// The messages of one page, in the order of the answer.
pub(super) type MessagePage = Vec<ParsedMessage>;

/// Parses a list of messages. A message that was not asked for is kept raw. An error means that it
/// is no list.
pub(super) fn parse_messages(
    list: Option<&RawValue>,
    kinds: &ConversationKinds,
    requested: RequestedMessages<'_>,
) -> Result<MessagePage, serde_json::Error> {
    json::parse_list(list, |fields: AgoraMessageFields| {
        let message = fields.into_message(kinds)?;
        let is_requested = requested.include(&message, kinds);
        json::require_requested(message, is_requested)
    })
}

/// Parses one message of a stream by itself.
pub(super) fn parse_message(
    raw: &str,
    kinds: &ConversationKinds,
    stream: &Stream,
) -> ParsedMessage {
    json::parse_item(raw, |fields: AgoraMessageFields| {
        let message = fields.into_message(kinds)?;
        let is_requested = requested::belongs_to(stream, &message, kinds);
        json::require_requested(message, is_requested)
    })
}

/// The fields of a message, as they were sent.
#[derive(Debug, Default)]
struct AgoraMessageFields {
    src: Option<String>,
    dst: Option<String>,
    ms: Option<WireTime>,
    payload: Option<Wtf8>,
    message_type: Option<String>,
    extra: ExtraFields,
}

impl<'de> ObjectFields<'de> for AgoraMessageFields {
    const TYPE_NAME: &'static str = "a message";

    fn read_field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "src" => self.src = Some(map.next_value()?),
            "dst" => self.dst = Some(map.next_value()?),
            // Both names are one field; if a message holds both, the one that was recorded wins.
            "dest" if self.dst.is_none() => self.dst = Some(map.next_value()?),
            "ms" => self.ms = Some(map.next_value()?),
            "ts" if self.ms.is_none() => self.ms = Some(map.next_value()?),
            "payload" => self.payload = Some(map.next_value()?),
            "message_type" => self.message_type = map.next_value()?,
            _ => self.extra.add(key, map.next_value()?),
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for AgoraMessageFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        json::read_object(deserializer)
    }
}

impl AgoraMessageFields {
    /// Makes the message, or says which field is missing or wrong.
    fn into_message(self, kinds: &ConversationKinds) -> Result<Message, String> {
        let sender = json::require_name(self.src, "src")?;
        let recipient = json::require_name(self.dst, "dst")?;
        let sent_at = self.ms.ok_or("no `ms` and no `ts`")?.0;
        let payload = self.payload.ok_or("no `payload`")?.0;
        let message_type = json::optional_name(self.message_type, "message_type")?;
        let conversation = kinds.conversation(&sender, &recipient, message_type.as_deref());
        Ok(Message {
            sender,
            recipient,
            sent_at,
            payload: Payload {
                bytes: payload,
                encoding: Encoding::Utf8,
            },
            conversation,
            provider_id: None,
            message_type,
            payload_type: None,
            cipher_suite: None,
            status: None,
            extra: self.extra.into_json(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::streams::filter_stream;
    use super::*;
    use crate::domain::message::ConversationKind;
    use crate::domain::time::Millis;

    fn read_one(json: &str) -> ParsedMessage {
        let any = filter_stream(None, None);
        parse_message(json, &ConversationKinds::default(), &any)
    }

    #[test]
    fn message_that_its_stream_does_not_hold_is_not_read() {
        let channel = filter_stream(None, Some("dst".to_owned()));
        let kind = ("dst".to_owned(), ConversationKind::Channel);
        let kinds = ConversationKinds::new([kind].into());
        let read = |destination: &str| {
            let json = format!(r#"{{"src": "a", "dst": "{destination}", "payload": "", "ms": 1}}"#);
            parse_message(&json, &kinds, &channel).is_ok()
        };
        assert!(read("dst"));
        assert!(!read("DST"));
        assert!(!read("other"));
    }

    /// The documents' own example.
    #[test]
    fn documented_message_is_read() {
        let message =
            read_one(r#"{"src": "src", "dst" : "dst", "payload" : "123", "ts" : 123}"#).unwrap();
        assert_eq!(
            (message.sender.as_str(), message.recipient.as_str()),
            ("src", "dst")
        );
        assert_eq!(
            (message.sent_at, message.payload.bytes.as_slice()),
            (Millis(123_000), b"123".as_slice())
        );
        assert_eq!(
            (message.conversation.kind, message.extra),
            (ConversationKind::Unknown, None)
        );
    }

    /// Recorded in the field, 2022.
    #[test]
    fn recorded_message_is_read() {
        let message = read_one(
            r#"{"dst":"dnd-channel","message_type":"group_message","ms":1644999939488,"payload":"others","src":"x"}"#,
        )
        .unwrap();
        assert_eq!(message.conversation.kind, ConversationKind::Channel);
        assert_eq!(message.sent_at, Millis(1_644_999_939_488));
    }

    #[test]
    fn both_names_of_recipient_and_time_are_read_in_any_order() {
        for json in [
            r#"{"src":"a","dest":"b","payload":"","ts":"2019-08-01T01:22:10Z"}"#,
            r#"{"ts":1564622530,"dest":"b","src":"a","payload":""}"#,
            r#"{"ts":0,"ms":1564622530000,"dest":"x","dst":"b","src":"a","payload":""}"#,
            r#"{"ms":1564622530000,"dst":"b","src":"a","payload":"","message_type":null}"#,
        ] {
            let message = read_one(json).unwrap();
            assert_eq!(
                (message.recipient.as_str(), message.sent_at),
                ("b", Millis(1_564_622_530_000)),
                "{json}"
            );
        }
    }

    #[test]
    fn unknown_fields_are_kept_unchanged() {
        let message = read_one(
            r#"{"src":"a","dst":"b","payload":"","ms":1,"x":{"y":[1.50,"\u0000"]},"z\"":null}"#,
        )
        .unwrap();
        assert_eq!(
            message.extra.as_deref(),
            Some(r#"{"x":{"y":[1.50,"\u0000"]},"z\"":null}"#)
        );
    }
}

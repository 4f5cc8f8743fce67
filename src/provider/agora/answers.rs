//! Answers of the history API. Where the documents and recorded answers disagree, every form is
//! accepted (`dst`/`dest`, `messages`/`message`, `ms`/`ts`, `message_type` absent or present).

use std::borrow::Cow;

use serde::de::MapAccess;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::conversations::ConversationKinds;
use crate::domain::message::{Encoding, Message, Payload, UnparsableMessage};
use crate::provider::json::{self, ExtraFields, ObjectFields, WireTime, Wtf8};

/// A message of a page, or the raw text of one that could not be parsed.
pub(super) type ParsedMessage = Result<Message, UnparsableMessage>;

/// The messages of one page, in the order of the answer.
pub(super) type MessagePage = Vec<ParsedMessage>;

/// The content of an answer under status 200.
#[derive(Debug)]
pub(super) enum HistoryAnswer<T> {
    Ready(T),
    InProgress,
    /// `result` is not `success`, or `code` names a failure.
    Failed {
        code: String,
        message: Option<String>,
    },
    /// It is no answer of this API.
    Malformed(String),
}

/// Any answer of the history API. Unknown fields are ignored.
#[derive(Debug, Deserialize)]
struct HistoryEnvelope<'a> {
    #[serde(borrow)]
    result: Option<Cow<'a, str>>,
    #[serde(borrow)]
    code: Option<Cow<'a, str>>,
    #[serde(borrow)]
    reason: Option<Cow<'a, str>>,
    #[serde(borrow)]
    location: Option<Cow<'a, str>>,
    count: Option<u64>,
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    /// A list of messages by another name, or a gateway's error text.
    #[serde(borrow)]
    message: Option<&'a RawValue>,
}

impl HistoryEnvelope<'_> {
    /// Returns the provider's own words for a failure, shortened.
    fn error_text(&self) -> Option<String> {
        if let Some(reason) = &self.reason {
            return Some(json::printable(reason));
        }
        let message: String = serde_json::from_str(self.message?.get()).ok()?;
        Some(json::printable(&message))
    }

    fn failed<T>(&self, code: &str) -> HistoryAnswer<T> {
        HistoryAnswer::Failed {
            code: code.to_owned(),
            message: self.error_text(),
        }
    }
}

/// Parses the location of a query's result.
pub(super) fn parse_location(body: &[u8]) -> HistoryAnswer<String> {
    parse_answer(body, |envelope| match &envelope.location {
        Some(location) => Ok(location.to_string()),
        None => Err("the answer names no `location`".to_owned()),
    })
}

/// Parses the number of messages of a count.
pub(super) fn parse_count(body: &[u8]) -> HistoryAnswer<u64> {
    parse_answer(body, |envelope| {
        envelope
            .count
            .ok_or_else(|| "the answer holds no `count`".to_owned())
    })
}

/// Parses a page of messages.
pub(super) fn parse_page(body: &[u8], kinds: &ConversationKinds) -> HistoryAnswer<MessagePage> {
    parse_answer(body, |envelope| {
        let is_list = |raw: &&RawValue| raw.get().starts_with('[');
        let list = envelope.messages.or(envelope.message.filter(is_list));
        json::parse_list(list, |fields: AgoraMessageFields| {
            fields.into_message(kinds)
        })
        .map_err(|e| format!("`messages` is not a list: {}", json::parse_error_text(&e)))
    })
}

/// Parses one message by itself.
pub(super) fn parse_message(raw: &str, kinds: &ConversationKinds) -> ParsedMessage {
    json::parse_item(raw, |fields: AgoraMessageFields| fields.into_message(kinds))
}

/// Parses an answer, and takes a value from the envelope of a successful one.
fn parse_answer<T>(
    body: &[u8],
    take_value: impl FnOnce(&HistoryEnvelope) -> Result<T, String>,
) -> HistoryAnswer<T> {
    let text = match json::utf8_body(body) {
        Ok(text) => text,
        Err(fault) => return HistoryAnswer::Malformed(fault),
    };
    let with_commas;
    let envelope: HistoryEnvelope = match serde_json::from_str(text) {
        Ok(envelope) => envelope,
        Err(error) => {
            with_commas = with_missing_commas(text);
            match serde_json::from_str(&with_commas) {
                Ok(envelope) => envelope,
                Err(_) => return HistoryAnswer::Malformed(json::parse_error_text(&error)),
            }
        }
    };
    match envelope.result.as_deref() {
        Some("success") => {}
        Some(result) => return envelope.failed(envelope.code.as_deref().unwrap_or(result)),
        None => {
            let text = envelope
                .error_text()
                .map(|text| format!(": {text}"))
                .unwrap_or_default();
            return HistoryAnswer::Malformed(format!("the answer holds no `result`{text}"));
        }
    }
    let code = envelope
        .code
        .as_deref()
        .map(|code| code.replace('_', " ").to_lowercase());
    match code.as_deref() {
        Some("in progress") => HistoryAnswer::InProgress,
        Some("ok") | None => match take_value(&envelope) {
            Ok(value) => HistoryAnswer::Ready(value),
            Err(fault) => HistoryAnswer::Malformed(fault),
        },
        Some(code) => envelope.failed(code),
    }
}

/// Inserts a comma wherever a string follows a string. The documents' own answer to a query lacks
/// one, and an answer like it must be accepted.
fn with_missing_commas(text: &str) -> String {
    let mut repaired = String::with_capacity(text.len() + 1);
    let (mut in_string, mut escaped, mut after_string) = (false, false, false);
    for c in text.chars() {
        match c {
            '"' if !in_string => {
                if after_string {
                    repaired.push(',');
                }
                in_string = true;
            }
            '"' if !escaped => {
                in_string = false;
                after_string = true;
            }
            _ if !in_string && !c.is_whitespace() => after_string = false,
            _ => {}
        }
        escaped = in_string && c == '\\' && !escaped;
        repaired.push(c);
    }
    repaired
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
    use super::*;
    use crate::domain::message::ConversationKind;
    use crate::domain::time::Millis;

    fn page(body: &[u8]) -> HistoryAnswer<MessagePage> {
        parse_page(body, &ConversationKinds::default())
    }

    fn read_one(json: &str) -> ParsedMessage {
        let body = format!(r#"{{"result":"success","code":"ok","messages":[{json}]}}"#);
        let HistoryAnswer::Ready(mut items) = page(body.as_bytes()) else {
            panic!("not read: {body}")
        };
        assert_eq!(items.len(), 1);
        items.remove(0)
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
    fn both_names_of_the_receiver_and_the_time_are_read_in_any_order() {
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
    fn unknown_fields_are_kept_as_they_came() {
        let message = read_one(
            r#"{"src":"a","dst":"b","payload":"","ms":1,"x":{"y":[1.50,"\u0000"]},"z\"":null}"#,
        )
        .unwrap();
        assert_eq!(
            message.extra.as_deref(),
            Some(r#"{"x":{"y":[1.50,"\u0000"]},"z\"":null}"#)
        );
    }

    #[test]
    fn one_unreadable_message_costs_no_other() {
        let body = r#"{"result":"success","code":"ok","messages":[
            {"src":"a","dst":"b","payload":"x","ms":1}, {"src":"a","payload":"x","ms":1}, 7, {"src":"a","dst":"b","payload":5,"ms":1},
            {"src":"\ud800","dst":"b","payload":"x","ms":1}, {"src":"a\u0000","dst":"b","payload":"x","ms":1}]}"#;
        let HistoryAnswer::Ready(items) = page(body.as_bytes()) else {
            panic!()
        };
        assert!(items[0].is_ok());
        let reasons: Vec<_> = items[1..]
            .iter()
            .map(|i| i.as_ref().unwrap_err().reason.clone())
            .collect();
        assert_eq!(
            reasons,
            [
                "no `dst`",
                "found integer where a message, an object was expected",
                "found integer where a string was expected",
                "unexpected end of hex escape",
                "`src`: a name contains U+0000"
            ]
        );
        assert_eq!(items[2].as_ref().unwrap_err().raw, "7");
    }

    #[test]
    fn message_lists_of_either_name_or_none_are_read() {
        let size = |body: &str| match page(body.as_bytes()) {
            HistoryAnswer::Ready(items) => Some(items.len()),
            _ => None,
        };
        let message = r#"{"src":"a","dst":"b","payload":"x","ms":1}"#;
        assert_eq!(
            size(&format!(
                r#"{{"result":"success","code":"ok","message":[{message}]}}"#
            )),
            Some(1)
        );
        assert_eq!(
            size(r#"{"result":"success","code":"ok","messages":null}"#),
            Some(0)
        );
        assert_eq!(
            size(r#"{"result":"success","code":"ok","messages":[]}"#),
            Some(0)
        );
        assert_eq!(size(r#"{"result":"success","code":"ok"}"#), Some(0));
        assert_eq!(
            size(r#"{"result":"success","code":"ok","messages":{}}"#),
            None
        );
    }

    #[test]
    fn unsuccessful_answers_are_distinguished() {
        assert!(matches!(
            page(br#"{"result":"success","code":"in progress"}"#),
            HistoryAnswer::InProgress
        ));
        assert!(matches!(
            parse_count(br#"{"result":"success","code":"in progress","count":0}"#),
            HistoryAnswer::InProgress
        ));
        assert!(matches!(
            parse_count(br#"{"result":"success","code":"ok","count":123}"#),
            HistoryAnswer::Ready(123)
        ));
        assert!(
            matches!(parse_count(br#"{"result":"failed","code":"busy"}"#), HistoryAnswer::Failed { code, .. } if code == "busy")
        );
        assert!(matches!(
            page(b"<html>504</html>"),
            HistoryAnswer::Malformed(_)
        ));
        assert!(
            matches!(page(br#"{"message":"no Route matched"}"#), HistoryAnswer::Malformed(f) if f.contains("no Route"))
        );
        assert!(matches!(page(b"\xff\xfe"), HistoryAnswer::Malformed(f) if f.contains("UTF-8")));
    }

    /// The documents' own example, which lacks a comma; and the recorded one.
    #[test]
    fn locations_are_read() {
        let documented = br#"{
    "result": "success",
    "offset" : 100,
    "limit" : 20,
    "order" : "asc"
    "location" : "~/rtm/message/history/query/123456123456"
}"#;
        assert!(
            matches!(parse_location(documented), HistoryAnswer::Ready(l) if l == "~/rtm/message/history/query/123456123456")
        );
        let recorded = br#"{"limit":20,"location":"~/rtm/message/history/query/MjIzMDA3OjEyODA5MzkyOQ==","offset":0,"order":"desc","request_id":"165454_4930629562360896872","result":"success"}"#;
        assert!(
            matches!(parse_location(recorded), HistoryAnswer::Ready(l) if l.ends_with("/MjIzMDA3OjEyODA5MzkyOQ=="))
        );
    }
}

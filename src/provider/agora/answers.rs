//! Agora's JSON. Where the documents and the field disagree, every reading is taken
//! (providers' notes on fields: `dst`/`dest`, `messages`/`message`, `ms`/`ts`, `message_type` absent or present).

use std::borrow::Cow;

use serde::de::MapAccess;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::domain::message::{ConversationKind, Encoding, Payload, Unreadable};
use crate::domain::time::{Millis, Second};
use crate::provider::json::{self, ExtraFields, ObjectFields, WireTime, Wtf8, item, items, object};

/// The body of `POST query`.
#[derive(Debug, Serialize)]
pub(super) struct Query<'a> {
    pub(super) filter: Filter<'a>,
    /// How many messages to skip.
    pub(super) offset: u64,
    /// 20, 50 or 100.
    pub(super) limit: u64,
    /// Always said: the documents disagree about the default.
    pub(super) order: OffsetOrder,
}

/// Which message an offset counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum OffsetOrder {
    /// The oldest.
    #[serde(rename = "asc")]
    Ascending,
    /// The newest.
    #[serde(rename = "desc")]
    Descending,
}

/// Which messages: at least one of source and destination, and a range on whole seconds.
#[derive(Debug, Serialize)]
pub(super) struct Filter<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) source: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) destination: Option<&'a str>,
    pub(super) start_time: QueryTime,
    pub(super) end_time: QueryTime,
}

/// A second as `yyyy-mm-ddThh:mm:ssZ`.
#[derive(Debug)]
pub(super) struct QueryTime(pub(super) Second);

impl Serialize for QueryTime {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Any answer of the history API. Unknown fields are of no use here.
#[derive(Debug, Deserialize)]
pub(super) struct Envelope<'a> {
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
    /// A list of messages by another name, or a gateway's complaint.
    #[serde(borrow)]
    message: Option<&'a RawValue>,
}

/// What an answer under status 200 comes to.
#[derive(Debug)]
pub(super) enum Reading<T> {
    Ready(T),
    InProgress,
    /// `result` is not `success`.
    Failed {
        code: String,
        message: Option<String>,
    },
    /// It is no answer of this API.
    Malformed(String),
}

/// A message of a page, or what could not be understood as one.
pub(super) type ParsedMessage = Result<Sent, Unreadable>;

/// A message as Agora tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) source: String,
    pub(super) destination: String,
    pub(super) at: Millis,
    pub(super) payload: Payload,
    pub(super) message_type: Option<String>,
    pub(super) extra: Option<String>,
}

impl Sent {
    /// What the recipient is, where the message says so. The documents say `channel_message`; what is seen is
    /// `group_message`.
    pub(super) fn kind(&self) -> Option<ConversationKind> {
        match self.message_type.as_deref()? {
            "peer_message" => Some(ConversationKind::Peer),
            "channel_message" | "group_message" => Some(ConversationKind::Channel),
            _ => None,
        }
    }
}

/// The place where a query's result will be.
pub(super) fn parse_location(body: &[u8]) -> Reading<String> {
    read(body, |envelope| match &envelope.location {
        Some(location) => Ok(location.to_string()),
        None => Err("the answer names no `location`".to_owned()),
    })
}

/// The number of messages that a count found.
pub(super) fn parse_count(body: &[u8]) -> Reading<u64> {
    read(body, |envelope| {
        envelope
            .count
            .ok_or_else(|| "the answer holds no `count`".to_owned())
    })
}

/// A page of messages.
pub(super) fn parse_page(body: &[u8]) -> Reading<Vec<ParsedMessage>> {
    read(body, |envelope| {
        let is_list = |raw: &&RawValue| raw.get().starts_with('[');
        let list = envelope.messages.or(envelope.message.filter(is_list));
        items(list, sent)
            .map_err(|e| format!("`messages` is not a list: {}", json::parse_error_text(&e)))
    })
}

/// One message by itself.
pub(super) fn parse_message(raw: &str) -> ParsedMessage {
    item(raw, sent)
}

fn read<T>(body: &[u8], take: impl FnOnce(&Envelope) -> Result<T, String>) -> Reading<T> {
    let text = match json::utf8_body(body) {
        Ok(text) => text,
        Err(fault) => return Reading::Malformed(fault),
    };
    let mended;
    let envelope: Envelope = match serde_json::from_str(text) {
        Ok(envelope) => envelope,
        Err(error) => {
            mended = with_missing_commas(text);
            match serde_json::from_str(&mended) {
                Ok(envelope) => envelope,
                Err(_) => return Reading::Malformed(json::parse_error_text(&error)),
            }
        }
    };
    match envelope.result.as_deref() {
        Some("success") => {}
        Some(result) => {
            let code = envelope.code.as_deref().unwrap_or(result).to_owned();
            return Reading::Failed {
                code,
                message: error_text(&envelope),
            };
        }
        None => {
            let said = error_text(&envelope)
                .map(|said| format!(": {said}"))
                .unwrap_or_default();
            return Reading::Malformed(format!("the answer holds no `result`{said}"));
        }
    }
    match envelope
        .code
        .as_deref()
        .map(|code| code.replace('_', " ").to_lowercase())
        .as_deref()
    {
        Some("in progress") => Reading::InProgress,
        Some("ok") | None => match take(&envelope) {
            Ok(value) => Reading::Ready(value),
            Err(fault) => Reading::Malformed(fault),
        },
        Some(code) => Reading::Failed {
            code: code.to_owned(),
            message: error_text(&envelope),
        },
    }
}

/// The text with a comma wherever a string follows a string: the documents' own answer to a query lacks one, and
/// an answer like it must be understood.
fn with_missing_commas(text: &str) -> String {
    let mut mended = String::with_capacity(text.len() + 1);
    let (mut in_string, mut escaped, mut after_string) = (false, false, false);
    for c in text.chars() {
        match c {
            '"' if !in_string => {
                if after_string {
                    mended.push(',');
                }
                in_string = true;
            }
            '"' if !escaped => (in_string, after_string) = (false, true),
            _ if !in_string && !c.is_whitespace() => after_string = false,
            _ => {}
        }
        escaped = in_string && c == '\\' && !escaped;
        mended.push(c);
    }
    mended
}

fn error_text(envelope: &Envelope) -> Option<String> {
    let message = || {
        envelope
            .message
            .and_then(|raw| serde_json::from_str::<String>(raw.get()).ok())
    };
    let said = envelope
        .reason
        .as_deref()
        .map(str::to_owned)
        .or_else(message)?;
    Some(said.chars().filter(|c| !c.is_control()).take(200).collect())
}

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

    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "src" => self.src = Some(map.next_value()?),
            "dst" => self.dst = Some(map.next_value()?),
            // Both names are one field; should a message hold both, the one that is seen in the field wins.
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
        object(deserializer)
    }
}

fn sent(raw: AgoraMessageFields) -> Result<Sent, String> {
    let source = json::name(raw.src, "src")?;
    let destination = json::name(raw.dst, "dst")?;
    let at = raw.ms.ok_or("no `ms` and no `ts`")?.0;
    let payload = raw.payload.ok_or("no `payload`")?.0;
    Ok(Sent {
        source,
        destination,
        at,
        payload: Payload {
            bytes: payload,
            encoding: Encoding::Utf8,
        },
        message_type: raw
            .message_type
            .map(|t| json::name(Some(t), "message_type"))
            .transpose()?,
        extra: raw.extra.into_json(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(json: &str) -> ParsedMessage {
        let body = format!(r#"{{"result":"success","code":"ok","messages":[{json}]}}"#);
        let Reading::Ready(mut items) = parse_page(body.as_bytes()) else {
            panic!("not read: {body}")
        };
        assert_eq!(items.len(), 1);
        items.remove(0)
    }

    /// The documents' own example.
    #[test]
    fn documented_message_is_read() {
        let sent = one(r#"{"src": "src", "dst" : "dst", "payload" : "123", "ts" : 123}"#).unwrap();
        assert_eq!(
            (sent.source.as_str(), sent.destination.as_str()),
            ("src", "dst")
        );
        assert_eq!(
            (sent.at, sent.payload.bytes.as_slice()),
            (Millis(123_000), b"123".as_slice())
        );
        assert_eq!((sent.kind(), sent.extra), (None, None));
    }

    /// Recorded in the field, 2022.
    #[test]
    fn recorded_message_is_read() {
        let sent = one(
            r#"{"dst":"dnd-channel","message_type":"group_message","ms":1644999939488,"payload":"others","src":"x"}"#,
        )
        .unwrap();
        assert_eq!(sent.kind(), Some(ConversationKind::Channel));
        assert_eq!(sent.at, Millis(1_644_999_939_488));
    }

    #[test]
    fn both_names_of_the_receiver_and_the_time_are_read_in_any_order() {
        for json in [
            r#"{"src":"a","dest":"b","payload":"","ts":"2019-08-01T01:22:10Z"}"#,
            r#"{"ts":1564622530,"dest":"b","src":"a","payload":""}"#,
            r#"{"ts":0,"ms":1564622530000,"dest":"x","dst":"b","src":"a","payload":""}"#,
            r#"{"ms":1564622530000,"dst":"b","src":"a","payload":"","message_type":null}"#,
        ] {
            let sent = one(json).unwrap();
            assert_eq!(
                (sent.destination.as_str(), sent.at),
                ("b", Millis(1_564_622_530_000)),
                "{json}"
            );
        }
    }

    #[test]
    fn unknown_fields_are_kept_as_they_came() {
        let sent = one(
            r#"{"src":"a","dst":"b","payload":"","ms":1,"x":{"y":[1.50,"\u0000"]},"z\"":null}"#,
        )
        .unwrap();
        assert_eq!(
            sent.extra.as_deref(),
            Some(r#"{"x":{"y":[1.50,"\u0000"]},"z\"":null}"#)
        );
    }

    #[test]
    fn one_unreadable_message_costs_no_other() {
        let body = r#"{"result":"success","code":"ok","messages":[
            {"src":"a","dst":"b","payload":"x","ms":1}, {"src":"a","payload":"x","ms":1}, 7, {"src":"a","dst":"b","payload":5,"ms":1},
            {"src":"\ud800","dst":"b","payload":"x","ms":1}, {"src":"a\u0000","dst":"b","payload":"x","ms":1}]}"#;
        let Reading::Ready(items) = parse_page(body.as_bytes()) else {
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
                "`src`: a name holds U+0000"
            ]
        );
        assert_eq!(items[2].as_ref().unwrap_err().raw, "7");
    }

    #[test]
    fn message_lists_of_either_name_or_none_are_read() {
        let size = |body: &str| match parse_page(body.as_bytes()) {
            Reading::Ready(items) => Some(items.len()),
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
            parse_page(br#"{"result":"success","code":"in progress"}"#),
            Reading::InProgress
        ));
        assert!(matches!(
            parse_count(br#"{"result":"success","code":"in progress","count":0}"#),
            Reading::InProgress
        ));
        assert!(matches!(
            parse_count(br#"{"result":"success","code":"ok","count":123}"#),
            Reading::Ready(123)
        ));
        assert!(
            matches!(parse_count(br#"{"result":"failed","code":"busy"}"#), Reading::Failed { code, .. } if code == "busy")
        );
        assert!(matches!(
            parse_page(b"<html>504</html>"),
            Reading::Malformed(_)
        ));
        assert!(
            matches!(parse_page(br#"{"message":"no Route matched"}"#), Reading::Malformed(f) if f.contains("no Route"))
        );
        assert!(matches!(parse_page(b"\xff\xfe"), Reading::Malformed(f) if f.contains("UTF-8")));
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
            matches!(parse_location(documented), Reading::Ready(l) if l == "~/rtm/message/history/query/123456123456")
        );
        let recorded = br#"{"limit":20,"location":"~/rtm/message/history/query/MjIzMDA3OjEyODA5MzkyOQ==","offset":0,"order":"desc","request_id":"165454_4930629562360896872","result":"success"}"#;
        assert!(
            matches!(parse_location(recorded), Reading::Ready(l) if l.ends_with("/MjIzMDA3OjEyODA5MzkyOQ=="))
        );
    }

    /// The documents' own example of a query.
    #[test]
    fn a_query_is_written_as_documented() {
        let at = |text: &str| QueryTime(text.parse::<Millis>().unwrap().second());
        let query = Query {
            filter: Filter {
                source: Some("src_account"),
                destination: Some("dst_account"),
                start_time: at("2019-08-01T01:22:10Z"),
                end_time: at("2019-08-01T01:32:10Z"),
            },
            offset: 100,
            limit: 20,
            order: OffsetOrder::Ascending,
        };
        let documented = serde_json::json!({"filter": {"source": "src_account", "destination": "dst_account",
            "start_time" : "2019-08-01T01:22:10Z", "end_time" : "2019-08-01T01:32:10Z"},
            "offset" : 100, "limit" : 20, "order" : "asc"});
        assert_eq!(serde_json::to_value(&query).unwrap(), documented);
    }
}

//! Answers of the history API. Where the documents and recorded answers disagree, every form is
//! accepted (`messages`/`message`, a missing comma).

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::conversations::ConversationKinds;
use super::message::{self, MessagePage};
use super::page_checks;
use super::requested::RequestedMessages;
use crate::provider::damaged_items::isolate_damaged_items;
use crate::provider::json::{self, WireCount};

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
    #[serde(default, deserialize_with = "json::present")]
    count: Option<WireCount>,
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
            code: json::printable(code),
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

/// Parses the number of messages of a count; `None` if it is no number that can be believed.
pub(super) fn parse_count(body: &[u8]) -> HistoryAnswer<Option<u64>> {
    parse_answer(body, |envelope| {
        envelope
            .count
            .map(|count| count.0)
            .ok_or_else(|| "the answer holds no `count`".to_owned())
    })
}

/// Parses a page of messages.
pub(super) fn parse_page(
    body: &[u8],
    kinds: &ConversationKinds,
    requested: RequestedMessages<'_>,
) -> HistoryAnswer<MessagePage> {
    parse_answer(body, |envelope| {
        let is_list = |raw: &&RawValue| raw.get().starts_with('[');
        let list = envelope.messages.or(envelope.message.filter(is_list));
        if list.is_none() && (envelope.location.is_some() || envelope.count.is_some()) {
            return Err("the answer is not a page but a location or a count".to_owned());
        }
        let page = message::parse_messages(list, kinds, requested)
            .map_err(|e| format!("`messages` is not a list: {}", json::parse_error_text(&e)))?;
        if page_checks::is_foreign(&page) {
            return Err("the answer holds messages that were not asked for".to_owned());
        }
        Ok(page)
    })
}

/// Parses an answer, and takes a value from the envelope of a successful one.
fn parse_answer<T>(
    body: &[u8],
    take_value: impl FnOnce(&HistoryEnvelope) -> Result<T, String>,
) -> HistoryAnswer<T> {
    let repaired;
    let envelope = match parse_envelope(body) {
        Ok(envelope) => envelope,
        Err(fault) => {
            repaired = repaired_text(body);
            match repaired
                .as_ref()
                .map(|text| parse_envelope(text.as_bytes()))
            {
                Some(Ok(envelope)) => envelope,
                _ => return HistoryAnswer::Malformed(fault),
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

fn parse_envelope(body: &[u8]) -> Result<HistoryEnvelope<'_>, String> {
    serde_json::from_str(json::utf8_body(body)?).map_err(|e| json::parse_error_text(&e))
}

/// The most missing commas that are inserted into an answer. The documents' own answer lacks one.
const MAX_MISSING_COMMAS: usize = 100;

/// Returns a body that is not valid JSON with its missing commas, or else with its damaged items
/// isolated.
fn repaired_text(body: &[u8]) -> Option<String> {
    let with_commas = json::utf8_body(body).ok().and_then(with_missing_commas);
    with_commas
        .filter(|text| serde_json::from_str::<&RawValue>(text).is_ok())
        .or_else(|| isolate_damaged_items(body))
}

/// Inserts a comma wherever a string follows a string. The documents' own answer to a query lacks
/// one, and an answer like it must be accepted. `None` if none is missing, or too many are: the body
/// may be large, and is not copied for nothing.
fn with_missing_commas(text: &str) -> Option<String> {
    let mut missing = Vec::new();
    let (mut in_string, mut escaped, mut after_string) = (false, false, false);
    for (position, c) in text.char_indices() {
        match c {
            '"' if !in_string => {
                if after_string {
                    missing.push(position);
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
        if missing.len() > MAX_MISSING_COMMAS {
            return None;
        }
    }
    if missing.is_empty() {
        return None;
    }
    let mut repaired = text.to_owned();
    for position in missing.into_iter().rev() {
        repaired.insert(position, ',');
    }
    Some(repaired)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Second;
    use crate::domain::window::Window;

    fn page(body: &[u8]) -> HistoryAnswer<MessagePage> {
        let stream = &crate::provider::agora::filter_stream(None, None);
        let bounds = Window::new(Second(0), Second(i64::MAX)).unwrap();
        let requested = RequestedMessages { stream, bounds };
        parse_page(body, &ConversationKinds::default(), requested)
    }

    #[test]
    fn damaged_message_costs_no_other() {
        let sound = r#"{"src":"a","dst":"b","payload":"x","ms":1}"#;
        let damaged = "{\"src\":\"a\",\"dst\":\"b\",\"payload\":\"line\nbreak\",\"ms\":1}";
        let body = format!(r#"{{"result":"success","messages":[{sound},{damaged},{sound}]}}"#);
        let HistoryAnswer::Ready(items) = page(body.as_bytes()) else {
            panic!()
        };
        assert!(items[0].is_ok() && items[2].is_ok());
        let unparsable = items[1].as_ref().unwrap_err();
        assert_eq!(unparsable.raw, damaged);
        assert_eq!(unparsable.reason, "the message is not valid JSON");
    }

    #[test]
    fn unparsable_message_costs_no_other() {
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
        for other in [r#""count":0"#, r#""location":"~/rtm""#] {
            assert_eq!(size(&format!(r#"{{"result":"success",{other}}}"#)), None);
        }
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
            HistoryAnswer::Ready(Some(123))
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

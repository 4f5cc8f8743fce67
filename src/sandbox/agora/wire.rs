//! The wire format of Agora's requests and answers, in all known variants.

use std::ops::Range;
use std::sync::Arc;

use serde::ser::{Error as _, SerializeMap};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::history::{AgoraMessage, RecipientKind, Selection};
use super::json_string::json_string;
use crate::domain::time::{Millis, Second};
use crate::sandbox::limits::PAGE_SIZES;
use crate::sandbox::options::Options;
use crate::sandbox::shape::{
    BoundRule, ChannelMessageType, EmptyListForm, ListField, ReceiverField, TimeField, TimeForm,
};

/// The reason why a request violates the contract.
#[derive(Debug, thiserror::Error)]
pub(super) enum AgoraRequestError {
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error("{0}")]
    Parameters(String),
    #[error("the content type must be application/json;charset=utf-8")]
    ContentType,
    #[error("{name} `{value}` is not of the form yyyy-mm-ddThh:mm:ssZ")]
    Time { name: &'static str, value: String },
    #[error("start_time is after end_time")]
    Backwards,
    #[error("source and destination cannot both be null")]
    NoTarget,
    #[error("limit {0} is none of 20, 50, 100")]
    Limit(usize),
}

/// The order of messages in a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum PageOrder {
    Asc,
    #[default]
    Desc,
}

/// A filter as sent by the client.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HistoryFilter {
    #[serde(default)]
    source: Option<String>,
    #[serde(default)]
    destination: Option<String>,
    start_time: String,
    end_time: String,
}

impl HistoryFilter {
    /// Validates the filter and applies the bound rules.
    pub(super) fn into_selection(self, options: &Options) -> Result<Selection, AgoraRequestError> {
        let start = parse_second("start_time", self.start_time)?;
        let end = parse_second("end_time", self.end_time)?;
        if start > end {
            return Err(AgoraRequestError::Backwards);
        }
        let source = self.source.filter(|name| !name.is_empty());
        let destination = self.destination.filter(|name| !name.is_empty());
        if source.is_none() && destination.is_none() {
            return Err(AgoraRequestError::NoTarget);
        }
        Ok(Selection {
            source,
            destination,
            range: millisecond_range(start, end, options),
        })
    }
}

/// Returns the half-open range of milliseconds between two bounds.
fn millisecond_range(start: Second, end: Second, options: &Options) -> Range<i64> {
    // A bound covers one millisecond, or its whole second.
    let width = if options.seconds { 1000 } else { 1 };
    let from = start.start().0
        + if options.start == BoundRule::Inclusive {
            0
        } else {
            width
        };
    let to = end.start().0
        + if options.end == BoundRule::Inclusive {
            width
        } else {
            0
        };
    from..to.max(from)
}

fn parse_second(name: &'static str, value: String) -> Result<Second, AgoraRequestError> {
    match value.parse::<Millis>() {
        // Only the documented form equals the displayed second.
        Ok(moment) if moment.second().to_string() == value => Ok(moment.second()),
        _ => Err(AgoraRequestError::Time { name, value }),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct QueryBody {
    filter: HistoryFilter,
    #[serde(default)]
    offset: usize,
    #[serde(default = "default_limit")]
    limit: usize,
    #[serde(default)]
    order: PageOrder,
}

fn default_limit() -> usize {
    PAGE_SIZES[0]
}

/// A query for one page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PageQuery {
    pub(super) selection: Selection,
    pub(super) offset: usize,
    pub(super) limit: usize,
    pub(super) order: PageOrder,
}

impl PageQuery {
    /// Parses the body of a POST.
    pub(super) fn parse(body: &[u8], options: &Options) -> Result<Self, AgoraRequestError> {
        let QueryBody {
            filter,
            offset,
            limit,
            order,
        } = serde_json::from_slice(body)?;
        if !PAGE_SIZES.contains(&limit) {
            return Err(AgoraRequestError::Limit(limit));
        }
        Ok(Self {
            selection: filter.into_selection(options)?,
            offset,
            limit,
            order,
        })
    }

    /// Selects the page from all matching messages.
    pub(super) fn select_page(&self, matching: &[Arc<AgoraMessage>]) -> Vec<Arc<AgoraMessage>> {
        match self.order {
            PageOrder::Asc => matching
                .iter()
                .skip(self.offset)
                .take(self.limit)
                .cloned()
                .collect(),
            PageOrder::Desc => matching
                .iter()
                .rev()
                .skip(self.offset)
                .take(self.limit)
                .cloned()
                .collect(),
        }
    }
}

/// The answer to a query.
#[derive(Debug, Serialize)]
pub(super) struct QueryAnswer {
    pub(super) result: &'static str,
    pub(super) offset: usize,
    pub(super) limit: usize,
    pub(super) order: PageOrder,
    pub(super) location: String,
    pub(super) request_id: String,
}

/// The answer to a request that is in progress or has failed.
#[derive(Debug, Serialize)]
pub(super) struct StatusAnswer<'a> {
    pub(super) result: &'static str,
    pub(super) code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    pub(super) request_id: String,
}

/// The answer to a count.
#[derive(Debug, Serialize)]
pub(super) struct CountAnswer {
    pub(super) result: &'static str,
    pub(super) code: &'static str,
    pub(super) count: Value,
    pub(super) request_id: String,
}

/// The answer to a read: a page of messages.
#[derive(Debug)]
pub(super) struct AgoraPageAnswer<'a> {
    pub(super) messages: &'a [Arc<AgoraMessage>],
    pub(super) options: &'a Options,
    pub(super) request_id: String,
}

impl Serialize for AgoraPageAnswer<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let list = match self.options.list_field {
            ListField::Messages => "messages",
            ListField::Message => "message",
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("result", "success")?;
        map.serialize_entry("code", "ok")?;
        let shown: Vec<_> = self
            .messages
            .iter()
            .map(|m| AgoraMessageJson {
                message: m,
                options: self.options,
            })
            .collect();
        match self.options.empty_list {
            EmptyListForm::Null if shown.is_empty() => map.serialize_entry(list, &())?,
            EmptyListForm::Absent if shown.is_empty() => {}
            _ => map.serialize_entry(list, &shown)?,
        }
        map.serialize_entry("request_id", &self.request_id)?;
        map.end()
    }
}

/// One message in the form that the options ask for.
struct AgoraMessageJson<'a> {
    message: &'a AgoraMessage,
    options: &'a Options,
}

impl Serialize for AgoraMessageJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (message, options) = (self.message, self.options);
        let receiver = match options.receiver_field {
            ReceiverField::Dst => "dst",
            ReceiverField::Dest => "dest",
        };
        let time = match options.time_field {
            TimeField::Ms => "ms",
            TimeField::Ts => "ts",
        };
        let kind = match (options.message_type, message.kind) {
            (ChannelMessageType::Absent, _) => None,
            (_, RecipientKind::Peer) => Some("peer_message"),
            (ChannelMessageType::Group, RecipientKind::Channel) => Some("group_message"),
            (ChannelMessageType::Channel, RecipientKind::Channel) => Some("channel_message"),
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("src", &message.src)?;
        map.serialize_entry(receiver, &message.dst)?;
        if let Some(kind) = kind {
            map.serialize_entry("message_type", kind)?;
        }
        map.serialize_entry(
            "payload",
            &json_string(&message.payload).map_err(S::Error::custom)?,
        )?;
        let seconds = Millis(message.ms).second().0;
        match options.time_form {
            TimeForm::Millis => map.serialize_entry(time, &message.ms)?,
            TimeForm::MillisText => map.serialize_entry(time, &message.ms.to_string())?,
            TimeForm::Seconds => map.serialize_entry(time, &seconds)?,
            TimeForm::SecondsText => map.serialize_entry(time, &seconds.to_string())?,
            TimeForm::Iso => map.serialize_entry(time, &Millis(message.ms).to_string())?,
        }
        if options.extra_fields {
            map.serialize_entry("region", "eu-1")?;
            map.serialize_entry(
                "delivery",
                &serde_json::json!({ "attempts": 1, "acks": ["sdk", null], "ratio": 0.5 }),
            )?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(start: &str, end: &str) -> HistoryFilter {
        HistoryFilter {
            source: Some("a".into()),
            destination: None,
            start_time: start.into(),
            end_time: end.into(),
        }
    }

    fn milliseconds(flags: &[&str]) -> Range<i64> {
        let options = Options::from_flags(flags).unwrap();
        filter("1970-01-01T00:00:10Z", "1970-01-01T00:00:20Z")
            .into_selection(&options)
            .unwrap()
            .range
    }

    #[test]
    fn bounds_follow_the_flags() {
        assert_eq!(milliseconds(&[]), 10_000..20_001);
        assert_eq!(milliseconds(&["--end", "exclusive"]), 10_000..20_000);
        assert_eq!(milliseconds(&["--start", "exclusive"]), 10_001..20_001);
        assert_eq!(milliseconds(&["--seconds"]), 10_000..21_000);
        assert_eq!(
            milliseconds(&["--seconds", "--start", "exclusive", "--end", "exclusive"]),
            11_000..20_000
        );
    }

    #[test]
    fn only_the_documented_form_of_a_time_is_accepted() {
        let options = Options::default();
        let ok = "2019-08-01T01:22:10Z";
        assert!(filter(ok, ok).into_selection(&options).is_ok());
        for wrong in [
            "2019-08-01T01:22:10",
            "2019-08-01 01:22:10Z",
            "2019-08-01T01:22:10.000Z",
            "2019-08-01T01:22:10+00:00",
            "2019-8-1T01:22:10Z",
            "",
            "1564622530",
        ] {
            assert!(
                matches!(
                    filter(wrong, ok).into_selection(&options),
                    Err(AgoraRequestError::Time { .. })
                ),
                "{wrong}"
            );
        }
        assert!(matches!(
            filter(ok, "2019-08-01T01:22:09Z").into_selection(&options),
            Err(AgoraRequestError::Backwards)
        ));
    }

    #[test]
    fn a_query_that_violates_the_contract_is_refused() {
        let read = |text: &str| PageQuery::parse(text.as_bytes(), &Options::default());
        let times = r#""start_time":"2019-08-01T01:22:10Z","end_time":"2019-08-01T01:32:10Z""#;
        let query = read(&format!(
            r#"{{"filter":{{"source":"a","destination":null,{times}}}}}"#
        ))
        .unwrap();
        assert_eq!(
            (query.offset, query.limit, query.order),
            (0, 20, PageOrder::Desc)
        );
        for wrong in [
            format!(r#"{{"filter":{{"source":"a",{times}}},"limit":10}}"#),
            format!(r#"{{"filter":{{"source":"a",{times}}},"offSet":10}}"#),
            format!(r#"{{"filter":{{"source":"a",{times}}},"order":"ASC"}}"#),
            format!(r#"{{"filter":{{"source":"a",{times}}},"offset":-1}}"#),
            format!(r#"{{"filter":{{"source":null,"destination":"",{times}}}}}"#),
            format!(r#"{{"filter":{{"src":"a",{times}}}}}"#),
            r#"{"filter":{"source":"a"}}"#.to_owned(),
            "[]".to_owned(),
        ] {
            assert!(read(&wrong).is_err(), "{wrong}");
        }
    }
}

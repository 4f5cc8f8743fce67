//! The body of a history query.

use serde::Serialize;

use crate::domain::time::Second;

/// The body of `POST query`.
#[derive(Debug, Serialize)]
pub(super) struct HistoryQuery<'a> {
    pub(super) filter: MessageFilter<'a>,
    /// The number of messages to skip.
    pub(super) offset: u64,
    /// The number of messages to return: 20, 50 or 100.
    pub(super) limit: u64,
    /// Always sent, since the documents disagree about the default.
    pub(super) order: OffsetOrder,
}

/// The message that an offset counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum OffsetOrder {
    /// The oldest.
    #[serde(rename = "asc")]
    Ascending,
    /// The newest.
    #[serde(rename = "desc")]
    Descending,
}

/// The messages that are asked for: at least one of source and destination, and a range on whole
/// seconds.
#[derive(Debug, Serialize)]
pub(super) struct MessageFilter<'a> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Millis;

    /// The documents' own example.
    #[test]
    fn query_is_written_as_documented() {
        let at = |text: &str| QueryTime(text.parse::<Millis>().unwrap().second());
        let query = HistoryQuery {
            filter: MessageFilter {
                source: Some("src_account"),
                destination: Some("dst_account"),
                start_time: at("2019-08-01T01:22:10Z"),
                end_time: at("2019-08-01T01:32:10Z"),
            },
            offset: 100,
            limit: 20,
            order: OffsetOrder::Ascending,
        };
        let documented = serde_json::json!({
            "filter": {
                "source": "src_account",
                "destination": "dst_account",
                "start_time": "2019-08-01T01:22:10Z",
                "end_time": "2019-08-01T01:32:10Z",
            },
            "offset": 100,
            "limit": 20,
            "order": "asc",
        });
        assert_eq!(serde_json::to_value(&query).unwrap(), documented);
    }
}

//! Answers of the history API. Where the documents and the SDKs disagree, every form is accepted
//! (`result`/`data_list`, `total`/`total_count`).

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::message::{self, ParsedRow};
use super::streams::TopicMessages;
use crate::provider::damaged_items::isolate_damaged_items;
use crate::provider::error::ProviderError;
use crate::provider::json::{self, WireCode, WireCount};

/// A page of a topic's history.
#[derive(Debug)]
pub(super) struct TopicPage {
    /// The number of messages in the topic, if the provider reports it.
    pub(super) total: Option<u64>,
    /// Newest first.
    pub(super) rows: Vec<ParsedRow>,
}

impl TopicPage {
    /// True if a message stands behind an older one. Within one second, any order is in order: so
    /// windows are cut.
    pub(super) fn is_out_of_order(&self) -> bool {
        let seconds = self.rows.iter().flatten().map(|row| row.sent_at.second());
        !seconds.is_sorted_by(|newer, older| newer >= older)
    }

    /// True if the page shows that the total is false. `newer` is the number of messages before
    /// the page.
    pub(super) fn contradicts_total(&self, newer: u64) -> bool {
        let rows = self.rows.len() as u64;
        self.total.is_some_and(|total| {
            let is_missing = rows == 0 && total > newer;
            let is_beyond = rows > 0 && total < newer.saturating_add(rows);
            is_missing || is_beyond
        })
    }
}

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
    code: Option<WireCode>,
    #[serde(borrow)]
    msg: Option<Cow<'a, str>>,
    /// The text of a gateway before the node.
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
struct TopicPageData<'a> {
    #[serde(alias = "total_count")]
    total: Option<WireCount>,
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

/// Parses the answer to a history request. If the body is not valid JSON, its damaged rows are
/// isolated.
pub(super) fn parse_page(body: &[u8], topic: TopicMessages<'_>) -> Result<TopicPage, AnswerError> {
    match parse_json_page(body, topic) {
        Err(AnswerError::Malformed(fault)) => match isolate_damaged_items(body) {
            Some(text) => parse_json_page(text.as_bytes(), topic),
            None => Err(AnswerError::Malformed(fault)),
        },
        answer => answer,
    }
}

fn parse_json_page(body: &[u8], topic: TopicMessages<'_>) -> Result<TopicPage, AnswerError> {
    let data: Option<TopicPageData> = match envelope_data(body)? {
        Some(raw) => serde_json::from_str(raw.get()).map_err(|e| AnswerError::malformed("", &e))?,
        None => None,
    };
    let data = data.unwrap_or_default();
    let rows = message::parse_rows(data.result, topic)
        .map_err(|e| AnswerError::malformed("the rows: ", &e))?;
    Ok(TopicPage {
        total: data.total.and_then(|total| total.0),
        rows,
    })
}

/// Returns the `data` of a successful answer.
pub(super) fn envelope_data(body: &[u8]) -> Result<Option<&RawValue>, AnswerError> {
    let text = json::utf8_body(body).map_err(AnswerError::Malformed)?;
    let envelope: CodeEnvelope =
        serde_json::from_str(text).map_err(|e| AnswerError::malformed("", &e))?;
    match envelope.code.map(|code| code.0) {
        Some(0) => Ok(envelope.data),
        Some(code) => {
            let gateway_text = || serde_json::from_str(envelope.message?.get()).ok();
            let message = envelope.msg.or_else(gateway_text);
            let message = message.map(|text| json::printable(&text));
            Err(AnswerError::Refused { code, message })
        }
        None => Err(AnswerError::Malformed(
            "the answer holds no `code`".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::message::{Delivery, DeliveryStatus, Encoding, Payload};
    use crate::domain::time::Millis;

    const U1: &str = "user:1ac51cff3495beac8f47927ddc719c2de3d08ee3b30f97c7ecd27b77";
    const U2: &str = "user:850b1e20abfce1e514659650834380f584e21c0b03fac89847fa86c6";

    fn page(body: &[u8]) -> Result<TopicPage, AnswerError> {
        page_of("topic:1", body)
    }

    fn page_of(topic: &str, body: &[u8]) -> Result<TopicPage, AnswerError> {
        parse_page(body, TopicMessages { user: U1, topic })
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
        let TopicPage { total, rows } = page_of(U2, body.as_bytes()).unwrap();
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

    #[test]
    fn renamed_fields_of_a_page_are_read() {
        let row = r#"{"from":"a","timestamp":1,"payload":""}"#;
        let body = format!(r#"{{"code":0,"data":{{"total_count":1,"data_list":[{row}]}}}}"#);
        let TopicPage { total, rows } = page(body.as_bytes()).unwrap();
        assert_eq!((total, rows.len()), (Some(1), 1));
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
        let of_gateway = page(br#"{"code":7,"msg":null,"message":"session expired","data":null}"#);
        assert!(
            matches!(of_gateway, Err(AnswerError::Refused { message: Some(s), .. }) if s == "session expired")
        );
        assert!(matches!(page(b"<html>"), Err(AnswerError::Malformed(_))));
        assert!(matches!(page(b"{}"), Err(AnswerError::Malformed(_))));
    }

    #[test]
    fn damaged_row_costs_no_other() {
        let body = b"{\"code\":0,\"data\":{\"total\":2,\"result\":[
            {\"from\":\"a\",\"timestamp\":1,\"payload\":\"\xff\"},
            {\"from\":\"a\",\"timestamp\":1,\"payload\":\"\"}]}}";
        let TopicPage { total, rows } = page(body).unwrap();
        assert_eq!(total, Some(2));
        assert!(rows[0].as_ref().unwrap_err().raw.contains("\\xff"));
        assert!(rows[1].is_ok());
    }

    #[test]
    fn unparsable_row_costs_no_other() {
        let body = r#"{"code":0,"data":{"result":[{"from":"a","timestamp":1,"payload":""},{"from":"a"},"x"]}}"#;
        let rows = page(body.as_bytes()).unwrap().rows;
        assert!(rows[0].is_ok());
        assert_eq!(rows[1].as_ref().unwrap_err().reason, "no `timestamp`");
        assert_eq!(rows[2].as_ref().unwrap_err().raw, "\"x\"");
    }
}

//! The wire format of Web3MQ's requests and answers, in all known variants.

use std::collections::BTreeMap;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::json;

use super::history::{Web3mqMessage, Web3mqRows};
use crate::sandbox::options::Options;
use crate::sandbox::shape::{EmptyListForm, FromSignForm, PayloadField, TotalForm, Web3mqEnvelope};

/// The parameters of a request for a page.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PageRequest {
    pub(super) userid: String,
    pub(super) topic: String,
    pub(super) page: usize,
    pub(super) size: usize,
    pub(super) timestamp: i64,
    pub(super) signature: String,
}

/// The reason why parameters violate the contract.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum Web3mqRequestError {
    #[error("missing parameter {0}")]
    Missing(&'static str),
    #[error("{0} must be a whole number from 1 up")]
    NotANumber(&'static str),
    #[error("a list is about no topic")]
    Topic,
    #[error("didkey must be a type and a value with a colon between")]
    DidKey,
}

impl PageRequest {
    /// Parses the decoded parameters. A request without a topic must not name one.
    pub(super) fn parse(
        parameters: &BTreeMap<String, String>,
        has_topic: bool,
    ) -> Result<Self, Web3mqRequestError> {
        let text = |name: &'static str| {
            parameters
                .get(name)
                .filter(|value| !value.is_empty())
                .cloned()
                .ok_or(Web3mqRequestError::Missing(name))
        };
        let positive = |name: &'static str| match text(name)?.parse::<usize>() {
            Ok(number) if number >= 1 => Ok(number),
            _ => Err(Web3mqRequestError::NotANumber(name)),
        };
        Ok(Self {
            userid: text("userid")?,
            topic: match (has_topic, parameters.contains_key("topic")) {
                (true, _) => text("topic")?,
                (false, true) => return Err(Web3mqRequestError::Topic),
                (false, false) => String::new(),
            },
            page: positive("page")?,
            size: positive("size")?,
            // The signature covers the text, so only the canonical form of the number is accepted.
            timestamp: text("timestamp")?
                .parse()
                .ok()
                .filter(|t: &i64| {
                    parameters
                        .get("timestamp")
                        .is_some_and(|text| *text == t.to_string())
                })
                .ok_or(Web3mqRequestError::NotANumber("timestamp"))?,
            signature: text("web3mq_signature")?,
        })
    }
}

/// The answer to a valid request: a page in its envelope.
#[derive(Debug)]
pub(super) struct Web3mqPageAnswer<'a> {
    pub(super) rows: &'a Web3mqRows,
    pub(super) total: usize,
    pub(super) options: &'a Options,
}

impl Serialize for Web3mqPageAnswer<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("code", &0)?;
        map.serialize_entry("msg", "ok")?;
        map.serialize_entry("data", &PageData(self))?;
        map.end()
    }
}

struct PageData<'a>(&'a Web3mqPageAnswer<'a>);

impl Serialize for PageData<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Web3mqPageAnswer {
            rows,
            total,
            options,
        } = self.0;
        let (total_name, list_name) = match options.envelope {
            Web3mqEnvelope::V1 => ("total", "result"),
            Web3mqEnvelope::V2 => ("total_count", "data_list"),
        };
        let mut map = serializer.serialize_map(None)?;
        if options.total == TotalForm::Whole {
            map.serialize_entry(total_name, &options.count_form.write(*total))?;
        }
        let shown: Vec<_> = rows
            .iter()
            .map(|message| Web3mqMessageJson { message, options })
            .collect();
        match options.empty_list {
            EmptyListForm::Null if shown.is_empty() => map.serialize_entry(list_name, &())?,
            EmptyListForm::Absent if shown.is_empty() => {}
            _ => map.serialize_entry(list_name, &shown)?,
        }
        map.end()
    }
}

/// One row in the form that the options ask for.
struct Web3mqMessageJson<'a> {
    message: &'a Web3mqMessage,
    options: &'a Options,
}

impl Serialize for Web3mqMessageJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (message, options) = (self.message, self.options);
        let payload = match options.payload_field {
            PayloadField::Payload => "payload",
            PayloadField::Pyaload => "pyaload",
        };
        let name = |field: &str| {
            let is_renamed = options.rename_fields.iter().any(|renamed| renamed == field);
            format!("{}{field}", if is_renamed { "renamed_" } else { "" })
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(&name("cipher_suite"), &message.cipher_suite)?;
        map.serialize_entry(&name("from"), &message.from)?;
        map.serialize_entry(&name("topic"), &message.row_topic)?;
        match options.from_sign {
            FromSignForm::Text => map.serialize_entry(&name("from_sign"), &message.from_sign)?,
            FromSignForm::Number => {
                map.serialize_entry(&name("from_sign"), &from_sign_number(&message.from_sign))?;
            }
        }
        map.serialize_entry(&name("messageid"), &message.messageid)?;
        map.serialize_entry(&name("payload_type"), &message.payload_type)?;
        map.serialize_entry(&name("timestamp"), &message.ms)?;
        match message.status {
            Some(status) => {
                map.serialize_entry(
                    &name("message_status"),
                    &json!({ "status": status, "timestamp": message.status_ms }),
                )?;
            }
            None if message.ms % 2 == 0 => map.serialize_entry(&name("message_status"), &())?,
            None => {}
        }
        map.serialize_entry(&name(payload), &message.payload_text)?;
        map.serialize_entry(&name("version"), &message.version)?;
        if options.extra_fields {
            map.serialize_entry("threadid", "")?;
            map.serialize_entry("message_type", "Web3MQ/thread")?;
            map.serialize_entry(
                "extra_data",
                &json!({ "client": "sandbox", "tags": [1, null, "two"] }),
            )?;
        }
        map.end()
    }
}

/// Returns the numeric form of a signature. The contract calls `from_sign` an int without saying
/// which, so the first four bytes of its hash are used.
fn from_sign_number(from_sign: &str) -> u32 {
    let [a, b, c, d, ..] = *blake3::hash(from_sign.as_bytes()).as_bytes();
    u32::from_be_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters() -> BTreeMap<String, String> {
        let pairs = [
            ("userid", "user:1"),
            ("topic", "group:1"),
            ("page", "1"),
            ("size", "20"),
            ("timestamp", "1656991509327"),
            ("web3mq_signature", "c2ln"),
        ];
        pairs
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    #[test]
    fn missing_and_invalid_parameters_are_refused() {
        assert!(PageRequest::parse(&parameters(), true).is_ok());
        assert_eq!(
            PageRequest::parse(&parameters(), false),
            Err(Web3mqRequestError::Topic)
        );
        for name in [
            "userid",
            "topic",
            "page",
            "size",
            "timestamp",
            "web3mq_signature",
        ] {
            let mut without = parameters();
            without.remove(name);
            assert_eq!(
                PageRequest::parse(&without, true),
                Err(Web3mqRequestError::Missing(name))
            );
        }
        for (name, wrong) in [
            ("page", "0"),
            ("page", "-1"),
            ("size", "x"),
            ("timestamp", "01656991509327"),
        ] {
            let mut parameters = parameters();
            parameters.insert(name.to_owned(), wrong.to_owned());
            assert_eq!(
                PageRequest::parse(&parameters, true),
                Err(Web3mqRequestError::NotANumber(name))
            );
        }
    }
}

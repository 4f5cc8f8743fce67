//! Answers of the lists of chats, groups and topics that a user takes part in.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::answers::{self, AnswerError};
use crate::domain::message::name_error;
use crate::provider::json::{self, WireCount};
use crate::provider::limits::MAX_NAMES_PER_ANSWER;

/// A page of a list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ListPage {
    pub(super) ids: Vec<String>,
    /// The length of the list, if the provider reports it.
    pub(super) total: Option<u64>,
}

/// The content of an answer, unless it is a bare list.
#[derive(Debug, Default, Deserialize)]
struct ListData<'a> {
    #[serde(alias = "total_count")]
    total: Option<WireCount>,
    #[serde(borrow, alias = "data_list")]
    result: Option<&'a RawValue>,
}

/// An entry of any of the lists. A chat's `topic` is about to be replaced by `chatid`.
#[derive(Debug, Default, Deserialize)]
struct ListEntry {
    chatid: Option<String>,
    groupid: Option<String>,
    topicid: Option<String>,
    topic: Option<String>,
    /// Only messages have one.
    payload: Option<IgnoredAny>,
}

impl ListEntry {
    /// Returns the topic id that the entry names, if it names a valid one.
    fn id(self) -> Option<String> {
        let ids = [self.chatid, self.groupid, self.topicid, self.topic];
        let id = ids.into_iter().flatten().find(|id| !id.is_empty())?;
        name_error(&id).is_none().then_some(id)
    }
}

/// True if the raw text of a message is an entry of a list: the answer to another request.
pub(super) fn is_list_entry(raw: &str) -> bool {
    let entry: ListEntry = serde_json::from_str(raw).unwrap_or_default();
    entry.chatid.is_some() || entry.groupid.is_some() || entry.topicid.is_some()
}

/// Parses a page of a list. An entry that cannot be parsed is skipped and costs no other; so is
/// one behind the [`MAX_NAMES_PER_ANSWER`]th.
pub(super) fn parse_list_page(body: &[u8]) -> Result<ListPage, AnswerError> {
    let malformed = |e: serde_json::Error| AnswerError::malformed("the list: ", &e);
    let raw = answers::envelope_data(body)?;
    let is_bare = raw.is_some_and(|raw| raw.get().starts_with('['));
    let ListData { total, result } = match raw {
        Some(data) if !is_bare => {
            let data: Option<ListData> = serde_json::from_str(data.get()).map_err(malformed)?;
            data.unwrap_or_default()
        }
        bare => ListData {
            total: None,
            result: bare,
        },
    };
    let mut ids = Vec::new();
    json::for_each_item(result, |raw| {
        let entry: ListEntry = serde_json::from_str(raw.get()).unwrap_or_default();
        if entry.payload.is_some() {
            return Err("it holds messages where a list was asked for".to_owned());
        }
        let has_room = ids.len() < MAX_NAMES_PER_ANSWER;
        ids.extend(entry.id().filter(|_| has_room));
        Ok(())
    })
    .map_err(malformed)?;
    Ok(ListPage {
        ids,
        total: total.and_then(|total| total.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(data: &str) -> (Vec<String>, Option<u64>) {
        let ListPage { ids, total } =
            parse_list_page(format!(r#"{{"code":0,"msg":"ok","data":{data}}}"#).as_bytes())
                .unwrap();
        (ids, total)
    }

    #[test]
    fn every_list_is_read_in_every_envelope() {
        let chats = r#"{"total":3,"result":[{"topic":"x","topic_type":"user","chatid":"user:1","chat_type":"user"},
            {"topic":"group:1","chatid":""}, {"chat_name":"no id"}, {"chatid":7}, "what", {"chatid":"a\u0000"}]}"#;
        assert_eq!(
            read(chats),
            (vec!["user:1".to_owned(), "group:1".to_owned()], Some(3))
        );
        let groups = r#"{"total_count":1,"data_list":[{"groupid":"group:2","group_name":"us"}]}"#;
        assert_eq!(read(groups), (vec!["group:2".to_owned()], Some(1)));
        let topics = r#"[{"topicid":"topic:3","topic_name":"news","create_at":1}]"#;
        assert_eq!(read(topics), (vec!["topic:3".to_owned()], None));
    }

    #[test]
    fn absent_or_null_list_is_empty() {
        for data in ["null", "{}", "[]", r#"{"total":0,"result":null}"#] {
            assert!(read(data).0.is_empty(), "{data}");
        }
    }

    #[test]
    fn other_answers_are_errors() {
        assert!(matches!(
            parse_list_page(br#"{"code":1000,"msg":"bad signature"}"#),
            Err(AnswerError::Refused { code: 1000, .. })
        ));
        let message = r#"{"code":0,"data":{"total":1,"result":[{"from":"a","topic":"b","payload":"","timestamp":1}]}}"#;
        for body in ["<html>", "{}", r#"{"code":0,"data":7}"#, message] {
            assert!(
                matches!(
                    parse_list_page(body.as_bytes()),
                    Err(AnswerError::Malformed(_))
                ),
                "{body}"
            );
        }
    }
}

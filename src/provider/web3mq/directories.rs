//! What there is to follow: the chats, groups and topics that a user takes part in, by the provider's own lists.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::answers::{self, AnswerError};
use super::{Web3mq, stream};
use crate::domain::message::name_error;
use crate::domain::stream::Stream;
use crate::provider::budget::Turn;
use crate::provider::error::ProviderError;
use crate::provider::http::ProviderResponse;
use crate::provider::json::parse_error_text;
use crate::provider::{Directories, DirectoryPage};

/// Each may know of what the others do not.
const LIST_ENDPOINTS: [&str; 3] = ["chats", "groups", "my_subscribe_topic_list"];
/// A list changes rarely, and a long one costs many requests.
const LIST_POLL_INTERVAL: Duration = Duration::from_mins(10);
/// Far more pages than any list has, and an end to those that a provider makes up.
const MAX_LIST_PAGES: u64 = 1000;

impl Web3mq {
    pub(super) fn conversations(&self) -> Directories {
        if self.account.discovers {
            Directories {
                count: LIST_ENDPOINTS.len(),
                poll_interval: LIST_POLL_INTERVAL,
            }
        } else {
            Directories::default()
        }
    }

    /// All of a list, as far as it can be read.
    pub(super) async fn conversations_on(&self, list: usize) -> DirectoryPage {
        let mut seen = BTreeSet::new();
        let failure = match LIST_ENDPOINTS.get(list) {
            Some(list) => self.read_list(list, &mut seen).await.err(),
            None => None,
        };
        let discovered = |topic: String| Stream {
            discovered: true,
            ..stream(&self.user, &topic)
        };
        DirectoryPage {
            streams: seen.into_iter().map(discovered).collect(),
            has_more: false,
            error: failure,
        }
    }

    /// Reads page by page until one shows nothing that was not seen before. A short page need not be the last, and a
    /// list that knows no pages answers every time with all of it.
    async fn read_list(
        &self,
        list: &'static str,
        seen: &mut BTreeSet<String>,
    ) -> Result<(), ProviderError> {
        let size = self.page_size();
        for page in 1..=MAX_LIST_PAGES {
            let url =
                |at| answers::list_url(&self.base, list, &self.key, &self.user, at, page, size);
            // Its few requests go first: they are made one by one, and a backfill has hundreds waiting.
            let ListPage { ids, total } = self
                .ask(list, Turn::Finish, url, |answer| page_of(list, answer))
                .await?;
            let before = seen.len();
            seen.extend(ids);
            let is_all = total.is_some_and(|total| seen.len() as u64 >= total);
            if is_all || seen.len() == before {
                return Ok(());
            }
        }
        let fault = format!("the list has no end: {MAX_LIST_PAGES} pages were read");
        Err(ProviderError::Malformed { what: list, fault })
    }
}

/// A page of a list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ListPage {
    pub(super) ids: Vec<String>,
    /// How long the list is, where it says so.
    total: Option<u64>,
}

/// What a list comes in, unless it comes bare.
#[derive(Debug, Default, Deserialize)]
struct Data<'a> {
    #[serde(alias = "total_count")]
    total: Option<u64>,
    #[serde(borrow, alias = "data_list")]
    result: Option<Vec<&'a RawValue>>,
}

/// An entry of any of the lists. A chat's `topic` is about to be dropped for `chatid`.
#[derive(Debug, Default, Deserialize)]
struct ListEntry {
    chatid: Option<String>,
    groupid: Option<String>,
    topicid: Option<String>,
    topic: Option<String>,
    /// Only messages have one.
    payload: Option<IgnoredAny>,
}

/// Whether what should be a message is an entry of a list: the answer to another request.
pub(super) fn is_list_entry(raw: &str) -> bool {
    let entry: ListEntry = serde_json::from_str(raw).unwrap_or_default();
    entry.chatid.is_some() || entry.groupid.is_some() || entry.topicid.is_some()
}

fn page_of(list: &'static str, answer: &ProviderResponse) -> Result<ListPage, ProviderError> {
    if !answer.status.is_success() {
        return Err(answer.refusal(list));
    }
    page(&answer.body).map_err(|no_page| no_page.error(list))
}

/// Reads a page. An entry that makes no sense costs no other.
pub(super) fn page(body: &[u8]) -> Result<ListPage, AnswerError> {
    let fault = |e: serde_json::Error| {
        AnswerError::Malformed(format!("the list: {}", parse_error_text(&e)))
    };
    let Data { total, result } = match answers::envelope_data(body)?.map(RawValue::get) {
        None => Data::default(),
        Some(bare) if bare.starts_with('[') => Data {
            total: None,
            result: serde_json::from_str(bare).map_err(fault)?,
        },
        Some(data) => serde_json::from_str::<Option<Data>>(data)
            .map_err(fault)?
            .unwrap_or_default(),
    };
    let entries = result.unwrap_or_default();
    let entries: Vec<ListEntry> = entries
        .iter()
        .filter_map(|raw| serde_json::from_str(raw.get()).ok())
        .collect();
    if entries.iter().any(|entry| entry.payload.is_some()) {
        return Err(AnswerError::Malformed(
            "the answer holds messages where a list was asked for".to_owned(),
        ));
    }
    let id = |ListEntry {
                  chatid,
                  groupid,
                  topicid,
                  topic,
                  ..
              }: ListEntry| {
        let id = [chatid, groupid, topicid, topic]
            .into_iter()
            .flatten()
            .find(|id| !id.is_empty())?;
        name_error(&id).is_none().then_some(id)
    };
    Ok(ListPage {
        ids: entries.into_iter().filter_map(id).collect(),
        total,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(data: &str) -> (Vec<String>, Option<u64>) {
        let ListPage { ids, total } =
            page(format!(r#"{{"code":0,"msg":"ok","data":{data}}}"#).as_bytes()).unwrap();
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
            page(br#"{"code":1000,"msg":"bad signature"}"#),
            Err(AnswerError::Refused { code: 1000, .. })
        ));
        let message = r#"{"code":0,"data":{"total":1,"result":[{"from":"a","topic":"b","payload":"","timestamp":1}]}}"#;
        for body in ["<html>", "{}", r#"{"code":0,"data":7}"#, message] {
            assert!(
                matches!(page(body.as_bytes()), Err(AnswerError::Malformed(_))),
                "{body}"
            );
        }
    }
}

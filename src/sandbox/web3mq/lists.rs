//! The lists of a user's conversations.

use serde_json::{Value, json};

use super::history::{Web3mqRows, Web3mqUser};
use crate::sandbox::options::Options;
use crate::sandbox::shape::{EmptyListForm, TotalForm, Web3mqEnvelope};

/// The lists that Web3MQ offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConversationList {
    /// Conversations with messages: chats of two users, groups, dApps.
    Chats,
    /// Groups, with or without messages.
    Groups,
    /// Topics that the user has subscribed to.
    Topics,
}

impl ConversationList {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Chats => "chats",
            Self::Groups => "groups",
            Self::Topics => "my_subscribe_topic_list",
        }
    }

    /// Returns all entries of the list.
    fn entries(self, account: &Web3mqUser) -> Vec<Value> {
        let topics = account.topics().iter();
        topics
            .filter_map(|(topic, rows)| self.entry(topic, rows))
            .collect()
    }

    /// Returns the entry of a topic. `None` if the list does not contain it.
    fn entry(self, topic: &str, rows: &Web3mqRows) -> Option<Value> {
        let prefix = topic.split_once(':').map_or("", |(prefix, _)| prefix);
        match (self, prefix) {
            (Self::Chats, "topic") => None,
            (Self::Chats, _) if rows.is_empty() => None,
            (Self::Chats, "user" | "group") => Some(chat_entry(topic, prefix)),
            (Self::Chats, _) => Some(chat_entry(topic, "topic")),
            (Self::Groups, "group") => {
                Some(json!({ "groupid": topic, "group_name": "a group", "avatar_url": "" }))
            }
            (Self::Topics, "topic") => {
                Some(json!({ "topicid": topic, "topic_name": "a topic", "create_at": 0 }))
            }
            _ => None,
        }
    }

    /// Returns a page, counted from 1, in its envelope. The list of topics has no envelope of its
    /// own.
    pub(super) fn page(
        self,
        account: &Web3mqUser,
        page: usize,
        size: usize,
        options: &Options,
    ) -> Value {
        let all = self.entries(account);
        let total = all.len();
        let page_entries: Vec<Value> = all
            .into_iter()
            .skip((page - 1).saturating_mul(size))
            .take(size)
            .collect();
        let page_entries = match options.empty_list {
            EmptyListForm::Empty => Some(Value::from(page_entries)),
            EmptyListForm::Null => Some(if page_entries.is_empty() {
                Value::Null
            } else {
                page_entries.into()
            }),
            EmptyListForm::Absent => {
                Some(Value::from(page_entries)).filter(|list| list != &json!([]))
            }
        };
        let data = match (self, options.envelope) {
            (Self::Topics, _) => page_entries.unwrap_or_default(),
            (_, Web3mqEnvelope::V1) => wrap_list("total", total, "result", page_entries, options),
            (_, Web3mqEnvelope::V2) => {
                wrap_list("total_count", total, "data_list", page_entries, options)
            }
        };
        json!({ "code": 0, "msg": "ok", "data": data })
    }
}

/// Returns the entry of a chat of this kind.
fn chat_entry(topic: &str, kind: &str) -> Value {
    json!({
        "topic": topic, "topic_type": kind,
        "chatid": topic, "chat_type": kind, "chat_name": "",
        "avatar_url": "", "avatar_base64": ""
    })
}

fn wrap_list(
    total_name: &str,
    total: usize,
    list_name: &str,
    list: Option<Value>,
    options: &Options,
) -> Value {
    let total = (options.total == TotalForm::Whole)
        .then(|| (total_name.to_owned(), options.count_form.write(total)));
    let list = list.map(|list| (list_name.to_owned(), list));
    Value::Object(total.into_iter().chain(list).collect())
}

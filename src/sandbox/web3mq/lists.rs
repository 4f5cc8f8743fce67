//! The lists of what a user takes part in.

use serde_json::{Value, json};

use super::history::Web3mqUser;
use crate::sandbox::options::Options;
use crate::sandbox::shape::{EmptyListForm, TotalForm, Web3mqEnvelope};

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConversationList {
    /// What was spoken in: chats of two, groups, dApps.
    Chats,
    /// Groups, spoken in or not.
    Groups,
    /// Topics that were subscribed to.
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

    fn entries(self, account: &Web3mqUser) -> Vec<Value> {
        let topics = account
            .topics()
            .iter()
            .map(|(topic, rows)| (topic, topic.split_once(':').map_or("", |t| t.0), rows));
        let entry = |(topic, prefix, rows): (&String, &str, &super::Web3mqRows)| match (
            self, prefix,
        ) {
            (Self::Chats, "topic") => None,
            (Self::Chats, _) if rows.is_empty() => None,
            (Self::Chats, prefix) => {
                let kind = if ["user", "group"].contains(&prefix) {
                    prefix
                } else {
                    "topic"
                };
                Some(
                    json!({ "topic": topic, "topic_type": kind, "chatid": topic, "chat_type": kind, "chat_name": "",
                             "avatar_url": "", "avatar_base64": "" }),
                )
            }
            (Self::Groups, "group") => {
                Some(json!({ "groupid": topic, "group_name": "a group", "avatar_url": "" }))
            }
            (Self::Topics, "topic") => {
                Some(json!({ "topicid": topic, "topic_name": "a topic", "create_at": 0 }))
            }
            _ => None,
        };
        topics.filter_map(entry).collect()
    }

    /// A page, counted from 1, in its envelope. Topics come without one of their own.
    pub(super) fn page(
        self,
        account: &Web3mqUser,
        page: usize,
        size: usize,
        options: &Options,
    ) -> Value {
        let all = self.entries(account);
        let total = all.len();
        let shown: Vec<Value> = all
            .into_iter()
            .skip((page - 1).saturating_mul(size))
            .take(size)
            .collect();
        let shown = match options.empty_list {
            EmptyListForm::Empty => Some(Value::from(shown)),
            EmptyListForm::Null => Some(if shown.is_empty() {
                Value::Null
            } else {
                shown.into()
            }),
            EmptyListForm::Absent => Some(Value::from(shown)).filter(|list| list != &json!([])),
        };
        let data = match (self, options.envelope) {
            (Self::Topics, _) => shown.unwrap_or_default(),
            (_, Web3mqEnvelope::V1) => enveloped("total", total, "result", shown, options),
            (_, Web3mqEnvelope::V2) => enveloped("total_count", total, "data_list", shown, options),
        };
        json!({ "code": 0, "msg": "ok", "data": data })
    }
}

fn enveloped(
    total_name: &str,
    total: usize,
    list_name: &str,
    list: Option<Value>,
    options: &Options,
) -> Value {
    let total =
        (options.total == TotalForm::Whole).then(|| (total_name.to_owned(), Value::from(total)));
    let list = list.map(|list| (list_name.to_owned(), list));
    Value::Object(total.into_iter().chain(list).collect())
}

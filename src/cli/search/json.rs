//! The answer of a search as JSON.

use serde::Serialize;

use super::answer::{HitInContext, SearchAnswer};
use crate::domain::search::highlight::matched_ranges;
use crate::domain::search::query::SearchQuery;
use crate::reader::IncompleteRange;
use crate::store::{DisplayedMessage, HitOrder};

/// The answer of a search.
#[derive(Debug, Serialize)]
pub(super) struct AnswerJson<'a> {
    query: &'a str,
    order: &'static str,
    hits: Vec<HitJson<'a>>,
    /// True if there are more hits than the limit.
    more: bool,
    /// True if no message in the searched range can be missing.
    complete: bool,
    /// The ranges in which messages may be missing from the archive.
    incomplete: &'a [IncompleteRange],
    index: IndexJson,
}

/// The extent of the search index.
#[derive(Debug, Serialize)]
struct IndexJson {
    /// Messages up to this id were searched.
    indexed_to: i64,
    /// The highest id in the archive.
    latest_id: i64,
}

/// A hit.
#[derive(Debug, Serialize)]
struct HitJson<'a> {
    #[serde(flatten)]
    message: MessageJson<'a>,
    /// The parts of the body that match: the first character and the one behind the last, counted
    /// in Unicode code points.
    matches: Vec<[usize; 2]>,
    /// The messages of the conversation before it, in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Vec<MessageJson<'a>>>,
    /// The messages of the conversation behind it, in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Vec<MessageJson<'a>>>,
}

/// A message, with the names of the columns of the view `archive`.
#[derive(Debug, Serialize)]
struct MessageJson<'a> {
    id: i64,
    account: &'a str,
    conversation: &'a str,
    conversation_kind: &'a str,
    sender: &'a str,
    recipient: &'a str,
    sent_at: String,
    body: Option<&'a str>,
}

impl<'a> AnswerJson<'a> {
    pub(super) fn new(text: &'a str, answer: &'a SearchAnswer<'a>) -> Self {
        let hits = answer.hits.iter();
        Self {
            query: text,
            order: match answer.order {
                HitOrder::Newest => "newest",
                HitOrder::Relevance => "relevance",
            },
            hits: hits
                .map(|hit| HitJson::new(answer.query, hit, answer.with_context))
                .collect(),
            more: answer.has_more,
            complete: answer.is_complete(),
            incomplete: &answer.completeness.ranges,
            index: IndexJson {
                indexed_to: answer.extent.indexed_to,
                latest_id: answer.extent.latest,
            },
        }
    }
}

impl<'a> HitJson<'a> {
    fn new(query: &SearchQuery, hit: &'a HitInContext, with_context: bool) -> Self {
        let body = hit.message.body.as_deref().unwrap_or_default();
        let characters = |end: usize| body[..end].chars().count();
        let around = |messages: &'a [DisplayedMessage]| {
            with_context.then(|| messages.iter().map(MessageJson::new).collect())
        };
        Self {
            message: MessageJson::new(&hit.message),
            matches: matched_ranges(query, body)
                .into_iter()
                .map(|range| [characters(range.start), characters(range.end)])
                .collect(),
            before: around(&hit.before),
            after: around(&hit.after),
        }
    }
}

impl<'a> MessageJson<'a> {
    fn new(message: &'a DisplayedMessage) -> Self {
        Self {
            id: message.id,
            account: &message.account,
            conversation: &message.conversation,
            conversation_kind: &message.conversation_kind,
            sender: &message.sender,
            recipient: &message.recipient,
            sent_at: message.sent_at.to_string(),
            body: message.body.as_deref(),
        }
    }
}

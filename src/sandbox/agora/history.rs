//! The messages of one Agora project, indexed so that any filter over any time range is a binary
//! search.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The kind of a message's recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecipientKind {
    /// All members of a channel.
    Channel,
    /// One user.
    Peer,
}

/// A message as Agora stores it. It has no id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AgoraMessage {
    /// The user who sent it.
    pub src: String,
    /// The channel or user that received it.
    pub dst: String,
    /// The kind of `dst`.
    pub kind: RecipientKind,
    /// The time in milliseconds since 1970.
    pub ms: i64,
    /// The text in generalised UTF-8. A lone surrogate is encoded in three bytes.
    pub payload: Vec<u8>,
}

/// A filter with a half-open time range in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Only messages from this user.
    pub source: Option<String>,
    /// Only messages to this channel or user.
    pub destination: Option<String>,
    /// Only messages in this time range.
    pub range: Range<i64>,
}

/// A filter with messages: a stream that a configuration would list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuggestedStream {
    /// The sender, if the filter names one.
    pub source: Option<String>,
    /// The recipient, if the filter names one.
    pub destination: Option<String>,
    /// The kind of the recipient.
    pub kind: Option<RecipientKind>,
}

/// Messages in order of time. Messages of one millisecond are in order of arrival.
pub(super) type MessageSeries = Vec<Arc<AgoraMessage>>;

/// All messages of one project.
#[derive(Debug, Default)]
pub struct AgoraHistory {
    all: MessageSeries,
    sent: BTreeMap<String, SentMessages>,
    received: BTreeMap<String, ReceivedMessages>,
    /// The messages to each user together with those of the user's channels. `None` unless a query
    /// for a user's messages is answered with both.
    inboxes: Option<BTreeMap<String, MessageSeries>>,
}

#[derive(Debug, Default)]
struct SentMessages {
    all: MessageSeries,
    to: BTreeMap<String, MessageSeries>,
}

#[derive(Debug)]
struct ReceivedMessages {
    kind: RecipientKind,
    all: MessageSeries,
}

impl AgoraHistory {
    /// Creates a history of these messages, in any order.
    pub fn new(mut messages: Vec<AgoraMessage>) -> Self {
        messages.sort_by_key(|m| m.ms);
        let mut history = Self::default();
        for message in messages {
            history.insert(message);
        }
        history
    }

    /// Answers queries for the messages to a user with those of the user's channels, too: the
    /// channels in which the user has written by now.
    pub(in crate::sandbox) fn add_inboxes(&mut self) {
        let users = self.received.iter();
        let users = users.filter(|(_, received)| received.kind == RecipientKind::Peer);
        let inboxes = users.map(|(user, _)| (user.clone(), self.inbox_of(user)));
        self.inboxes = Some(inboxes.collect());
    }

    fn inbox_of(&self, user: &str) -> MessageSeries {
        let is_received =
            |m: &&Arc<AgoraMessage>| m.dst == user || self.is_received_in_channel(user, m);
        self.all.iter().filter(is_received).cloned().collect()
    }

    /// True if somebody else sent the message to a channel in which the user has written.
    fn is_received_in_channel(&self, user: &str, message: &AgoraMessage) -> bool {
        let sent = self.sent.get(user);
        message.kind == RecipientKind::Channel
            && message.src != user
            && sent.is_some_and(|sent| sent.to.contains_key(&message.dst))
    }

    /// Registers a recipient that may have no messages.
    pub fn add_recipient(&mut self, destination: &str, kind: RecipientKind) {
        self.received
            .entry(destination.to_owned())
            .or_insert_with(|| ReceivedMessages {
                kind,
                all: MessageSeries::new(),
            });
    }

    /// Inserts a message by its time, after those of the same millisecond.
    pub fn insert(&mut self, message: AgoraMessage) {
        let message = Arc::new(message);
        let sent = self.sent.entry(message.src.clone()).or_default();
        insert_sorted(sent.to.entry(message.dst.clone()).or_default(), &message);
        insert_sorted(&mut sent.all, &message);
        self.add_recipient(&message.dst, message.kind);
        if let Some(received) = self.received.get_mut(&message.dst) {
            insert_sorted(&mut received.all, &message);
        }
        insert_sorted(&mut self.all, &message);
        if let Some(mut inboxes) = self.inboxes.take() {
            for (user, inbox) in &mut inboxes {
                if message.dst == *user || self.is_received_in_channel(user, &message) {
                    insert_sorted(inbox, &message);
                }
            }
            if message.kind == RecipientKind::Peer && !inboxes.contains_key(&message.dst) {
                inboxes.insert(message.dst.clone(), self.inbox_of(&message.dst));
            }
            self.inboxes = Some(inboxes);
        }
    }

    /// Returns all messages.
    pub fn messages(&self) -> &[Arc<AgoraMessage>] {
        &self.all
    }

    /// Returns the matching messages. A name that never sends, such as a channel, matches nothing
    /// as a source.
    pub fn select(&self, wanted: &Selection) -> &[Arc<AgoraMessage>] {
        let series = match (&wanted.source, &wanted.destination) {
            (Some(source), Some(destination)) => {
                self.sent.get(source).and_then(|s| s.to.get(destination))
            }
            (Some(source), None) => self.sent.get(source).map(|s| &s.all),
            (None, Some(destination)) => {
                let direct = self.received.get(destination).map(|received| &received.all);
                let inboxes = self.inboxes.as_ref();
                let inbox = inboxes.and_then(|inboxes| inboxes.get(destination));
                inbox.or(direct)
            }
            (None, None) => None,
        };
        let Some(series) = series else { return &[] };
        let from = series.partition_point(|m| m.ms < wanted.range.start);
        let to = series.partition_point(|m| m.ms < wanted.range.end);
        series.get(from..to).unwrap_or_default()
    }

    /// Returns streams that together contain every message: one for each recipient, even without
    /// messages. One sender and one pair are added, so that streams overlap.
    pub fn streams(&self) -> Vec<SuggestedStream> {
        let receivers = self
            .received
            .iter()
            .map(|(name, received)| SuggestedStream {
                source: None,
                destination: Some(name.clone()),
                kind: Some(received.kind),
            });
        let sender = self.sent.keys().next().map(|name| SuggestedStream {
            source: Some(name.clone()),
            destination: None,
            kind: None,
        });
        let pair = self.sent.iter().nth(1).and_then(|(name, sent)| {
            let to = sent.to.keys().next()?;
            let kind = self.received.get(to).map(|r| r.kind);
            Some(SuggestedStream {
                source: Some(name.clone()),
                destination: Some(to.clone()),
                kind,
            })
        });
        receivers.chain(sender).chain(pair).collect()
    }
}

fn insert_sorted(series: &mut MessageSeries, message: &Arc<AgoraMessage>) {
    let at = series.partition_point(|m| m.ms <= message.ms);
    series.insert(at, Arc::clone(message));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(src: &str, dst: &str, ms: i64, text: &str) -> AgoraMessage {
        let kind = if dst.starts_with('#') {
            RecipientKind::Channel
        } else {
            RecipientKind::Peer
        };
        AgoraMessage {
            src: src.into(),
            dst: dst.into(),
            kind,
            ms,
            payload: text.as_bytes().to_vec(),
        }
    }

    fn texts(messages: &[Arc<AgoraMessage>]) -> Vec<&str> {
        messages
            .iter()
            .map(|m| std::str::from_utf8(&m.payload).unwrap())
            .collect()
    }

    #[test]
    fn filters_overlap_and_ranges_are_half_open() {
        let mut history = AgoraHistory::new(vec![
            message("alice", "#a", 20, "second"),
            message("alice", "bob", 10, "first"),
            message("bob", "#a", 30, "third"),
        ]);
        history.insert(message("alice", "#a", 20, "late"));
        history.add_recipient("#empty", RecipientKind::Channel);
        let select = |source: Option<&str>, destination: Option<&str>, range| {
            let wanted = Selection {
                source: source.map(Into::into),
                destination: destination.map(Into::into),
                range,
            };
            texts(history.select(&wanted))
        };
        assert_eq!(
            select(Some("alice"), None, 0..100),
            ["first", "second", "late"]
        );
        assert_eq!(
            select(None, Some("#a"), 0..100),
            ["second", "late", "third"]
        );
        assert_eq!(
            select(Some("alice"), Some("#a"), 0..100),
            ["second", "late"]
        );
        assert_eq!(select(None, Some("#a"), 20..30), ["second", "late"]);
        assert!(
            select(Some("#a"), None, 0..100).is_empty(),
            "a channel sends nothing"
        );
        assert!(
            select(None, Some("#A"), 0..100).is_empty(),
            "names are case sensitive"
        );
        assert_eq!(history.messages().len(), 4);
        let streams = history.streams();
        assert!(
            streams
                .iter()
                .any(|s| s.destination.as_deref() == Some("#empty"))
        );
        assert!(
            streams
                .iter()
                .any(|s| s.source.is_some() && s.destination.is_none())
        );
        assert!(
            streams
                .iter()
                .any(|s| s.source.is_some() && s.destination.is_some())
        );
    }
}

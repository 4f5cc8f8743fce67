//! The messages of one Agora project, kept so that any filter over any time is a binary search.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Whom a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecipientKind {
    /// Everybody in a channel.
    Channel,
    /// One user.
    Peer,
}

/// A message as Agora keeps it. It has no id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AgoraMessage {
    /// The user who sent it.
    pub src: String,
    /// The channel or user that it was sent to.
    pub dst: String,
    /// Which of the two `dst` is.
    pub kind: RecipientKind,
    /// When, in milliseconds since 1970.
    pub ms: i64,
    /// The text in generalised UTF-8: a lone surrogate is its three bytes.
    pub payload: Vec<u8>,
}

/// A filter, and the milliseconds it is about (half-open).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Only messages from this user.
    pub source: Option<String>,
    /// Only messages to this channel or user.
    pub destination: Option<String>,
    /// Only messages of this time.
    pub range: Range<i64>,
}

/// A filter that makes sense for a project: what a configuration would list as a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuggestedStream {
    /// The sender, if the filter names one.
    pub source: Option<String>,
    /// The receiver, if the filter names one.
    pub destination: Option<String>,
    /// What the receiver is.
    pub kind: Option<RecipientKind>,
}

/// Messages in order of time; those of one millisecond in the order they came in.
pub(super) type MessageSeries = Vec<Arc<AgoraMessage>>;

/// All messages of one project.
#[derive(Debug, Default)]
pub struct AgoraHistory {
    all: MessageSeries,
    sent: BTreeMap<String, SentMessages>,
    received: BTreeMap<String, ReceivedMessages>,
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
    /// A history of these messages, which need not be in order.
    pub fn new(mut messages: Vec<AgoraMessage>) -> Self {
        messages.sort_by_key(|m| m.ms);
        let mut history = Self::default();
        for message in messages {
            history.insert(message);
        }
        history
    }

    /// Makes a receiver known that may have no message at all.
    pub fn open(&mut self, destination: &str, kind: RecipientKind) {
        self.received
            .entry(destination.to_owned())
            .or_insert_with(|| ReceivedMessages {
                kind,
                all: MessageSeries::new(),
            });
    }

    /// Adds a message at its time, behind those of the same millisecond.
    pub fn insert(&mut self, message: AgoraMessage) {
        let message = Arc::new(message);
        let sent = self.sent.entry(message.src.clone()).or_default();
        place(sent.to.entry(message.dst.clone()).or_default(), &message);
        place(&mut sent.all, &message);
        self.open(&message.dst, message.kind);
        if let Some(received) = self.received.get_mut(&message.dst) {
            place(&mut received.all, &message);
        }
        place(&mut self.all, &message);
    }

    /// Every message.
    pub fn all(&self) -> &[Arc<AgoraMessage>] {
        &self.all
    }

    /// The messages that match. A name that nobody sends under, a channel's say, matches nothing as a source.
    pub fn select(&self, wanted: &Selection) -> &[Arc<AgoraMessage>] {
        let series = match (&wanted.source, &wanted.destination) {
            (Some(source), Some(destination)) => {
                self.sent.get(source).and_then(|s| s.to.get(destination))
            }
            (Some(source), None) => self.sent.get(source).map(|s| &s.all),
            (None, Some(destination)) => self.received.get(destination).map(|r| &r.all),
            (None, None) => None,
        };
        let Some(series) = series else { return &[] };
        let from = series.partition_point(|m| m.ms < wanted.range.start);
        let to = series.partition_point(|m| m.ms < wanted.range.end);
        series.get(from..to).unwrap_or_default()
    }

    /// Streams that together hold every message: each receiver, even one without messages. One sender and one pair
    /// come on top, so that streams overlap.
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

fn place(series: &mut MessageSeries, message: &Arc<AgoraMessage>) {
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
        history.open("#empty", RecipientKind::Channel);
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
        assert_eq!(history.all().len(), 4);
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

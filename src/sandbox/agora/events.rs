//! The two event feeds of an Agora project. Reading a feed removes its events.

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::history::{AgoraHistory, RecipientKind};
use crate::sandbox::limits::{MAX_EVENTS_PER_READ, MAX_FEED_EVENTS};

/// The user who joined the channels in which nobody sends.
const LISTENER: &str = "listener";

/// The two event feeds of a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sandbox) enum EventFeed {
    Users,
    Channels,
}

/// A user joins or leaves a channel, or logs in or out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgoraEvent {
    /// The user.
    pub user: String,
    /// The channel. `None` for a login or logout.
    #[serde(default)]
    pub channel: Option<String>,
    /// True if the user leaves or logs out.
    #[serde(default)]
    pub goes: bool,
    /// The time in milliseconds since 1970.
    #[serde(default)]
    pub ms: i64,
}

impl AgoraEvent {
    fn feed(&self) -> EventFeed {
        if self.channel.is_some() {
            EventFeed::Channels
        } else {
            EventFeed::Users
        }
    }

    /// Returns the event in Agora's JSON form.
    fn to_json(&self) -> Value {
        let Self {
            user,
            channel,
            goes,
            ms,
        } = self;
        match (channel, goes) {
            (Some(channel), false) => {
                json!({ "group_id": channel, "user_id": user, "type": "Join", "ms": ms })
            }
            (Some(channel), true) => {
                json!({ "group_id": channel, "user_id": user, "type": "Leave", "ms": ms })
            }
            (None, false) => json!({ "user_id": user, "type": "Login", "ms": ms }),
            (None, true) => json!({ "user_id": user, "type": "Logout", "ms": ms }),
        }
    }
}

/// The events of a project that have not been read.
#[derive(Debug, Default)]
pub(in crate::sandbox) struct EventFeeds {
    users: VecDeque<AgoraEvent>,
    channels: VecDeque<AgoraEvent>,
}

impl EventFeeds {
    /// Creates feeds in which every user has logged in and has joined the channels of their
    /// messages.
    pub(in crate::sandbox) fn from_history(history: &AgoraHistory, ms: i64) -> Self {
        let mut users = BTreeSet::new();
        let mut joins = BTreeSet::new();
        for message in history.messages() {
            users.insert(message.src.clone());
            if message.kind == RecipientKind::Channel {
                joins.insert((message.dst.clone(), message.src.clone()));
            }
        }
        for stream in history.streams() {
            match (stream.destination, stream.kind) {
                (Some(user), Some(RecipientKind::Peer)) => {
                    users.insert(user);
                }
                (Some(channel), Some(RecipientKind::Channel)) => {
                    joins.insert((channel, LISTENER.to_owned()));
                }
                _ => {}
            }
        }
        let mut feeds = Self::default();
        let logins = users.into_iter().map(|user| AgoraEvent {
            user,
            channel: None,
            goes: false,
            ms,
        });
        logins.for_each(|event| feeds.push(event));
        let joins = joins.into_iter().map(|(channel, user)| AgoraEvent {
            user,
            channel: Some(channel),
            goes: false,
            ms,
        });
        joins.for_each(|event| feeds.push(event));
        feeds
    }

    pub(in crate::sandbox) fn push(&mut self, event: AgoraEvent) {
        let feed = self.queue_mut(event.feed());
        feed.push_back(event);
        if feed.len() > MAX_FEED_EVENTS {
            feed.pop_front();
        }
    }

    /// Takes the oldest events of a feed. They are not reported again.
    pub(in crate::sandbox) fn take_oldest(&mut self, feed: EventFeed) -> Vec<Value> {
        let feed = self.queue_mut(feed);
        let taken = feed.len().min(MAX_EVENTS_PER_READ);
        feed.drain(..taken).map(|event| event.to_json()).collect()
    }

    fn queue_mut(&mut self, feed: EventFeed) -> &mut VecDeque<AgoraEvent> {
        match feed {
            EventFeed::Users => &mut self.users,
            EventFeed::Channels => &mut self.channels,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_keeps_two_thousand_events_and_returns_each_once() {
        let mut feeds = EventFeeds::default();
        for n in 0..2500 {
            feeds.push(AgoraEvent {
                user: format!("user-{n}"),
                channel: None,
                goes: n % 2 == 1,
                ms: n,
            });
        }
        feeds.push(AgoraEvent {
            user: "alice".to_owned(),
            channel: Some("lobby".to_owned()),
            goes: false,
            ms: 1,
        });
        let first = feeds.take_oldest(EventFeed::Users);
        assert_eq!(first.len(), 1000);
        assert_eq!(
            first[0],
            json!({ "user_id": "user-500", "type": "Login", "ms": 500 })
        );
        assert_eq!(feeds.take_oldest(EventFeed::Users).len(), 1000);
        assert!(feeds.take_oldest(EventFeed::Users).is_empty());
        let join = json!({ "group_id": "lobby", "user_id": "alice", "type": "Join", "ms": 1 });
        assert_eq!(feeds.take_oldest(EventFeed::Channels), [join]);
    }
}

//! The two feeds of events of one Agora project. Whoever reads them empties them.

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::history::{AgoraHistory, Kind};

/// A feed keeps so many events, and loses its oldest.
const KEPT: usize = 2000;
/// So many are told at once.
const TOLD: usize = 1000;
/// Who is in a channel in which nobody ever speaks.
const LISTENER: &str = "listener";

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sandbox) enum Feed {
    Users,
    Channels,
}

/// A user comes, or goes: to a channel, or to the service at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgoraEvent {
    /// Who.
    pub user: String,
    /// Where to; nothing for the service.
    #[serde(default)]
    pub channel: Option<String>,
    /// Whether the user goes.
    #[serde(default)]
    pub goes: bool,
    /// When, in milliseconds since 1970.
    #[serde(default)]
    pub ms: i64,
}

impl AgoraEvent {
    fn feed(&self) -> Feed {
        if self.channel.is_some() {
            Feed::Channels
        } else {
            Feed::Users
        }
    }

    /// As Agora tells it.
    fn told(&self) -> Value {
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

/// What has happened in a project and was not told yet.
#[derive(Debug, Default)]
pub(in crate::sandbox) struct Feeds {
    users: VecDeque<AgoraEvent>,
    channels: VecDeque<AgoraEvent>,
}

impl Feeds {
    /// Everybody has come to the service, and to the channels in which they speak.
    pub(in crate::sandbox) fn of(history: &AgoraHistory, ms: i64) -> Self {
        let mut users = BTreeSet::new();
        let mut joins = BTreeSet::new();
        for message in history.all() {
            users.insert(message.src.clone());
            if message.kind == Kind::Channel {
                joins.insert((message.dst.clone(), message.src.clone()));
            }
        }
        for stream in history.streams() {
            match (stream.destination, stream.kind) {
                (Some(user), Some(Kind::Peer)) => drop(users.insert(user)),
                (Some(channel), Some(Kind::Channel)) => {
                    drop(joins.insert((channel, LISTENER.to_owned())))
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
        logins.for_each(|event| feeds.happen(event));
        let joins = joins.into_iter().map(|(channel, user)| AgoraEvent {
            user,
            channel: Some(channel),
            goes: false,
            ms,
        });
        joins.for_each(|event| feeds.happen(event));
        feeds
    }

    pub(in crate::sandbox) fn happen(&mut self, event: AgoraEvent) {
        let feed = self.feed(event.feed());
        feed.push_back(event);
        if feed.len() > KEPT {
            feed.pop_front();
        }
    }

    /// The oldest of a feed. They are not told again.
    pub(in crate::sandbox) fn take(&mut self, feed: Feed) -> Vec<Value> {
        let feed = self.feed(feed);
        let told = feed.len().min(TOLD);
        feed.drain(..told).map(|event| event.told()).collect()
    }

    fn feed(&mut self, feed: Feed) -> &mut VecDeque<AgoraEvent> {
        match feed {
            Feed::Users => &mut self.users,
            Feed::Channels => &mut self.channels,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_keeps_two_thousand_events_and_tells_each_once() {
        let mut feeds = Feeds::default();
        for n in 0..2500 {
            feeds.happen(AgoraEvent {
                user: format!("user-{n}"),
                channel: None,
                goes: n % 2 == 1,
                ms: n,
            });
        }
        feeds.happen(AgoraEvent {
            user: "alice".to_owned(),
            channel: Some("lobby".to_owned()),
            goes: false,
            ms: 1,
        });
        let first = feeds.take(Feed::Users);
        assert_eq!(first.len(), 1000);
        assert_eq!(
            first[0],
            json!({ "user_id": "user-500", "type": "Login", "ms": 500 })
        );
        assert_eq!(feeds.take(Feed::Users).len(), 1000);
        assert!(feeds.take(Feed::Users).is_empty());
        let join = json!({ "group_id": "lobby", "user_id": "alice", "type": "Join", "ms": 1 });
        assert_eq!(feeds.take(Feed::Channels), [join]);
    }
}

//! Discovery of streams: the users and channels that appear in messages, and in the feeds of
//! events.
//!
//! Three filters reach everything that concerns a name. Messages from a user lead to new channels
//! and users; messages to a channel or a user lead to new users. So a user is followed as a source
//! and as a destination, a channel as a destination. A name of unknown kind is followed like a
//! channel, and becomes a user when it sends something.

use std::collections::HashSet;
use std::sync::{Arc, RwLock};

use async_trait::async_trait;

use super::api::AgoraApi;
use super::streams::filter_stream;
use crate::domain::lock::{read_lock, write_lock};
use crate::domain::participant::Participant;
use crate::domain::stream::Stream;
use crate::provider::discovery::{Directories, DirectoryPage, StreamFinder};
use crate::provider::followed_streams::FollowedStreams;
use crate::provider::limits::agora::FEED_POLL_INTERVAL;

/// The feeds of events: who logged in or out, and who joined or left a channel. Reading a feed
/// removes its events, for every other reader too.
const EVENT_FEEDS: [&str; 2] = ["user_events", "channel_events"];

/// The source of streams that the configuration does not list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiscoverySource {
    /// The senders and recipients of messages.
    Messages,
    /// The same, and the users and channels in the feeds of events.
    Events,
}

/// The discovery of streams of one project.
#[derive(Debug)]
pub(super) struct ParticipantDiscovery {
    api: Arc<AgoraApi>,
    streams: Arc<FollowedStreams<Stream>>,
    source: DiscoverySource,
    known: KnownParticipants,
}

/// Participants whose streams are all followed. Nearly every name of every message is among them.
#[derive(Debug, Default)]
struct KnownParticipants(RwLock<KnownNames>);

#[derive(Debug, Default)]
struct KnownNames {
    users: HashSet<String>,
    channels: HashSet<String>,
}

impl KnownParticipants {
    fn contains(&self, participant: &Participant<'_>) -> bool {
        let names = read_lock(&self.0);
        match participant {
            Participant::User(name) => names.users.contains(&**name),
            Participant::Channel(name) => names.channels.contains(&**name),
        }
    }

    fn insert(&self, participant: &Participant<'_>) {
        let mut names = write_lock(&self.0);
        match participant {
            Participant::User(name) => names.users.insert(name.to_string()),
            Participant::Channel(name) => names.channels.insert(name.to_string()),
        };
    }
}

impl ParticipantDiscovery {
    pub(super) fn new(
        api: Arc<AgoraApi>,
        streams: Arc<FollowedStreams<Stream>>,
        source: DiscoverySource,
    ) -> Self {
        Self {
            api,
            streams,
            source,
            known: KnownParticipants::default(),
        }
    }
}

#[async_trait]
impl StreamFinder for ParticipantDiscovery {
    fn streams_to_follow(&self, participant: &Participant<'_>) -> Vec<Stream> {
        let name = || Some(participant.name().to_owned());
        // A filter without a name is none.
        if participant.name().is_empty() || self.known.contains(participant) {
            return vec![];
        }
        let mut streams = vec![filter_stream(None, name())];
        if let Participant::User(_) = participant {
            streams.push(filter_stream(name(), None));
        }
        streams.retain(|stream| self.streams.index_of(&stream.key).is_none());
        if streams.is_empty() {
            self.known.insert(participant);
        }
        streams
            .into_iter()
            .map(|stream| Stream {
                discovered: true,
                ..stream
            })
            .collect()
    }

    fn directories(&self) -> Directories {
        match self.source {
            DiscoverySource::Events => Directories {
                count: EVENT_FEEDS.len(),
                poll_interval: FEED_POLL_INTERVAL,
            },
            DiscoverySource::Messages => Directories::default(),
        }
    }

    async fn read_directory(&self, directory: usize) -> DirectoryPage {
        let Some(feed) = EVENT_FEEDS.get(directory) else {
            return DirectoryPage::default();
        };
        match self.api.read_events(feed).await {
            Ok(events) => {
                let participants = events.participants.iter();
                let streams = participants.flat_map(|found| self.streams_to_follow(found));
                let streams = streams.collect();
                DirectoryPage {
                    streams,
                    has_more: events.has_more,
                    error: None,
                }
            }
            Err(error) => DirectoryPage {
                error: Some(error),
                ..DirectoryPage::default()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use super::*;
    use crate::domain::clock::SystemClock;
    use crate::provider::agora::{Agora, AgoraSettings, Credentials};
    use crate::provider::gate::Gate;
    use crate::provider::{AccountSettings, Provider, ProviderKind};

    fn account(discovery: Option<DiscoverySource>) -> Agora {
        let account = AccountSettings {
            name: "shop".to_owned(),
            provider: ProviderKind::Agora,
            identity: None,
            settle: Duration::ZERO,
            retention: None,
            since: None,
            refresh_for: None,
            discover_limit: discovery.map(|_| 100),
        };
        let basic = Credentials::Basic {
            customer_id: String::new(),
            customer_secret: "".into(),
        };
        let settings = AgoraSettings {
            account,
            base_url: "http://127.0.0.1:1/".parse().unwrap(),
            app_id: "app".to_owned(),
            credentials: basic,
            streams: vec![filter_stream(None, Some("lobby".to_owned()))],
            kinds: HashMap::new(),
            discovery,
        };
        Agora::new(settings, Gate::new(0.0, Arc::new(SystemClock))).unwrap()
    }

    fn to_follow(provider: &dyn Provider, participant: &Participant<'_>) -> Vec<Stream> {
        let streams = provider.streams_to_follow(participant);
        assert!(streams.iter().all(|stream| stream.discovered));
        streams
    }

    fn keys(streams: &[Stream]) -> Vec<&str> {
        streams.iter().map(|stream| stream.key.as_str()).collect()
    }

    #[test]
    fn user_is_followed_in_both_directions_and_channel_in_one() {
        let shop = account(Some(DiscoverySource::Messages));
        let alice = Participant::User("alice".into());
        let found = to_follow(&shop, &alice);
        assert_eq!(keys(&found), ["destination=alice", "source=alice"]);
        assert!(found.iter().all(|stream| shop.follow(stream)));
        assert!(to_follow(&shop, &alice).is_empty());
        assert!(!shop.follow(&found[0]));
        let lobby = Participant::Channel("lobby".into());
        assert!(to_follow(&shop, &lobby).is_empty(), "it is listed");
        let namesake = Participant::User("lobby".into());
        assert_eq!(
            keys(&to_follow(&shop, &namesake)),
            ["source=lobby"],
            "a user of the same name"
        );
        let odd = Participant::Channel("a&b=c".into());
        assert_eq!(keys(&to_follow(&shop, &odd)), ["destination=a&b=c"]);
        let nameless = Participant::User("".into());
        assert!(
            to_follow(&shop, &nameless).is_empty(),
            "a filter without a name is none"
        );
    }

    #[test]
    fn account_without_discovery_follows_listed_streams_only() {
        let alice = Participant::User("alice".into());
        assert!(to_follow(&account(None), &alice).is_empty());
    }
}

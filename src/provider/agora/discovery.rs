//! What there is to follow: who and what appears in messages.
//!
//! Three filters reach all that concerns a name. What a user sends leads to channels and users that were not known;
//! what a channel or a user is sent leads to users that were not known. So a user is followed as a source and as a
//! destination, a channel as a destination; what nobody has said the kind of is followed like a channel, and becomes a
//! user when it speaks.

use std::collections::HashSet;
use std::sync::{PoisonError, RwLock};

use super::{Agora, stream};
use crate::domain::participant::Party;
use crate::domain::stream::Stream;

/// How streams come to be followed that the configuration does not list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiscoverySource {
    /// Who and what appears in messages.
    Messages,
    /// The same, and who and what appears in the feeds of events.
    Events,
}

/// The names of which all streams are followed: nearly every name of every message is among them.
#[derive(Debug, Default)]
pub(super) struct KnownParticipants(RwLock<KnownNames>);

#[derive(Debug, Default)]
struct KnownNames {
    users: HashSet<String>,
    channels: HashSet<String>,
}

impl KnownParticipants {
    fn contains(&self, party: &Party<'_>) -> bool {
        let names = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match party {
            Party::User(name) => names.users.contains(&**name),
            Party::Room(name) => names.channels.contains(&**name),
        }
    }

    fn insert(&self, party: &Party<'_>) {
        let mut names = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match party {
            Party::User(name) => names.users.insert(name.to_string()),
            Party::Room(name) => names.channels.insert(name.to_string()),
        };
    }
}

impl Agora {
    /// An account that also finds what to follow, in this way.
    pub fn with_discovery(self, discovery: Option<DiscoverySource>) -> Self {
        Self { discovery, ..self }
    }

    /// See [`crate::provider::Provider::unfollowed`].
    pub(super) fn leads(&self, party: &Party<'_>) -> Vec<Stream> {
        let name = || Some(party.name().to_owned());
        // A filter without a name would be none.
        if self.discovery.is_none() || party.name().is_empty() || self.familiar.contains(party) {
            return vec![];
        }
        let mut leads = vec![stream(None, name())];
        if let Party::User(_) = party {
            leads.push(stream(name(), None));
        }
        leads.retain(|stream| self.streams.position(&stream.key).is_none());
        if leads.is_empty() {
            self.familiar.insert(party);
        }
        leads
            .into_iter()
            .map(|stream| Stream {
                discovered: true,
                ..stream
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;
    use std::time::Duration;

    use reqwest::Url;

    use super::*;
    use crate::domain::clock::SystemClock;
    use crate::provider::agora::Credentials;
    use crate::provider::http::HttpClient;
    use crate::provider::{AccountSettings, Provider};

    fn account(discovery: Option<DiscoverySource>) -> Agora {
        let base = Url::parse("http://127.0.0.1:1/").unwrap();
        let account = AccountSettings {
            name: "shop".to_owned(),
            provider: "agora",
            settle: Duration::ZERO,
            retention: None,
            since: None,
            refresh_for: None,
            discovers: discovery.is_some(),
        };
        let http = HttpClient::new("shop", &base, 0.0, Arc::new(SystemClock)).unwrap();
        let credentials = Credentials::Basic {
            customer_id: String::new(),
            customer_secret: "".into(),
        };
        let listed = vec![stream(None, Some("lobby".to_owned()))];
        Agora::new(
            account,
            http,
            &base,
            "app",
            credentials,
            listed,
            HashMap::new(),
        )
        .with_discovery(discovery)
    }

    fn keys(streams: &[Stream]) -> Vec<&str> {
        assert!(streams.iter().all(|stream| stream.discovered));
        streams.iter().map(|stream| stream.key.as_str()).collect()
    }

    #[test]
    fn user_is_followed_in_both_directions_and_channel_in_one() {
        let shop = account(Some(DiscoverySource::Messages));
        let alice = Party::User("alice".into());
        let leads = shop.streams_to_follow(&alice);
        assert_eq!(keys(&leads), ["destination=alice", "source=alice"]);
        assert!(leads.iter().all(|stream| shop.follow(stream)));
        assert!(shop.streams_to_follow(&alice).is_empty());
        assert!(!shop.follow(&leads[0]));
        assert!(
            shop.streams_to_follow(&Party::Room("lobby".into()))
                .is_empty(),
            "it is listed"
        );
        assert_eq!(
            keys(&shop.streams_to_follow(&Party::User("lobby".into()))),
            ["source=lobby"],
            "its namesake speaks"
        );
        assert_eq!(
            keys(&shop.streams_to_follow(&Party::Room("a&b=c".into()))),
            ["destination=a&b=c"]
        );
        assert!(
            shop.streams_to_follow(&Party::User("".into())).is_empty(),
            "a filter without a name is none"
        );
    }

    #[test]
    fn account_without_discovery_follows_listed_streams_only() {
        assert!(
            account(None)
                .streams_to_follow(&Party::User("alice".into()))
                .is_empty()
        );
    }
}

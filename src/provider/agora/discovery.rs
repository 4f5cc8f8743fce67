//! What there is to follow: who and what appears in messages.
//!
//! Three filters reach all that concerns a name. What a user sends leads to channels and users that were not known;
//! what a channel or a user is sent leads to users that were not known. So a user is followed as a source and as a
//! destination, a channel as a destination; what nobody has said the kind of is followed like a channel, and becomes a
//! user when it speaks.

use std::collections::HashSet;
use std::sync::{PoisonError, RwLock};

use super::{Agora, stream};
use crate::domain::party::Party;
use crate::domain::stream::Stream;

/// How streams come to be followed that the configuration does not list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discovery {
    /// Who and what appears in messages.
    Messages,
    /// The same, and who and what appears in the feeds of events.
    Events,
}

/// The names of which all streams are followed: nearly every name of every message is among them.
#[derive(Debug, Default)]
pub(super) struct Familiar(RwLock<Names>);

#[derive(Debug, Default)]
struct Names {
    users: HashSet<String>,
    rooms: HashSet<String>,
}

impl Familiar {
    fn holds(&self, party: &Party<'_>) -> bool {
        let names = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match party {
            Party::User(name) => names.users.contains(&**name),
            Party::Room(name) => names.rooms.contains(&**name),
        }
    }

    fn take(&self, party: &Party<'_>) {
        let mut names = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match party {
            Party::User(name) => names.users.insert(name.to_string()),
            Party::Room(name) => names.rooms.insert(name.to_string()),
        };
    }
}

impl Agora {
    /// An account that also finds what to follow, in this way.
    pub fn discovering(self, discovery: Option<Discovery>) -> Self {
        Self { discovery, ..self }
    }

    /// See [`crate::provider::Provider::unfollowed`].
    pub(super) fn leads(&self, party: &Party<'_>) -> Vec<Stream> {
        let name = || Some(party.name().to_owned());
        // A filter without a name would be none.
        if self.discovery.is_none() || party.name().is_empty() || self.familiar.holds(party) {
            return vec![];
        }
        let mut leads = vec![stream(None, name())];
        if let Party::User(_) = party {
            leads.push(stream(name(), None));
        }
        leads.retain(|stream| self.streams.position(&stream.key).is_none());
        if leads.is_empty() {
            self.familiar.take(party);
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
    use crate::provider::http::Http;
    use crate::provider::{Account, Provider};

    fn account(discovery: Option<Discovery>) -> Agora {
        let base = Url::parse("http://127.0.0.1:1/").unwrap();
        let account = Account {
            name: "shop".to_owned(),
            provider: "agora",
            settle: Duration::ZERO,
            retention: None,
            since: None,
            refresh_for: None,
            discovers: discovery.is_some(),
        };
        let http = Http::new("shop", &base, 0.0, Arc::new(SystemClock)).unwrap();
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
        .discovering(discovery)
    }

    fn keys(streams: &[Stream]) -> Vec<&str> {
        assert!(streams.iter().all(|stream| stream.discovered));
        streams.iter().map(|stream| stream.key.as_str()).collect()
    }

    #[test]
    fn a_user_is_followed_both_ways_and_a_room_one_way_each_once() {
        let shop = account(Some(Discovery::Messages));
        let alice = Party::User("alice".into());
        let leads = shop.unfollowed(&alice);
        assert_eq!(keys(&leads), ["destination=alice", "source=alice"]);
        assert!(leads.iter().all(|stream| shop.follow(stream)));
        assert!(shop.unfollowed(&alice).is_empty());
        assert!(!shop.follow(&leads[0]));
        assert!(
            shop.unfollowed(&Party::Room("lobby".into())).is_empty(),
            "it is listed"
        );
        assert_eq!(
            keys(&shop.unfollowed(&Party::User("lobby".into()))),
            ["source=lobby"],
            "its namesake speaks"
        );
        assert_eq!(
            keys(&shop.unfollowed(&Party::Room("a&b=c".into()))),
            ["destination=a&b=c"]
        );
        assert!(
            shop.unfollowed(&Party::User("".into())).is_empty(),
            "a filter without a name is none"
        );
    }

    #[test]
    fn an_account_that_does_not_discover_follows_what_is_listed() {
        assert!(
            account(None)
                .unfollowed(&Party::User("alice".into()))
                .is_empty()
        );
    }
}

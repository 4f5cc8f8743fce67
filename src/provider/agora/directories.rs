//! The feeds of events: who logged in or out, and who joined or left which channel. Reading takes away what was read, from
//! whoever else reads them, too.

use std::borrow::Cow;
use std::time::Duration;

use reqwest::Method;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Agora;
use super::discovery::DiscoverySource;
use crate::domain::message::name_error;
use crate::domain::participant::Party;
use crate::provider::budget::Turn;
use crate::provider::error::ProviderError;
use crate::provider::json::{parse_error_text, utf8_body};
use crate::provider::{Directories, DirectoryPage};

const EVENT_FEEDS: [&str; 2] = ["user_events", "channel_events"];
/// No more events are told at once: an answer of so many is not the last.
const MAX_EVENTS_PER_ANSWER: usize = 1000;
/// At every pass of the usual schedule. A feed keeps two answers' worth and loses its oldest: thirty events a second are
/// too many for it.
const FEED_POLL_INTERVAL: Duration = Duration::from_secs(30);

impl Agora {
    pub(super) fn feeds(&self) -> Directories {
        match self.discovery {
            Some(DiscoverySource::Events) => Directories {
                count: EVENT_FEEDS.len(),
                poll_interval: FEED_POLL_INTERVAL,
            },
            Some(DiscoverySource::Messages) | None => Directories::default(),
        }
    }

    /// What a feed tells at one request.
    pub(super) async fn feed(&self, number: usize) -> DirectoryPage {
        let failed = |failure| DirectoryPage {
            error: Some(failure),
            ..DirectoryPage::default()
        };
        let (parties, goes_on) = match self.events(number).await {
            Ok(told) => told,
            Err(failure) => return failed(failure),
        };
        let streams = parties.iter().flat_map(|party| self.leads(party)).collect();
        DirectoryPage {
            streams,
            has_more: goes_on,
            error: None,
        }
    }

    async fn events(&self, number: usize) -> Result<(Vec<Party<'static>>, bool), ProviderError> {
        const WHAT: &str = "events";
        let Some(feed) = EVENT_FEEDS.get(number) else {
            return Ok((vec![], false));
        };
        let mut url = self.project.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.extend(["rtm", "vendor", feed]);
        }
        // Before a backfill, which has hundreds of requests waiting.
        let answer = self
            .send(WHAT, Turn::Finish, || (Method::GET, url.clone(), None))
            .await?;
        if !answer.status.is_success() {
            return Err(answer.refusal(WHAT));
        }
        parse_participants(&answer.body)
            .map_err(|fault| ProviderError::Malformed { what: WHAT, fault })
    }
}

#[derive(Debug, Deserialize)]
struct EventsEnvelope<'a> {
    #[serde(borrow)]
    result: Option<Cow<'a, str>>,
    #[serde(borrow)]
    events: Option<Vec<&'a RawValue>>,
}

/// Newer documents say `group_id`, older ones `channel_id`. What happened, and when, is of no use here.
#[derive(Debug, Default, Deserialize)]
struct FeedEvent {
    user_id: Option<String>,
    group_id: Option<String>,
    channel_id: Option<String>,
}

/// Whom the events name, and whether there may be more of them. An event that makes no sense costs no other: it will not
/// be told again.
pub(super) fn parse_participants(body: &[u8]) -> Result<(Vec<Party<'static>>, bool), String> {
    let envelope: EventsEnvelope =
        serde_json::from_str(utf8_body(body)?).map_err(|error| parse_error_text(&error))?;
    match envelope.result.as_deref() {
        Some("success") => {}
        Some(_) => return Err("`result` is not success".to_owned()),
        None => return Err("the answer holds no `result`".to_owned()),
    }
    let events = envelope.events.unwrap_or_default();
    let mut parties = Vec::new();
    for event in &events {
        let FeedEvent {
            user_id,
            group_id,
            channel_id,
        } = serde_json::from_str(event.get()).unwrap_or_default();
        let user = user_id.map(|name| Party::User(name.into()));
        let rooms = [group_id, channel_id]
            .into_iter()
            .flatten()
            .map(|name| Party::Room(name.into()));
        parties.extend(
            rooms
                .chain(user)
                .filter(|party| name_error(party.name()).is_none()),
        );
    }
    parties.sort_unstable();
    parties.dedup();
    Ok((parties, events.len() >= MAX_EVENTS_PER_ANSWER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_event_feeds_are_read_in_every_shape() {
        let body = br#"{"result":"success","request_id":"1","events":[
            {"user_id":"alice","type":"Login","ms":1}, {"user_id":"alice","type":"Logout","ms":2},
            {"group_id":"lobby","user_id":"bob","type":"Join","ms":3}, {"channel_id":"old","user_id":"bob","type":"Join","ts":4},
            7, {"user_id":5}, {"user_id":"a\u0000"}]}"#;
        let (parties, goes_on) = parse_participants(body).unwrap();
        let user = |name: &'static str| Party::User(name.into());
        let room = |name: &'static str| Party::Room(name.into());
        assert_eq!(
            (parties, goes_on),
            (
                vec![user("alice"), user("bob"), room("lobby"), room("old")],
                false
            )
        );
    }

    #[test]
    fn full_answer_has_more_and_failure_is_an_error() {
        let event = r#"{"user_id":"alice"}"#;
        let body = format!(
            r#"{{"result":"success","events":[{}]}}"#,
            [event; MAX_EVENTS_PER_ANSWER].join(",")
        );
        assert!(parse_participants(body.as_bytes()).unwrap().1);
        for empty in [
            r#"{"result":"success"}"#,
            r#"{"result":"success","events":null}"#,
        ] {
            assert_eq!(parse_participants(empty.as_bytes()), Ok((vec![], false)));
        }
        assert!(parse_participants(br#"{"result":"failed","code":"x"}"#).is_err());
        assert!(parse_participants(b"<html>").is_err());
        assert!(parse_participants(br#"{"events":[]}"#).is_err());
    }
}

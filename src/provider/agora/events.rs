//! The answers of the event feeds: who logged in or out, and who joined or left a channel.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::message::name_error;
use crate::domain::participant::Participant;
use crate::provider::json::{for_each_item, parse_error_text, utf8_body};
use crate::provider::limits::MAX_NAMES_PER_ANSWER;
use crate::provider::limits::agora::MAX_EVENTS_PER_ANSWER;

/// The users and channels of one answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FeedEvents {
    /// Sorted, without duplicates.
    pub(super) participants: Vec<Participant<'static>>,
    /// True if the feed may hold more events.
    pub(super) has_more: bool,
}

#[derive(Debug, Deserialize)]
struct EventsEnvelope<'a> {
    #[serde(borrow)]
    result: Option<Cow<'a, str>>,
    #[serde(borrow)]
    events: Option<&'a RawValue>,
}

/// Newer documents say `group_id`, older ones `channel_id`. The type and time of an event are not
/// used.
#[derive(Debug, Default, Deserialize)]
struct FeedEvent {
    user_id: Option<String>,
    group_id: Option<String>,
    channel_id: Option<String>,
}

/// Parses an answer of a feed. An event that cannot be parsed is skipped and costs no other: the
/// provider does not repeat it.
pub(super) fn parse_events(body: &[u8]) -> Result<FeedEvents, String> {
    let envelope: EventsEnvelope =
        serde_json::from_str(utf8_body(body)?).map_err(|error| parse_error_text(&error))?;
    match envelope.result.as_deref() {
        Some("success") => {}
        Some(_) => return Err("`result` is not success".to_owned()),
        None => return Err("the answer holds no `result`".to_owned()),
    }
    let mut events = 0;
    let mut participants = BTreeSet::new();
    for_each_item(envelope.events, |event| {
        events += 1;
        if participants.len() < MAX_NAMES_PER_ANSWER {
            participants.extend(event_participants(event));
        }
        Ok(())
    })
    .map_err(|error| parse_error_text(&error))?;
    Ok(FeedEvents {
        participants: participants.into_iter().collect(),
        has_more: events >= MAX_EVENTS_PER_ANSWER,
    })
}

fn event_participants(event: &RawValue) -> Vec<Participant<'static>> {
    let event: FeedEvent = serde_json::from_str(event.get()).unwrap_or_default();
    let user = event.user_id.map(|name| Participant::User(name.into()));
    let channels = [event.group_id, event.channel_id].into_iter().flatten();
    let channels = channels.map(|name| Participant::Channel(name.into()));
    channels
        .chain(user)
        .filter(|found| name_error(found.name()).is_none())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_event_feeds_are_read_in_every_shape() {
        let body = br#"{"result":"success","request_id":"1","events":[
            {"user_id":"alice","type":"Login","ms":1}, {"user_id":"alice","type":"Logout","ms":2},
            {"group_id":"lobby","user_id":"bob","type":"Join","ms":3},
            {"channel_id":"old","user_id":"bob","type":"Join","ts":4},
            7, {"user_id":5}, {"user_id":"a\u0000"}]}"#;
        let user = |name: &'static str| Participant::User(name.into());
        let channel = |name: &'static str| Participant::Channel(name.into());
        let participants = vec![user("alice"), user("bob"), channel("lobby"), channel("old")];
        assert_eq!(
            parse_events(body),
            Ok(FeedEvents {
                participants,
                has_more: false
            })
        );
    }

    #[test]
    fn full_answer_has_more_and_failure_is_an_error() {
        let event = r#"{"user_id":"alice"}"#;
        let events = [event; MAX_EVENTS_PER_ANSWER].join(",");
        let body = format!(r#"{{"result":"success","events":[{events}]}}"#);
        assert!(parse_events(body.as_bytes()).unwrap().has_more);
        for empty in [
            r#"{"result":"success"}"#,
            r#"{"result":"success","events":null}"#,
        ] {
            let nothing = FeedEvents {
                participants: vec![],
                has_more: false,
            };
            assert_eq!(parse_events(empty.as_bytes()), Ok(nothing));
        }
        assert!(parse_events(br#"{"result":"failed","code":"x"}"#).is_err());
        assert!(parse_events(b"<html>").is_err());
        assert!(parse_events(br#"{"events":[]}"#).is_err());
    }
}

//! Scripted answers: what a test wants a provider to say instead of the truth.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::fault::{Fault, FaultInput};
use super::rules::Call;
use super::world::lock;

/// Which requests a scripted answer is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallFilter {
    /// Agora: making a handle.
    Query,
    /// Agora: reading a handle.
    Read,
    /// Agora: counting.
    Count,
    /// Agora: taking events from a feed.
    Events,
    /// Web3MQ: reading a page.
    History,
    /// Web3MQ: reading a page of a list of conversations.
    List,
    /// All of them.
    #[default]
    Any,
}

impl CallFilter {
    fn matches(self, call: Call) -> bool {
        match self {
            Self::Any => true,
            Self::Query => call == Call::Query,
            Self::Read => call == Call::Read,
            Self::Count => call == Call::Count,
            Self::Events => call == Call::Events,
            Self::History => call == Call::History,
            Self::List => call == Call::List,
        }
    }
}

/// One scripted answer. It is given after the request was counted against quota and rules, and changes no state of the
/// provider: a handle that was to be read stays unread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScriptedAnswer {
    /// The requests it is for.
    pub on: CallFilter,
    /// The status it has.
    pub status: u16,
    /// The headers it has, besides `Date`.
    pub headers: BTreeMap<String, String>,
    /// Its body, sent as it is.
    pub body: String,
    /// How many requests it answers.
    pub times: u32,
    /// How many matching requests pass by before it begins.
    pub after: u32,
    /// The fault that takes the place of all that.
    pub fault: Option<Fault>,
}

impl Default for ScriptedAnswer {
    fn default() -> Self {
        Self {
            on: CallFilter::Any,
            status: 200,
            headers: BTreeMap::new(),
            body: String::new(),
            times: 1,
            after: 0,
            fault: None,
        }
    }
}

/// Why an answer cannot be given.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// HTTP has no such status.
    #[error("{0} is not an HTTP status")]
    Status(u16),
    /// HTTP has no such header.
    #[error("`{0}` cannot be an HTTP header")]
    Header(String),
}

/// The scripted answers still to give, the first one first.
#[derive(Debug, Default)]
pub struct Script {
    queue: Mutex<VecDeque<(ScriptedAnswer, PreparedAnswer)>>,
}

impl Script {
    /// Adds an answer behind those that wait.
    pub fn push(&self, scripted: ScriptedAnswer) -> Result<(), ScriptError> {
        let canned = PreparedAnswer::from_scripted(&scripted)?;
        if scripted.times > 0 {
            lock(&self.queue).push_back((scripted, canned));
        }
        Ok(())
    }

    /// Forgets all answers that wait.
    pub fn clear(&self) {
        lock(&self.queue).clear();
    }

    /// How many answers wait for a request.
    pub fn pending(&self) -> usize {
        lock(&self.queue).len()
    }

    /// The answer to `call`, if there is one for it.
    pub(super) fn take_answer(&self, call: Call) -> Option<PreparedAnswer> {
        let mut queue = lock(&self.queue);
        let mut found = None;
        for (index, (scripted, _)) in queue
            .iter_mut()
            .enumerate()
            .filter(|(_, (s, _))| s.on.matches(call))
        {
            if scripted.after == 0 {
                scripted.times -= 1;
                found = Some(index);
                break;
            }
            scripted.after -= 1;
        }
        let index = found?;
        let spent = queue
            .get(index)
            .is_some_and(|(scripted, _)| scripted.times == 0);
        if spent {
            queue.remove(index).map(|(_, canned)| canned)
        } else {
            queue.get(index).map(|(_, c)| c.clone())
        }
    }
}

/// A scripted answer that HTTP can carry.
#[derive(Clone, Debug)]
pub(super) enum PreparedAnswer {
    Answer {
        status: StatusCode,
        headers: HeaderMap,
        body: String,
    },
    Fault(Fault),
}

impl PreparedAnswer {
    fn from_scripted(scripted: &ScriptedAnswer) -> Result<Self, ScriptError> {
        if let Some(fault) = scripted.fault {
            return Ok(Self::Fault(fault));
        }
        let status = StatusCode::from_u16(scripted.status)
            .map_err(|_| ScriptError::Status(scripted.status))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &scripted.headers {
            let wrong = || ScriptError::Header(format!("{name}: {value}"));
            let key: HeaderName = name.parse().map_err(|_| wrong())?;
            headers.append(key, HeaderValue::from_str(value).map_err(|_| wrong())?);
        }
        Ok(Self::Answer {
            status,
            headers,
            body: scripted.body.clone(),
        })
    }

    /// Gives the answer.
    pub(super) async fn respond(
        self,
        material: FaultInput,
        stopping: &CancellationToken,
    ) -> Response {
        match self {
            Self::Answer {
                status,
                headers,
                body,
            } => {
                let mut response = Response::new(Body::from(body));
                *response.status_mut() = status;
                *response.headers_mut() = headers;
                response
            }
            Self::Fault(fault) => fault.respond(material, stopping).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(canned: Option<PreparedAnswer>) -> Option<String> {
        match canned? {
            PreparedAnswer::Answer { body, .. } => Some(body),
            other @ PreparedAnswer::Fault(_) => panic!("{other:?}"),
        }
    }

    #[test]
    fn answers_come_in_turn_to_the_requests_they_are_for() {
        let script = Script::default();
        let say = |on, text: &str, times, after| {
            script
                .push(ScriptedAnswer {
                    on,
                    body: text.to_owned(),
                    times,
                    after,
                    ..ScriptedAnswer::default()
                })
                .unwrap();
        };
        say(CallFilter::Read, "later", 1, 1);
        say(CallFilter::Read, "twice", 2, 0);
        say(CallFilter::Any, "anybody", 1, 0);
        assert_eq!(
            body(script.take_answer(Call::Read)).as_deref(),
            Some("twice")
        );
        assert_eq!(
            body(script.take_answer(Call::Query)).as_deref(),
            Some("anybody")
        );
        assert_eq!(body(script.take_answer(Call::Query)), None);
        assert_eq!(
            body(script.take_answer(Call::Read)).as_deref(),
            Some("later")
        );
        assert_eq!(
            body(script.take_answer(Call::Read)).as_deref(),
            Some("twice")
        );
        assert_eq!(body(script.take_answer(Call::Read)), None);
        assert_eq!(script.pending(), 0);
    }

    #[test]
    fn what_http_cannot_say_is_refused() {
        let script = Script::default();
        assert!(
            script
                .push(ScriptedAnswer {
                    status: 99,
                    ..ScriptedAnswer::default()
                })
                .is_err()
        );
        let headers = BTreeMap::from([("X-Y".to_owned(), "a\nb".to_owned())]);
        assert!(
            script
                .push(ScriptedAnswer {
                    headers,
                    ..ScriptedAnswer::default()
                })
                .is_err()
        );
    }
}

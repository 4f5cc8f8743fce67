//! Scripted answers that a test sets in place of the provider's own answers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::call::{Call, CallFilter};
use super::fault::{Fault, FaultInput};
use crate::domain::lock::lock;

/// One scripted answer. The request is counted against quota and rules first. The provider's state
/// does not change: a handle stays unread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScriptedAnswer {
    /// The calls that it answers.
    pub on: CallFilter,
    /// The HTTP status.
    pub status: u16,
    /// The HTTP headers, besides `Date`.
    pub headers: BTreeMap<String, String>,
    /// The body, sent unchanged.
    pub body: String,
    /// The number of requests that it answers.
    pub times: u32,
    /// The number of matching requests that pass before it takes effect.
    pub after: u32,
    /// A fault to send in place of status, headers and body.
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

/// The reason why a scripted answer is invalid.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// The status is not a valid HTTP status.
    #[error("{0} is not an HTTP status")]
    Status(u16),
    /// The header is not a valid HTTP header.
    #[error("`{0}` cannot be an HTTP header")]
    Header(String),
}

/// The queue of scripted answers, the oldest first.
#[derive(Debug, Default)]
pub struct Script {
    queue: Mutex<VecDeque<(ScriptedAnswer, PreparedAnswer)>>,
}

impl Script {
    /// Adds an answer to the end of the queue.
    pub fn push(&self, scripted: ScriptedAnswer) -> Result<(), ScriptError> {
        let canned = PreparedAnswer::from_scripted(&scripted)?;
        if scripted.times > 0 {
            lock(&self.queue).push_back((scripted, canned));
        }
        Ok(())
    }

    /// Removes all answers from the queue.
    pub fn clear(&self) {
        lock(&self.queue).clear();
    }

    /// Returns the number of answers in the queue.
    pub fn pending(&self) -> usize {
        lock(&self.queue).len()
    }

    /// Takes the next answer for `call` from the queue. `None` if there is none.
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

/// A scripted answer in the form of valid HTTP.
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

    /// Builds the HTTP response.
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
    fn scripted_answers_are_given_in_order_to_matching_calls() {
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
        say(CallFilter::Only(Call::Read), "later", 1, 1);
        say(CallFilter::Only(Call::Read), "twice", 2, 0);
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
    fn invalid_status_and_headers_are_refused() {
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

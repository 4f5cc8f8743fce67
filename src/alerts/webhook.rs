//! Where alarms are posted.

use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{StatusCode, Url};
use serde_json::json;

use crate::config::Secret;
use crate::domain::alarm::{Alarm, Notified};

/// From the request to the answer's status.
const TIMEOUT: Duration = Duration::from_secs(15);

/// A URL that takes alarms. Nothing shows it: a token may be any part of it.
pub(super) struct Webhook {
    client: reqwest::Client,
    url: Url,
}

/// Why alarms cannot be posted.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    #[error("the webhook of [alerts] cannot be set up on this machine")]
    Client,
    #[error("it timed out")]
    TimedOut,
    #[error("it cannot be connected to")]
    Unreachable,
    #[error("the connection broke off")]
    BrokenOff,
    #[error("it answered with {0}, which is not followed: name the place that it leads to")]
    Redirected(StatusCode),
    #[error("it answered with {0}")]
    Refused(StatusCode),
}

/// What is told of an alarm: that it began, or that it is over.
#[derive(Clone, Debug)]
pub(super) struct Notification {
    pub(super) alarm: Alarm,
    /// `agora` or `web3mq`, where the account is known.
    pub(super) provider: Option<&'static str>,
}

impl Notification {
    /// What has been told once it has arrived.
    pub(super) fn state_after_delivery(&self) -> Notified {
        if self.announces_end() {
            Notified::All
        } else {
            Notified::Start
        }
    }

    fn announces_end(&self) -> bool {
        !self.alarm.is_active() && self.alarm.notified == Notified::Start
    }

    /// The fields are always these. `text` says all of it to a person.
    fn to_json(&self) -> String {
        let Alarm {
            subject,
            since,
            until,
            text,
            hint,
            ..
        } = &self.alarm;
        let event = if self.announces_end() {
            "over"
        } else {
            "begun"
        };
        let whose = [subject.account.as_deref(), subject.stream.as_deref()];
        let whose = whose
            .into_iter()
            .flatten()
            .fold(String::new(), |all, part| format!("{all} {part}"));
        let kind = subject.kind.name();
        let said = match until.filter(|_| self.announces_end()) {
            Some(until) => {
                format!("[Backscroll]{whose}: {kind}: over at {until}; since {since}: {text}")
            }
            None => format!("[Backscroll]{whose}: {kind}: {text}\nWhat to do: {hint}"),
        };
        let until = until
            .filter(|_| self.announces_end())
            .map(|until| until.to_string());
        json!({
            "text": said,
            "event": event,
            "kind": kind,
            "account": subject.account,
            "provider": self.provider,
            "stream": subject.stream,
            "since": since.to_string(),
            "until": until,
            "problem": text,
            "hint": hint,
        })
        .to_string()
    }
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Webhook([REDACTED])")
    }
}

impl Webhook {
    /// `url` is one that the configuration has found fit.
    pub(super) fn new(url: &Secret) -> Result<Self, WebhookError> {
        let url = Url::parse(url.expose()).map_err(|_| WebhookError::Client)?;
        let plain = url.scheme() == "http";
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .https_only(!plain)
            // Alarms are rare: no connection is kept for the next.
            .pool_max_idle_per_host(0)
            .user_agent(concat!("backscroll/", env!("CARGO_PKG_VERSION")));
        if plain {
            builder = builder.no_proxy();
        }
        Ok(Self {
            client: builder.build().map_err(|_| WebhookError::Client)?,
            url,
        })
    }

    /// Posts one, once. Of the error nothing is kept that could name the URL.
    pub(super) async fn post(&self, letter: &Notification) -> Result<(), WebhookError> {
        let request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(letter.to_json());
        let answer = request.send().await.map_err(|error| {
            match (error.is_timeout(), error.is_connect()) {
                (true, _) => WebhookError::TimedOut,
                (_, true) => WebhookError::Unreachable,
                _ => WebhookError::BrokenOff,
            }
        })?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status if status.is_redirection() => Err(WebhookError::Redirected(status)),
            status => Err(WebhookError::Refused(status)),
        }
    }
}

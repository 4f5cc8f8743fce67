//! The webhook that alarms are posted to.

use reqwest::header::CONTENT_TYPE;
use reqwest::{StatusCode, Url};
use serde_json::json;

use super::limits::WEBHOOK_TIMEOUT;
use crate::domain::alarm::{Alarm, Notified};
use crate::domain::format::{sanitized, sanitized_json, without_markup};
use crate::domain::time::Millis;
use crate::provider::client_builder;

/// A webhook's HTTP client and URL. `Debug` hides the URL, because any part of it may be a token.
pub(super) struct Webhook {
    client: reqwest::Client,
    url: Url,
}

/// An error of the webhook. It never contains the URL.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    #[error("the HTTP client for [alerts] webhook could not be created")]
    Client,
    #[error("the request timed out")]
    TimedOut,
    #[error("the connection failed")]
    Unreachable,
    #[error("the connection was lost")]
    ConnectionLost,
    #[error(
        "it answered with status {0}; redirects are not followed, so configure the final address"
    )]
    Redirected(StatusCode),
    #[error("it answered with status {0}")]
    Refused(StatusCode),
}

/// A notification: an alarm that began or ended.
#[derive(Clone, Debug)]
pub(super) struct Notification {
    pub(super) alarm: Alarm,
    /// `agora` or `web3mq`; `None` if the account is not in the configuration.
    pub(super) provider: Option<&'static str>,
}

impl Notification {
    /// Returns the state of the alarm once this notification was delivered.
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

    /// Returns the JSON body. Its fields are always the same; `text` is the whole notification for
    /// people.
    fn to_json(&self) -> String {
        let Alarm { subject, hint, .. } = &self.alarm;
        let until = self.alarm.until.filter(|_| self.announces_end());
        let event = if self.announces_end() {
            "over"
        } else {
            "begun"
        };
        let body = json!({
            "text": self.message(until),
            "event": event,
            "kind": subject.kind.name(),
            "account": subject.account,
            "provider": self.provider,
            "stream": subject.stream,
            "since": self.alarm.since.to_string(),
            "until": until.map(|until| until.to_string()),
            "problem": self.alarm.text,
            "hint": hint,
        });
        sanitized_json(&body.to_string())
    }

    /// Returns the notification for people. `until`: the end of the alarm, if it is announced.
    fn message(&self, until: Option<Millis>) -> String {
        let Alarm {
            subject,
            since,
            text,
            hint,
            ..
        } = &self.alarm;
        let kind = subject.kind.name();
        let mut message = "[Backscroll]".to_owned();
        for name in [&subject.account, &subject.stream].into_iter().flatten() {
            message.push(' ');
            message.push_str(&sanitized(name));
        }
        let text = sanitized(text);
        let message = match until {
            Some(until) => {
                format!("{message}: {kind}: over at {until}; since {since}: {text}")
            }
            None => format!("{message}: {kind}: {text}\nWhat to do: {hint}"),
        };
        without_markup(&message)
    }
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Webhook([REDACTED])")
    }
}

impl Webhook {
    /// Creates the client for a URL that the configuration has validated. Errors if the HTTP client
    /// cannot be built.
    pub(super) fn new(url: &str) -> Result<Self, WebhookError> {
        let url = Url::parse(url).map_err(|_| WebhookError::Client)?;
        let client = client_builder(&url)
            .timeout(WEBHOOK_TIMEOUT)
            // Alarms are rare, so idle connections are not kept.
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|_| WebhookError::Client)?;
        Ok(Self { client, url })
    }

    /// Posts a notification once. The error drops the cause, because the cause could contain the
    /// URL.
    pub(super) async fn post(&self, notification: &Notification) -> Result<(), WebhookError> {
        let request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(notification.to_json());
        let response = request.send().await.map_err(|error| {
            if error.is_timeout() {
                WebhookError::TimedOut
            } else if error.is_connect() {
                WebhookError::Unreachable
            } else {
                WebhookError::ConnectionLost
            }
        })?;
        match response.status() {
            status if status.is_success() => Ok(()),
            status if status.is_redirection() => Err(WebhookError::Redirected(status)),
            status => Err(WebhookError::Refused(status)),
        }
    }
}

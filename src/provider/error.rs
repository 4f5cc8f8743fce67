//! The failures of a provider, and what the engine does about each.

use std::time::Duration;

use crate::domain::format::counted;
use crate::domain::window::Window;

/// A request to a provider failed.
///
/// No variant carries a credential, a signature, a URL's query or the text of a message: all of
/// them may be logged.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// Every attempt met a network error, a timeout, 408, 429, 5xx, or a refusal that the provider
    /// itself calls temporary (`Retry-After`).
    #[error("{operation}: {cause} ({})", counted(u64::from(*attempts), "attempt", "attempts"))]
    Unreachable {
        operation: &'static str,
        cause: String,
        attempts: u32,
    },

    /// 401 or 403, without `Retry-After`.
    #[error("{operation}: credentials refused with status {status}{}", with_colon(.message.as_deref()))]
    Credentials {
        operation: &'static str,
        status: u16,
        message: Option<String>,
    },

    /// Another 4xx: the provider rejects the request itself.
    #[error("{operation}: refused with {code}{}", with_colon(.message.as_deref()))]
    Refused {
        operation: &'static str,
        code: String,
        message: Option<String>,
    },

    /// The request cannot be made: its address or a header is too long or not valid.
    #[error("{operation}: the request cannot be made: {fault}")]
    Unsendable {
        operation: &'static str,
        fault: String,
    },

    /// The provider reports a failure of its own, under 200.
    #[error("{operation}: failed with {code}{}", with_colon(.message.as_deref()))]
    Failed {
        operation: &'static str,
        code: String,
        message: Option<String>,
    },

    /// The answer does not follow the provider's contract.
    #[error("{operation}: {fault}")]
    Malformed {
        operation: &'static str,
        fault: String,
    },

    /// Agora named another host as the location of an answer. Following it would hand out the
    /// credentials.
    #[error("{operation}: the provider points to another host ({host}), which is not followed")]
    ForeignLocation {
        operation: &'static str,
        host: String,
    },

    /// The history changed during each of several reads.
    #[error("the history changed while it was read, {} in a row", counted(u64::from(*attempts), "time", "times"))]
    HistoryChanged { attempts: u32 },

    /// A window holds more messages than one pass reads, or has no end.
    #[error("{window} holds more messages than one pass reads: {messages} so far, and no end")]
    TooManyMessages { window: Window, messages: u64 },

    /// The provider's clock was ahead, and was corrected while the pass relied on it.
    #[error("the provider's clock was corrected during the pass")]
    ClockWentBack,

    /// The account is paused: the provider asked for it, or its credentials were refused.
    #[error("the account is paused for another {} s{}", .remaining.as_secs(), with_colon(.reason.as_deref()))]
    Paused {
        remaining: Duration,
        /// The failure that led to the pause.
        reason: Option<String>,
    },

    /// The process was told to stop before there was an answer.
    #[error("stopped before the provider answered")]
    Stopped,
}

fn with_colon(message: Option<&str>) -> String {
    message
        .map(|message| format!(": {message}"))
        .unwrap_or_default()
}

/// The engine's reaction to a [`ProviderError`]. It is decided here, and the engine obeys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Leave this stream to the next pass; the account's other streams go on.
    SkipStream,
    /// Leave the whole account to the next pass.
    SkipAccount,
    /// Pause the account for hours, and tell the operator.
    Park,
}

impl ProviderError {
    /// The error of a request in a process that was given no credentials.
    pub(super) fn without_credentials() -> Self {
        Self::Credentials {
            operation: "credentials",
            status: 401,
            message: Some("this command reads none, because it sends no requests".to_owned()),
        }
    }

    /// The engine's reaction.
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Refused { .. }
            | Self::Failed { .. }
            | Self::Malformed { .. }
            | Self::Unsendable { .. }
            | Self::ForeignLocation { .. }
            | Self::HistoryChanged { .. }
            | Self::TooManyMessages { .. } => Disposition::SkipStream,
            Self::Unreachable { .. }
            | Self::ClockWentBack
            | Self::Paused { .. }
            | Self::Stopped => Disposition::SkipAccount,
            Self::Credentials { .. } => Disposition::Park,
        }
    }

    /// Returns the text of the failure itself; for a pause, of the failure that led to it.
    pub fn cause(&self) -> String {
        match self {
            Self::Paused {
                reason: Some(reason),
                ..
            } => reason.clone(),
            _ => self.to_string(),
        }
    }

    /// True if the provider has understood the request and refused it, perhaps only for the stream
    /// that it names. A 401 is about the credentials alone.
    pub(super) fn may_concern_one_stream(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::Failed { .. } => true,
            Self::Credentials { status, .. } => *status == 403,
            _ => false,
        }
    }

    /// Turns refused credentials into the refusal of one stream: other requests of the account are
    /// answered. Other failures stay.
    #[must_use]
    pub fn into_stream_refusal(self) -> Self {
        match self {
            Self::Credentials {
                operation,
                status,
                message,
            } => Self::Refused {
                operation,
                code: format!("status {status} for this stream alone"),
                message,
            },
            other => other,
        }
    }

    /// True if the same operation may succeed when it is repeated at once.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::Malformed { .. })
    }

    /// Advice to the operator.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => {
                "nothing is lost; the next pass tries again. If it lasts, check whether base_url answers from this machine"
            }
            Self::Credentials { .. } => {
                "renew the account's credentials, or correct them in the configuration; changed \
                 ones lift the pause, and so does `backscroll check`"
            }
            Self::Refused { code, message, .. } | Self::Failed { code, message, .. } => {
                refusal_hint(code, message.as_deref().unwrap_or_default())
            }
            Self::Malformed { .. } => {
                "check that base_url leads to the provider itself; a proxy or a captive portal answers like this"
            }
            Self::Unsendable { .. } => {
                "the names of the stream are too long for an address, or no address can hold them: remove the stream"
            }
            Self::ForeignLocation { .. } => {
                "set base_url to the host that the provider names, if you trust it"
            }
            Self::HistoryChanged { .. } | Self::ClockWentBack | Self::Stopped => {
                "nothing is lost; the next pass tries again"
            }
            Self::TooManyMessages { .. } => {
                "what was read is kept, and the next pass goes on from there; if the number never ends, the provider repeats itself: remove the stream"
            }
            Self::Paused { .. } => {
                "nothing is lost; `backscroll check` tries the account at once and lifts the pause"
            }
        }
    }
}

/// Returns the advice for a refusal, by the words in which providers refuse.
fn refusal_hint(code: &str, message: &str) -> &'static str {
    let message = message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if says(&["timestamp"]) {
        "set this machine's clock: the provider refuses a request whose time is too far off"
    } else if says(&["signature", "public key", "pubkey"]) {
        "check that private_key is the session key of user_id, and that its login has not expired; \
         a session key is valid for a day or a week"
    } else if says(&["user not found"]) {
        "check user_id, and that base_url is the node that knows this user"
    } else if code.contains("404") {
        "there is nothing at this address: check base_url (scheme, host and port, without the path \
         of the API) and app_id"
    } else {
        "check the provider's error text; a stream that names no user, channel or topic is refused"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_about_a_refusal_follows_its_words() {
        for (code, message, advice) in [
            ("code 1000", "signature verification failed", "private_key"),
            (
                "code 1000",
                "public key does not belong to the user",
                "private_key",
            ),
            ("code 3001", "timestamp expired", "clock"),
            ("code 404", "User not found", "user_id"),
            ("status 404 Not Found", "", "base_url"),
            ("status 400 Bad Request", "invalid filter", "error text"),
        ] {
            let refused = ProviderError::Refused {
                operation: "history",
                code: code.to_owned(),
                message: Some(message.to_owned()),
            };
            assert!(
                refused.hint().contains(advice),
                "{message}: {}",
                refused.hint()
            );
        }
    }
}

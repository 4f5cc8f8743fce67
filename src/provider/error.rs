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

    /// The provider serves pages, or items of a page, without an end. The bound protects this
    /// machine.
    #[error("{operation}: {fault}")]
    Endless {
        operation: &'static str,
        fault: String,
    },

    /// The provider accepts a question again and again, and never has the answer ready.
    #[error("{operation}: {fault}")]
    NeverReady {
        operation: &'static str,
        fault: String,
    },

    /// The provider's `Date` headers contradict each other.
    #[error("clock: {fault}")]
    ClockInDoubt { fault: String },

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
            | Self::Endless { .. }
            | Self::NeverReady { .. }
            | Self::ClockInDoubt { .. }
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
        matches!(
            self,
            Self::Failed { .. }
                | Self::Malformed { .. }
                | Self::NeverReady { .. }
                | Self::ClockInDoubt { .. }
        )
    }

    /// Advice to the operator.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => {
                "nothing is lost; the next pass tries again. If it lasts, check whether base_url answers from this machine"
            }
            Self::Credentials { .. } => CREDENTIALS_HINT,
            Self::Refused { code, message, .. } | Self::Failed { code, message, .. } => {
                refusal_hint(code, message.as_deref().unwrap_or_default())
            }
            Self::Malformed { .. } => {
                "check that base_url leads to the provider itself: a proxy or a captive portal \
                 answers like this; if it does, the fault is the provider's, and the next pass asks \
                 again"
            }
            Self::Endless { .. } => {
                "the provider's fault: it serves without an end, and the other streams are archived \
                 all the same; report it to the provider, or remove the stream"
            }
            Self::NeverReady { .. } => {
                "the provider is overloaded or at fault; nothing is lost, and the next pass asks \
                 again"
            }
            Self::ClockInDoubt { .. } => {
                "check this machine's clock (`timedatectl`); if it is right, a cache or a proxy \
                 before the provider answers with old times"
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

/// The advice for credentials that are refused, with whatever status.
const CREDENTIALS_HINT: &str = "renew the account's credentials, or correct them in the \
                                configuration; changed ones lift the pause, and so does \
                                `backscroll check`";

/// Returns the advice for a refusal, by the words in which providers refuse.
fn refusal_hint(code: &str, message: &str) -> &'static str {
    let message = message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if says(&["timestamp"]) {
        "set this machine's clock: the provider refuses a request whose time is too far off"
    } else if says(&["rate limit", "too many", "too frequent", "quota"]) {
        "lower requests_per_second of the account: other programs may use the same quota; nothing is \
         lost, and the next pass tries again"
    } else if says(&["signature", "public key", "pubkey", "session"]) {
        "check that private_key is the session key of user_id, and that its login has not expired; \
         a session key is valid for a day or a week"
    } else if says(&["user not found"]) {
        "check user_id, and that base_url is the node that knows this user"
    } else if says(&[
        "expired",
        "token",
        "credential",
        "unauthorized",
        "permission",
        "denied",
    ]) || code.contains("401")
    {
        CREDENTIALS_HINT
    } else if code.contains("403") {
        "the account has no right to this stream: ask the provider for it, or remove the stream"
    } else if code.contains("404") {
        "there is nothing at this address: check base_url (scheme, host and port, without the path \
         of the API) and app_id"
    } else if code.contains("400") {
        "check the provider's error text; a stream that names no user, channel or topic is refused"
    } else {
        "check the provider's error text; nothing is lost, and the next pass tries again"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Second;

    const OPERATION: &str = "history";

    fn refused(code: &str, message: &str) -> ProviderError {
        ProviderError::Refused {
            operation: OPERATION,
            code: code.to_owned(),
            message: Some(message.to_owned()),
        }
    }

    /// A failure under status 200.
    fn failed(code: &str, message: &str) -> ProviderError {
        ProviderError::Failed {
            operation: OPERATION,
            code: code.to_owned(),
            message: Some(message.to_owned()),
        }
    }

    /// The words that only one kind of advice has.
    const ADVICE: [&str; 15] = [
        "private_key",
        "renew the account's credentials",
        "set this machine's clock",
        "lower requests_per_second",
        "user_id, and that base_url",
        "nothing at this address",
        "no right to this stream",
        "names no user",
        "captive portal",
        "without an end",
        "overloaded",
        "timedatectl",
        "too long for an address",
        "number never ends",
        "host that the provider names",
    ];

    fn fault() -> String {
        "a fault".to_owned()
    }

    /// Refusals, with the advice that fits each.
    fn refusals() -> Vec<(ProviderError, &'static str)> {
        vec![
            (failed("code 1000", "session key expired"), "private_key"),
            (failed("code 1000", "Invalid session"), "private_key"),
            (
                refused("code 1000", "signature verification failed"),
                "private_key",
            ),
            (
                refused("code 1000", "public key does not belong to the user"),
                "private_key",
            ),
            (failed("code 401", ""), "renew the account's credentials"),
            (
                failed("code 7", "token expired"),
                "renew the account's credentials",
            ),
            (
                refused("status 400 Bad Request", "permission denied"),
                "renew the account's credentials",
            ),
            (
                refused("code 3001", "timestamp expired"),
                "set this machine's clock",
            ),
            (
                failed("code 2005", "Too many requests"),
                "lower requests_per_second",
            ),
            (
                refused("code 404", "User not found"),
                "user_id, and that base_url",
            ),
            (
                refused("status 404 Not Found", ""),
                "nothing at this address",
            ),
            (
                refused("status 403 for this stream alone", ""),
                "no right to this stream",
            ),
            (
                refused("status 400 Bad Request", "invalid filter"),
                "names no user",
            ),
            (
                failed("code 500", "internal error"),
                "error text; nothing is lost",
            ),
        ]
    }

    /// All other failures, likewise.
    fn other_failures() -> Vec<(ProviderError, &'static str)> {
        vec![
            (
                ProviderError::Credentials {
                    operation: OPERATION,
                    status: 401,
                    message: None,
                },
                "renew the account's credentials",
            ),
            (
                ProviderError::Unreachable {
                    operation: OPERATION,
                    cause: "status 503".to_owned(),
                    attempts: 1,
                },
                "whether base_url answers",
            ),
            (
                ProviderError::Malformed {
                    operation: OPERATION,
                    fault: fault(),
                },
                "captive portal",
            ),
            (
                ProviderError::Endless {
                    operation: OPERATION,
                    fault: fault(),
                },
                "without an end",
            ),
            (
                ProviderError::NeverReady {
                    operation: OPERATION,
                    fault: fault(),
                },
                "overloaded",
            ),
            (
                ProviderError::ClockInDoubt { fault: fault() },
                "timedatectl",
            ),
            (
                ProviderError::Unsendable {
                    operation: OPERATION,
                    fault: fault(),
                },
                "too long for an address",
            ),
            (
                ProviderError::ForeignLocation {
                    operation: OPERATION,
                    host: "b.example".to_owned(),
                },
                "host that the provider names",
            ),
            (
                ProviderError::HistoryChanged { attempts: 3 },
                "next pass tries again",
            ),
            (
                ProviderError::TooManyMessages {
                    window: Window::new(Second(0), Second(60)).unwrap(),
                    messages: 9,
                },
                "number never ends",
            ),
            (ProviderError::ClockWentBack, "next pass tries again"),
            (
                ProviderError::Paused {
                    remaining: Duration::ZERO,
                    reason: None,
                },
                "lifts the pause",
            ),
            (ProviderError::Stopped, "next pass tries again"),
        ]
    }

    #[test]
    fn each_failure_has_the_advice_that_fits_it_and_no_other() {
        for (error, advice) in refusals().iter().chain(&other_failures()) {
            let hint = error.hint();
            assert!(hint.contains(advice), "{error}: {hint}");
            let others = ADVICE.iter().filter(|other| *other != advice);
            let unfit: Vec<_> = others.filter(|other| hint.contains(**other)).collect();
            assert!(unfit.is_empty(), "{error}: {hint}: {unfit:?}");
        }
    }
}

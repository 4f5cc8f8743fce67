//! What can go wrong at a provider, and what is to be done about it.

use std::time::Duration;

/// A provider did not give what was asked for.
///
/// No variant carries a credential, a signature, a URL's query or a message's text: all of them may be logged.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// Every try met a network error, a time-out, 408, 429 or 5xx.
    #[error("{what}: {cause} ({tries} tries)")]
    Unreachable {
        what: &'static str,
        cause: String,
        tries: u32,
    },

    /// 401 or 403.
    #[error("{what}: credentials refused with status {status}{}", with_colon(.said.as_deref()))]
    Credentials {
        what: &'static str,
        status: u16,
        said: Option<String>,
    },

    /// The provider understood and said no: another 4xx.
    #[error("{what}: refused with {code}{}", with_colon(.said.as_deref()))]
    Refused {
        what: &'static str,
        code: String,
        said: Option<String>,
    },

    /// The provider reports a failure of its own, under 200.
    #[error("{what}: failed with {code}{}", with_colon(.said.as_deref()))]
    Failed {
        what: &'static str,
        code: String,
        said: Option<String>,
    },

    /// The answer is not what the contract says.
    #[error("{what}: {fault}")]
    Malformed { what: &'static str, fault: String },

    /// Agora named a place on another host for its answer. Following it would hand out the credentials.
    #[error("{what}: the provider points to another host ({host}), which is not followed")]
    ForeignLocation { what: &'static str, host: String },

    /// The history changed under each of several readings.
    #[error("the history changed while it was read, {tries} times in a row")]
    HistoryChanged { tries: u32 },

    /// The account is still serving an earlier penalty.
    #[error("the account waits out a penalty for another {} s", .left.as_secs())]
    Paused { left: Duration },

    /// We were told to stop before there was an answer.
    #[error("stopped before the provider answered")]
    Stopped,
}

fn with_colon(said: Option<&str>) -> String {
    said.map(|said| format!(": {said}")).unwrap_or_default()
}

/// What the engine does about a [`ProviderError`]. The decision is made here; the engine obeys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Leave this stream for the next pass; the account's others go on.
    SkipStream,
    /// Leave the whole account for the next pass.
    SkipAccount,
    /// Ask nothing more of this account for a good while, and tell the operator.
    Park,
}

impl ProviderError {
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Refused { .. }
            | Self::Failed { .. }
            | Self::Malformed { .. }
            | Self::ForeignLocation { .. }
            | Self::HistoryChanged { .. } => Disposition::SkipStream,
            Self::Unreachable { .. } | Self::Paused { .. } | Self::Stopped => {
                Disposition::SkipAccount
            }
            Self::Credentials { .. } => Disposition::Park,
        }
    }

    /// Whether the same thing may succeed when it is done again right away.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::Malformed { .. })
    }

    /// What the operator can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => {
                "nothing is lost; the next pass tries again. If it lasts, see whether base_url answers from this machine"
            }
            Self::Credentials { .. } => {
                "renew the account's credentials, then run `backscroll check`, which lifts the pause"
            }
            Self::Refused { .. } | Self::Failed { .. } => {
                "see the provider's word for it; a stream that names no user, channel or topic is refused"
            }
            Self::Malformed { .. } => {
                "see whether base_url leads to the provider itself; a proxy or a captive portal answers like this"
            }
            Self::ForeignLocation { .. } => {
                "set base_url to the host that the provider names, if you trust it"
            }
            Self::HistoryChanged { .. } | Self::Stopped => {
                "nothing is lost; the next pass tries again"
            }
            Self::Paused { .. } => {
                "nothing is lost; `backscroll check` tries the account at once and lifts the pause"
            }
        }
    }
}

//! The settings of an account that the engine must know.

use std::time::Duration;

use crate::domain::account::AccountIdentity;
use crate::domain::time::Millis;

/// The providers that there are adapters for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProviderKind {
    Agora,
    Web3mq,
}

impl ProviderKind {
    /// The name in the archive, the log and the alerts: `agora`, `web3mq`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Agora => "agora",
            Self::Web3mq => "web3mq",
        }
    }
}

/// The settings of an account that the engine must know.
#[derive(Clone, Debug)]
pub struct AccountSettings {
    /// Unique in the configuration, and the account's name in SQL.
    pub name: String,
    pub provider: ProviderKind,
    /// `None` if it is unknown: a command that sends no requests works without it.
    pub identity: Option<AccountIdentity>,
    /// The age from which on the provider is trusted to show every message.
    pub settle: Duration,
    /// The time for which the provider keeps messages; `None` if it is not known to delete any.
    pub retention: Option<Duration>,
    /// The start of the wanted history; `None` for all there is.
    pub since: Option<Millis>,
    /// The age up to which messages are refetched until they have been read; `None` if they have no
    /// status.
    pub refresh_for: Option<Duration>,
    /// The most streams that are followed although the configuration does not list them; `None` if
    /// no such stream is followed.
    pub discover_limit: Option<usize>,
}

impl AccountSettings {
    /// True if streams are followed that the configuration does not list.
    pub fn discovers(&self) -> bool {
        self.discover_limit.is_some()
    }
}

//! The frontier of an account: how far its history reaches, back and forward.

use std::time::Duration;

use super::time::Second;

/// The time limits of an account's history at one moment. All times are the provider's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frontier {
    /// The retention edge: older history cannot be fetched any more. `None` if the provider keeps
    /// everything.
    pub horizon: Option<Second>,
    /// The provider is trusted to show every message that was sent before this time.
    pub settled_to: Second,
    /// The end of the wanted history. It is the present where the account is synced to the end.
    pub wanted_to: Second,
    /// The time for which the provider keeps a message. `None` if it is not known to drop any.
    pub retention: Option<Duration>,
}

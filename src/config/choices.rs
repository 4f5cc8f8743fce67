//! Settings that are one of a few words.

/// Which streams an account follows in addition to those that are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiscoveryMode {
    /// No other streams.
    Nothing,
    /// Users and channels that appear in messages.
    Messages,
    /// Those, and the ones in Agora's event feeds. Reading a feed empties it.
    Events,
}

/// The kind of a receiver. A channel and a user may have the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DestinationKind {
    /// A channel: every member receives.
    Channel,
    /// A user: peer-to-peer messages.
    User,
}

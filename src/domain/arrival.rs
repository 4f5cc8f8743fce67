//! Places in a stream whose messages stand in the order in which the provider received them. Their
//! times, which the senders set, follow no order there.

use super::identity::Fingerprint;

/// The place up to which a stream was read in order of arrival. Positions are counted from the
/// oldest message, so that new messages move none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArrivalMark {
    /// The number of messages before it.
    pub position: u64,
    /// The fingerprint of the last of them. It shows if messages before it came or went since.
    /// `None` if there are none.
    pub last: Option<Fingerprint>,
}

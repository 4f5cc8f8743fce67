//! The digest of a window: a hash chain over its messages in canonical order.
//!
//! The same messages give the same digest, in whatever order they arrived. A message that is
//! missing, added or changed in an identity field gives a different digest.
//!
//! A chain can be continued. Windows lie on whole seconds, so all messages of a later window follow
//! all messages of an earlier one. The digest over both equals the earlier digest extended by the
//! later messages. How a range is cut into windows therefore does not affect the digest.

use std::fmt;

use super::identity::{Fingerprint, IdentifiedMessage};
use super::time::Millis;

/// Separates the chain's hashes from all other hashes. With these 4 bytes, one step of the chain is
/// exactly one block of BLAKE3. A change invalidates every stored digest.
const DOMAIN_SEPARATOR: [u8; 4] = *b"bsd1";

/// The identity of a message in canonical order: by time, then fingerprint, then occurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainLink {
    pub sent_at: Millis,
    pub fingerprint: Fingerprint,
    pub occurrence: u32,
}

impl ChainLink {
    /// Returns the link of an identified message.
    pub fn from_identified(identified: &IdentifiedMessage) -> Self {
        let IdentifiedMessage {
            message,
            fingerprint,
            occurrence,
        } = identified;
        Self {
            sent_at: message.sent_at,
            fingerprint: *fingerprint,
            occurrence: *occurrence,
        }
    }
}

/// The state of a hash chain in 32 bytes. The default is the digest of no messages.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Returns the digest after appending one message.
    #[must_use]
    pub fn append(self, link: ChainLink) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&DOMAIN_SEPARATOR);
        hasher.update(&self.0);
        hasher.update(&link.sent_at.0.to_le_bytes());
        hasher.update(&link.fingerprint.0);
        hasher.update(&link.occurrence.to_le_bytes());
        Self(*hasher.finalize().as_bytes())
    }

    /// Returns the digest after appending all messages. They must be in canonical order.
    #[must_use]
    pub fn append_all<'a>(self, links: impl IntoIterator<Item = &'a ChainLink>) -> Self {
        links
            .into_iter()
            .fold(self, |digest, link| digest.append(*link))
    }
}

/// Writes the digest in hexadecimal.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn link((ms, byte, occurrence): (i64, u8, u32)) -> ChainLink {
        ChainLink {
            sent_at: Millis(ms),
            fingerprint: Fingerprint([byte; 16]),
            occurrence,
        }
    }

    fn sorted(mut links: Vec<ChainLink>) -> Vec<ChainLink> {
        links.sort_unstable();
        links.dedup();
        links
    }

    fn links() -> impl Strategy<Value = Vec<ChainLink>> {
        prop::collection::vec((0i64..5000, 0u8..4, 0u32..3).prop_map(link), 0..40).prop_map(sorted)
    }

    fn digest(links: &[ChainLink]) -> Digest {
        Digest::default().append_all(links)
    }

    #[test]
    fn the_digest_of_known_messages_is_stable() {
        let links = sorted(vec![
            link((1000, 1, 0)),
            link((1000, 1, 1)),
            link((2000, 0, 0)),
        ]);
        assert_eq!(digest(&[]).to_string(), "0".repeat(64));
        assert_eq!(
            digest(&links).to_string(),
            "b7be78c1d75f2b3e33b478bf1a50fc728dab2d971608593711df2a252272fd3b"
        );
    }

    proptest! {
        #[test]
        fn the_digest_is_independent_of_arrival_order(links in links(), seed: u64) {
            let mut shuffled = links.clone();
            fastrand::Rng::with_seed(seed).shuffle(&mut shuffled);
            prop_assert_eq!(digest(&sorted(shuffled)), digest(&links));
        }

        #[test]
        fn the_digest_is_independent_of_window_boundaries(
            links in links(),
            cuts in prop::collection::vec(0i64..5, 0..4),
        ) {
            let mut cuts: Vec<i64> = cuts.into_iter().map(|second| second * 1000).collect();
            cuts.sort_unstable();
            cuts.push(i64::MAX);
            let (mut whole, mut from) = (Digest::default(), i64::MIN);
            for to in cuts {
                let inside = |link: &&ChainLink| (from..to).contains(&link.sent_at.0);
                whole = whole.append_all(links.iter().filter(inside));
                from = to;
            }
            prop_assert_eq!(whole, digest(&links));
        }

        #[test]
        fn a_missing_added_or_changed_message_changes_the_digest(
            links in links(),
            at: usize,
            other in (0i64..5000, 0u8..4, 0u32..3),
        ) {
            let other = link(other);
            let added = sorted([links.clone(), vec![other]].concat());
            prop_assert_eq!(digest(&added) == digest(&links), links.contains(&other));
            if !links.is_empty() {
                let mut fewer = links.clone();
                let gone = fewer.remove(at % links.len());
                prop_assert_ne!(digest(&fewer), digest(&links));
                let changed = sorted([fewer, vec![other]].concat());
                prop_assert_eq!(digest(&changed) == digest(&links), other == gone);
            }
        }
    }
}

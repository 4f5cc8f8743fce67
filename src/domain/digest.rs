//! Proof of what a window holds: a hash chain over its messages in canonical order.
//!
//! Whichever way messages came, the chain over the same messages is the same; any message that is missing, added or
//! changed in what makes up its identity makes another. A chain goes on where another ends: windows lie on whole
//! seconds, so all messages of the later window come after all of the earlier, and the digest over both is what
//! becomes of the earlier one's when the later one's messages follow. How a range is cut into windows leaves no trace.

use std::fmt;

use super::identity::{Fingerprint, IdentifiedMessage};
use super::time::Millis;

/// Keeps the chain's hashes apart from all others. With it, a step of the chain is exactly one block of BLAKE3.
const DOMAIN_SEPARATOR: [u8; 4] = *b"bsd1";

/// What identifies a message, in canonical order: by time, then by content, then by its number among equals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainLink {
    pub sent_at: Millis,
    pub fingerprint: Fingerprint,
    pub occurrence: u32,
}

impl ChainLink {
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

/// The state of a chain: what came before it, in 32 bytes. The default is that of no messages.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest once this message has followed.
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

    /// The digest once all of these have followed. They must be in order.
    #[must_use]
    pub fn append_all<'a>(self, links: impl IntoIterator<Item = &'a ChainLink>) -> Self {
        links
            .into_iter()
            .fold(self, |digest, link| digest.append(*link))
    }
}

/// In hex.
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
    fn the_digest_of_known_messages_never_changes() {
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
        fn the_order_in_which_messages_came_does_not_matter(links in links(), seed: u64) {
            let mut shuffled = links.clone();
            fastrand::Rng::with_seed(seed).shuffle(&mut shuffled);
            prop_assert_eq!(digest(&sorted(shuffled)), digest(&links));
        }

        #[test]
        fn how_the_range_was_cut_does_not_matter(links in links(), cuts in prop::collection::vec(0i64..5, 0..4)) {
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
        fn whatever_is_missing_added_or_changed_shows(links in links(), at: usize, other in (0i64..5000, 0u8..4, 0u32..3)) {
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

//! Conclusions from a window that was fetched again: which archived messages are forged, and
//! whether its ledger rows may be replaced. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::domain::digest::{ChainLink, Digest};
use crate::domain::time::Millis;
use crate::proof::Claim;
use crate::store::LedgerRow;
use crate::sync::limits::MAX_TRIED_ONE_BY_ONE;

/// All that is known of a window.
pub(super) struct Evidence<'a> {
    /// The messages that should be archived.
    pub(super) claim: &'a Claim,
    /// The ledger rows that were fetched again, as a whole.
    pub(super) rows: &'a [LedgerRow],
    /// The messages that the provider returned.
    pub(super) shown: BTreeSet<ChainLink>,
    /// True if this is certainly all that the provider ever had, except for what it has removed.
    pub(super) is_whole: bool,
    /// The archived messages, each with the time at which it was archived.
    pub(super) archived: Vec<(ChainLink, Millis)>,
}

impl Evidence<'_> {
    /// Returns the messages that somebody else has added to the archive: the provider does not show
    /// them, and without them the window matches its claim. A message that the provider has removed
    /// was sealed, and is not among them.
    pub(super) fn forged(&self) -> Vec<ChainLink> {
        let sealed_at = self.rows.iter().map(|row| row.sealed_at).max();
        let extras = self.extras();
        let all: Vec<ChainLink> = extras.iter().map(|(link, _)| *link).collect();
        let is_later = |(_, archived_at): &&(ChainLink, Millis)| Some(*archived_at) > sealed_at;
        let later: Vec<ChainLink> = extras
            .iter()
            .filter(is_later)
            .map(|(link, _)| *link)
            .collect();
        let one_by_one = all
            .iter()
            .take(MAX_TRIED_ONE_BY_ONE)
            .map(|link| vec![*link]);
        let mut candidates = [all.clone(), later].into_iter().chain(one_by_one);
        let are_forged = |links: &Vec<ChainLink>| !links.is_empty() && self.matches_without(links);
        candidates.find(are_forged).unwrap_or_default()
    }

    /// Returns the archived messages of the window that the provider does not show.
    pub(super) fn extras(&self) -> Vec<(ChainLink, Millis)> {
        let is_extra = |(link, _): &&(ChainLink, Millis)| {
            self.claim.window.contains(link.sent_at) && !self.shown.contains(link)
        };
        self.archived.iter().filter(is_extra).copied().collect()
    }

    /// True if the archived and the shown messages together match the claim.
    pub(super) fn matches_claim(&self) -> bool {
        matches_digest(self.claim, &self.held())
    }

    /// True if the provider still has all of the window, and together with what is archived that is
    /// no less than was claimed.
    pub(super) fn is_complete(&self) -> bool {
        let held = self.held();
        let is_met =
            |claim: Claim| count(&claim, &held) >= claim.messages || matches_digest(&claim, &held);
        let claims = self
            .rows
            .iter()
            .map(Claim::from_ledger_row)
            .chain([*self.claim]);
        self.is_whole && claims.into_iter().all(is_met)
    }

    /// True if the stored messages match the ledger's digests, leaving out messages that were
    /// archived later (and that the provider shows), or adding the forged ones that were removed.
    pub(super) fn matches_ledger(&self, forged: &BTreeSet<ChainLink>) -> bool {
        let held = self.held();
        let with_forged: BTreeSet<ChainLink> = held.union(forged).copied().collect();
        self.rows.iter().all(|row| {
            let claim = Claim::from_ledger_row(row);
            // The time of archiving is known to the second: a message of the second in which the
            // row was sealed may have been archived before or after that.
            let before_second = row
                .sealed_at
                .second()
                .start()
                .minus(Duration::from_millis(1));
            matches_digest(&claim, &held)
                || matches_digest(&claim, &with_forged)
                || self.matched_at(&claim, row.sealed_at)
                || self.matched_at(&claim, before_second)
        })
    }

    /// True if the messages archived up to a time match a claim, and the provider shows all that
    /// were archived later.
    fn matched_at(&self, claim: &Claim, time: Millis) -> bool {
        let is_later = |(_, archived_at): &&(ChainLink, Millis)| *archived_at > time;
        let (later, sealed): (Vec<_>, Vec<_>) = self.archived.iter().partition(is_later);
        let sealed: BTreeSet<ChainLink> = sealed.into_iter().map(|(link, _)| link).collect();
        later.iter().all(|(link, _)| self.shown.contains(link)) && matches_digest(claim, &sealed)
    }

    /// Returns the archived and the shown messages together.
    fn held(&self) -> BTreeSet<ChainLink> {
        let archived = self.archived.iter().map(|(link, _)| *link);
        archived.chain(self.shown.iter().copied()).collect()
    }

    fn matches_without(&self, links: &[ChainLink]) -> bool {
        let mut held = self.held();
        held.retain(|link| !links.contains(link));
        matches_digest(self.claim, &held)
    }
}

/// Returns the number of messages in the window of a claim.
fn count(claim: &Claim, held: &BTreeSet<ChainLink>) -> u64 {
    held.iter()
        .filter(|link| claim.window.contains(link.sent_at))
        .count() as u64
}

/// True if the messages in the window of a claim have its digest.
fn matches_digest(claim: &Claim, held: &BTreeSet<ChainLink>) -> bool {
    let inside = held
        .iter()
        .filter(|link| claim.window.contains(link.sent_at));
    claim.digest == Some(Digest::default().append_all(inside))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::identity::Fingerprint;
    use crate::domain::time::Second;
    use crate::domain::window::Window;

    const SEALED_AT: Millis = Millis(100_000);
    const LATER: Millis = Millis(200_000);

    fn link(n: u8) -> ChainLink {
        let (sent_at, fingerprint) = (Millis(i64::from(n)), Fingerprint([n; 16]));
        ChainLink {
            sent_at,
            fingerprint,
            occurrence: 0,
        }
    }

    fn row(sealed: &[u8]) -> LedgerRow {
        let links: Vec<ChainLink> = sealed.iter().map(|n| link(*n)).collect();
        LedgerRow {
            window: Window::with_length(Second(0), 1),
            messages: sealed.len() as u64,
            digest: Some(Digest::default().append_all(&links)),
            provider_count: None,
            not_shown: 0,
            doubt: None,
            doubted_at: None,
            sealed_at: SEALED_AT,
        }
    }

    /// Returns the forged messages, whether the window is complete, and whether it matches the
    /// ledger. Messages are numbers; those above 100 were archived after the window was sealed.
    fn judged(sealed: &[u8], archived: &[u8], shown: &[u8]) -> (Vec<u8>, bool, bool) {
        let rows = [row(sealed)];
        let claim = Claim::from_ledger_row(&rows[0]);
        let archived_at = |n: u8| if n > 100 { LATER } else { SEALED_AT };
        let archived = archived
            .iter()
            .map(|n| (link(*n), archived_at(*n)))
            .collect();
        let shown = shown.iter().map(|n| link(*n)).collect();
        let evidence = Evidence {
            claim: &claim,
            rows: &rows,
            shown,
            is_whole: true,
            archived,
        };
        let forged = evidence
            .forged()
            .iter()
            .map(|link| link.fingerprint.0[0])
            .collect();
        (
            forged,
            evidence.is_complete(),
            evidence.matches_ledger(&BTreeSet::new()),
        )
    }

    #[test]
    fn forged_messages_are_told_from_removed_ones() {
        assert_eq!(judged(&[1, 2], &[1, 2, 9], &[1, 2]).0, [9], "added");
        assert_eq!(
            judged(&[1, 2], &[1, 2, 8, 9], &[1, 2]).0,
            [8, 9],
            "two of them"
        );
        assert_eq!(
            judged(&[1, 2], &[1, 9], &[1, 2]).0,
            [9],
            "in place of a deleted one"
        );
        let removed = "while the provider has removed another";
        assert_eq!(
            judged(&[1, 2, 3], &[1, 2, 3, 9], &[1, 3]).0,
            [9],
            "{removed}"
        );
        let since = "since the window was sealed";
        assert_eq!(
            judged(&[1, 2, 3], &[1, 2, 3, 109, 110], &[1, 3]).0,
            [109, 110],
            "{since}"
        );
        let lost = "one is lost, so that nothing can be told";
        assert_eq!(judged(&[1, 2, 3], &[1, 3, 9], &[1, 3]).0, [0; 0], "{lost}");
        assert_eq!(
            judged(&[1, 2], &[1, 2], &[1]).0,
            [0; 0],
            "removed by the provider"
        );
    }

    #[test]
    fn ledger_row_is_never_replaced_by_a_lesser_one() {
        assert_eq!(
            judged(&[1, 2], &[1], &[1, 2]),
            (vec![], true, true),
            "restored"
        );
        assert_eq!(judged(&[1, 2], &[1], &[1]), (vec![], false, false), "lost");
        assert_eq!(
            judged(&[1, 2], &[1, 2], &[1]),
            (vec![], true, true),
            "removed and kept"
        );
        assert_eq!(
            judged(&[1, 2], &[1, 2, 103], &[1, 2, 103]),
            (vec![], true, true),
            "late"
        );
        assert_eq!(
            judged(&[1, 2], &[1, 2], &[1, 2, 3]),
            (vec![], true, true),
            "later still"
        );
        let changed = "a digest that was changed";
        assert_eq!(
            judged(&[1, 7], &[1, 2], &[1, 2]),
            (vec![], true, false),
            "{changed}"
        );
    }
}

//! What may be concluded of a window that was fetched again: which messages were added to it behind the archive's back,
//! and whether its ledger rows may be replaced. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::domain::digest::{ChainLink, Digest};
use crate::domain::time::Millis;
use crate::proof::Claim;
use crate::store::LedgerRow;

/// So many messages that the provider does not show are tried one by one.
const MAX_TRIED_ONE_BY_ONE: usize = 100;

/// All that is known of a window.
pub(super) struct Evidence<'a> {
    /// What should be there.
    pub(super) claim: &'a Claim,
    /// The ledger rows that were fetched again: whole ones.
    pub(super) rows: &'a [LedgerRow],
    /// What the provider has.
    pub(super) shown: BTreeSet<ChainLink>,
    /// Whether this is certainly all that it ever had, but for what it may have removed.
    pub(super) is_whole: bool,
    /// What the archive has, and since when.
    pub(super) archived: Vec<(ChainLink, Millis)>,
}

impl Evidence<'_> {
    /// What was added to the archive by somebody else: the provider does not show it, and without it the window is
    /// what was sealed. A message may as well have been removed by the provider; then it was sealed, and stays.
    pub(super) fn forged(&self) -> Vec<ChainLink> {
        let sealed_at = self.rows.iter().map(|row| row.sealed_at).max();
        let extras = self.extras();
        let later = extras
            .iter()
            .filter(|(_, archived_at)| Some(*archived_at) > sealed_at);
        let all: Vec<ChainLink> = extras.iter().map(|(link, _)| *link).collect();
        let later: Vec<ChainLink> = later.map(|(link, _)| *link).collect();
        let one_by_one = all
            .iter()
            .take(MAX_TRIED_ONE_BY_ONE)
            .map(|link| vec![*link]);
        let mut suspects = [all.clone(), later].into_iter().chain(one_by_one);
        suspects
            .find(|suspects| !suspects.is_empty() && self.matches_without(suspects))
            .unwrap_or_default()
    }

    /// What the archive has in the window and the provider does not show.
    pub(super) fn extras(&self) -> Vec<(ChainLink, Millis)> {
        let inside = |(link, _): &&(ChainLink, Millis)| self.claim.window.contains(link.sent_at);
        self.archived
            .iter()
            .filter(inside)
            .filter(|(link, _)| !self.shown.contains(link))
            .copied()
            .collect()
    }

    /// Whether all of this together is what was claimed.
    pub(super) fn matches_claim(&self) -> bool {
        matches_digest(self.claim, &self.held())
    }

    /// Whether the provider still has all of the window, and with what else is there it is no less than was claimed.
    pub(super) fn is_complete(&self) -> bool {
        let held = self.held();
        let lacks_nothing =
            |claim: Claim| count(&claim, &held) >= claim.messages || matches_digest(&claim, &held);
        self.is_whole
            && self
                .rows
                .iter()
                .map(Claim::from_ledger_row)
                .chain([*self.claim])
                .all(lacks_nothing)
    }

    /// Whether what the ledger claims is there by its digest: just so, but for what came in later and is shown by the
    /// provider, or but for what somebody had added before it was sealed and is gone now.
    pub(super) fn matches_ledger(&self, gone: &BTreeSet<ChainLink>) -> bool {
        let held = self.held();
        let held_before = held.union(gone).copied().collect();
        self.rows.iter().all(|row| {
            let claim = Claim::from_ledger_row(row);
            let is_sealed_before = |moment: Millis| {
                let (later, sealed): (Vec<_>, Vec<_>) = self
                    .archived
                    .iter()
                    .partition(|(_, archived_at)| *archived_at > moment);
                let sealed = sealed.into_iter().map(|(link, _)| link).collect();
                later.iter().all(|(link, _)| self.shown.contains(link))
                    && matches_digest(&claim, &sealed)
            };
            // When a message came in is known to the second: what came in that of the sealing may have come after it.
            let second = row.sealed_at.second().start();
            let seals = [row.sealed_at, second.minus(Duration::from_millis(1))];
            matches_digest(&claim, &held)
                || matches_digest(&claim, &held_before)
                || seals.into_iter().any(is_sealed_before)
        })
    }

    fn held(&self) -> BTreeSet<ChainLink> {
        self.archived
            .iter()
            .map(|(link, _)| *link)
            .chain(self.shown.iter().copied())
            .collect()
    }

    fn matches_without(&self, suspects: &[ChainLink]) -> bool {
        let mut held = self.held();
        held.retain(|link| !suspects.contains(link));
        matches_digest(self.claim, &held)
    }
}

fn count(claim: &Claim, held: &BTreeSet<ChainLink>) -> u64 {
    held.iter()
        .filter(|link| claim.window.contains(link.sent_at))
        .count() as u64
}

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
        ChainLink {
            sent_at: Millis(i64::from(n)),
            fingerprint: Fingerprint([n; 16]),
            occurrence: 0,
        }
    }

    fn row(sealed: &[u8]) -> LedgerRow {
        LedgerRow {
            window: Window::with_length(Second(0), 1),
            messages: sealed.len() as u64,
            digest: Some(
                Digest::default().append_all(&sealed.iter().map(|n| link(*n)).collect::<Vec<_>>()),
            ),
            provider_count: None,
            doubt: None,
            doubted_at: None,
            sealed_at: SEALED_AT,
        }
    }

    /// What was added, whether nothing is lacking, whether the claim is proven; of messages by number, those above 100
    /// archived after the window was sealed.
    fn judged(sealed: &[u8], there: &[u8], shown: &[u8]) -> (Vec<u8>, bool, bool) {
        let rows = [row(sealed)];
        let claim = Claim::from_ledger_row(&rows[0]);
        let there = there
            .iter()
            .map(|n| (link(*n), if *n > 100 { LATER } else { SEALED_AT }))
            .collect();
        let shown = shown.iter().map(|n| link(*n)).collect();
        let evidence = Evidence {
            claim: &claim,
            rows: &rows,
            shown,
            is_whole: true,
            archived: there,
        };
        let added = evidence
            .forged()
            .iter()
            .map(|link| link.fingerprint.0[0])
            .collect();
        (
            added,
            evidence.is_complete(),
            evidence.matches_ledger(&BTreeSet::new()),
        )
    }

    #[test]
    fn forged_messages_are_told_from_removed_ones() {
        assert_eq!(judged(&[1, 2], &[1, 2, 9], &[1, 2]).0, [9], "added");
        assert_eq!(judged(&[1, 2], &[1, 2, 8, 9], &[1, 2]).0, [8, 9], "twice");
        assert_eq!(
            judged(&[1, 2], &[1, 9], &[1, 2]).0,
            [9],
            "for one that was deleted"
        );
        assert_eq!(
            judged(&[1, 2, 3], &[1, 2, 3, 9], &[1, 3]).0,
            [9],
            "while the provider has removed another"
        );
        assert_eq!(
            judged(&[1, 2, 3], &[1, 2, 3, 109, 110], &[1, 3]).0,
            [109, 110],
            "since it was sealed"
        );
        assert_eq!(
            judged(&[1, 2, 3], &[1, 3, 9], &[1, 3]).0,
            [0; 0],
            "where one is lost nothing can be told"
        );
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
            "removed by the provider and kept"
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
        assert_eq!(
            judged(&[1, 7], &[1, 2], &[1, 2]),
            (vec![], true, false),
            "a digest that was changed"
        );
    }
}

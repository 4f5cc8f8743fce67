//! The steps of a verification.

use super::claim::Claim;
use super::manifest::Manifest;
use super::queue::{ClaimQueue, has_ledger_rows};
use super::reading::ArchiveReading;
use super::report::{Findings, Mismatch, VerifyReport};
use crate::domain::time::Millis;
use crate::store::{Archive, StoreError};

/// The extent of a verification.
#[derive(Clone, Copy, Debug, Default)]
pub struct VerifyOptions<'a> {
    /// The only account to verify. `None` for all accounts.
    pub account: Option<&'a str>,
    /// A manifest whose claims are compared as well.
    pub manifest: Option<&'a Manifest>,
    /// True if ledger rows without a digest are given one, if their count is right.
    pub add_digests: bool,
}

impl<'a> VerifyOptions<'a> {
    fn covers_account(&self, account: &str) -> bool {
        self.account.is_none_or(|wanted| wanted == account)
    }

    fn reading(&self, store: &'a dyn Archive, queues: Vec<ClaimQueue>) -> ArchiveReading<'a> {
        ArchiveReading::new(store, self.account, self.add_digests, queues)
    }
}

/// Compares the archive with its ledger, and with the manifest if there is one. Every message is
/// read once.
pub async fn verify<'a>(
    store: &'a dyn Archive,
    options: VerifyOptions<'a>,
) -> Result<VerifyReport, StoreError> {
    let mut queues: Vec<ClaimQueue> = Vec::new();
    let mut without_scope = Vec::new();
    for stream in store.streams().await? {
        if !options.covers_account(&stream.account) {
            continue;
        }
        match ClaimQueue::from_ledger(&stream) {
            Some(queue) => queues.push(queue),
            None if has_ledger_rows(store, &stream).await? => {
                without_scope.push((stream.account, stream.key));
            }
            None => {}
        }
    }
    let streams = options.manifest.into_iter().flat_map(Manifest::streams);
    for (stream, claims) in streams {
        if options.covers_account(&stream.account) {
            queues.push(ClaimQueue::from_claims(
                stream.clone(),
                claims.iter().copied(),
            ));
        }
    }
    let (first, last) = (Millis(i64::MIN), Millis(i64::MAX));
    let mut report = options.reading(store, queues).run(first, last).await?;
    if report.mismatches.count > 0 && report.mismatches.unlisted() == 0 {
        report.mismatches = recheck(store, &report.mismatches.listed, options).await?;
    }
    report.without_scope = without_scope;
    Ok(report)
}

/// Reads the windows that do not match once more, with the ledger rows as they are now.
async fn recheck<'a>(
    store: &'a dyn Archive,
    mismatches: &[Mismatch],
    options: VerifyOptions<'a>,
) -> Result<Findings<Mismatch>, StoreError> {
    let mut queues = Vec::new();
    let (mut from, mut to) = (Millis(i64::MAX), Millis(i64::MIN));
    for mismatch in mismatches {
        let claims = match (mismatch.claim.manifest_line, mismatch.stream.id) {
            (None, Some(stream)) => {
                let window = mismatch.claim.window;
                let rows = store.ledger_rows(stream, window, u64::MAX).await?;
                rows.iter().map(Claim::from_ledger_row).collect()
            }
            _ => vec![mismatch.claim],
        };
        for claim in &claims {
            from = from.min(claim.window.from().start());
            to = to.max(claim.window.to().start());
        }
        queues.push(ClaimQueue::from_claims(mismatch.stream.clone(), claims));
    }
    Ok(options
        .reading(store, queues)
        .run(from, to)
        .await?
        .mismatches)
}

//! The claims of a stream in the order of time.

use std::collections::VecDeque;
use std::sync::Arc;

use super::claim::{Claim, ClaimedStream, MeasuredWindow};
use super::limits::ROWS_PER_STREAM;
use crate::domain::digest::ChainLink;
use crate::domain::identity::IdentifiedMessage;
use crate::domain::time::{Millis, Second};
use crate::domain::window::Window;
use crate::store::{Archive, KnownStream, StoreError};

const END_OF_TIME: Second = Second(i64::MAX);

/// The claims of a stream, and the content of the archive for the current one.
#[derive(Debug)]
pub(super) struct ClaimQueue {
    pub(super) stream: Arc<ClaimedStream>,
    /// The first claim is the current one.
    claims: VecDeque<Claim>,
    /// The start of the ledger rows that are not loaded yet. `None` if all claims are loaded.
    more_from: Option<Second>,
    measured: MeasuredWindow,
}

/// A claim, and the content of the archive in its window.
pub(super) type ComparedClaim = (Claim, MeasuredWindow);

impl ClaimQueue {
    /// Creates the queue of all ledger rows of a stream. `None` if the stream has no recorded
    /// scope.
    pub(super) fn from_ledger(stream: &KnownStream) -> Option<Self> {
        let scope = stream.scope.clone()?;
        let (account, key) = (stream.account.clone(), stream.key.clone());
        let claimed = Arc::new(ClaimedStream {
            id: Some(stream.id),
            account,
            key,
            scope,
        });
        Some(Self {
            more_from: Some(Second(i64::MIN)),
            ..Self::from_claims(claimed, [])
        })
    }

    /// Creates the queue of these claims, which must be in the order of time.
    pub(super) fn from_claims(
        stream: Arc<ClaimedStream>,
        claims: impl IntoIterator<Item = Claim>,
    ) -> Self {
        let claims = claims.into_iter().collect();
        Self {
            stream,
            claims,
            more_from: None,
            measured: MeasuredWindow::default(),
        }
    }

    /// Advances to the claim that contains this moment, or the first one after it. Appends the
    /// claims on the way to `passed`.
    pub(super) async fn advance(
        &mut self,
        store: &dyn Archive,
        to: Millis,
        passed: &mut Vec<ComparedClaim>,
    ) -> Result<(), StoreError> {
        loop {
            if self.claims.is_empty() {
                self.load_claims(store).await?;
            }
            let is_over = |claim: &Claim| claim.window.to().start() <= to;
            if !self.claims.front().is_some_and(is_over) {
                return Ok(());
            }
            let measured = std::mem::take(&mut self.measured);
            passed.extend(self.claims.pop_front().map(|claim| (claim, measured)));
        }
    }

    /// Appends all remaining claims to `passed`.
    pub(super) async fn finish(
        &mut self,
        store: &dyn Archive,
        passed: &mut Vec<ComparedClaim>,
    ) -> Result<(), StoreError> {
        self.advance(store, Millis(i64::MAX), passed).await
    }

    /// Loads the next ledger rows, if there are more.
    async fn load_claims(&mut self, store: &dyn Archive) -> Result<(), StoreError> {
        let (Some(from), Some(stream)) = (self.more_from, self.stream.id) else {
            return Ok(());
        };
        let rows = match Window::new(from, END_OF_TIME) {
            Some(rest) => store.ledger_rows(stream, rest, ROWS_PER_STREAM).await?,
            None => vec![],
        };
        let may_have_more = rows.len() as u64 == ROWS_PER_STREAM;
        self.more_from = rows
            .last()
            .filter(|_| may_have_more)
            .map(|row| row.window.to());
        self.claims.extend(rows.iter().map(Claim::from_ledger_row));
        Ok(())
    }

    /// Counts a message of the stream if it lies in the window of the current claim.
    pub(super) fn count_message(&mut self, identified: &IdentifiedMessage, is_damaged: bool) {
        let sent_at = identified.message.sent_at;
        if self
            .claims
            .front()
            .is_some_and(|claim| claim.window.contains(sent_at))
        {
            let link = ChainLink::from_identified(identified);
            self.measured.messages += 1;
            self.measured.damaged += u64::from(is_damaged);
            self.measured.digest = self.measured.digest.append(link);
        }
    }
}

/// True if the stream has a ledger row.
pub(super) async fn has_ledger_rows(
    store: &dyn Archive,
    stream: &KnownStream,
) -> Result<bool, StoreError> {
    let Some(ever) = Window::new(Second(i64::MIN), END_OF_TIME) else {
        return Ok(false);
    };
    Ok(!store.ledger_rows(stream.id, ever, 1).await?.is_empty())
}

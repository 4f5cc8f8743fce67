//! A window that was fetched again for a repair.

use tokio_util::sync::CancellationToken;

use super::evidence::Evidence;
use crate::domain::digest::ChainLink;
use crate::domain::identity::IdentifiedMessage;
use crate::domain::message::UnparsableMessage;
use crate::domain::stream::{Scope, StreamIndex};
use crate::domain::window::Window;
use crate::proof::Claim;
use crate::provider::{
    FetchedWindow, Provider, ProviderError, ReadPosition, ReadReason, ReadRoom, Survey,
    WindowRequest,
};
use crate::store::{ArchivedMessage, LedgerRow, StreamId};
use crate::sync::limits::{MAX_REPAIRED_BYTES, MAX_REPAIRED_MESSAGES, UNSPLIT};

/// A window that was fetched again.
pub(super) struct RefetchedWindow<'a> {
    pub(super) claim: &'a Claim,
    pub(super) stream: StreamId,
    pub(super) scope: Scope,
    /// The window, grown to whole ledger rows.
    pub(super) span: Window,
    pub(super) rows: Vec<LedgerRow>,
    pub(super) messages: Vec<IdentifiedMessage>,
    pub(super) unparsable: Vec<UnparsableMessage>,
    pub(super) provider_count: Option<u64>,
    /// True if this is certainly all that the provider ever had, except for what it has removed.
    pub(super) is_whole: bool,
}

impl RefetchedWindow<'_> {
    /// Returns what is known of the window, with these archived messages of it.
    pub(super) fn evidence(&self, archived: &[&ArchivedMessage]) -> Evidence<'_> {
        let is_inside = |m: &&IdentifiedMessage| {
            self.span.contains(m.message.sent_at) && self.scope.matches(&m.message)
        };
        let link =
            |m: &&ArchivedMessage| (ChainLink::from_identified(&m.identified), m.archived_at);
        Evidence {
            claim: self.claim,
            rows: &self.rows,
            shown: self
                .messages
                .iter()
                .filter(is_inside)
                .map(ChainLink::from_identified)
                .collect(),
            is_whole: self.is_whole,
            archived: archived.iter().map(link).collect(),
        }
    }
}

async fn fetch_whole(
    provider: &dyn Provider,
    stream: StreamIndex,
    span: Window,
    expected: Option<u64>,
) -> Result<FetchedWindow, ProviderError> {
    let room = ReadRoom {
        messages: MAX_REPAIRED_MESSAGES,
        bytes: MAX_REPAIRED_BYTES,
    };
    let request = WindowRequest {
        expected,
        from: ReadPosition::default(),
        room,
        reason: ReadReason::Proof,
    };
    let fetched = provider.fetch(stream, span, request).await?;
    match fetched.next {
        None => Ok(fetched),
        Some(next) => Err(ProviderError::TooManyMessages {
            window: span,
            messages: next.offset,
        }),
    }
}

/// Fetches a window as one, since it was sealed as one. Fails when told to stop.
pub(super) async fn fetch_unsplit(
    provider: &dyn Provider,
    stream: StreamIndex,
    span: Window,
    stop: &CancellationToken,
) -> Result<FetchedWindow, ProviderError> {
    let fetch = async {
        let is_by_arrival = || provider.arrival_mark(stream).is_some();
        let mut survey = Survey::OneWindow(None);
        if !is_by_arrival() {
            survey = provider.survey(stream, span, UNSPLIT).await?;
        }
        match survey {
            // A survey of a stream in order of arrival returns another part of it.
            _ if is_by_arrival() => fetch_whole(provider, stream, span, None).await,
            Survey::Complete(fetched) => Ok(fetched),
            Survey::OneWindow(expected) => fetch_whole(provider, stream, span, expected).await,
            Survey::Split { count, .. } => fetch_whole(provider, stream, span, Some(count)).await,
        }
    };
    tokio::select! {
        fetched = fetch => fetched,
        () = stop.cancelled() => Err(ProviderError::Stopped),
    }
}

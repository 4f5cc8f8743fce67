//! The answer to a search.

use crate::domain::search::query::SearchQuery;
use crate::reader::Completeness;
use crate::store::{DisplayedMessage, HitOrder, IndexExtent};

/// A hit with the messages of its conversation around it.
#[derive(Debug)]
pub(super) struct HitInContext {
    pub(super) message: DisplayedMessage,
    pub(super) before: Vec<DisplayedMessage>,
    pub(super) after: Vec<DisplayedMessage>,
}

/// The answer to a search.
#[derive(Debug)]
pub(super) struct SearchAnswer<'a> {
    pub(super) query: &'a SearchQuery,
    pub(super) order: HitOrder,
    /// True if the messages around the hits were asked for.
    pub(super) with_context: bool,
    pub(super) hits: Vec<HitInContext>,
    /// True if there are more hits than shown.
    pub(super) has_more: bool,
    /// The ranges of the searched history in which the archive may lack messages.
    pub(super) completeness: Completeness,
    /// The part of the archive that has been searched.
    pub(super) extent: IndexExtent,
}

impl SearchAnswer<'_> {
    /// True if no message can be missing.
    pub(super) fn is_complete(&self) -> bool {
        self.completeness.is_complete() && self.extent.missing() == 0
    }
}

//! Statements on the extent of the search index.

pub(in crate::store) const INDEX_EXTENT: &str = "
    SELECT enabled, token_rules, indexed_to, changes FROM search_progress";

/// Records that messages were added to the index. Affects no row if the index has changed since the
/// extent was read.
pub(in crate::store) const EXTEND_INDEX: &str = "
    UPDATE search_progress SET indexed_to = $1
    WHERE enabled = 1 AND indexed_to = $2 AND changes = $3";

/// Announces a change of messages that may be in the index, and returns its end. Until the
/// transaction ends, no other one changes the index.
pub(in crate::store) const ANNOUNCE_CHANGE: &str = "
    UPDATE search_progress SET changes = changes + 1 RETURNING indexed_to";

/// Records that the index is empty.
pub(in crate::store) const RESET_INDEX: &str = "
    UPDATE search_progress
    SET enabled = $1, token_rules = $2, indexed_to = 0, changes = changes + 1";

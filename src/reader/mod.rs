//! The filter of the messages that readers ask for, the answer to the question if the archive holds
//! all of them, and exports.
//!
//! | question | file |
//! |---|---|
//! | which messages may a reader ask for, and what if a name is unknown | `filter.rs` |
//! | which part of what a filter selects is a gap, lost, suspect or not archived | `completeness.rs` |
//! | how are the ranges of one stream judged | `judgement.rs` |
//! | which streams bring a conversation | `direction.rs` |
//! | messages in files | [`export`] |
//!
//! A command resolves its filter with [`resolve`], reads the messages of the [`Selection`], and asks
//! [`completeness`] about the same filter.
//!
//! [`Selection`]: crate::store::Selection

mod completeness;
mod direction;
pub mod export;
mod filter;
mod judgement;

pub use completeness::{
    Completeness, FilterCoverage, IncompleteRange, SealedRange, completeness, read_coverage,
};
pub use filter::{FilterError, MessageFilter, ResolvedFilter, resolve};
pub use judgement::RangeState;

//! The errors of a query.

use std::io;

use crate::store::error::StoreError;

/// A reason why a query has no complete result.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    #[error("{}", .0.message)]
    Rejected(RejectedQuery),
    /// The query was interrupted, or took longer than allowed.
    #[error("the query was stopped")]
    Stopped,
    /// The result could not be written.
    #[error("{0}")]
    Output(#[from] io::Error),
    /// The database failed, whatever the query.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A query that the database does not accept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RejectedQuery {
    pub message: String,
    /// Byte offset of the place in the query.
    pub offset: Option<usize>,
    pub hint: Option<String>,
}

impl RejectedQuery {
    /// Creates an error without a place.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            ..Self::default()
        }
    }

    pub(super) fn at(self, offset: usize) -> Self {
        Self {
            offset: Some(offset),
            ..self
        }
    }

    pub(super) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// The error for a statement that returns no columns.
    pub(super) fn no_columns() -> Self {
        Self::new("this statement is not a query: it returns no columns").with_hint(READS_ONLY)
    }
}

impl From<RejectedQuery> for QueryError {
    fn from(rejected: RejectedQuery) -> Self {
        Self::Rejected(rejected)
    }
}

/// The remedy for a statement that would change something.
pub(super) const READS_ONLY: &str = "only queries run here (SELECT, VALUES, WITH, EXPLAIN): nothing in \
     the archive, and no other file, can be changed";

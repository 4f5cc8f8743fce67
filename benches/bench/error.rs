//! The error of a benchmark.

use backscroll::cli::scratch::ScratchError;
use backscroll::store::StoreError;

/// A benchmark could not be completed, or its result is wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum BenchError {
    #[error(transparent)]
    Scratch(#[from] ScratchError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    System(#[from] std::io::Error),
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error("{0}")]
    WrongResult(String),
}

impl From<sqlx::Error> for BenchError {
    fn from(error: sqlx::Error) -> Self {
        Self::Scratch(error.into())
    }
}

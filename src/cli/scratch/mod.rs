//! Throwaway files and databases, for `drill` and the benchmarks (`benches/`).

mod database;
mod usage;

use std::path::{Path, PathBuf};

pub use database::{RawConnection, ScratchDatabase};
pub use usage::ProcessUsage;

use crate::config::ValueError;
use crate::store::StoreError;

/// The error of a throwaway file or database.
#[derive(Debug, thiserror::Error)]
pub enum ScratchError {
    /// The URL of the database is invalid.
    #[error("--database {0}")]
    Url(ValueError),
    /// The file exists.
    #[error("{} exists; name a file that does not", .0.display())]
    FileExists(PathBuf),
    /// The Postgres database contains an archive.
    #[error("that database holds an archive; name one that does not")]
    HoldsArchive,
    /// A statement failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file could not be created or removed.
    #[error(transparent)]
    File(#[from] std::io::Error),
}

impl From<sqlx::Error> for ScratchError {
    fn from(source: sqlx::Error) -> Self {
        let what = "the scratch database";
        Self::Store(StoreError::Database { what, source })
    }
}

impl ScratchError {
    /// Returns the remedy; `None` if the message contains it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Store(error) => Some(error.hint()),
            Self::Url(_) | Self::FileExists(_) | Self::HoldsArchive | Self::File(_) => None,
        }
    }

    /// True if another value of `--database` is the remedy.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Url(_) | Self::FileExists(_) | Self::HoldsArchive
        )
    }
}

/// A directory for this process alone. It is removed when dropped.
#[derive(Debug)]
pub struct ScratchDir(PathBuf);

impl ScratchDir {
    /// Creates the directory among the temporary files.
    pub fn new() -> Result<Self, ScratchError> {
        let path = std::env::temp_dir().join(format!("backscroll-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// Returns the path of the directory.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ScratchDir {
    fn drop(&mut self) {
        // An error is ignored: the system removes temporary files eventually.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

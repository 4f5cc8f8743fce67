//! Errors of exports.

use std::io;
use std::path::{Path, PathBuf};

use crate::store::StoreError;

/// A failure to export messages or to check an export.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Store(#[from] StoreError),

    #[error("{} cannot be {action}: {source}", path.display())]
    File {
        path: PathBuf,
        /// `read` or `written`.
        action: &'static str,
        source: io::Error,
    },

    #[error("standard output cannot be written: {0}")]
    Output(io::Error),

    /// The folder holds something else.
    #[error("{} is not an export of Backscroll: it holds {found} and no manifest", folder.display())]
    NotAnExport { folder: PathBuf, found: String },

    /// The folder holds an export of other messages or in another format.
    #[error(
        "{} holds an export with other {what}: {there} there, {wanted} now", folder.display()
    )]
    OtherExport {
        folder: PathBuf,
        what: &'static str,
        there: String,
        wanted: String,
    },

    #[error("another export is writing to {}", .0.display())]
    InUse(PathBuf),

    #[error("the manifest {} cannot be read: {fault}", path.display())]
    Manifest { path: PathBuf, fault: String },
}

impl ExportError {
    /// Returns what the operator can do about the error.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Store(error) => error.hint(),
            Self::File { .. } => {
                "check the folder's owner and the free space; files that are finished stay, and the \
                 next export continues after them"
            }
            Self::Output(_) => "check the program or the disk that takes the output",
            Self::NotAnExport { .. } => "name an empty folder or a new one in --out",
            Self::OtherExport { .. } => {
                "repeat the earlier filters, with absolute times, or name another folder in --out"
            }
            Self::InUse(_) => "wait until it is done, or name another folder in --out",
            Self::Manifest { .. } => {
                "the folder cannot be trusted without it: export into a new folder"
            }
        }
    }

    /// Returns a function for `map_err` about a file that cannot be written.
    pub(super) fn writing(path: &Path) -> impl FnOnce(io::Error) -> Self {
        Self::file(path, "written")
    }

    /// Returns a function for `map_err` about a file that cannot be read.
    pub(super) fn reading(path: &Path) -> impl FnOnce(io::Error) -> Self {
        Self::file(path, "read")
    }

    fn file(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File {
            path,
            action,
            source,
        }
    }
}

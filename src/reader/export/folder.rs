//! The folder of an export: who may write to it, and the files in it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::error::ExportError;
use super::layout::{LOCK, MANIFEST};
use super::manifest::{ExportManifest, FileEntry};
use super::partial_file::{create_private_folder, is_partial};

/// A folder that this process alone writes an export to.
#[derive(Debug)]
pub(super) struct ExportFolder {
    pub(super) path: PathBuf,
    /// The lock ends with the process, however it ends.
    _lock: File,
}

impl ExportFolder {
    /// Opens a folder, or creates it, and keeps other exports out. Errors if it holds anything but an
    /// export. Returns it with the manifest of the earlier export.
    pub(super) fn open(path: &Path) -> Result<(Self, Option<ExportManifest>), ExportError> {
        create_private_folder(path).map_err(ExportError::writing(path))?;
        let manifest = ExportManifest::read(path)?;
        if manifest.is_none() {
            require_empty(path)?;
        }
        let lock_path = path.join(LOCK);
        let mut options = OpenOptions::new();
        let lock = options
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(ExportError::writing(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(ExportError::InUse(path.to_owned()));
            }
            Err(fs::TryLockError::Error(error)) => {
                return Err(ExportError::writing(&lock_path)(error));
            }
        }
        let folder = Self {
            path: path.to_owned(),
            _lock: lock,
        };
        // The one before may have ended between the two steps.
        let manifest = ExportManifest::read(path)?;
        if manifest
            .as_ref()
            .is_none_or(|manifest| !manifest.is_finished)
        {
            folder.remove_remainders()?;
        }
        Ok((folder, manifest))
    }

    /// Removes the partial files of an export that was killed.
    fn remove_remainders(&self) -> Result<(), ExportError> {
        for path in files_in(&self.path)? {
            if is_partial(&path) {
                fs::remove_file(&path).map_err(ExportError::writing(&path))?;
            }
        }
        Ok(())
    }

    /// Removes files, and folders that they leave empty.
    pub(super) fn remove(&self, files: &[FileEntry]) -> Result<(), ExportError> {
        for file in files {
            let path = self.path.join(&file.path);
            match fs::remove_file(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(ExportError::writing(&path)(error)),
            }
            let folders = path.ancestors().skip(1);
            for folder in folders.take_while(|folder| *folder != self.path) {
                // A folder that is not empty stays.
                if fs::remove_dir(folder).is_err() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// True if all files are there in their full length.
    pub(super) fn has(&self, files: &[FileEntry]) -> bool {
        files.iter().all(|file| {
            let found = fs::symlink_metadata(self.path.join(&file.path));
            found.is_ok_and(|found| found.is_file() && found.len() == file.bytes)
        })
    }
}

/// Errors if the folder holds anything but what an interrupted export leaves before its manifest.
fn require_empty(folder: &Path) -> Result<(), ExportError> {
    for path in files_in(folder)? {
        if !is_partial(&path) && path != folder.join(LOCK) {
            let found = path.strip_prefix(folder).unwrap_or(&path);
            return Err(ExportError::NotAnExport {
                folder: folder.to_owned(),
                found: found.display().to_string(),
            });
        }
    }
    Ok(())
}

/// Returns all files in a folder and the folders in it, in the order of their paths. Links are not
/// followed.
pub(super) fn files_in(folder: &Path) -> Result<Vec<PathBuf>, ExportError> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).map_err(ExportError::reading(&folder))?;
        for entry in entries {
            let entry = entry.map_err(ExportError::reading(&folder))?;
            let kind = entry.file_type().map_err(ExportError::reading(&folder))?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else {
                files.push(entry.path());
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// True if the file belongs to every export.
pub(super) fn is_own(folder: &Path, path: &Path) -> bool {
    path == folder.join(MANIFEST) || path == folder.join(LOCK)
}

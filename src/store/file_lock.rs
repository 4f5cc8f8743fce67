//! A file lock that allows one writing process per SQLite archive.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::error::StoreError;
use super::limits::MAX_HOLDER_BYTES;

/// The right to write to an archive, for the lifetime of this value. The operating system
/// releases the lock when the process ends, even after a crash, so no stale lock remains.
#[derive(Debug)]
pub(super) struct FileLock(
    #[expect(dead_code, reason = "the lock is held while the file is open")] File,
);

impl FileLock {
    /// Locks `ARCHIVE.lock` and writes the holder's name into it. Errors at once with
    /// [`StoreError::InUse`] if another process holds the lock.
    pub(super) fn acquire(archive: &Path, holder: &str) -> Result<Self, StoreError> {
        let location = archive.display().to_string();
        let failed = |cause: io::Error| {
            let source = sqlx::Error::Io(cause);
            StoreError::Open {
                location: location.clone(),
                source,
            }
        };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(lock_path(archive)).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let what = format!("the archive {location}");
                return Err(StoreError::InUse {
                    what,
                    holder: holder_name(&file),
                });
            }
            Err(TryLockError::Error(cause)) => return Err(failed(cause)),
        }
        // On a full disk the lock is held without a name.
        if let Err(cause) = write_holder(&mut file, holder) {
            tracing::debug!(%cause, "the holder's name could not be written to the lock file");
        }
        Ok(Self(file))
    }
}

fn lock_path(archive: &Path) -> PathBuf {
    let mut path = archive.as_os_str().to_owned();
    path.push(".lock");
    PathBuf::from(path)
}

/// Replaces the name in the file. The file is emptied first, so that no part of a longer name
/// remains.
fn write_holder(file: &mut File, holder: &str) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(holder.as_bytes())
}

/// Returns the name of the lock's holder. It may be missing while the holder is writing it.
fn holder_name(file: &File) -> String {
    let mut name = String::new();
    let read = file.take(MAX_HOLDER_BYTES).read_to_string(&mut name);
    if read.is_err() || name.is_empty() {
        return "an unnamed process".to_owned();
    }
    name
}

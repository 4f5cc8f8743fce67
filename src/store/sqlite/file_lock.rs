//! One process at a time writes to an SQLite archive.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::store::StoreError;

/// A holder's name is no longer than this, in bytes.
const MAX_NAME_BYTES: u64 = 400;

/// The right to write to an archive, for as long as this lives. The system itself takes it back when the process
/// ends, however it ends: none that is left over blocks anybody.
#[derive(Debug)]
pub(in crate::store) struct FileLock(
    #[expect(dead_code, reason = "holding it is all that it is for")] File,
);

impl FileLock {
    /// Takes it, by a lock on `ARCHIVE.lock`, in which the holder's name stands. Errors at once if another has it.
    pub(super) fn acquire(archive: &Path, holder: &str) -> Result<Self, StoreError> {
        let place = archive.display().to_string();
        let failed = |cause: io::Error| StoreError::Open {
            place: place.clone(),
            source: sqlx::Error::Io(cause),
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(lock_path(archive))
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::InUse {
                    what: format!("the archive {place}"),
                    holder: holder_name(&file),
                });
            }
            Err(TryLockError::Error(cause)) => return Err(failed(cause)),
        }
        // Emptied first: a name is never mixed with one that was longer.
        let written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(holder.as_bytes()));
        // On a disk that is full the lock holds without a name.
        if let Err(cause) = written {
            tracing::debug!(%cause, "the lock bears no name");
        }
        Ok(Self(file))
    }
}

fn lock_path(archive: &Path) -> PathBuf {
    let mut path = archive.as_os_str().to_owned();
    path.push(".lock");
    PathBuf::from(path)
}

/// The name of whoever holds the lock; they may be about to write it.
fn holder_name(file: &File) -> String {
    let mut name = String::new();
    let read = file.take(MAX_NAME_BYTES).read_to_string(&mut name);
    if read.is_err() || name.is_empty() {
        "a process that has not said its name".to_owned()
    } else {
        name
    }
}

//! The file of an SQLite archive: who may write to it, and if it is still the file at its path.
//!
//! SQLite keeps its write-ahead log beside the file, under the file's name. A commit into a file
//! that was removed, or into a log that was, is gone at the next start. So each write first
//! compares both with those that are open.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::mem::ManuallyDrop;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::error::StoreError;
use super::limits::MAX_HOLDER_BYTES;
use super::log_readers::log_readers;
use crate::domain::lock::lock;

/// The permissions of a new archive: a private history. SQLite gives its log the same ones.
const PRIVATE_MODE: u32 = 0o600;

/// The permission bits of users outside owner and group.
const OTHERS_MODE: u32 = 0o007;

/// A file itself, whatever its name: its device and its inode.
type FileId = (u64, u64);

/// The file of an open archive.
#[derive(Debug)]
pub(super) struct ArchiveFile {
    path: PathBuf,
    id: FileId,
    /// The write-ahead log beside it. `None` until it is known.
    log: Mutex<Option<FileId>>,
    /// The right to write, while this process has it.
    lock: Mutex<Option<WriteLock>>,
}

impl ArchiveFile {
    /// Notes which file is at the path.
    pub(super) fn at(path: &Path) -> Result<Self, StoreError> {
        let id = fs::metadata(path).map(|metadata| id_of(&metadata));
        Ok(Self {
            path: path.to_owned(),
            id: id.map_err(|cause| cannot_open(path, cause))?,
            log: Mutex::default(),
            lock: Mutex::default(),
        })
    }

    /// Takes the right to write to the file, until [`Self::release`]. Errors at once with
    /// [`StoreError::InUse`] if another process has it, under whatever name it opened the file.
    pub(super) fn locked(path: &Path, holder: &str) -> Result<Self, StoreError> {
        let lock = WriteLock::acquire(path, holder)?;
        let file = Self::at(path)?;
        let metadata = lock.0.metadata();
        if file.id != id_of(&metadata.map_err(|cause| cannot_open(path, cause))?) {
            return Err(file.replaced());
        }
        Ok(Self {
            lock: Mutex::new(Some(lock)),
            ..file
        })
    }

    /// Returns [`StoreError::Replaced`] unless the file at the path, and the log beside it, are
    /// those that are open.
    pub(super) fn require_in_place(&self) -> Result<(), StoreError> {
        if find_id(&self.path)? != Some(self.id) {
            return Err(self.replaced());
        }
        let found = find_id(&self.log_path())?;
        let mut known = lock(&self.log);
        if known.is_some() && *known != found {
            return Err(self.replaced());
        }
        *known = found;
        Ok(())
    }

    /// Gives up the right to write.
    pub(super) fn release(&self) {
        lock(&self.lock).take();
    }

    /// Forgets the log. A connection that opens the archive after all others have closed makes a
    /// new one.
    pub(super) fn forget_log(&self) {
        *lock(&self.log) = None;
    }

    /// Returns the size of the log in bytes.
    pub(super) fn log_bytes(&self) -> u64 {
        fs::metadata(self.log_path()).map_or(0, |metadata| metadata.len())
    }

    /// Returns the other processes that read from the log, as far as the system tells them.
    pub(super) fn log_readers(&self) -> Vec<String> {
        let shared_memory = fs::metadata(beside(&self.path, "-shm"));
        shared_memory.map_or_else(|_| Vec::new(), |metadata| log_readers(metadata.ino()))
    }

    fn log_path(&self) -> PathBuf {
        beside(&self.path, "-wal")
    }

    fn replaced(&self) -> StoreError {
        StoreError::Replaced {
            location: self.path.display().to_string(),
        }
    }

    /// Warns of names and permissions that endanger the archive or expose it.
    pub(super) fn log_permissions(&self) {
        let Ok(metadata) = fs::metadata(&self.path) else {
            return;
        };
        let archive = self.path.display();
        if metadata.nlink() > 1 {
            tracing::warn!(
                %archive,
                "the archive has more than one name (hard links): SQLite keeps its log beside one \
                 of them, and opening the archive by another damages it; remove the others"
            );
        }
        if let Some(warning) = permission_warning(&self.path) {
            tracing::warn!("{warning}");
        }
    }
}

/// An archive that is read without its locks, since this user may not create the files for them.
#[derive(Clone, Debug)]
pub(super) struct UnlockedFile {
    path: PathBuf,
    state: FileState,
}

/// A file, its size in bytes, and the time of its last change in seconds and nanoseconds.
type FileState = (FileId, u64, i64, i64);

impl UnlockedFile {
    /// Notes the state of the file at the path.
    pub(super) fn at(path: &Path) -> Result<Self, StoreError> {
        let state = fs::metadata(path).map(|metadata| state_of(&metadata));
        Ok(Self {
            path: path.to_owned(),
            state: state.map_err(|cause| cannot_open(path, cause))?,
        })
    }

    /// Returns [`StoreError::WrittenWhileRead`] if another process has changed the file, or is
    /// about to.
    pub(super) fn require_unwritten(&self) -> Result<(), StoreError> {
        let state = fs::metadata(&self.path).map(|metadata| state_of(&metadata));
        if state.is_ok_and(|state| state == self.state) && !has_log(&self.path) {
            return Ok(());
        }
        Err(StoreError::WrittenWhileRead {
            location: self.path.display().to_string(),
        })
    }
}

fn state_of(metadata: &fs::Metadata) -> FileState {
    let (seconds, nanoseconds) = (metadata.mtime(), metadata.mtime_nsec());
    (id_of(metadata), metadata.len(), seconds, nanoseconds)
}

/// Returns a warning if users outside owner and group can read or change the archive.
pub fn permission_warning(path: &Path) -> Option<String> {
    let mode = fs::metadata(path).ok()?.mode();
    let path = path.display();
    (mode & OTHERS_MODE != 0).then(|| {
        format!(
            "every user of this machine may open the archive {path}, a private history: \
             `chmod 640 {path}*`"
        )
    })
}

/// Creates an empty file that only its owner can read, if there is none.
pub(super) fn create_private(path: &Path) -> Result<(), StoreError> {
    if path.exists() {
        return Ok(());
    }
    open_private(path)
        .map(drop)
        .map_err(|cause| cannot_open(path, cause))
}

/// The right to write to an archive. The operating system takes it back when the process ends, even
/// after a crash.
///
/// The file stays open until then: closing any descriptor of a file releases the locks that SQLite
/// holds on it in this process.
#[derive(Debug)]
struct WriteLock(ManuallyDrop<File>);

impl WriteLock {
    fn acquire(path: &Path, holder: &str) -> Result<Self, StoreError> {
        let file = OpenOptions::new().read(true).write(true).open(path);
        let lock = Self(ManuallyDrop::new(
            file.map_err(|cause| cannot_open(path, cause))?,
        ));
        match lock.0.try_lock() {
            Ok(()) => {
                // On a full disk the lock is held without a name.
                if let Err(cause) = write_holder(path, holder) {
                    tracing::debug!(%cause, "the holder's name could not be written");
                }
                Ok(lock)
            }
            Err(TryLockError::WouldBlock) => {
                std::mem::forget(lock);
                Err(StoreError::InUse {
                    what: format!("the archive {}", path.display()),
                    holder: holder_name(path),
                })
            }
            Err(TryLockError::Error(cause)) => Err(cannot_open(path, cause)),
        }
    }
}

impl Drop for WriteLock {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

/// Returns the file that holds the name of the writing process. It lies beside the file itself,
/// not beside a symbolic link to it.
fn holder_path(archive: &Path) -> PathBuf {
    let target = fs::canonicalize(archive);
    beside(target.as_deref().unwrap_or(archive), ".lock")
}

/// True if there is a write-ahead log beside the archive: it is open, or its last writer crashed.
pub(super) fn has_log(archive: &Path) -> bool {
    let target = fs::canonicalize(archive);
    beside(target.as_deref().unwrap_or(archive), "-wal").exists()
}

fn beside(archive: &Path, suffix: &str) -> PathBuf {
    let mut path = archive.as_os_str().to_owned();
    path.push(suffix);
    PathBuf::from(path)
}

/// Replaces the name in the file.
fn write_holder(archive: &Path, holder: &str) -> io::Result<()> {
    let mut file = open_private(&holder_path(archive))?;
    file.set_len(0)?;
    io::Write::write_all(&mut file, holder.as_bytes())
}

/// Returns the name of the writing process. It may be missing while that process writes it.
fn holder_name(archive: &Path) -> String {
    let mut name = String::new();
    let read = File::open(holder_path(archive))
        .and_then(|file| file.take(MAX_HOLDER_BYTES).read_to_string(&mut name));
    if read.is_err() || name.is_empty() {
        return "an unnamed process".to_owned();
    }
    name
}

/// Opens a file for writing. A new one can be read by its owner only.
fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    options.mode(PRIVATE_MODE).open(path)
}

/// Returns which file is at the path. `None` if there is none.
fn find_id(path: &Path) -> Result<Option<FileId>, StoreError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(id_of(&metadata))),
        Err(cause) => match cause.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(None),
            _ => Err(cannot_open(path, cause)),
        },
    }
}

/// True if there is one file at both paths: a link, or another spelling.
pub(super) fn is_same_file(one: &Path, other: &Path) -> bool {
    let id = |path| fs::metadata(path).ok().map(|found| id_of(&found));
    id(one).is_some_and(|one| id(other) == Some(one))
}

fn id_of(metadata: &fs::Metadata) -> FileId {
    (metadata.dev(), metadata.ino())
}

fn cannot_open(path: &Path, cause: io::Error) -> StoreError {
    StoreError::Open {
        location: path.display().to_string(),
        source: sqlx::Error::Io(cause),
    }
}

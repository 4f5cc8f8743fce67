//! The mistakes in the path of an SQLite archive, found before SQLite is asked. Its own error says
//! only that it is unable to open the file.

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use rustix::io::Errno;

/// A mistake in the path of an archive, or in its permissions.
#[derive(Debug, thiserror::Error)]
pub enum PathFault {
    #[error("the folder {} does not exist", .0.display())]
    NoFolder(PathBuf),
    #[error("{} is not a folder", .0.display())]
    NotAFolder(PathBuf),
    #[error("it is a folder, not a file")]
    IsFolder,
    #[error("the file system of {} is read-only", .0.display())]
    ReadOnly(PathBuf),
    #[error("this user may not create files in {}, which belongs to {owner}", folder.display())]
    FolderDenied { folder: PathBuf, owner: Owner },
    #[error("this user may not {right} {}, which belongs to {owner}", file.display())]
    FileDenied {
        file: PathBuf,
        /// `read` or `write`.
        right: &'static str,
        owner: Owner,
    },
}

impl PathFault {
    /// Returns what the operator can do about the mistake.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoFolder(_) => "create the folder (`mkdir -p`), or correct database.url",
            Self::NotAFolder(_) | Self::IsFolder => {
                "name a file in database.url, like \"sqlite:///var/lib/backscroll/archive.db\""
            }
            Self::ReadOnly(_) => {
                "mount it for writing, or name another folder in database.url; the kernel mounts a \
                 failing disk read-only: see `dmesg`; `status`, `verify` and the source of `copy` \
                 need no right to write"
            }
            Self::FolderDenied { .. } => {
                "run Backscroll as a user that may write there, change the owner of the folder \
                 (`chown`), or name another folder in database.url"
            }
            Self::FileDenied { .. } => {
                "run Backscroll as the owner of the archive, or change the owner of the file and \
                 of its -wal, -shm and .lock files (`chown`)"
            }
        }
    }
}

/// The owner of a file: the name of a user, or its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner(String);

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks that this user may write the archive at a path, or create it there. Changes nothing.
pub(super) fn require_writable(path: &Path) -> Result<(), PathFault> {
    if let Ok(found) = fs::metadata(path) {
        if found.is_dir() {
            return Err(PathFault::IsFolder);
        }
        require_file(path, Access::READ_OK, "read")?;
        require_file(path, Access::WRITE_OK, "write")?;
    }
    require_folder(path)?;
    for suffix in ["-wal", "-shm", ".lock"] {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        let file = PathBuf::from(file);
        if file.exists() {
            require_file(&file, Access::WRITE_OK, "write")?;
        }
    }
    Ok(())
}

/// Checks that this user may read the archive at a path. A missing file is no mistake, a missing
/// folder is one.
pub(super) fn require_readable(path: &Path) -> Result<(), PathFault> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(PathFault::IsFolder),
        Err(error) if is_missing(&error) => existing_folder(path).map(drop),
        Ok(_) | Err(_) => require_file(path, Access::READ_OK, "read"),
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn require_file(file: &Path, needed: Access, right: &'static str) -> Result<(), PathFault> {
    access(file, needed).map_err(|error| match error {
        Errno::ROFS => PathFault::ReadOnly(file.to_owned()),
        _ => PathFault::FileDenied {
            file: file.to_owned(),
            right,
            owner: owner_of(file),
        },
    })
}

fn require_folder(path: &Path) -> Result<(), PathFault> {
    let folder = existing_folder(path)?;
    access(folder, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| match error {
        Errno::ROFS => PathFault::ReadOnly(folder.to_owned()),
        _ => PathFault::FolderDenied {
            folder: folder.to_owned(),
            owner: owner_of(folder),
        },
    })
}

/// Returns the folder of a path. Errors if it does not exist; if this user may not know, it may.
fn existing_folder(path: &Path) -> Result<&Path, PathFault> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    match fs::metadata(folder) {
        Ok(found) if !found.is_dir() => Err(PathFault::NotAFolder(folder.to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(PathFault::NoFolder(folder.to_owned()))
        }
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            Err(PathFault::NotAFolder(folder.to_owned()))
        }
        Ok(_) | Err(_) => Ok(folder),
    }
}

fn owner_of(path: &Path) -> Owner {
    let Ok(found) = fs::metadata(path) else {
        return Owner("another user".to_owned());
    };
    let id = found.uid();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|user| {
        let mut fields = user.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    });
    Owner(name.unwrap_or_else(|| format!("the user {id}")))
}

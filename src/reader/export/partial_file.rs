//! Files that take their final name when they are complete.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The ending of a file that is not complete. Its name begins with a dot, so that readers of a folder
/// leave it out.
const PARTIAL: &str = ".partial";

/// A file under a temporary name. It is removed unless it is finished.
#[derive(Debug)]
pub(super) struct PartialFile {
    path: PathBuf,
    partial: PathBuf,
    file: File,
    hasher: Box<blake3::Hasher>,
    bytes: u64,
    is_finished: bool,
}

/// The size and the hash of a finished file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileSeal {
    pub(super) bytes: u64,
    /// BLAKE3 of its content, in hexadecimal.
    pub(super) hash: String,
}

impl PartialFile {
    /// Creates a file that only this user can read, and its folder. A remainder of an earlier
    /// attempt is overwritten.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::Error::from(io::ErrorKind::InvalidFilename));
        };
        create_private_folder(folder)?;
        let partial = folder.join(format!(".{}{PARTIAL}", name.to_string_lossy()));
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&partial)?;
        Ok(Self {
            path: path.to_owned(),
            partial,
            file,
            hasher: Box::default(),
            bytes: 0,
            is_finished: false,
        })
    }

    /// Waits until the file is on disk, and gives it its final name.
    pub(super) fn finish(mut self) -> io::Result<FileSeal> {
        self.file.sync_all()?;
        fs::rename(&self.partial, &self.path)?;
        self.is_finished = true;
        sync_folder(&self.path)?;
        Ok(FileSeal {
            bytes: self.bytes,
            hash: self.hasher.finalize().to_hex().to_string(),
        })
    }
}

impl Write for PartialFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if !self.is_finished {
            // Readers leave it out, and the next attempt overwrites it.
            let _ = fs::remove_file(&self.partial);
        }
    }
}

/// True if the file is the remainder of an interrupted export.
pub(super) fn is_partial(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy());
    name.is_some_and(|name| name.starts_with('.') && name.ends_with(PARTIAL))
}

/// Creates a folder that only this user can read, with those above it.
pub(super) fn create_private_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}

/// Waits until the name of a file is on disk.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// The place where a format is written to.
#[derive(Debug)]
pub(super) enum Sink {
    File(PartialFile),
    /// Standard output, and the number of bytes written to it before.
    Output(io::Stdout, u64),
}

impl Sink {
    /// True if nothing was written yet.
    pub(super) fn is_at_start(&self) -> bool {
        match self {
            Self::File(file) => file.bytes == 0,
            Self::Output(_, bytes) => *bytes == 0,
        }
    }
}

impl Write for Sink {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(from),
            Self::Output(output, bytes) => {
                let written = output.write(from)?;
                *bytes += written as u64;
                Ok(written)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.flush(),
            Self::Output(output, _) => output.flush(),
        }
    }
}

//! Checks an export: are its files those of its manifest?

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::path::Path;

use super::error::ExportError;
use super::folder::{files_in, is_own};
use super::manifest::{ExportManifest, FileEntry};

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckReport {
    pub files: u64,
    pub messages: u64,
    /// The digest over all messages, in hexadecimal.
    pub digest: String,
    /// The time at which the export began.
    pub begun_at: String,
    pub findings: Vec<CheckFinding>,
}

/// A difference between the files and the manifest. Paths are relative to the folder of the export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckFinding {
    /// The last export did not reach its end.
    Unfinished,
    Missing(String),
    /// The file is shorter than it was.
    Cut {
        path: String,
        bytes: u64,
        expected: u64,
    },
    Altered(String),
    /// No export has written the file.
    Additional(String),
}

impl fmt::Display for CheckFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unfinished => f.write_str("the last export did not reach its end: run it again"),
            Self::Missing(path) => write!(f, "{path}: missing"),
            Self::Cut {
                path,
                bytes,
                expected,
            } => write!(f, "{path}: cut off, {bytes} of {expected} bytes"),
            Self::Altered(path) => write!(f, "{path}: altered"),
            Self::Additional(path) => write!(f, "{path}: not part of the export"),
        }
    }
}

/// Compares the files of an export with its manifest. It reads all of them.
pub fn check_export(folder: &Path) -> Result<CheckReport, ExportError> {
    let Some(manifest) = ExportManifest::read(folder)? else {
        let mut files = files_in(folder)?;
        let found = match files.pop() {
            Some(path) => path
                .strip_prefix(folder)
                .unwrap_or(&path)
                .display()
                .to_string(),
            None => "nothing".to_owned(),
        };
        return Err(ExportError::NotAnExport {
            folder: folder.to_owned(),
            found,
        });
    };
    let files = manifest.files();
    let mut expected: BTreeMap<&str, &FileEntry> =
        files.map(|file| (file.path.as_str(), file)).collect();
    let mut report = CheckReport {
        files: expected.len() as u64,
        messages: manifest.messages,
        digest: manifest.digest.clone(),
        begun_at: manifest.begun_at.clone(),
        findings: Vec::new(),
    };
    if !manifest.is_finished {
        report.findings.push(CheckFinding::Unfinished);
    }
    for path in files_in(folder)? {
        if is_own(folder, &path) {
            continue;
        }
        let relative = path.strip_prefix(folder).unwrap_or(&path);
        let relative = relative.to_string_lossy();
        match expected.remove(&*relative) {
            Some(file) => report.findings.extend(check_file(&path, file)?),
            None => report
                .findings
                .push(CheckFinding::Additional(relative.into_owned())),
        }
    }
    let missing = expected.into_keys().map(str::to_owned);
    report.findings.extend(missing.map(CheckFinding::Missing));
    Ok(report)
}

/// Compares a file with its entry. Returns the difference.
fn check_file(path: &Path, file: &FileEntry) -> Result<Option<CheckFinding>, ExportError> {
    let found = fs::symlink_metadata(path).map_err(ExportError::reading(path))?;
    if !found.is_file() {
        return Ok(Some(CheckFinding::Altered(file.path.clone())));
    }
    if found.len() < file.bytes {
        return Ok(Some(CheckFinding::Cut {
            path: file.path.clone(),
            bytes: found.len(),
            expected: file.bytes,
        }));
    }
    let mut hasher = blake3::Hasher::new();
    File::open(path)
        .and_then(|file| hasher.update_reader(file).map(drop))
        .map_err(ExportError::reading(path))?;
    let is_same = hasher.finalize().to_hex().as_str() == file.blake3;
    Ok((!is_same).then(|| CheckFinding::Altered(file.path.clone())))
}

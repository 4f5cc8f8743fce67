//! The manifest: what the files of an export hold.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::columns::COLUMNS;
use super::error::ExportError;
use super::format::ExportFormat;
use super::layout::MANIFEST;
use super::partial_file::PartialFile;
use super::time_text::day_text;
use crate::domain::time::{Day, Millis};
use crate::reader::{FilterCoverage, IncompleteRange, MessageFilter};
use crate::store::{ChangeMark, ContentDigest};

/// The version of the manifest and of the files. An export of another version is refused.
const VERSION: u32 = 1;

/// The contents of an export's files.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ExportManifest {
    /// The version of this form.
    pub(super) version: u32,
    /// The version of the program that wrote it last.
    pub(super) backscroll: String,
    /// The version of the archive's schema.
    pub(super) schema: i64,
    pub(super) format: ExportFormat,
    pub(super) columns: Vec<String>,
    pub(super) filter: FilterText,
    /// The time at which the last export began. Its coverage is of that time.
    pub(super) begun_at: String,
    /// True if the last export reached its end. If not, files may be newer than the days say.
    pub(super) is_finished: bool,
    pub(super) messages: u64,
    /// The digest over all messages: that of `backscroll copy` if nothing was left out.
    pub(super) digest: String,
    /// The ranges that are complete, the ranges that may not be, and whether there are such.
    pub(super) is_complete: bool,
    pub(super) coverage: Value,
    pub(super) incomplete: Value,
    /// The page that lists the pages of conversations. `None` in other formats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) index: Option<FileEntry>,
    /// By the number of days since 1970.
    pub(super) days: BTreeMap<i64, DayEntry>,
    /// BLAKE3 of the manifest with an empty seal, in hexadecimal.
    pub(super) seal: String,
}

/// A filter as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FilterText {
    account: Option<String>,
    conversation: Option<String>,
    sender: Option<String>,
    since: Option<String>,
    until: Option<String>,
}

/// The files of a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DayEntry {
    /// The date. `None` outside the years 1 to 9999.
    pub(super) day: Option<String>,
    /// The [`ChangeMark`] of the snapshot that the files come from; behind it, if gaps are drawn in the
    /// files, the hash of those of the day.
    pub(super) mark: String,
    pub(super) files: Vec<FileEntry>,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileEntry {
    /// The path, relative to the folder of the export.
    pub(super) path: String,
    pub(super) messages: u64,
    /// The digest over its messages.
    pub(super) digest: String,
    pub(super) bytes: u64,
    /// BLAKE3 of its content, in hexadecimal.
    pub(super) blake3: String,
    /// The conversation of all its messages. `None` if it may have others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) conversation: Option<PageSubject>,
}

/// The conversation of a page.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct PageSubject {
    pub(super) account: String,
    pub(super) provider: String,
    pub(super) name: String,
    /// The number of ranges of the day in which messages may be missing.
    pub(super) incomplete: u64,
}

impl ExportManifest {
    /// Returns all files.
    pub(super) fn files(&self) -> impl Iterator<Item = &FileEntry> {
        self.days
            .values()
            .flat_map(|day| &day.files)
            .chain(&self.index)
    }

    /// Returns a manifest without days.
    pub(super) fn new(
        format: ExportFormat,
        filter: &MessageFilter,
        schema: i64,
        now: Millis,
    ) -> Self {
        Self {
            version: VERSION,
            backscroll: env!("CARGO_PKG_VERSION").to_owned(),
            schema,
            format,
            columns: COLUMNS
                .iter()
                .map(|column| column.name.to_owned())
                .collect(),
            filter: FilterText::new(filter),
            begun_at: now.to_string(),
            is_finished: false,
            messages: 0,
            digest: String::new(),
            is_complete: false,
            coverage: Value::Null,
            incomplete: Value::Null,
            index: None,
            days: BTreeMap::new(),
            seal: String::new(),
        }
    }

    /// Takes over the coverage that the files will have.
    pub(super) fn set_coverage(&mut self, coverage: &FilterCoverage) {
        let completeness = coverage.completeness();
        self.is_complete = completeness.is_complete();
        // Both are structures of texts, which JSON can always hold.
        self.coverage = serde_json::to_value(coverage.sealed()).unwrap_or_default();
        self.incomplete = serde_json::to_value(&completeness.ranges).unwrap_or_default();
    }

    /// Reads the manifest of a folder. `None` if it has none.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, ExportError> {
        let path = folder.join(MANIFEST);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(ExportError::reading(&path)(error)),
        };
        let failed = |fault: String| ExportError::Manifest {
            path: path.clone(),
            fault,
        };
        let version = |value: &Value| value.get("version").and_then(Value::as_u64);
        let value: Value = serde_json::from_slice(&text)
            .map_err(|error| failed(format!("it was cut off or altered: {error}")))?;
        if version(&value) != Some(u64::from(VERSION)) {
            let fault = "it was written by another version of Backscroll".to_owned();
            return Err(failed(fault));
        }
        let mut manifest: Self =
            serde_json::from_value(value).map_err(|error| failed(error.to_string()))?;
        let seal = std::mem::take(&mut manifest.seal);
        if manifest.computed_seal() != seal {
            return Err(failed("it was altered: its seal does not match".to_owned()));
        }
        Ok(Some(manifest))
    }

    /// Writes the manifest into a folder, with its sums.
    pub(super) fn write(&mut self, folder: &Path) -> Result<(), ExportError> {
        let mut digest = ContentDigest::default();
        for file in self.days.values().flat_map(|day| &day.files) {
            let mut sum = [0; 32];
            // A digest that is none was written by another program: the sum then shows it.
            let _ = hex::decode_to_slice(&file.digest, &mut sum);
            digest.add_all(&ContentDigest {
                sum,
                messages: file.messages,
            });
        }
        self.messages = digest.messages;
        self.digest = hex::encode(digest.sum);
        self.seal.clear();
        self.seal = self.computed_seal();
        let path = folder.join(MANIFEST);
        let mut file = PartialFile::create(&path).map_err(ExportError::writing(&path))?;
        let text = serde_json::to_vec_pretty(self).unwrap_or_default();
        let written = file.write_all(&text).and_then(|()| file.finish());
        written.map_err(ExportError::writing(&path))?;
        Ok(())
    }

    /// Returns the hash of the manifest, whose seal is empty.
    fn computed_seal(&self) -> String {
        let text = serde_json::to_vec(self).unwrap_or_default();
        blake3::hash(&text).to_hex().to_string()
    }

    /// Errors if an export of this filter and format cannot go on in the folder of the manifest.
    pub(super) fn require_same(&self, wanted: &Self, folder: &Path) -> Result<(), ExportError> {
        let text = |filter: &FilterText| serde_json::to_string(filter).unwrap_or_default();
        let [there, here] = [self, wanted].map(|manifest| manifest.format.as_str().to_owned());
        let (what, there, here) = if there != here {
            ("files", there, here)
        } else if self.filter != wanted.filter {
            ("filters", text(&self.filter), text(&wanted.filter))
        } else if self.columns != wanted.columns {
            let [there, here] = [self, wanted].map(|manifest| manifest.columns.join(", "));
            ("columns", there, here)
        } else {
            return Ok(());
        };
        Err(ExportError::OtherExport {
            folder: folder.to_owned(),
            what,
            there,
            wanted: here,
        })
    }
}

impl FilterText {
    fn new(filter: &MessageFilter) -> Self {
        Self {
            account: filter.account.clone(),
            conversation: filter.conversation.clone(),
            sender: filter.sender.clone(),
            since: filter.since.map(|since| since.to_string()),
            until: filter.until.map(|until| until.to_string()),
        }
    }
}

impl DayEntry {
    /// Returns a day with its files.
    pub(super) fn new(day: Day, mark: String, files: Vec<FileEntry>) -> Self {
        Self {
            day: day_text(day),
            mark,
            files,
        }
    }
}

/// Returns the mark of the messages of a day as text, with the hash of its gaps if they are drawn.
pub(super) fn mark_text(mark: &ChangeMark, gaps: Option<&[IncompleteRange]>) -> String {
    let ChangeMark {
        messages,
        ids,
        slots,
        statuses,
        status_times,
        message_types,
        known_kinds,
    } = mark;
    let mark =
        format!("{messages}.{ids}.{slots}.{statuses}.{status_times}.{message_types}.{known_kinds}");
    let Some(gaps) = gaps else {
        return mark;
    };
    let sentences: Vec<String> = gaps.iter().map(IncompleteRange::sentence).collect();
    let hash = blake3::hash(sentences.join("\n").as_bytes()).to_hex();
    format!("{mark}.{}", &hash[..16])
}

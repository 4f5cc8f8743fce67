//! The steps of an export.

use std::io::{self, Write};
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use tokio::task::{JoinHandle, spawn_blocking};

use super::day::DayFiles;
use super::encoder::Encoder;
use super::error::ExportError;
use super::folder::ExportFolder;
use super::format::ExportFormat;
use super::index_page::write_index;
use super::limits::MANIFEST_INTERVAL_BYTES;
use super::manifest::{DayEntry, ExportManifest, FileEntry, mark_text};
use super::message_flow::{MessageSink, write_messages};
use super::partial_file::Sink;
use crate::domain::task::unwrap_task;
use crate::domain::time::{Day, Millis};
use crate::domain::window::Window;
use crate::reader::{Completeness, FilterCoverage, ResolvedFilter, read_coverage};
use crate::store::{Archive, SelectedMessage, Selection, Snapshot, StoreError};

/// The result of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportReport {
    /// The number of messages in all files.
    pub messages: u64,
    pub days: u64,
    pub files: u64,
    /// The number of days whose files were written, because they were new or had changed.
    pub written_days: u64,
    /// The number of days whose files were removed, because the archive has no more messages of them.
    pub removed_days: u64,
    /// The number of messages, in days that were written, that do not match their stored identity.
    pub damaged: u64,
    /// The digest over all messages, in hexadecimal.
    pub digest: String,
    /// The ranges in which messages may be missing.
    pub completeness: Completeness,
}

/// Exports the messages of a filter into a folder, or brings an earlier export of the same filter up
/// to date. `progress` is called after each day with its date and the number of its messages.
pub async fn export_to_folder(
    archive: &dyn Archive,
    folder: &Path,
    format: ExportFormat,
    filter: &ResolvedFilter,
    now: Millis,
    progress: impl FnMut(Day, u64) + Send,
) -> Result<ExportReport, ExportError> {
    let (folder, earlier) = ExportFolder::open(folder)?;
    let mut manifest = ExportManifest::new(format, &filter.filter, archive.schema_version(), now);
    if let Some(earlier) = earlier {
        earlier.require_same(&manifest, &folder.path)?;
        (manifest.days, manifest.index) = (earlier.days, earlier.index);
    }
    let coverage = Arc::new(read_coverage(archive, filter).await?);
    // Until all days are written, the manifest claims no coverage.
    manifest.write(&folder.path)?;
    let mut export = FolderExport {
        folder,
        manifest,
        progress,
        finishing: None,
        unrecorded_bytes: 0,
        written_days: 0,
        removed_days: 0,
        damaged: 0,
    };
    let written = export.write_days(archive, format, filter, &coverage).await;
    // The files of a day are finished even if those of the next one fail.
    export.finish_last().await.and(written)?;
    export.manifest.set_coverage(&coverage);
    if format.is_by_conversation() {
        let index = write_index(&export.folder.path, &export.manifest, &coverage)?;
        export.manifest.index = Some(index);
    }
    export.manifest.is_finished = true;
    export.manifest.write(&export.folder.path)?;
    Ok(export.report(&coverage))
}

/// An export into a folder that is under way.
struct FolderExport<P> {
    folder: ExportFolder,
    manifest: ExportManifest,
    progress: P,
    /// The day that is read completely, while its files get to the disk.
    finishing: Option<FinishingDay>,
    /// Bytes written since the manifest was.
    unrecorded_bytes: u64,
    written_days: u64,
    removed_days: u64,
    damaged: u64,
}

/// A day whose files are being finished.
struct FinishingDay {
    day: Day,
    messages: u64,
    mark: String,
    files: JoinHandle<Result<Vec<FileEntry>, ExportError>>,
}

impl<P: FnMut(Day, u64)> FolderExport<P> {
    /// Writes the days that are new or have changed, and removes those that are gone. The last one may
    /// still have to be finished.
    async fn write_days(
        &mut self,
        archive: &dyn Archive,
        format: ExportFormat,
        filter: &ResolvedFilter,
        coverage: &Arc<FilterCoverage>,
    ) -> Result<(), ExportError> {
        let by_conversation = format.is_by_conversation();
        let mut next = Some(filter.selection.from);
        let mut checked_to = Bound::Unbounded;
        while let Some(from) = next {
            let mut snapshot = archive.snapshot().await?;
            let Some(day) = first_day(&mut *snapshot, &filter.selection, from).await? else {
                break;
            };
            self.remove_days(checked_to, Bound::Excluded(day.0))?;
            checked_to = Bound::Excluded(day.0);
            next = day.end();
            let selection = of_day(&filter.selection, day);
            let gaps = by_conversation.then(|| coverage.within(Window::of_day(day)));
            if let Some(known) = self.manifest.days.get(&day.0)
                && self.folder.has(&known.files)
            {
                let mark = snapshot.change_mark(&selection).await?;
                if known.mark == mark_text(&mark, gaps.as_deref()) {
                    continue;
                }
            }
            let files = DayFiles::new(&self.folder.path, format, coverage.clone(), day);
            let written = write_messages(&mut *snapshot, &selection, by_conversation, files);
            let (files, mark) = written.await?;
            drop(snapshot);
            let text = mark_text(&mark, gaps.as_deref());
            self.finish(day, mark.messages, text, files).await?;
        }
        self.remove_days(checked_to, Bound::Unbounded)
    }

    /// Finishes the files of a day while the next one is read.
    async fn finish(
        &mut self,
        day: Day,
        messages: u64,
        mark: String,
        files: DayFiles,
    ) -> Result<(), ExportError> {
        self.finish_last().await?;
        self.damaged += files.damaged;
        let files = spawn_blocking(move || files.finish());
        self.finishing = Some(FinishingDay {
            day,
            messages,
            mark,
            files,
        });
        Ok(())
    }

    /// Waits for the files of the day that was read last, and takes them into the manifest.
    async fn finish_last(&mut self) -> Result<(), ExportError> {
        let Some(finishing) = self.finishing.take() else {
            return Ok(());
        };
        let (day, files) = (finishing.day, unwrap_task(finishing.files.await)?);
        let entry = DayEntry::new(day, finishing.mark, files);
        self.unrecorded_bytes += entry.files.iter().map(|file| file.bytes).sum::<u64>();
        (self.progress)(day, finishing.messages);
        if let Some(earlier) = self.manifest.days.insert(day.0, entry) {
            let now = &self.manifest.days[&day.0].files;
            let is_gone = |path: &str| !now.iter().any(|file| file.path == path);
            let mut files = earlier.files;
            files.retain(|file| is_gone(&file.path));
            self.folder.remove(&files)?;
        }
        self.written_days += 1;
        if self.unrecorded_bytes >= MANIFEST_INTERVAL_BYTES {
            self.manifest.write(&self.folder.path)?;
            self.unrecorded_bytes = 0;
        }
        Ok(())
    }

    /// Removes the days in a range, of which the archive has no more messages.
    fn remove_days(&mut self, from: Bound<i64>, to: Bound<i64>) -> Result<(), ExportError> {
        let days: Vec<i64> = self
            .manifest
            .days
            .range((from, to))
            .map(|(day, _)| *day)
            .collect();
        for day in days {
            if let Some(entry) = self.manifest.days.remove(&day) {
                self.folder.remove(&entry.files)?;
                self.removed_days += 1;
            }
        }
        Ok(())
    }

    fn report(self, coverage: &FilterCoverage) -> ExportReport {
        ExportReport {
            messages: self.manifest.messages,
            days: self.manifest.days.len() as u64,
            files: self.manifest.files().count() as u64,
            written_days: self.written_days,
            removed_days: self.removed_days,
            damaged: self.damaged,
            digest: self.manifest.digest,
            completeness: coverage.completeness(),
        }
    }
}

/// Writes the messages of a filter to standard output.
pub async fn export_to_output(
    archive: &dyn Archive,
    format: ExportFormat,
    filter: &ResolvedFilter,
) -> Result<Completeness, ExportError> {
    let coverage = read_coverage(archive, filter).await?;
    let sink = Sink::Output(io::stdout(), 0);
    let mut output = Output(format.encode_rows_to(sink).map_err(ExportError::Output)?);
    let mut next = Some(filter.selection.from);
    while let Some(from) = next {
        let mut snapshot = archive.snapshot().await?;
        let Some(day) = first_day(&mut *snapshot, &filter.selection, from).await? else {
            break;
        };
        next = day.end();
        let selection = of_day(&filter.selection, day);
        (output, _) = write_messages(&mut *snapshot, &selection, false, output).await?;
    }
    let written = output.0.finish().and_then(|mut sink| sink.flush());
    written.map_err(ExportError::Output)?;
    Ok(coverage.completeness())
}

/// Standard output.
struct Output(Box<dyn Encoder>);

impl MessageSink for Output {
    fn write(&mut self, message: &SelectedMessage) -> Result<(), ExportError> {
        self.0.write(message).map_err(ExportError::Output)
    }
}

/// Returns the first day from a time on that has a selected message.
async fn first_day(
    snapshot: &mut dyn Snapshot,
    selection: &Selection,
    from: Millis,
) -> Result<Option<Day>, StoreError> {
    let rest = selection.within(from, Millis(i64::MAX));
    let first = snapshot.first_moment(&rest).await?;
    Ok(first.map(|first| Day::containing(first.second())))
}

/// Returns the part of a selection on one day.
fn of_day(selection: &Selection, day: Day) -> Selection {
    let end = day.end().unwrap_or(Millis(i64::MAX));
    selection.within(day.start().start(), end)
}

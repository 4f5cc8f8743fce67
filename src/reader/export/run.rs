//! The steps of an export.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Bound;
use std::path::Path;

use super::day::{DayFiles, for_each_message};
use super::error::ExportError;
use super::folder::ExportFolder;
use super::format::ExportFormat;
use super::limits::MANIFEST_INTERVAL_BYTES;
use super::manifest::{DayEntry, ExportManifest};
use super::partial_file::Sink;
use crate::domain::time::{Day, Millis};
use crate::reader::{Completeness, ResolvedFilter, read_coverage};
use crate::store::{Archive, ReadNames, Selection, Snapshot, StoreError};

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
    mut progress: impl FnMut(Day, u64) + Send,
) -> Result<ExportReport, ExportError> {
    let (folder, earlier) = ExportFolder::open(folder)?;
    let mut manifest = ExportManifest::new(format, &filter.filter, archive.schema_version(), now);
    if let Some(earlier) = earlier {
        earlier.require_same(&manifest, &folder.path)?;
        manifest.days = earlier.days;
    }
    let coverage = read_coverage(archive, filter).await?;
    // Until all days are written, the manifest claims no coverage.
    manifest.write(&folder.path)?;
    let mut names = ReadNames::default();
    let (mut written_days, mut removed_days, mut damaged) = (0, 0, 0);
    let mut unrecorded_bytes = 0;
    let mut next = Some(filter.selection.from);
    let mut checked_to = Bound::Unbounded;
    while let Some(from) = next {
        let mut snapshot = archive.snapshot().await?;
        names.begin_snapshot();
        let Some(day) = first_day(&mut *snapshot, &filter.selection, from).await? else {
            break;
        };
        let gone = days_between(&manifest.days, checked_to, Bound::Excluded(day.0));
        removed_days += remove_days(&mut manifest, &folder, &gone)?;
        checked_to = Bound::Excluded(day.0);
        next = day.end();
        let selection = of_day(&filter.selection, day);
        let mark = snapshot.change_mark(&selection).await?;
        let known = manifest.days.get(&day.0);
        if known.is_some_and(|known| known.is_of(&mark) && folder.has(&known.files)) {
            continue;
        }
        let mut files = DayFiles::new(&folder, format, &coverage, day);
        for_each_message(
            &mut *snapshot,
            &selection,
            &mut names,
            format.is_by_conversation(),
            |message| files.write(message),
        )
        .await?;
        drop(snapshot);
        damaged += files.damaged;
        let files = files.finish()?;
        let entry = DayEntry::new(day, &mark, files);
        unrecorded_bytes += entry.files.iter().map(|file| file.bytes).sum::<u64>();
        progress(day, mark.messages);
        if let Some(earlier) = manifest.days.insert(day.0, entry) {
            let now = &manifest.days[&day.0].files;
            let is_gone = |path: &str| !now.iter().any(|file| file.path == path);
            let mut files = earlier.files;
            files.retain(|file| is_gone(&file.path));
            folder.remove(&files)?;
        }
        written_days += 1;
        if unrecorded_bytes >= MANIFEST_INTERVAL_BYTES {
            manifest.write(&folder.path)?;
            unrecorded_bytes = 0;
        }
    }
    let gone = days_between(&manifest.days, checked_to, Bound::Unbounded);
    removed_days += remove_days(&mut manifest, &folder, &gone)?;
    manifest.set_coverage(&coverage);
    manifest.is_finished = true;
    manifest.write(&folder.path)?;
    Ok(ExportReport {
        messages: manifest.messages,
        days: manifest.days.len() as u64,
        files: manifest
            .days
            .values()
            .map(|day| day.files.len() as u64)
            .sum(),
        written_days,
        removed_days,
        damaged,
        digest: manifest.digest,
        completeness: coverage.completeness(),
    })
}

/// Writes the messages of a filter to standard output.
pub async fn export_to_output(
    archive: &dyn Archive,
    format: ExportFormat,
    filter: &ResolvedFilter,
) -> Result<Completeness, ExportError> {
    let coverage = read_coverage(archive, filter).await?;
    let mut names = ReadNames::default();
    let sink = Sink::Output(io::stdout(), 0);
    let mut encoder = format.encode_rows_to(sink).map_err(ExportError::Output)?;
    let mut next = Some(filter.selection.from);
    while let Some(from) = next {
        let mut snapshot = archive.snapshot().await?;
        names.begin_snapshot();
        let Some(day) = first_day(&mut *snapshot, &filter.selection, from).await? else {
            break;
        };
        next = day.end();
        let selection = of_day(&filter.selection, day);
        for_each_message(&mut *snapshot, &selection, &mut names, false, |message| {
            encoder.write(message).map_err(ExportError::Output)
        })
        .await?;
    }
    let written = encoder.finish().and_then(|mut sink| sink.flush());
    written.map_err(ExportError::Output)?;
    Ok(coverage.completeness())
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

fn days_between(days: &BTreeMap<i64, DayEntry>, from: Bound<i64>, to: Bound<i64>) -> Vec<i64> {
    days.range((from, to)).map(|(day, _)| *day).collect()
}

/// Removes days of which the archive has no more messages. Returns their number.
fn remove_days(
    manifest: &mut ExportManifest,
    folder: &ExportFolder,
    days: &[i64],
) -> Result<u64, ExportError> {
    for day in days {
        if let Some(entry) = manifest.days.remove(day) {
            folder.remove(&entry.files)?;
        }
    }
    Ok(days.len() as u64)
}

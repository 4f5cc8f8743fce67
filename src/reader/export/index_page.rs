//! The page that lists the pages of a transcript: conversations and their days, with the number of
//! messages and of the ranges in which some may be missing.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use maud::html;

use super::error::ExportError;
use super::html::{PAGE_END, page_start};
use super::layout::INDEX;
use super::limits::{MAX_RANGES_IN_INDEX, WRITE_BUFFER_BYTES};
use super::manifest::{DayEntry, ExportManifest, FileEntry, PageSubject};
use super::partial_file::{FileSeal, PartialFile};
use crate::domain::format::{sanitized, thousands};
use crate::reader::FilterCoverage;

/// The pages of a conversation, each with its day.
type Pages<'a> = Vec<(&'a DayEntry, &'a FileEntry, &'a PageSubject)>;

/// Writes the page that lists all pages of an export.
pub(super) fn write_index(
    folder: &Path,
    manifest: &ExportManifest,
    coverage: &FilterCoverage,
) -> Result<FileEntry, ExportError> {
    let path = folder.join(INDEX);
    let seal = write_page(&path, manifest, coverage).map_err(ExportError::writing(&path))?;
    Ok(FileEntry {
        path: INDEX.to_owned(),
        messages: 0,
        digest: hex::encode([0; 32]),
        bytes: seal.bytes,
        blake3: seal.hash,
        conversation: None,
    })
}

fn write_page(
    path: &Path,
    manifest: &ExportManifest,
    coverage: &FilterCoverage,
) -> io::Result<FileSeal> {
    let mut conversations: BTreeMap<[&str; 3], Pages<'_>> = BTreeMap::new();
    for day in manifest.days.values() {
        for file in &day.files {
            if let Some(page) = &file.conversation {
                let key = [&*page.account, &*page.provider, &*page.name];
                conversations
                    .entry(key)
                    .or_default()
                    .push((day, file, page));
            }
        }
    }
    let mut file = PartialFile::create(path)?;
    let mut buffer = page_start("Transcripts");
    let sentences = coverage.completeness().sentences(MAX_RANGES_IN_INDEX);
    let top = html! {
        header.page {
            h1 { "Transcripts" }
            (thousands(conversations.len() as u64)) " conversations · days and times in UTC · exported "
            (manifest.begun_at)
        }
        ol { @for sentence in sentences { li { (sanitized(sentence.trim())) } } }
    };
    buffer.push_str(&top.into_string());
    for (names, pages) in conversations {
        buffer.push_str(&draw_conversation(names, &pages));
        if buffer.len() >= WRITE_BUFFER_BYTES {
            file.write_all(buffer.as_bytes())?;
            buffer.clear();
        }
    }
    buffer.push_str(PAGE_END);
    file.write_all(buffer.as_bytes())?;
    file.finish()
}

fn draw_conversation([account, provider, name]: [&str; 3], pages: &Pages<'_>) -> String {
    let section = html! {
        h2 dir="auto" { (sanitized(name)) }
        p.meta { (sanitized(provider)) " · " (sanitized(account)) }
        table {
            tr { th { "Day" } th.number { "Messages" } th { "Missing" } }
            @for (day, file, page) in pages {
                tr {
                    td { a href=(link(&file.path)) { (day.day.as_deref().unwrap_or("no date")) } }
                    td.number { (thousands(file.messages)) }
                    @match page.incomplete {
                        0 => { td {} }
                        1 => { td.gap { "1 range may lack messages" } }
                        n => { td.gap { (n) " ranges may lack messages" } }
                    }
                }
            }
        }
        "\n"
    };
    section.into_string()
}

/// Returns the link to a file: names of folders may contain `%`.
fn link(path: &str) -> String {
    path.replace('%', "%25")
}

//! The files of one day, from one snapshot.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::columns::kind_word;
use super::encoder::{Encoder, FileSubject};
use super::error::ExportError;
use super::format::ExportFormat;
use super::layout::{conversation_file, day_folder, file_name};
use super::manifest::{FileEntry, PageSubject};
use super::message_flow::MessageSink;
use super::partial_file::{PartialFile, Sink};
use crate::domain::message::ConversationKind;
use crate::domain::time::Day;
use crate::domain::window::Window;
use crate::reader::FilterCoverage;
use crate::store::{ContentDigest, ConversationId, FoundConversation, SelectedMessage};

/// The files of a day: one for each provider, or for each conversation.
pub(super) struct DayFiles {
    /// The folder of the export.
    folder: PathBuf,
    format: ExportFormat,
    coverage: Arc<FilterCoverage>,
    day: Day,
    /// The files that are being written. Of conversations it is one at a time.
    open: BTreeMap<FileKey, DayFile>,
    finished: Vec<FileEntry>,
    /// The number of messages that differ from their stored identity.
    pub(super) damaged: u64,
}

/// The provider of a file, and its conversation if it has one of its own.
type FileKey = (Option<String>, Option<ConversationId>);

/// A file that is being written.
struct DayFile {
    /// The path, relative to the folder of the export.
    path: String,
    /// The conversation of a page.
    page: Option<PageSubject>,
    encoder: Box<dyn Encoder>,
    digest: ContentDigest,
}

impl DayFiles {
    pub(super) fn new(
        folder: &Path,
        format: ExportFormat,
        coverage: Arc<FilterCoverage>,
        day: Day,
    ) -> Self {
        Self {
            folder: folder.to_owned(),
            format,
            coverage,
            day,
            open: BTreeMap::new(),
            finished: Vec::new(),
            damaged: 0,
        }
    }
}

impl MessageSink for DayFiles {
    /// Writes a message to the file of its provider or its conversation. Messages of a conversation
    /// with a file of its own must follow each other.
    fn write(&mut self, message: &SelectedMessage) -> Result<(), ExportError> {
        let provider = message.conversation.as_ref().map(|c| c.provider.as_str());
        let is_by_conversation = self.format.is_by_conversation();
        let conversation = is_by_conversation.then_some(message.conversation_id);
        let is_same = |key: &FileKey| key.0.as_deref() == provider && key.1 == conversation;
        if is_by_conversation && !self.open.keys().any(is_same) {
            self.finish_open()?;
        }
        if !self.open.keys().any(is_same) {
            let file = self.create(message)?;
            let key = (provider.map(str::to_owned), conversation);
            self.open.insert(key, file);
        }
        let Some((_, file)) = self.open.iter_mut().find(|(key, _)| is_same(key)) else {
            return Ok(());
        };
        let fingerprint = message.fingerprint();
        self.damaged += u64::from(fingerprint != message.stored_fingerprint);
        file.digest.include_selected(message, fingerprint);
        file.encoder.write(message).map_err(|error| {
            let path = self.folder.join(&file.path);
            ExportError::writing(&path)(error)
        })
    }
}

impl DayFiles {
    /// Gives all files their final names. Returns them.
    pub(super) fn finish(mut self) -> Result<Vec<FileEntry>, ExportError> {
        self.finish_open()?;
        Ok(self.finished)
    }

    fn finish_open(&mut self) -> Result<(), ExportError> {
        for file in std::mem::take(&mut self.open).into_values() {
            self.finished.push(file.finish(&self.folder)?);
        }
        Ok(())
    }

    /// Begins the file of a message.
    fn create(&self, message: &SelectedMessage) -> Result<DayFile, ExportError> {
        let conversation = message.conversation.as_deref();
        let provider = conversation.map(|conversation| conversation.provider.as_str());
        let name = match conversation {
            Some(conversation) if self.format.is_by_conversation() => {
                let ending = self.format.as_str();
                conversation_file(&conversation.account, &conversation.name, ending)
            }
            _ => file_name(self.format, self.day),
        };
        let path = day_folder(provider, self.day).join(name);
        let full = self.folder.join(&path);
        let subject = self
            .format
            .is_by_conversation()
            .then(|| self.subject(message));
        let page = subject.as_ref().map(|subject| PageSubject {
            account: subject.account.clone(),
            provider: subject.provider.clone(),
            name: subject.conversation.clone(),
            incomplete: subject.incomplete.len() as u64,
        });
        let encoder = PartialFile::create(&full)
            .and_then(|file| self.format.encode_to(Sink::File(file), subject))
            .map_err(ExportError::writing(&full))?;
        Ok(DayFile {
            path: path.to_string_lossy().into_owned(),
            page,
            encoder,
            digest: ContentDigest::default(),
        })
    }

    /// Returns what the file of a conversation is about. The message is one of it.
    fn subject(&self, message: &SelectedMessage) -> FileSubject {
        let conversation = message.conversation.as_deref();
        let kind = conversation.map_or(ConversationKind::Unknown, |found| found.kind);
        let text = |text: Option<&str>| text.unwrap_or("(unknown)").to_owned();
        let (account, name) = (
            text(conversation.map(|found| found.account.as_str())),
            text(conversation.map(|found| found.name.as_str())),
        );
        let latest = message.sender.as_deref().zip(message.recipient.as_deref());
        let found = FoundConversation {
            account: account.clone(),
            name: name.clone(),
            kind,
            latest: latest.map(|(sender, recipient)| (sender.to_owned(), recipient.to_owned())),
        };
        let window = Window::of_day(self.day);
        FileSubject {
            day: self.day,
            provider: text(conversation.map(|found| found.provider.as_str())),
            account,
            conversation: name,
            kind: kind_word(kind),
            incomplete: self.coverage.of_conversation(found, window),
        }
    }
}

impl DayFile {
    fn finish(self, folder: &Path) -> Result<FileEntry, ExportError> {
        let path = folder.join(&self.path);
        let sink = self.encoder.finish().map_err(ExportError::writing(&path))?;
        let seal = match sink {
            Sink::File(file) => file.finish().map_err(ExportError::writing(&path))?,
            Sink::Output(..) => return Err(ExportError::Output(std::io::ErrorKind::Other.into())),
        };
        Ok(FileEntry {
            path: self.path,
            messages: self.digest.messages,
            digest: hex::encode(self.digest.sum),
            bytes: seal.bytes,
            blake3: seal.hash,
            conversation: self.page,
        })
    }
}

//! The files of one day, from one snapshot.

use std::collections::BTreeMap;

use super::columns::kind_word;
use super::encoder::{Encoder, FileSubject};
use super::error::ExportError;
use super::folder::ExportFolder;
use super::format::ExportFormat;
use super::layout::{conversation_file, day_folder, file_name};
use super::manifest::FileEntry;
use super::partial_file::{PartialFile, Sink};
use crate::domain::message::ConversationKind;
use crate::domain::time::Day;
use crate::domain::window::Window;
use crate::reader::FilterCoverage;
use crate::store::{
    ContentDigest, ConversationId, FoundConversation, ReadNames, ReadPath, ReadPosition,
    SelectedMessage, Selection, Snapshot, StoreError,
};

/// Calls `visit` with each selected message, in the order of time; conversation by conversation if the
/// selection names one or `is_by_conversation`.
pub(super) async fn for_each_message(
    snapshot: &mut dyn Snapshot,
    selection: &Selection,
    names: &mut ReadNames,
    is_by_conversation: bool,
    mut visit: impl FnMut(&SelectedMessage) -> Result<(), ExportError> + Send,
) -> Result<(), ExportError> {
    for path in read_paths(snapshot, selection, is_by_conversation).await? {
        let mut after = ReadPosition::START;
        loop {
            let messages = snapshot.page(selection, path, after, names).await?;
            let Some(last) = messages.last() else {
                break;
            };
            after = ReadPosition::after(last);
            messages.iter().try_for_each(&mut visit)?;
        }
    }
    Ok(())
}

/// Returns the indexes through which a selection is read.
async fn read_paths(
    snapshot: &mut dyn Snapshot,
    selection: &Selection,
    is_by_conversation: bool,
) -> Result<Vec<ReadPath>, StoreError> {
    Ok(match (&selection.conversation, selection.sender) {
        _ if is_by_conversation || selection.conversation.is_some() => {
            let conversations = snapshot.conversations(selection).await?;
            conversations
                .into_iter()
                .map(ReadPath::Conversation)
                .collect()
        }
        (_, Some(_)) => vec![ReadPath::Sender],
        (_, None) => vec![ReadPath::Time],
    })
}

/// The files of a day: one for each provider, or for each conversation.
pub(super) struct DayFiles<'a> {
    folder: &'a ExportFolder,
    format: ExportFormat,
    coverage: &'a FilterCoverage,
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
    encoder: Box<dyn Encoder>,
    digest: ContentDigest,
}

impl<'a> DayFiles<'a> {
    pub(super) fn new(
        folder: &'a ExportFolder,
        format: ExportFormat,
        coverage: &'a FilterCoverage,
        day: Day,
    ) -> Self {
        Self {
            folder,
            format,
            coverage,
            day,
            open: BTreeMap::new(),
            finished: Vec::new(),
            damaged: 0,
        }
    }

    /// Writes a message to the file of its provider or its conversation. Messages of a conversation
    /// with a file of its own must follow each other.
    pub(super) fn write(&mut self, message: &SelectedMessage) -> Result<(), ExportError> {
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
            let path = self.folder.path.join(&file.path);
            ExportError::writing(&path)(error)
        })
    }

    /// Gives all files their final names. Returns them.
    pub(super) fn finish(mut self) -> Result<Vec<FileEntry>, ExportError> {
        self.finish_open()?;
        Ok(self.finished)
    }

    fn finish_open(&mut self) -> Result<(), ExportError> {
        for file in std::mem::take(&mut self.open).into_values() {
            self.finished.push(file.finish(&self.folder.path)?);
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
        let full = self.folder.path.join(&path);
        let encoder = PartialFile::create(&full)
            .and_then(|file| {
                let subject = || self.subject(message);
                self.format.encode_to(Sink::File(file), subject)
            })
            .map_err(ExportError::writing(&full))?;
        Ok(DayFile {
            path: path.to_string_lossy().into_owned(),
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
    fn finish(self, folder: &std::path::Path) -> Result<FileEntry, ExportError> {
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
        })
    }
}

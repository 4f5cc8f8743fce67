//! The files of one day, from one snapshot.

use std::collections::BTreeMap;

use super::encoder::Encoder;
use super::error::ExportError;
use super::folder::ExportFolder;
use super::format::ExportFormat;
use super::layout::{day_folder, file_name};
use super::manifest::FileEntry;
use super::partial_file::{PartialFile, Sink};
use crate::domain::time::Day;
use crate::store::{
    ContentDigest, ReadNames, ReadPath, ReadPosition, SelectedMessage, Selection, Snapshot,
    StoreError,
};

/// Calls `visit` with each selected message, in the order of time, and of conversations before it if
/// the selection names one.
pub(super) async fn for_each_message(
    snapshot: &mut dyn Snapshot,
    selection: &Selection,
    names: &mut ReadNames,
    mut visit: impl FnMut(&SelectedMessage) -> Result<(), ExportError> + Send,
) -> Result<(), ExportError> {
    for path in read_paths(snapshot, selection).await? {
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
) -> Result<Vec<ReadPath>, StoreError> {
    Ok(match (&selection.conversation, selection.sender) {
        (Some(_), _) => {
            let conversations = snapshot.conversations(selection).await?;
            conversations
                .into_iter()
                .map(ReadPath::Conversation)
                .collect()
        }
        (None, Some(_)) => vec![ReadPath::Sender],
        (None, None) => vec![ReadPath::Time],
    })
}

/// The files of a day that are being written, one for each provider.
pub(super) struct DayFiles<'a> {
    folder: &'a ExportFolder,
    format: ExportFormat,
    day: Day,
    files: BTreeMap<Option<String>, DayFile>,
    /// The number of messages that differ from their stored identity.
    pub(super) damaged: u64,
}

/// A file that is being written.
struct DayFile {
    /// The path, relative to the folder of the export.
    path: String,
    encoder: Box<dyn Encoder>,
    digest: ContentDigest,
}

impl<'a> DayFiles<'a> {
    pub(super) fn new(folder: &'a ExportFolder, format: ExportFormat, day: Day) -> Self {
        Self {
            folder,
            format,
            day,
            files: BTreeMap::new(),
            damaged: 0,
        }
    }

    /// Writes a message to the file of its provider.
    pub(super) fn write(&mut self, message: &SelectedMessage) -> Result<(), ExportError> {
        let provider = message.conversation.as_ref().map(|c| c.provider.as_str());
        let known = self
            .files
            .iter_mut()
            .find(|(key, _)| key.as_deref() == provider);
        let file = if let Some((_, file)) = known {
            file
        } else {
            let file = DayFile::create(self.folder, self.format, self.day, provider)?;
            let key = provider.map(str::to_owned);
            self.files.entry(key).or_insert(file)
        };
        let fingerprint = message.fingerprint();
        self.damaged += u64::from(fingerprint != message.stored_fingerprint);
        file.digest.include_selected(message, fingerprint);
        let path = self.folder.path.join(&file.path);
        file.encoder
            .write(message)
            .map_err(ExportError::writing(&path))
    }

    /// Gives all files their final names. Returns them.
    pub(super) fn finish(self) -> Result<Vec<FileEntry>, ExportError> {
        let folder = &self.folder.path;
        let files = self.files.into_values();
        files.map(|file| file.finish(folder)).collect()
    }
}

impl DayFile {
    fn create(
        folder: &ExportFolder,
        format: ExportFormat,
        day: Day,
        provider: Option<&str>,
    ) -> Result<Self, ExportError> {
        let path = day_folder(provider, day).join(file_name(format, day));
        let full = folder.path.join(&path);
        let encoder = PartialFile::create(&full)
            .and_then(|file| format.encode_to(Sink::File(file)))
            .map_err(ExportError::writing(&full))?;
        Ok(Self {
            path: path.to_string_lossy().into_owned(),
            encoder,
            digest: ContentDigest::default(),
        })
    }

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

//! Reading all messages of a range in chunks of bounded size.

use super::archive::Archive;
use super::error::StoreError;
use super::limits::{CHUNK_GROWTH, FIRST_CHUNK_MESSAGES, MAX_CHUNK_BYTES, MAX_CHUNK_MESSAGES};
use super::message_reader::MessageReader;
use super::model::{ArchivedMessage, Cursor};
use crate::domain::time::Millis;

/// The messages of a range in the order of time, in chunks that are bounded by number and by size.
pub struct Chunks<'a> {
    store: &'a dyn Archive,
    /// `None` before the first chunk.
    reader: Option<Box<dyn MessageReader>>,
    after: Cursor,
    to: Millis,
    /// The number of messages to read next.
    limit: u64,
}

impl std::fmt::Debug for Chunks<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chunks")
            .field("after", &self.after)
            .field("to", &self.to)
            .finish_non_exhaustive()
    }
}

impl<'a> Chunks<'a> {
    /// Returns the messages sent in `[from, to)`.
    pub fn of(store: &'a dyn Archive, from: Millis, to: Millis) -> Self {
        Self {
            store,
            reader: None,
            after: Cursor::before(from),
            to,
            limit: FIRST_CHUNK_MESSAGES,
        }
    }

    /// Returns the next messages. None at the end of the range.
    pub async fn next(&mut self) -> Result<Vec<ArchivedMessage>, StoreError> {
        let reader = match &mut self.reader {
            Some(reader) => reader,
            None => self.reader.insert(self.store.message_reader().await?),
        };
        let chunk = reader.next_messages(&self.after, self.to, self.limit);
        let chunk = chunk.await?;
        if let Some(last) = chunk.last() {
            self.after = last.cursor();
            self.limit = next_limit(&chunk);
        }
        Ok(chunk)
    }
}

/// Returns the number of messages to read next, by the mean size of the last ones. It grows by
/// steps, so that large messages among many small ones exceed the limit only once.
fn next_limit(chunk: &[ArchivedMessage]) -> u64 {
    let size = |archived: &ArchivedMessage| archived.identified.message.payload.bytes.len() as u64;
    let bytes: u64 = chunk.iter().map(size).sum();
    let messages = chunk.len() as u64;
    let mean = (bytes / messages.max(1)).max(1);
    (MAX_CHUNK_BYTES / mean)
        .min(messages * CHUNK_GROWTH)
        .clamp(1, MAX_CHUNK_MESSAGES)
}

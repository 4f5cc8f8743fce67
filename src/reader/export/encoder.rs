//! The operations of every format, and the buffer of those that write text.

use std::io::{self, Write};

use super::limits::WRITE_BUFFER_BYTES;
use super::partial_file::Sink;
use crate::domain::time::Day;
use crate::reader::IncompleteRange;
use crate::store::SelectedMessage;

/// The subject of a file, for a format that has a file for each conversation.
#[derive(Clone, Debug)]
pub(super) struct FileSubject {
    pub(super) day: Day,
    pub(super) provider: String,
    pub(super) account: String,
    pub(super) conversation: String,
    pub(super) kind: &'static str,
    /// The ranges of the day in which messages of the conversation may be missing.
    pub(super) incomplete: Vec<IncompleteRange>,
}

/// Writes messages in a format.
pub(super) trait Encoder: Send {
    /// Writes a message. It may stay in memory for a while.
    fn write(&mut self, message: &SelectedMessage) -> io::Result<()>;

    /// Writes the end of the file, and returns where it was written to.
    fn finish(self: Box<Self>) -> io::Result<Sink>;
}

/// Rows of text on their way to an output, which takes them in large parts.
pub(super) struct RowBuffer {
    pub(super) bytes: Vec<u8>,
    sink: Sink,
}

impl RowBuffer {
    pub(super) fn new(sink: Sink) -> Self {
        Self {
            bytes: Vec::with_capacity(WRITE_BUFFER_BYTES),
            sink,
        }
    }

    /// True if the output has nothing yet.
    pub(super) fn is_at_start(&self) -> bool {
        self.bytes.is_empty() && self.sink.is_at_start()
    }

    /// Ends a row.
    pub(super) fn end_row(&mut self, end: &[u8]) -> io::Result<()> {
        self.bytes.extend_from_slice(end);
        if self.bytes.len() >= WRITE_BUFFER_BYTES {
            self.sink.write_all(&self.bytes)?;
            self.bytes.clear();
        }
        Ok(())
    }

    /// Writes the rest, and returns the output.
    pub(super) fn finish(mut self) -> io::Result<Sink> {
        self.sink.write_all(&self.bytes)?;
        Ok(self.sink)
    }
}

//! What every format can do.

use std::io;

use super::partial_file::Sink;
use crate::domain::time::Day;
use crate::reader::IncompleteRange;
use crate::store::SelectedMessage;

/// What a file is about, for a format that has a file for each conversation.
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

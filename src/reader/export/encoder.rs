//! What every format can do.

use std::io;

use super::partial_file::Sink;
use crate::store::SelectedMessage;

/// Writes messages in a format.
pub(super) trait Encoder: Send {
    /// Writes a message. It may stay in memory for a while.
    fn write(&mut self, message: &SelectedMessage) -> io::Result<()>;

    /// Writes the end of the file, and returns where it was written to.
    fn finish(self: Box<Self>) -> io::Result<Sink>;
}

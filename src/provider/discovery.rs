//! The discovery of streams that the configuration does not list.

use std::time::Duration;

use async_trait::async_trait;

use super::error::ProviderError;
use crate::domain::participant::Participant;
use crate::domain::stream::Stream;

/// The discovery of one account. An adapter implements the ways that its provider has.
#[async_trait]
pub trait StreamFinder: Send + Sync {
    /// Returns the streams that carry messages from and to a participant and are not followed yet.
    fn streams_to_follow(&self, participant: &Participant<'_>) -> Vec<Stream> {
        let _ = participant;
        vec![]
    }

    /// Returns the directories that are to be read.
    fn directories(&self) -> Directories {
        Directories::default()
    }

    /// Reads a directory, from 0 on. If reading removes what is answered, one request is sent;
    /// otherwise the whole directory is read.
    async fn read_directory(&self, directory: usize) -> DirectoryPage {
        let _ = directory;
        DirectoryPage::default()
    }
}

/// The directories of a provider: lists of chats, or feeds of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Directories {
    pub count: usize,
    pub poll_interval: Duration,
}

/// The content of a directory.
#[derive(Debug, Default)]
pub struct DirectoryPage {
    /// The streams it names. Some may be followed already.
    pub streams: Vec<Stream>,
    /// True if the directory holds more.
    pub has_more: bool,
    /// The reason why streams may be missing.
    pub error: Option<ProviderError>,
}

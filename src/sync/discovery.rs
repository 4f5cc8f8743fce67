//! Streams that the configuration does not list: discovered in messages and in the provider's
//! directories, and followed from the next pass on.
//!
//! Followed streams are recorded in the archive, so that every later process follows them too.
//! Streams that messages led to and that are not recorded yet when a process ends are discovered
//! again by the next process, from the participants in the archive.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::horizon::wanted_history;
use super::limits::{MAX_DIRECTORY_REQUESTS, MAX_LISTING, MAX_LOGGED_STREAMS, MAX_PENDING_STREAMS};
use super::purpose::Purpose;
use super::session::{FollowedStream, Session};
use crate::domain::format::counted;
use crate::domain::identity::IdentifiedMessage;
use crate::domain::participant::Participant;
use crate::domain::stream::Stream;
use crate::provider::{DirectoryPage, Provider, ProviderError};
use crate::store::{AccountId, Archive, ErrorSubject, RecordedError, StoreError};

/// Discovered streams, by key: each once.
#[derive(Clone, Debug, Default)]
pub(super) struct DiscoveredStreams(BTreeMap<String, Arc<Stream>>);

impl DiscoveredStreams {
    /// Adds streams that are not among them yet, up to [`MAX_PENDING_STREAMS`].
    fn add(&mut self, streams: Vec<Stream>) {
        for stream in streams {
            if self.0.len() >= MAX_PENDING_STREAMS {
                return;
            }
            self.0
                .entry(stream.key.clone())
                .or_insert_with(|| Arc::new(stream));
        }
    }

    /// Adds the streams that the participants of messages lead to, if the account discovers.
    pub(super) fn add_from_messages(
        &mut self,
        provider: &dyn Provider,
        messages: &[IdentifiedMessage],
    ) {
        if !provider.account().discovers() {
            return;
        }
        for message in messages {
            for participant in Participant::sender_and_recipient(&message.message) {
                self.add(provider.streams_to_follow(&participant));
            }
        }
    }

    /// Adds those of another list.
    pub(super) fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Drops all but the first `room` streams. Returns the number dropped.
    fn truncate(&mut self, room: usize) -> usize {
        let before = self.0.len();
        while self.0.len() > room {
            self.0.pop_last();
        }
        before - self.0.len()
    }
}

/// Returns the number of further streams that an account may discover.
fn room_for(provider: &dyn Provider) -> usize {
    let limit = provider.account().discover_limit.unwrap_or_default();
    let streams = provider.streams();
    let followed = streams.iter().filter(|stream| stream.discovered).count();
    limit.saturating_sub(followed)
}

/// The streams that an account has discovered and does not follow yet. It outlasts a pass.
#[derive(Debug, Default)]
pub(super) struct AccountDiscovery {
    /// The streams that are followed from the next pass on.
    pending: DiscoveredStreams,
    /// The time at which the directories were last read.
    directories_read_at: Option<Instant>,
    /// True if a directory could not be read then.
    has_failed: bool,
    /// The most streams that were left out at a time, because of the account's limit.
    left_out: usize,
}

impl AccountDiscovery {
    /// Adds the streams that a pass has discovered, and those of the directories read beside it.
    pub(super) fn add(&mut self, from_messages: DiscoveredStreams, directories: DirectoryResult) {
        self.pending.extend(from_messages);
        self.pending.extend(directories.discovered);
        self.has_failed = directories.has_failed.unwrap_or(self.has_failed);
        self.left_out = self.left_out.max(directories.left_out);
    }

    /// Leaves out the pending streams beyond the account's limit, and reports them.
    pub(super) async fn apply_limit(&mut self, session: &Session) -> Result<(), StoreError> {
        let provider = &*session.provider;
        let left_out = self.pending.truncate(room_for(provider));
        let is_first = self.left_out == 0 && left_out > 0;
        self.left_out = self.left_out.max(left_out);
        if self.left_out == 0 {
            return Ok(());
        }
        let limit = provider.account().discover_limit.unwrap_or_default();
        let others = counted(
            self.left_out as u64,
            "more stream was found and is",
            "more streams were found and are",
        );
        let error = format!(
            "at least {others} left out: the account's limit is {}",
            counted(limit as u64, "discovered stream", "discovered streams")
        );
        let hint = format!(
            "raise discover_limit of the account (now {limit}) if the names are real, and restart \
             or reload; messages with invented names may come from any user"
        );
        if is_first {
            tracing::warn!(
                account = provider.account().name,
                error,
                hint,
                "streams are left out"
            );
        }
        let recorded = RecordedError { error, hint };
        let archive = &session.archive;
        archive
            .record_error(ErrorSubject::Discovery(session.account), Some(&recorded))
            .await
    }

    /// Returns the number of streams that are followed from the next pass on.
    pub(super) fn pending(&self) -> u64 {
        self.pending.0.len() as u64
    }

    /// True if a directory could not be read when they were last read, or streams are left out.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed || self.left_out > 0
    }

    /// Adds the streams that the participants in the archive lead to, if the account discovers.
    pub(super) async fn add_from_archive(&mut self, session: &Session) -> Result<(), StoreError> {
        if !session.provider.account().discovers() {
            return Ok(());
        }
        for participant in session.archive.participants(session.account).await? {
            self.pending
                .add(session.provider.streams_to_follow(&participant));
        }
        self.apply_limit(session).await
    }

    /// Follows the pending streams, from the pass that begins on.
    pub(super) async fn follow_pending(&mut self, session: &mut Session) -> Result<(), StoreError> {
        let streams: Vec<_> = std::mem::take(&mut self.pending).0.into_values().collect();
        if streams.is_empty() {
            return Ok(());
        }
        let provider = session.provider.clone();
        let known = session
            .archive
            .follow(session.account, &streams, wanted_history(&*provider))
            .await?;
        let mut followed = Vec::new();
        for (stream, (id, wanted_from)) in streams.iter().zip(known) {
            if provider.follow(stream) {
                session.add_stream(FollowedStream { id, wanted_from });
                followed.push(stream.key.as_str());
            }
        }
        log_followed(&provider.account().name, &followed);
        Ok(())
    }

    /// Returns the directories of the provider, if it is time to read them.
    pub(super) fn due_directories(
        &mut self,
        session: &Session,
        purpose: Purpose,
    ) -> Option<DirectoryReader> {
        let directories = session.provider.directories();
        let is_wanted = directories.count > 0 && matches!(purpose, Purpose::Sync(_));
        let is_time = |last: Instant| last.elapsed() >= directories.poll_interval;
        if !is_wanted || !self.directories_read_at.is_none_or(is_time) {
            return None;
        }
        self.directories_read_at = Some(Instant::now());
        Some(DirectoryReader {
            provider: session.provider.clone(),
            archive: session.archive.clone(),
            account: session.account,
            room: room_for(&*session.provider),
        })
    }
}

fn log_followed(account: &str, streams: &[&str]) {
    for stream in streams.iter().take(MAX_LOGGED_STREAMS) {
        tracing::info!(account, stream, "discovered; it is followed from now on");
    }
    let count = streams.len();
    if count > MAX_LOGGED_STREAMS {
        tracing::info!(
            account,
            streams = count,
            "discovered, including those above; all are followed"
        );
    }
}

/// Reads the provider's directories, beside a pass.
pub(super) struct DirectoryReader {
    provider: Arc<dyn Provider>,
    archive: Arc<dyn Archive>,
    account: AccountId,
    /// The number of streams that may be added.
    room: usize,
}

/// The streams in the directories that were not followed.
#[derive(Default)]
pub(super) struct DirectoryResult {
    discovered: DiscoveredStreams,
    /// True if a directory could not be read. `None` if they were not read.
    has_failed: Option<bool>,
    /// The number of streams that were left out because of the account's limit.
    left_out: usize,
}

/// Reads the directories, if they are due.
pub(super) async fn read_directories(
    reader: Option<DirectoryReader>,
    stop: &CancellationToken,
) -> Result<DirectoryResult, StoreError> {
    match reader {
        Some(reader) => reader.read_all(stop).await,
        None => Ok(DirectoryResult::default()),
    }
}

impl DirectoryReader {
    /// Reads all directories. The streams of each answer are recorded before the next request,
    /// since a provider may not repeat them. A directory that cannot be read is recorded as an
    /// error; the others are read all the same.
    async fn read_all(self, stop: &CancellationToken) -> Result<DirectoryResult, StoreError> {
        let mut result = DirectoryResult::default();
        let mut first_error = None;
        let deadline = Instant::now() + MAX_LISTING;
        for directory in 0..self.provider.directories().count {
            for _ in 0..MAX_DIRECTORY_REQUESTS {
                let page = self.provider.read_directory(directory);
                let DirectoryPage {
                    streams,
                    has_more,
                    error,
                } = tokio::select! {
                    page = timeout_at(deadline, page) => page.unwrap_or_else(|_| timed_out()),
                    () = stop.cancelled() => return Ok(result),
                };
                self.follow_in_archive(streams, &mut result).await?;
                if let Some(failure) = error {
                    let account = &self.provider.account().name;
                    let (error, hint) = (failure.to_string(), failure.hint());
                    tracing::warn!(account, error, hint, "a directory cannot be read");
                    first_error.get_or_insert_with(|| RecordedError {
                        error: format!("further streams cannot be discovered: {error}"),
                        hint: format!("followed streams are archived all the same; {hint}"),
                    });
                }
                if !has_more {
                    break;
                }
            }
        }
        self.archive
            .record_error(ErrorSubject::Discovery(self.account), first_error.as_ref())
            .await?;
        Ok(DirectoryResult {
            has_failed: Some(first_error.is_some()),
            ..result
        })
    }

    /// Records the streams of a page that are not followed yet, as far as there is room, and adds
    /// them to the result.
    async fn follow_in_archive(
        &self,
        streams: Vec<Stream>,
        result: &mut DirectoryResult,
    ) -> Result<(), StoreError> {
        let mut discovered = DiscoveredStreams::default();
        discovered.add(streams);
        discovered.0.retain(|key, _| {
            self.provider.stream_index(key).is_none() && !result.discovered.0.contains_key(key)
        });
        result.left_out += discovered.truncate(self.room - result.discovered.0.len());
        if !discovered.is_empty() {
            let streams: Vec<_> = discovered.0.values().cloned().collect();
            self.archive
                .follow(self.account, &streams, wanted_history(&*self.provider))
                .await?;
        }
        result.discovered.extend(discovered);
        Ok(())
    }
}

fn timed_out() -> DirectoryPage {
    let cause = format!(
        "the directories could not be read within {} s",
        MAX_LISTING.as_secs()
    );
    let error = ProviderError::Unreachable {
        operation: "lists",
        cause,
        attempts: 1,
    };
    DirectoryPage {
        error: Some(error),
        ..DirectoryPage::default()
    }
}

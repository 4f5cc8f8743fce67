//! Streams that the configuration does not list: found in messages and in the provider's lists, and followed from the
//! next pass on.
//!
//! What is followed is in the archive, so that every later process follows it, too. What messages have led to and is not
//! written down yet when a process ends is found again by the next: from whoever appears in the archive.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::account::{AccountSync, Session};
use super::plan::PlanEdges;
use super::{MAX_SHORT_PASS, Purpose};
use crate::domain::identity::IdentifiedMessage;
use crate::domain::participant::Participant;
use crate::domain::stream::Stream;
use crate::domain::time::{Millis, Second};
use crate::provider::{AccountSettings, DirectoryPage, Provider, ProviderError};
use crate::store::{AccountId, Archive, RecordedError, StoreError};

/// So long all lists together may take, as long as the pass beside which they are read.
const MAX_LISTING: Duration = MAX_SHORT_PASS;
/// Requests for one list, where it is told piece by piece.
const MAX_DIRECTORY_REQUESTS: u32 = 16;
/// So many found streams are named in the log at once.
const MAX_LOGGED_STREAMS: usize = 20;

/// Streams that were found, by key: each once.
pub(super) type DiscoveredStreams = BTreeMap<String, Arc<Stream>>;

/// What an account has found, between passes.
#[derive(Default)]
pub(super) struct StreamDiscovery {
    /// What is followed from the next pass on.
    found: DiscoveredStreams,
    /// When the provider was last asked for its lists.
    listed_at: Option<Instant>,
    /// Whether they could not be had.
    has_failed: bool,
}

impl StreamDiscovery {
    /// Takes note of what a pass has found, and the lists beside it.
    pub(super) fn add_found(&mut self, found: DiscoveredStreams, read: DirectoryResult) {
        self.found.extend(found);
        self.found.extend(read.found);
        self.has_failed = read.failed.unwrap_or(self.has_failed);
    }

    /// How many streams are followed from the next pass on.
    pub(super) fn pending(&self) -> u64 {
        self.found.len() as u64
    }

    /// Whether the provider's lists could not be had when they were last asked for.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed
    }
}

/// The provider's lists, to be read beside a pass.
pub(super) struct DirectoryReader {
    provider: Arc<dyn Provider>,
    store: Arc<dyn Archive>,
    account: AccountId,
    from: Second,
}

/// What was on the provider's lists and was not followed.
#[derive(Default)]
pub(super) struct DirectoryResult {
    found: DiscoveredStreams,
    /// Whether any of them could not be had; nothing where they were not asked for.
    failed: Option<bool>,
}

/// Adds the streams that messages lead to.
pub(super) fn discover_from_messages(
    provider: &dyn Provider,
    messages: &[IdentifiedMessage],
    found: &mut DiscoveredStreams,
) {
    if !provider.account().discovers {
        return;
    }
    for party in messages
        .iter()
        .flat_map(|identified| Participant::sender_and_recipient(&identified.message))
    {
        add(found, provider.streams_to_follow(&party));
    }
}

fn add(found: &mut DiscoveredStreams, streams: Vec<Stream>) {
    for stream in streams {
        found
            .entry(stream.key.clone())
            .or_insert_with(|| Arc::new(stream));
    }
}

/// From when on the history of what is found is wanted: from where the account's begins.
fn wanted_from(account: &AccountSettings, horizon: Option<Second>) -> Second {
    account
        .since
        .map(Millis::second)
        .or(horizon)
        .unwrap_or(Second::EPOCH)
}

impl AccountSync {
    /// Has the provider follow what earlier processes have found, if the account still discovers.
    pub(super) async fn follow_archived(&self, account: AccountId) -> Result<(), StoreError> {
        if self.provider.account().discovers {
            for stream in self.store.discovered_streams(account).await? {
                self.provider.follow(&stream);
            }
        }
        if self.provider.directories().count == 0 {
            self.store.record_discovery_error(account, None).await?;
        }
        Ok(())
    }

    /// Finds what the archive's own messages lead to.
    pub(super) async fn discover_from_archive(
        &mut self,
        account: AccountId,
    ) -> Result<(), StoreError> {
        if self.provider.account().discovers {
            for party in self.store.parties(account).await? {
                add(
                    &mut self.discovery.found,
                    self.provider.streams_to_follow(&party),
                );
            }
        }
        Ok(())
    }

    /// Follows what was found, as the pass that begins sees it: nothing of it has been forgotten in the meantime.
    pub(super) async fn follow_found(
        &mut self,
        place: &mut Session,
        edges: PlanEdges,
    ) -> Result<(), StoreError> {
        let name = &self.provider.account().name;
        let streams: Vec<_> = std::mem::take(&mut self.discovery.found)
            .into_values()
            .collect();
        if streams.is_empty() {
            return Ok(());
        }
        let from = wanted_from(self.provider.account(), edges.horizon);
        let known = self.store.follow(place.account, &streams, from).await?;
        let new = streams
            .iter()
            .zip(known)
            .filter(|(stream, _)| self.provider.follow(stream));
        let mut count = 0;
        for (stream, id) in new {
            place.streams.push((id, from));
            count += 1;
            if count <= MAX_LOGGED_STREAMS {
                tracing::info!(
                    account = name,
                    stream = stream.key,
                    "discovered; it is followed from now on"
                );
            }
        }
        if count > MAX_LOGGED_STREAMS {
            tracing::info!(
                account = name,
                streams = count,
                "discovered, those above among them; all are followed"
            );
        }
        Ok(())
    }

    /// The provider's lists, if it is time to ask for them.
    pub(super) fn due_directories(
        &mut self,
        place: &Session,
        purpose: Purpose,
    ) -> Option<DirectoryReader> {
        let lists = self.provider.directories();
        let is_wanted = lists.count > 0 && matches!(purpose, Purpose::Sync(_));
        let is_due = is_wanted
            && self
                .discovery
                .listed_at
                .is_none_or(|last| last.elapsed() >= lists.poll_interval);
        if !is_due {
            return None;
        }
        self.discovery.listed_at = Some(Instant::now());
        let from = wanted_from(self.provider.account(), self.horizon());
        Some(DirectoryReader {
            provider: self.provider.clone(),
            store: self.store.clone(),
            account: place.account,
            from,
        })
    }
}

/// Reads the lists, if there are any to read.
pub(super) async fn read_directories(
    listing: Option<DirectoryReader>,
    stop: &CancellationToken,
) -> Result<DirectoryResult, StoreError> {
    match listing {
        Some(listing) => listing.read(stop).await,
        None => Ok(DirectoryResult::default()),
    }
}

impl DirectoryReader {
    /// Asks for all lists. What a request brings is written down before the next is made: it may not be told again. A
    /// list that cannot be had is put on record, and costs nothing else.
    async fn read(self, stop: &CancellationToken) -> Result<DirectoryResult, StoreError> {
        let mut read = DirectoryResult::default();
        let mut trouble = None;
        let time_up = Instant::now() + MAX_LISTING;
        for list in 0..self.provider.directories().count {
            for _ in 0..MAX_DIRECTORY_REQUESTS {
                let DirectoryPage {
                    streams,
                    has_more: goes_on,
                    error: failure,
                } = tokio::select! {
                    listed = timeout_at(time_up, self.provider.read_directory(list)) => listed.unwrap_or_else(|_| timed_out_page()),
                    () = stop.cancelled() => return Ok(read),
                };
                read.found.extend(self.follow_in_archive(streams).await?);
                if let Some(failure) = failure {
                    let (error, hint) = (failure.to_string(), failure.hint().to_owned());
                    tracing::warn!(
                        account = self.provider.account().name,
                        error,
                        hint,
                        "a list cannot be had"
                    );
                    trouble.get_or_insert(RecordedError { error, hint });
                }
                if !goes_on {
                    break;
                }
            }
        }
        self.store
            .record_discovery_error(self.account, trouble.as_ref())
            .await?;
        Ok(DirectoryResult {
            failed: Some(trouble.is_some()),
            ..read
        })
    }

    async fn follow_in_archive(
        &self,
        streams: Vec<Stream>,
    ) -> Result<DiscoveredStreams, StoreError> {
        let mut found = DiscoveredStreams::new();
        add(&mut found, streams);
        found.retain(|key, _| self.provider.stream_index(key).is_none());
        if !found.is_empty() {
            let streams: Vec<_> = found.values().cloned().collect();
            self.store.follow(self.account, &streams, self.from).await?;
        }
        Ok(found)
    }
}

fn timed_out_page() -> DirectoryPage {
    let cause = format!("the lists are not read within {} s", MAX_LISTING.as_secs());
    let failure = Some(ProviderError::Unreachable {
        operation: "lists",
        cause,
        attempts: 1,
    });
    DirectoryPage {
        error: failure,
        ..DirectoryPage::default()
    }
}

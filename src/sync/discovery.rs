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

use super::account::{AccountSync, Place};
use super::planner::Edges;
use super::{Purpose, SHORT_PASS};
use crate::domain::identity::Identified;
use crate::domain::party::Party;
use crate::domain::stream::Stream;
use crate::domain::time::{Millis, Second};
use crate::provider::{Account, Listed, Provider, ProviderError};
use crate::store::{AccountId, Store, StoreError, Trouble};

/// So long all lists together may take, as long as the pass beside which they are read.
const LISTING: Duration = SHORT_PASS;
/// Requests for one list, where it is told piece by piece.
const PIECES: u32 = 16;
/// So many found streams are named in the log at once.
const NAMED: usize = 20;

/// Streams that were found, by key: each once.
pub(super) type Found = BTreeMap<String, Arc<Stream>>;

/// What an account has found, between passes.
#[derive(Default)]
pub(super) struct Discovery {
    /// What is followed from the next pass on.
    found: Found,
    /// When the provider was last asked for its lists.
    listed: Option<Instant>,
    /// Whether they could not be had.
    unlisted: bool,
}

impl Discovery {
    /// Takes note of what a pass has found, and the lists beside it.
    pub(super) fn note(&mut self, found: Found, read: Read) {
        self.found.extend(found);
        self.found.extend(read.found);
        self.unlisted = read.failed.unwrap_or(self.unlisted);
    }

    /// How many streams are followed from the next pass on.
    pub(super) fn pending(&self) -> u64 {
        self.found.len() as u64
    }

    /// Whether the provider's lists could not be had when they were last asked for.
    pub(super) fn is_unlisted(&self) -> bool {
        self.unlisted
    }
}

/// The provider's lists, to be read beside a pass.
pub(super) struct Listing {
    provider: Arc<dyn Provider>,
    store: Arc<dyn Store>,
    account: AccountId,
    from: Second,
}

/// What was on the provider's lists and was not followed.
#[derive(Default)]
pub(super) struct Read {
    found: Found,
    /// Whether any of them could not be had; nothing where they were not asked for.
    failed: Option<bool>,
}

/// Adds the streams that messages lead to.
pub(super) fn look_at(provider: &dyn Provider, messages: &[Identified], found: &mut Found) {
    if !provider.account().discovers {
        return;
    }
    for party in messages
        .iter()
        .flat_map(|identified| Party::of(&identified.message))
    {
        add(found, provider.unfollowed(&party));
    }
}

fn add(found: &mut Found, streams: Vec<Stream>) {
    for stream in streams {
        found
            .entry(stream.key.clone())
            .or_insert_with(|| Arc::new(stream));
    }
}

/// From when on the history of what is found is wanted: from where the account's begins.
fn wanted_from(account: &Account, horizon: Option<Second>) -> Second {
    account
        .since
        .map(Millis::second)
        .or(horizon)
        .unwrap_or(Second::EPOCH)
}

impl AccountSync {
    /// Has the provider follow what earlier processes have found, if the account still discovers.
    pub(super) async fn recall(&self, account: AccountId) -> Result<(), StoreError> {
        if self.provider.account().discovers {
            for stream in self.store.discovered(account).await? {
                self.provider.follow(&stream);
            }
        }
        if self.provider.lists().count == 0 {
            self.store.unlisted(account, None).await?;
        }
        Ok(())
    }

    /// Finds what the archive's own messages lead to.
    pub(super) async fn look_up(&mut self, account: AccountId) -> Result<(), StoreError> {
        if self.provider.account().discovers {
            for party in self.store.parties(account).await? {
                add(&mut self.discovery.found, self.provider.unfollowed(&party));
            }
        }
        Ok(())
    }

    /// Follows what was found, as the pass that begins sees it: nothing of it has been forgotten in the meantime.
    pub(super) async fn follow_found(
        &mut self,
        place: &mut Place,
        edges: Edges,
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
            if count <= NAMED {
                tracing::info!(
                    account = name,
                    stream = stream.key,
                    "discovered; it is followed from now on"
                );
            }
        }
        if count > NAMED {
            tracing::info!(
                account = name,
                streams = count,
                "discovered, those above among them; all are followed"
            );
        }
        Ok(())
    }

    /// The provider's lists, if it is time to ask for them.
    pub(super) fn listing(&mut self, place: &Place, purpose: Purpose) -> Option<Listing> {
        let lists = self.provider.lists();
        let is_wanted = lists.count > 0 && matches!(purpose, Purpose::Sync(_));
        let is_due = is_wanted
            && self
                .discovery
                .listed
                .is_none_or(|last| last.elapsed() >= lists.every);
        if !is_due {
            return None;
        }
        self.discovery.listed = Some(Instant::now());
        let from = wanted_from(self.provider.account(), self.horizon());
        Some(Listing {
            provider: self.provider.clone(),
            store: self.store.clone(),
            account: place.account,
            from,
        })
    }
}

/// Reads the lists, if there are any to read.
pub(super) async fn read(
    listing: Option<Listing>,
    stop: &CancellationToken,
) -> Result<Read, StoreError> {
    match listing {
        Some(listing) => listing.read(stop).await,
        None => Ok(Read::default()),
    }
}

impl Listing {
    /// Asks for all lists. What a request brings is written down before the next is made: it may not be told again. A
    /// list that cannot be had is put on record, and costs nothing else.
    async fn read(self, stop: &CancellationToken) -> Result<Read, StoreError> {
        let mut read = Read::default();
        let mut trouble = None;
        let time_up = Instant::now() + LISTING;
        for list in 0..self.provider.lists().count {
            for _ in 0..PIECES {
                let Listed {
                    streams,
                    goes_on,
                    failure,
                } = tokio::select! {
                    listed = timeout_at(time_up, self.provider.list(list)) => listed.unwrap_or_else(|_| too_slow()),
                    () = stop.cancelled() => return Ok(read),
                };
                read.found.extend(self.write_down(streams).await?);
                if let Some(failure) = failure {
                    let (error, hint) = (failure.to_string(), failure.hint().to_owned());
                    tracing::warn!(
                        account = self.provider.account().name,
                        error,
                        hint,
                        "a list cannot be had"
                    );
                    trouble.get_or_insert(Trouble { error, hint });
                }
                if !goes_on {
                    break;
                }
            }
        }
        self.store.unlisted(self.account, trouble.as_ref()).await?;
        Ok(Read {
            failed: Some(trouble.is_some()),
            ..read
        })
    }

    async fn write_down(&self, streams: Vec<Stream>) -> Result<Found, StoreError> {
        let mut found = Found::new();
        add(&mut found, streams);
        found.retain(|key, _| self.provider.position(key).is_none());
        if !found.is_empty() {
            let streams: Vec<_> = found.values().cloned().collect();
            self.store.follow(self.account, &streams, self.from).await?;
        }
        Ok(found)
    }
}

fn too_slow() -> Listed {
    let cause = format!("the lists are not read within {} s", LISTING.as_secs());
    let failure = Some(ProviderError::Unreachable {
        what: "lists",
        cause,
        tries: 1,
    });
    Listed {
        failure,
        ..Listed::default()
    }
}

//! The sealed history of all streams, compared at once with the provider's counts. This serves
//! `backscroll verify --remote`.

use std::collections::{BTreeMap, HashMap};

use futures_util::stream::{self, StreamExt};
use tokio_util::sync::CancellationToken;

use super::range::comparable_range;
use super::reconcile::differences;
use crate::domain::format::sanitized;
use crate::domain::frontier::Frontier;
use crate::domain::stream::StreamIndex;
use crate::domain::window::Window;
use crate::provider::{Disposition, ProviderError};
use crate::store::StoreError;
use crate::sync::error::SyncError;
use crate::sync::limits::PARALLEL_COMPARISONS;
use crate::sync::purpose::AccountFailure;
use crate::sync::session::{FollowedStream, Session};

/// The result of comparing an account's streams.
#[derive(Debug, Default)]
pub struct CountComparison {
    /// Streams that were compared, as far as the provider still has them.
    pub streams: u64,
    pub differences: Vec<CountDifference>,
    /// The windows that are in doubt, which were not compared, by the key of their stream. Those
    /// that the provider has no longer are left out.
    pub doubted: BTreeMap<(String, String), u64>,
    /// The failures that kept the account or some of its streams from being compared.
    pub failures: Vec<AccountFailure>,
}

/// A range of which the provider counts more or fewer messages than when it was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountDifference {
    pub account: String,
    pub stream: String,
    pub range: Window,
    /// The number of messages more; negative if fewer.
    pub excess: i64,
}

impl std::fmt::Display for CountDifference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            account,
            stream,
            range,
            excess,
        } = self;
        let count = excess.unsigned_abs();
        let word = if *excess < 0 { "fewer" } else { "more" };
        write!(
            f,
            "{account} {} from {} to {}: ",
            sanitized(stream),
            range.from(),
            range.to()
        )?;
        write!(
            f,
            "the provider counts {count} {word} than when it was read"
        )
    }
}

/// Compares all streams of an account. Ends early after `stop`.
pub(in crate::sync) async fn compare_counts(
    session: &Session,
    stop: &CancellationToken,
) -> Result<CountComparison, StoreError> {
    let account = &session.provider.account().name;
    let mut comparison = CountComparison::default();
    let frontier = session.frontier(None);
    let keys: HashMap<_, _> = session
        .streams()
        .map(|(index, stream)| (stream.id, session.provider.stream(index).key.clone()))
        .collect();
    for (stream, row) in session.archive.doubted_rows(session.account).await? {
        let is_expired = frontier.horizon.is_some_and(|edge| row.window.to() <= edge);
        if let Some(key) = keys.get(&stream).filter(|_| !is_expired) {
            let stream = (account.clone(), key.clone());
            *comparison.doubted.entry(stream).or_default() += 1;
        }
    }
    let compared = session
        .streams()
        .map(|(index, _)| async move { (index, compare_stream(session, frontier, index).await) });
    let mut compared = stream::iter(compared).buffer_unordered(PARALLEL_COMPARISONS);
    loop {
        let next = tokio::select! {
            next = compared.next() => next,
            () = stop.cancelled() => {
                comparison.add_failure(account, None, ProviderError::Stopped);
                break;
            }
        };
        let Some((index, outcome)) = next else { break };
        let key = &session.provider.stream(index).key;
        match outcome {
            Ok(differences) => {
                comparison.streams += 1;
                let difference = |(range, excess)| CountDifference {
                    account: account.clone(),
                    stream: key.clone(),
                    range,
                    excess,
                };
                let found = differences.into_iter().map(difference);
                comparison.differences.extend(found);
            }
            Err(SyncError::Store(error)) => return Err(error),
            Err(SyncError::Provider(failure)) => {
                let failure = session.attribute(index, failure, stop).await;
                let is_over = failure.disposition() != Disposition::SkipStream;
                comparison.add_failure(account, Some(key), failure);
                if is_over {
                    break;
                }
            }
        }
    }
    Ok(comparison)
}

/// Returns the ranges of a stream that differ, and the number of messages that the provider has more.
async fn compare_stream(
    session: &Session,
    frontier: Frontier,
    stream: StreamIndex,
) -> Result<Vec<(Window, i64)>, SyncError> {
    let mut found: Vec<(Window, i64)> = Vec::new();
    for difference in differences(session, frontier, stream).await? {
        found.push((difference.range, difference.excess));
    }
    if session.provider.arrival_mark(stream).is_none() {
        return Ok(found);
    }
    let FollowedStream { id, wanted_from } = session.stream(stream);
    if let Some(range) = comparable_range(frontier, wanted_from) {
        let rows = session.archive.ledger_rows(id, range, u64::MAX).await?;
        let sealed = rows.iter().map(|row| row.window).reduce(Window::hull);
        if let Some(sealed) = sealed.and_then(|sealed| sealed.intersect(range)) {
            let excess = session.provider.count_unread(stream, sealed).await?;
            found.extend((excess != 0).then_some((sealed, excess)));
        }
    }
    Ok(found)
}

impl CountComparison {
    fn add_failure(&mut self, account: &str, stream: Option<&str>, failure: ProviderError) {
        let (account, stream) = (account.to_owned(), stream.map(str::to_owned));
        self.failures.push(AccountFailure {
            account,
            stream,
            failure,
        });
    }
}

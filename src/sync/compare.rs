//! What is sealed, compared with what the provider counts today: for somebody who wants to know, of all streams at once.

use futures_util::stream::{self, StreamExt};
use tokio_util::sync::CancellationToken;

use super::HistoryBounds;
use super::account::AccountSync;
use super::reconcile::{CompareError, RowDifference, StreamComparison};
use super::refetch::{PARALLEL_COMPARISONS, comparable_range};
use crate::domain::stream::StreamIndex;
use crate::domain::window::Window;
use crate::provider::{Disposition, ProviderError};
use crate::store::StoreError;

/// What came of counting an account's streams.
#[derive(Debug, Default)]
pub struct CountComparison {
    /// Streams that were compared, as far as the provider still has them.
    pub streams: u64,
    pub excesses: Vec<CountDifference>,
    /// What could not be compared, and why not.
    pub left: Vec<String>,
}

/// A stretch of which the provider counts more or fewer messages than it did when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountDifference {
    pub account: String,
    pub stream: String,
    pub range: Window,
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
        let (count, word) = (
            excess.unsigned_abs(),
            if *excess < 0 { "fewer" } else { "more" },
        );
        write!(
            f,
            "{account} {stream} from {} to {}: ",
            range.from(),
            range.to()
        )?;
        write!(
            f,
            "the provider counts {count} {word} than when it was read"
        )
    }
}

impl AccountSync {
    /// Counts what is sealed of all streams, as far as the provider still has it. Ends early once `stop` is given.
    pub async fn compare_counts(
        &mut self,
        stop: &CancellationToken,
    ) -> Result<CountComparison, StoreError> {
        let mut counts = CountComparison::default();
        let name = self.name().to_owned();
        let place = match self.open_session(stop).await? {
            Ok(place) => place,
            Err(failure) => {
                counts
                    .left
                    .push(format!("{name}: {failure}\n  hint: {}", failure.hint()));
                return Ok(counts);
            }
        };
        let edges = self.frontier(&place, HistoryBounds::default());
        let (provider, store) = (&*self.provider, &*self.store);
        let compared = StreamIndex::enumerate(&place.streams).map(
            |(position, &(id, wanted_from))| async move {
                let counting = StreamComparison {
                    provider,
                    store,
                    account: place.account,
                    position,
                    id,
                };
                let differences = match comparable_range(edges, wanted_from) {
                    Some(range) => counting.differences(range).await,
                    None => Ok(vec![]),
                };
                (position, differences)
            },
        );
        let mut compared = stream::iter(compared).buffer_unordered(PARALLEL_COMPARISONS);
        loop {
            let next = tokio::select! {
                next = compared.next() => next,
                () = stop.cancelled() => {
                    counts.left.push(format!("{name}: {}", ProviderError::Stopped));
                    break;
                }
            };
            let Some((position, differences)) = next else {
                break;
            };
            let key = &self.provider.stream(position).key;
            match differences {
                Ok(differences) => counts.add(&name, key, differences),
                Err(CompareError::Store(error)) => return Err(error),
                Err(CompareError::Provider(failure)) => {
                    counts.left.push(format!(
                        "{name} {key}: {failure}\n  hint: {}",
                        failure.hint()
                    ));
                    if failure.disposition() != Disposition::SkipStream {
                        break;
                    }
                }
            }
        }
        drop(compared);
        self.return_session(place);
        Ok(counts)
    }
}

impl CountComparison {
    fn add(&mut self, account: &str, stream: &str, differences: Vec<RowDifference>) {
        self.streams += 1;
        self.excesses.extend(differences.into_iter().map(
            |RowDifference { range, excess, .. }| CountDifference {
                account: account.to_owned(),
                stream: stream.to_owned(),
                range,
                excess,
            },
        ));
    }
}

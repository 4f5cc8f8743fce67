//! Passes over what is sealed already: what is to be read again, and in which order.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::account::{AccountSync, Session};
use super::pipeline::{KnownTimes, PassOutcome, Pipeline};
use super::plan::{Job, Plan, PlanEdges, Refetch};
use super::reconcile::{CompareError, RowDifference, StreamComparison};
use crate::domain::stream::StreamIndex;
use crate::domain::time::Second;
use crate::domain::window::Window;
use crate::provider::{Disposition, ProviderError};
use crate::store::{LedgerRow, StoreError, StreamId, UnreadGroup};

/// After so long no more streams are compared in this pass: their turn comes in the next.
const MAX_COMPARE: Duration = Duration::from_secs(30);
/// Streams that are compared at once: enough that latency does not leave the budget idle.
pub(super) const PARALLEL_COMPARISONS: usize = 8;
/// What may fall behind the horizon while a pass goes on is left alone, in seconds: its counts do not hold still.
const UNSTABLE_EDGE_S: i64 = 300;
/// Minutes with unread messages that a refresh looks at.
const MAX_UNREAD_MINUTES: u64 = 10_000;
/// Ledger rows that a refresh reads again at the most: more than a pass has time for.
const MAX_REFRESHED_ROWS: usize = 1000;
/// A message is looked at again when its age has grown by about this share.
const REFRESH_AGE_FRACTION: i64 = 16;

impl AccountSync {
    /// Reads again what is in doubt, and whatever differs from the provider's counts.
    pub(super) async fn reconcile(
        &mut self,
        place: &mut Session,
        edges: PlanEdges,
        stop: &CancellationToken,
    ) -> Result<PassOutcome, StoreError> {
        let mut again = self.due_suspects(place, edges).await?;
        let (differences, failures) = self.compare(place, edges, stop).await?;
        again.jobs.extend(differences.jobs);
        let is_over = failures
            .iter()
            .any(|(_, failure)| failure.disposition() != Disposition::SkipStream);
        let plan = Plan::refetching(edges, again.jobs.into_iter().filter(|_| !is_over));
        let mut done = Pipeline::new(self, place, plan)
            .with_known_times(differences.known)
            .run(stop)
            .await?;
        for (stream, failure) in failures {
            self.record_stream_error(place, stream, &failure).await?;
            done.tally.errors += 1;
            done.tally
                .last_error
                .get_or_insert_with(|| failure.to_string());
            if done
                .failure
                .as_ref()
                .is_none_or(|graver| graver.disposition() != Disposition::Park)
            {
                done.failure = Some(failure);
            }
        }
        Ok(done)
    }

    /// The windows in doubt whose turn it is: each is left alone for as long as it has been in doubt before.
    async fn due_suspects(
        &self,
        place: &Session,
        edges: PlanEdges,
    ) -> Result<RefetchList, StoreError> {
        let now = self.clock.now();
        let is_due = |row: &LedgerRow| {
            now.since(row.sealed_at) >= row.sealed_at.since(row.doubted_at.unwrap_or(row.sealed_at))
        };
        let positions: HashMap<StreamId, StreamIndex> = StreamIndex::enumerate(&place.streams)
            .map(|(position, (id, _))| (*id, position))
            .collect();
        let rows = self.store.doubted_rows(place.account).await?;
        let jobs = rows
            .into_iter()
            .filter(|(_, row)| is_due(row))
            .filter_map(|(id, row)| {
                let stream = *positions.get(&id)?;
                let reach = comparable_range(edges, Second(i64::MIN))?;
                let again = Refetch {
                    row: row.window,
                    outside: 0,
                    sealed_at: row.sealed_at,
                };
                let job = Job {
                    stream,
                    range: row.window,
                    is_piece: false,
                    refetch: Some(again),
                    poll: None,
                };
                (reach.intersect(row.window) == Some(row.window)).then_some(job)
            });
        Ok(RefetchList {
            jobs: jobs.collect(),
            known: KnownTimes::default(),
        })
    }

    /// Compares streams in turn, until time is up, with what the provider counts. Answers also with what went wrong.
    async fn compare(
        &mut self,
        place: &Session,
        edges: PlanEdges,
        stop: &CancellationToken,
    ) -> Result<(RefetchList, Vec<(StreamIndex, ProviderError)>), StoreError> {
        let (provider, store) = (self.provider.clone(), self.store.clone());
        let count = place.streams.len();
        let time_up = Instant::now() + MAX_COMPARE;
        let first = self.compare_cursor;
        let turns = (0..count)
            .map(|turn| StreamIndex::new((first + turn) % count))
            .take_while(|_| Instant::now() < time_up);
        let compared = stream::iter(turns).map(|position| {
            let (id, wanted_from) = place.streams[position.get()];
            let counting = StreamComparison {
                provider: &*provider,
                store: &*store,
                account: place.account,
                position,
                id,
            };
            async move {
                match comparable_range(edges, wanted_from) {
                    Some(range) => (position, counting.differences(range).await),
                    None => (position, Ok(vec![])),
                }
            }
        });
        let mut compared = compared.buffer_unordered(PARALLEL_COMPARISONS);
        let (mut reread, mut failures) = (RefetchList::default(), Vec::new());
        loop {
            let next = tokio::select! {
                next = compared.next() => next,
                () = stop.cancelled() => None,
            };
            let Some((position, outcome)) = next else {
                break;
            };
            match outcome {
                Ok(differences) => reread.add(position, differences),
                Err(CompareError::Store(error)) => return Err(error),
                Err(CompareError::Provider(failure)) => {
                    let goes_on = failure.disposition() == Disposition::SkipStream;
                    failures.push((position, failure));
                    if !goes_on {
                        break;
                    }
                }
            }
            self.compare_cursor = self.compare_cursor.wrapping_add(1);
        }
        Ok((reread, failures))
    }

    /// Reads again what had not been read by its addressees.
    pub(super) async fn refresh(
        &mut self,
        place: &mut Session,
        edges: PlanEdges,
        stop: &CancellationToken,
    ) -> Result<PassOutcome, StoreError> {
        let now = self.provider.now();
        let since = now.minus(self.provider.account().refresh_for.unwrap_or_default());
        let last = self.refreshed_to;
        let unread = self
            .store
            .unread(place.account, since, MAX_UNREAD_MINUTES)
            .await?;
        let due = unread
            .into_iter()
            .filter(|unread| is_refresh_due(unread.last.second(), now.second(), last));
        let mut rows = Vec::new();
        for (position, stretches) in self.unread_by_stream(due) {
            rows.extend(self.rows_around(place, edges, position, stretches).await?);
        }
        // What was said last changes soonest.
        rows.sort_by_key(|(_, _, stretch)| std::cmp::Reverse(stretch.to()));
        rows.truncate(MAX_REFRESHED_ROWS);
        let mut reread = RefetchList::default();
        for (position, row, stretch) in rows {
            let id = place.streams[position.get()].0;
            let (provider, store) = (&*self.provider, &*self.store);
            let counting = StreamComparison {
                provider,
                store,
                account: place.account,
                position,
                id,
            };
            reread.add(position, vec![counting.difference(row, stretch, 0).await?]);
        }
        let plan = Plan::refetching(edges, reread.jobs);
        let done = Pipeline::new(self, place, plan)
            .with_known_times(reread.known)
            .run(stop)
            .await?;
        if done.failure.is_none() {
            self.refreshed_to = Some(now.second());
        }
        Ok(done)
    }

    /// The seconds from the first to the last of each group, by the streams they belong to.
    fn unread_by_stream(
        &self,
        unread: impl Iterator<Item = UnreadGroup>,
    ) -> BTreeMap<StreamIndex, Vec<Window>> {
        let followed = self.provider.streams();
        let mut streams: HashMap<&str, Vec<StreamIndex>> = HashMap::new();
        for (position, stream) in StreamIndex::enumerate(&followed) {
            let scope = &stream.scope;
            let most_telling = scope
                .conversation
                .as_ref()
                .or(scope.recipient.as_ref())
                .or(scope.sender.as_ref());
            streams
                .entry(most_telling.map_or("", String::as_str))
                .or_default()
                .push(position);
        }
        let mut stretches: BTreeMap<StreamIndex, Vec<Window>> = BTreeMap::new();
        for UnreadGroup {
            sender,
            recipient,
            conversation,
            first,
            last,
        } in unread
        {
            let Some(stretch) = Window::new(first.second(), last.second().plus(1)) else {
                continue;
            };
            let candidates = [&conversation, &recipient, &sender]
                .into_iter()
                .filter_map(|name| streams.get(name.as_str()));
            for &position in candidates.flatten() {
                if followed[position.get()]
                    .scope
                    .matches_names(&sender, &recipient, &conversation)
                {
                    stretches.entry(position).or_default().push(stretch);
                }
            }
        }
        stretches
    }

    /// The ledger rows that hold the stretches, each with the part from its first to its last.
    async fn rows_around(
        &self,
        place: &Session,
        edges: PlanEdges,
        position: StreamIndex,
        stretches: Vec<Window>,
    ) -> Result<Vec<(StreamIndex, LedgerRow, Window)>, StoreError> {
        let (id, wanted_from) = place.streams[position.get()];
        let all = stretches.iter().copied().reduce(Window::hull);
        let Some((all, reach)) = all.zip(comparable_range(edges, wanted_from)) else {
            return Ok(vec![]);
        };
        let rows = self.store.ledger_rows(id, all, u64::MAX).await?;
        let around = rows
            .into_iter()
            .filter(|row| row.doubt.is_none())
            .filter_map(|row| {
                let inside = stretches
                    .iter()
                    .filter_map(|stretch| stretch.intersect(row.window)?.intersect(reach));
                let stretch = inside.reduce(Window::hull)?;
                Some((position, row, stretch))
            });
        Ok(around.collect())
    }
}

/// What of a stream can be had and holds still.
pub(super) fn comparable_range(edges: PlanEdges, wanted_from: Second) -> Option<Window> {
    let from = edges.horizon.map_or(wanted_from, |horizon| {
        wanted_from.max(horizon.plus(UNSTABLE_EDGE_S))
    });
    Window::new(from, edges.settled)
}

/// What is to be read again.
#[derive(Debug, Default)]
struct RefetchList {
    jobs: Vec<Job>,
    known: KnownTimes,
}

impl RefetchList {
    fn add(&mut self, stream: StreamIndex, differences: Vec<RowDifference>) {
        for RowDifference {
            row:
                LedgerRow {
                    window: row,
                    sealed_at,
                    ..
                },
            range,
            outside,
            times,
            ..
        } in differences
        {
            let again = Some(Refetch {
                row,
                outside,
                sealed_at,
            });
            self.jobs.push(Job {
                stream,
                range,
                is_piece: false,
                refetch: again,
                poll: None,
            });
            self.known.insert((stream, row), times);
        }
    }
}

/// Whether a message is to be looked at again that was looked at last with all others. The older it is, the rarer.
fn is_refresh_due(sent_at: Second, now: Second, last: Option<Second>) -> bool {
    let step = ((now.0 - sent_at.0) / REFRESH_AGE_FRACTION).max(1) as u64;
    let step = step.next_power_of_two() as i64;
    last.is_none_or(|last| last.0.div_euclid(step) != now.0.div_euclid(step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn young_messages_are_refreshed_often_and_old_ones_rarely() {
        let looks = |age_s: i64| {
            let ticks = (0..1008)
                .map(|tick| Second(1_795_000_000 + tick * 600))
                .collect::<Vec<_>>();
            ticks
                .windows(2)
                .filter(|t| is_refresh_due(Second(t[1].0 - age_s), t[1], Some(t[0])))
                .count()
        };
        assert_eq!(looks(60), 1007, "at every tick");
        assert_eq!(looks(3600), 1007);
        let day = looks(86_400);
        assert!((60..=100).contains(&day), "{day} times in a week");
        assert!(
            is_refresh_due(Second(0), Second(1_000_000), None),
            "whatever was before this process"
        );
    }
}

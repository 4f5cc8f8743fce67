//! The cost of a sync, from the provider's counts, before anything is fetched.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tokio::time::sleep;

use super::model::{
    BacklogOutlook, CatchUpConditions, MissingRange, fill_unsampled, request_time, sample_evenly,
};
use crate::domain::frontier::Frontier;
use crate::domain::stream::{Scope, Stream, StreamIndex};
use crate::domain::time::Millis;
use crate::domain::window::{Runs, Window};
use crate::provider::limits::MAX_RETRY_AFTER;
use crate::provider::{Disposition, Provider, ProviderError};
use crate::store::StreamStatus;
use crate::sync::clock_check::check_account;
use crate::sync::horizon::{horizon, wanted_history};
use crate::sync::limits::{PARALLEL_COUNTS, SHARE_BESIDE_DAEMON};
use crate::sync::plan::job::Job;
use crate::sync::plan::tails::TailScheduler;
use crate::sync::plan::{Plan, StreamHistory};
use crate::sync::purpose::HistoryBounds;

/// The terms on which the provider is asked.
#[derive(Clone, Copy, Debug)]
pub struct PreviewOptions {
    pub bounds: HistoryBounds,
    /// The approximate number of ranges that are counted, at most. The others are estimated from
    /// them.
    pub max_counts: usize,
    /// True if another process is working on the account.
    pub is_account_in_use: bool,
}

/// The cost of a sync of an account.
#[derive(Debug)]
pub struct Preview {
    pub account: String,
    pub provider: &'static str,
    /// The archive's keys of the account's streams, by index.
    pub streams: Vec<String>,
    pub outlook: BacklogOutlook,
    /// The requests of the outlook, and one to check the credentials.
    pub requests: u64,
    /// The missing ranges, the most urgent first, in the order of the outlook's losses.
    pub missing_ranges: Vec<MissingRange>,
    /// True if the same message may have been expected of several streams.
    pub has_overlaps: bool,
    /// The number of ranges that were counted.
    pub counted_ranges: usize,
    /// The number of requests for the counts.
    pub requests_spent: u64,
    /// The reasons why streams could not be counted. Those are estimated like the others.
    pub stream_errors: Vec<(StreamIndex, ProviderError)>,
}

/// Counts the missing history of an account at the provider. The archive is not changed.
///
/// `known` is the status of the archive's streams; those of other accounts are ignored.
pub async fn preview(
    provider: &dyn Provider,
    known: &[StreamStatus],
    options: PreviewOptions,
    now: Millis,
) -> Result<Preview, ProviderError> {
    let account = provider.account();
    let known: Vec<&StreamStatus> = known
        .iter()
        .filter(|stream| stream.account == account.name)
        .collect();
    let requests_before = provider.requests_sent();
    follow_discovered(provider, &known);
    if let Some(pause) = known.first().and_then(|stream| stream.pause.as_ref()) {
        provider.pause_for(pause.until.since(now).min(MAX_RETRY_AFTER), &pause.reason);
    }
    // Its answer tells the provider's time.
    check_account(provider).await?;
    let now = provider.now().second();
    let horizon = horizon(provider);
    let jobs = missing_jobs(provider, &known, options.bounds);
    let sampled = sample_evenly(jobs.len(), options.max_counts);
    let counts = sample_counts(provider, &jobs, &sampled, options.is_account_in_use).await?;
    let missing_ranges = estimate_ranges(provider, &jobs, &counts.counted);
    let conditions = CatchUpConditions {
        now,
        retention: horizon.map(|edge| Duration::from_secs(now.0.abs_diff(edge.0))),
        rate: provider.gate().rate_limiter().requests_per_second(),
        pause: Duration::ZERO,
    };
    let outlook = BacklogOutlook::from_missing(&missing_ranges, conditions);
    Ok(Preview {
        account: account.name.clone(),
        provider: account.provider.name(),
        streams: provider
            .streams()
            .iter()
            .map(|stream| stream.key.clone())
            .collect(),
        requests: outlook.requests + 1,
        outlook,
        missing_ranges,
        has_overlaps: has_overlapping_streams(provider),
        counted_ranges: sampled.len() - counts.stream_errors.len(),
        requests_spent: provider.requests_sent() - requests_before,
        stream_errors: counts.stream_errors,
    })
}

/// Follows the streams that a daemon has discovered, if the account still discovers.
fn follow_discovered(provider: &dyn Provider, known: &[&StreamStatus]) {
    if !provider.account().discovers() {
        return;
    }
    for status in known.iter().filter(|status| status.discovered) {
        let key = status.stream.clone();
        let scope = status.scope.clone().unwrap_or_default();
        provider.follow(&Stream {
            key,
            scope,
            discovered: true,
        });
    }
}

/// The provider's counts of some of the jobs.
struct SampledCounts {
    /// By job. `None` if it was not counted.
    counted: Vec<Option<u64>>,
    stream_errors: Vec<(StreamIndex, ProviderError)>,
}

async fn sample_counts(
    provider: &dyn Provider,
    jobs: &[Job],
    sampled: &[usize],
    is_account_in_use: bool,
) -> Result<SampledCounts, ProviderError> {
    let (wait, parallel) = if is_account_in_use {
        let rate = provider.gate().rate_limiter().requests_per_second();
        (request_time(SHARE_BESIDE_DAEMON, rate), 1)
    } else {
        (Duration::ZERO, PARALLEL_COUNTS)
    };
    let count = |(nth, job): (usize, usize)| async move {
        if nth > 0 {
            sleep(wait).await;
        }
        (
            job,
            provider
                .estimate_count(jobs[job].stream, jobs[job].range)
                .await,
        )
    };
    let sampled = sampled.iter().copied().enumerate();
    let mut answers = stream::iter(sampled).map(count).buffer_unordered(parallel);
    let mut counts = SampledCounts {
        counted: vec![None; jobs.len()],
        stream_errors: Vec::new(),
    };
    while let Some((job, answer)) = answers.next().await {
        match answer {
            Ok(messages) => counts.counted[job] = Some(messages),
            Err(error) if error.disposition() == Disposition::SkipStream => {
                counts.stream_errors.push((jobs[job].stream, error));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(counts)
}

/// Returns what is expected of the range of each job.
fn estimate_ranges(
    provider: &dyn Provider,
    jobs: &[Job],
    counted: &[Option<u64>],
) -> Vec<MissingRange> {
    let ranges: Vec<Window> = jobs.iter().map(|job| job.range).collect();
    let messages = fill_unsampled(&ranges, counted);
    let missing = |(job, messages): (&Job, u64)| MissingRange {
        stream: job.stream,
        range: job.range,
        messages,
        requests: provider.request_cost(messages),
    };
    jobs.iter().zip(messages).map(missing).collect()
}

/// Returns the jobs of a first pass.
fn missing_jobs(
    provider: &dyn Provider,
    known: &[&StreamStatus],
    bounds: HistoryBounds,
) -> Vec<Job> {
    let now = provider.now().second();
    let wanted_to = bounds.until.unwrap_or(now).min(now.plus(-1));
    let horizon = horizon(provider);
    let wanted = wanted_history(provider);
    // Without a retention no range counts as expiring: the order is that of age alone.
    let frontier = Frontier {
        horizon,
        settled_to: wanted_to,
        wanted_to,
        retention: None,
    };
    let known: HashMap<&str, &&StreamStatus> = known
        .iter()
        .map(|stream| (stream.stream.as_str(), stream))
        .collect();
    let none = Runs::default();
    let followed = provider.streams();
    let streams = followed.iter().enumerate().map(|(index, stream)| {
        let known = known.get(stream.key.as_str());
        let from = wanted.start(known.map(|known| known.followed_at));
        StreamHistory {
            stream: StreamIndex::new(index),
            wanted_from: bounds.since.map_or(from, |since| from.max(since)),
            sealed: known.map_or(&none, |known| &known.sealed),
            is_discovered: false,
        }
    });
    let mut plan = Plan::missing(frontier, Some(wanted_to), TailScheduler::default(), streams);
    std::iter::from_fn(|| plan.pop(wanted_to, None)).collect()
}

/// True if a message may belong to several of the streams. Streams whose scopes name the same parts
/// of a message do not overlap, or they would be the same stream.
fn has_overlapping_streams(provider: &dyn Provider) -> bool {
    let named_parts = |scope: &Scope| {
        (
            scope.sender.is_some(),
            scope.recipient.is_some(),
            scope.conversation.is_some(),
        )
    };
    let streams = provider.streams();
    let kinds: BTreeSet<_> = streams
        .iter()
        .map(|stream| named_parts(&stream.scope))
        .collect();
    kinds.len() > 1
}

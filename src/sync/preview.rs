//! What a sync of an account will take, from the provider's counts, before anything is fetched.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tokio::time::sleep;

use super::HistoryBounds;
use super::account::horizon;
use super::estimate::{
    BacklogOutlook, CatchUpConditions, Stretch, fill_unsampled, sample_evenly, time,
};
use super::plan::{Job, Plan, PlanEdges};
use super::tails::TailScheduler;
use crate::domain::stream::{Scope, Stream, StreamIndex};
use crate::domain::time::{Millis, Second};
use crate::domain::window::{Runs, Window};
use crate::provider::{Disposition, Provider, ProviderError};
use crate::store::StreamStatus;

/// Ranges that are asked about at once: enough that latency does not leave the budget idle.
const PARALLEL_COUNTS: usize = 8;
/// Beside somebody else who works on the account, one in so many of its requests is ours.
const SHARE_BESIDE_DAEMON: u64 = 5;

/// On which terms the provider is asked.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    pub bounds: HistoryBounds,
    /// About how many ranges it is asked, at the most. The others are taken to be like them.
    pub most: usize,
    /// Whether somebody else is working on the account.
    pub beside: bool,
}

/// What a sync of an account will take.
#[derive(Debug)]
pub struct Preview {
    pub account: String,
    pub provider: &'static str,
    /// What the archive calls the account's streams, by position.
    pub streams: Vec<String>,
    pub outlook: BacklogOutlook,
    /// The requests of the outlook, and the one that makes sure of the credentials.
    pub requests: u64,
    /// What is missing, the most urgent first, as in the outlook's losses.
    pub missing_ranges: Vec<Stretch>,
    /// Whether the same message may have been expected of several streams.
    pub has_overlaps: bool,
    /// How many of the ranges the provider was asked about.
    pub counted_ranges: usize,
    /// How many requests that took.
    pub requests_spent: u64,
    /// Why a stream could not be counted, by its position; it is taken to be like the others.
    pub stream_errors: Vec<(StreamIndex, ProviderError)>,
}

/// Asks the provider what is missing of an account of which the archive says so much; of others' streams nothing is
/// heard. The archive is not touched.
pub async fn preview(
    provider: &dyn Provider,
    known: &[StreamStatus],
    terms: Terms,
    now: Millis,
) -> Result<Preview, ProviderError> {
    let account = provider.account();
    let known: Vec<&StreamStatus> = known
        .iter()
        .filter(|stream| stream.account == account.name)
        .collect();
    let before = provider.requests_sent();
    for found in known
        .iter()
        .filter(|stream| account.discovers && stream.discovered)
    {
        let (key, scope) = (
            found.stream.clone(),
            found.scope.clone().unwrap_or_default(),
        );
        provider.follow(&Stream {
            key,
            scope,
            discovered: true,
        });
    }
    if let Some(pause) = known.first().and_then(|stream| stream.pause.as_ref()) {
        provider.pause_for(pause.until.since(now));
    }
    // By its answer it is known what time it is at the provider.
    provider.check_credentials().await?;
    let (now, edge) = (provider.now().second(), horizon(provider));
    let jobs = missing_jobs(provider, &known, terms.bounds);
    let ranges: Vec<Window> = jobs.iter().map(|job| job.range).collect();
    let asked = sample_evenly(jobs.len(), terms.most);
    let SampledCounts { counted, troubles } =
        sample_counts(provider, &jobs, &asked, terms.beside).await?;
    let stretch = |(job, messages): (&Job, u64)| Stretch {
        stream: job.stream,
        range: job.range,
        messages,
        requests: provider.request_cost(messages),
    };
    let stretches: Vec<Stretch> = jobs
        .iter()
        .zip(fill_unsampled(&ranges, &counted))
        .map(stretch)
        .collect();
    let circumstances = CatchUpConditions {
        now,
        retention: edge.map(|edge| Duration::from_secs(now.0.abs_diff(edge.0))),
        rate: provider.gate().rate_limiter().requests_per_second(),
        pause: Duration::ZERO,
    };
    let outlook = BacklogOutlook::from_missing(&stretches, circumstances);
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
        missing_ranges: stretches,
        has_overlaps: has_overlapping_streams(provider),
        counted_ranges: asked.len() - troubles.len(),
        requests_spent: provider.requests_sent() - before,
        stream_errors: troubles,
    })
}

/// What the provider said of some of the jobs.
struct SampledCounts {
    /// By job; nothing where it was not asked, or did not say.
    counted: Vec<Option<u64>>,
    /// By stream.
    troubles: Vec<(StreamIndex, ProviderError)>,
}

async fn sample_counts(
    provider: &dyn Provider,
    jobs: &[Job],
    asked: &[usize],
    beside: bool,
) -> Result<SampledCounts, ProviderError> {
    let (wait, at_once) = if beside {
        (
            time(
                SHARE_BESIDE_DAEMON,
                provider.gate().rate_limiter().requests_per_second(),
            ),
            1,
        )
    } else {
        (Duration::ZERO, PARALLEL_COUNTS)
    };
    let ask = |(nth, position): (usize, usize)| async move {
        if nth > 0 {
            sleep(wait).await;
        }
        (
            position,
            provider
                .estimate_count(jobs[position].stream, jobs[position].range)
                .await,
        )
    };
    let mut answers = stream::iter(asked.iter().copied().enumerate())
        .map(ask)
        .buffer_unordered(at_once);
    let mut counts = SampledCounts {
        counted: vec![None; jobs.len()],
        troubles: Vec::new(),
    };
    while let Some((position, answer)) = answers.next().await {
        match answer {
            Ok(messages) => counts.counted[position] = Some(messages),
            Err(error) if error.disposition() == Disposition::SkipStream => {
                counts.troubles.push((jobs[position].stream, error));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(counts)
}

/// What a first pass would set out to fetch.
fn missing_jobs(
    provider: &dyn Provider,
    known: &[&StreamStatus],
    bounds: HistoryBounds,
) -> Vec<Job> {
    let account = provider.account();
    let now = provider.now().second();
    let wanted_to = bounds.until.unwrap_or(now).min(now.plus(-1));
    let edge = horizon(provider);
    let edges = PlanEdges {
        horizon: edge,
        expiring_within: Duration::ZERO,
        wanted_to,
        follows_now: false,
        settled: wanted_to,
    };
    let known: HashMap<&str, &&StreamStatus> = known
        .iter()
        .map(|stream| (stream.stream.as_str(), stream))
        .collect();
    let none = Runs::default();
    let followed = provider.streams();
    let streams = StreamIndex::enumerate(&followed).map(|(position, stream)| {
        let known = known.get(stream.key.as_str());
        let since = account
            .since
            .map(Millis::second)
            .or_else(|| known.map(|known| known.wanted_from));
        let from = since.or(edge).unwrap_or(Second::EPOCH);
        (
            position,
            bounds.since.map_or(from, |since| from.max(since)),
            known.map_or(&none, |known| &known.sealed),
        )
    });
    let mut plan = Plan::new(edges, TailScheduler::default(), streams);
    std::iter::from_fn(|| plan.pop(wanted_to, None)).collect()
}

/// Whether a message may belong to several of the streams. Those that name the same parts of it do not meet: else they
/// would be the same stream.
fn has_overlapping_streams(provider: &dyn Provider) -> bool {
    let parts = |scope: &Scope| {
        (
            scope.sender.is_some(),
            scope.recipient.is_some(),
            scope.conversation.is_some(),
        )
    };
    let named: BTreeSet<_> = provider
        .streams()
        .iter()
        .map(|stream| parts(&stream.scope))
        .collect();
    named.len() > 1
}

//! The measures of full-text search: the size of the index, the speed of building it, the latency of
//! searches, and the speed of archiving while the index follows.

use std::sync::Arc;
use std::time::Duration;

use backscroll::daemon::{complete_index, run_indexer};
use backscroll::domain::clock::Clock;
use backscroll::domain::search::query::SearchQuery;
use backscroll::domain::time::Millis;
use backscroll::store::{Archive, HitOrder, Selection};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::error::BenchError;
use super::history;
use super::measures::{WriteSpeed, measure_commits};

/// The number of searches whose latency is measured.
const SEARCHES: usize = 200;
/// The number of hits of each, as on the first page of a reader.
const HITS: u64 = 20;
/// The share of the searches that are as fast as the latency says, in percent.
const PERCENTILE: usize = 95;

/// The cost and the speed of search.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SearchFigures {
    /// Bytes of the index for each message.
    pub(crate) bytes: f64,
    /// Messages per second that are added to the index while nothing else happens.
    pub(crate) build_rate: f64,
    /// The latency that 95 % of the searches do not exceed.
    pub(crate) latency: Duration,
}

/// Builds the index of an archive, and searches in it.
pub(super) async fn measure_search(
    store: &Arc<dyn Archive>,
    messages: usize,
) -> Result<SearchFigures, BenchError> {
    let before = store.size_bytes().await?;
    let begun = Instant::now();
    complete_index(&**store, true, &CancellationToken::new()).await?;
    let took = begun.elapsed();
    let after = store.size_bytes().await?;
    let mut latencies = Vec::with_capacity(SEARCHES);
    for n in 0..SEARCHES {
        latencies.push(search(&**store, &searched_text(n)).await?);
    }
    latencies.sort_unstable();
    Ok(SearchFigures {
        bytes: after.saturating_sub(before) as f64 / messages as f64,
        build_rate: messages as f64 / took.as_secs_f64(),
        latency: latencies[SEARCHES * PERCENTILE / 100],
    })
}

/// Returns a query: a word of any frequency, two words, a phrase, a prefix, or a word with another
/// one left out.
fn searched_text(n: usize) -> String {
    let mut random = fastrand::Rng::with_seed(n as u64);
    let word = history::word_of_random_rank(&mut random);
    match n % 8 {
        0..=3 => word,
        4 => format!("{word} staging"),
        5 => "\"broken again\"".to_owned(),
        6 => format!("{word}*"),
        _ => format!("{word} -lunch"),
    }
}

async fn search(store: &dyn Archive, text: &str) -> Result<Duration, BenchError> {
    let query: SearchQuery = text
        .parse()
        .map_err(|error| BenchError::WrongResult(format!("`{text}`: {error}")))?;
    let everything = Selection {
        account: None,
        conversation: None,
        sender: None,
        from: Millis(i64::MIN),
        to: Millis(i64::MAX),
    };
    let begun = Instant::now();
    store
        .search(&query, &everything, HitOrder::Newest, HITS)
        .await?;
    Ok(begun.elapsed())
}

/// Commits every window while the index follows, as in the service.
pub(super) async fn measure_commits_with_index(
    store: &Arc<dyn Archive>,
    messages: usize,
    clock: &dyn Clock,
) -> Result<WriteSpeed, BenchError> {
    let stop = CancellationToken::new();
    let (archive, stopped) = (store.clone(), stop.clone());
    let indexer = tokio::spawn(async move { run_indexer(&*archive, true, &stopped).await });
    let speed = measure_commits(store, messages, false, clock).await;
    stop.cancel();
    // It ends with the batch that it is working on.
    let _ = indexer.await;
    speed
}

//! The measures. Each function makes one run.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use backscroll::cli::scratch::{ProcessUsage, ScratchDatabase};
use backscroll::domain::clock::Clock;
use backscroll::store::{Archive, NewAccount, RegisteredAccount, WantedHistory, WriteCounts};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::time::{Instant, sleep};

use super::children::{self, ProcessCost};
use super::database::{self, execute, fetch_rows, select_number};
use super::error::BenchError;
use super::history::{self, CONVERSATIONS, SENDERS, START, WINDOW_MESSAGES};

/// The windows that are generated at a time, before their commits are timed. With fewer, the end of
/// each chunk, where not all commits run in parallel, would count too much.
const WINDOWS_PER_CHUNK: usize = 50;
/// The age at which a message is certainly within a sync. The current second is left to the next
/// one.
const SETTLE_WAIT: Duration = Duration::from_secs(3);
/// The number of queries of each kind.
const QUERIES_PER_KIND: usize = 25;
/// A day, in milliseconds.
const DAY_MS: i64 = 86_400_000;

/// The speed of writing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WriteSpeed {
    /// Messages per second.
    pub(crate) rate: f64,
    /// Processor time in seconds, without the database server's.
    pub(crate) cpu: f64,
    /// Peak resident memory in bytes.
    pub(crate) peak: u64,
}

/// Commits every window, and times only the commits. With `again`, the windows belong to other
/// streams with the same messages.
pub(super) async fn measure_commits(
    store: &Arc<dyn Archive>,
    messages: usize,
    again: bool,
    clock: &dyn Clock,
) -> Result<WriteSpeed, BenchError> {
    let streams = history::streams();
    let wanted = WantedHistory {
        since: Some(START),
        reach: None,
        now: clock.now().second(),
    };
    let account = NewAccount {
        streams: Some((&streams[..], wanted)),
        ..NewAccount::named("bench", "agora")
    };
    let RegisteredAccount {
        account, streams, ..
    } = store.register(&account).await?;
    let streams = &streams[if again { CONVERSATIONS } else { 0 }..];
    let windows = messages.div_ceil(WINDOW_MESSAGES);
    let (mut took, mut cpu, mut new) = (Duration::ZERO, Duration::ZERO, 0);
    for first in (0..windows).step_by(WINDOWS_PER_CHUNK) {
        let chunk = first..(first + WINDOWS_PER_CHUNK).min(windows);
        let chunk = chunk.map(|n| [history::window(n, account, streams[n % CONVERSATIONS].0)]);
        let chunk: Vec<_> = chunk.collect();
        let (begun, used) = (Instant::now(), ProcessUsage::own().cpu);
        let commits = chunk.iter().map(|window| store.commit(window, clock.now()));
        let commits = stream::iter(commits).buffered(store.max_parallel_commits());
        let written: Vec<Vec<WriteCounts>> = commits.try_collect().await?;
        took += begun.elapsed();
        cpu += ProcessUsage::own().cpu.saturating_sub(used);
        new += written
            .iter()
            .flatten()
            .map(|written| written.new)
            .sum::<u64>();
    }
    let all = windows * WINDOW_MESSAGES;
    let expected = if again { 0 } else { all as u64 };
    if new != expected {
        let error = format!("{new} messages were new, not {expected}");
        return Err(BenchError::WrongResult(error));
    }
    let rate = all as f64 / took.as_secs_f64();
    Ok(WriteSpeed {
        rate,
        cpu: cpu.as_secs_f64(),
        peak: ProcessUsage::own().peak,
    })
}

/// Returns the total size of the payloads.
pub(super) fn payload_bytes(messages: usize) -> usize {
    let payload = |n| history::message(n / WINDOW_MESSAGES, n % WINDOW_MESSAGES).payload;
    (0..messages).map(|n| payload(n).bytes.len()).sum()
}

/// The median latency of each kind of query.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadLatency {
    pub(crate) conversation: Duration,
    pub(crate) sender: Duration,
    pub(crate) day: Duration,
}

/// Runs the queries of readers on the views, after the database's own maintenance.
pub(super) async fn measure_reads(
    database: &ScratchDatabase,
    messages: usize,
) -> Result<ReadLatency, BenchError> {
    let connection = database.connect_raw().await?;
    if database.is_postgres() {
        // Autovacuum does this within minutes.
        execute(&connection, "VACUUM (ANALYZE) message").await?;
    }
    let mut times = [const { Vec::new() }; 3];
    let days = (messages / CONVERSATIONS * 8 / 86_400).max(1) as i64;
    for n in 0..QUERIES_PER_KIND {
        let day_ms = START.start().0 + (n as i64 % days) * DAY_MS;
        for (times, query) in times.iter_mut().zip(reader_queries(n, day_ms)) {
            let begun = Instant::now();
            fetch_rows(&connection, &query).await?;
            times.push(begun.elapsed());
        }
    }
    connection.close().await;
    let [conversation, sender, day] = times.map(|mut times| {
        times.sort_unstable();
        times[QUERIES_PER_KIND / 2]
    });
    Ok(ReadLatency {
        conversation,
        sender,
        day,
    })
}

/// Returns the latest messages of a conversation, those of a sender, and the number of a day.
fn reader_queries(n: usize, day_ms: i64) -> [String; 3] {
    [
        format!(
            "SELECT sent_at, sender, body FROM archive WHERE conversation_id = \
             (SELECT conversation_id FROM conversations WHERE account = 'bench' \
             AND conversation = '{}') ORDER BY sent_at_ms DESC LIMIT 100",
            history::conversation_name(n % CONVERSATIONS)
        ),
        format!(
            "SELECT sent_at, conversation, body FROM archive WHERE sender_id = \
             (SELECT sender_id FROM senders WHERE sender = '{}') \
             ORDER BY sent_at_ms DESC LIMIT 100",
            history::sender_name(n % SENDERS)
        ),
        format!(
            "SELECT count(*) FROM times WHERE sent_at_ms >= {day_ms} AND sent_at_ms < {}",
            day_ms + DAY_MS
        ),
    ]
}

/// Runs `backscroll sync` against a sandbox without limits, and once more after the ledger was
/// deleted. The processor time and the memory are those of `sync`.
pub(super) async fn measure_end_to_end(
    database: &ScratchDatabase,
    dir: &Path,
    messages: usize,
) -> Result<[WriteSpeed; 2], BenchError> {
    database::create_archive(database).await?.close().await;
    let config = dir.join("config.toml");
    let count = messages.to_string();
    let no_limits = [
        "--plain",
        "--ready-after",
        "0ms",
        "--requests-per-second",
        "0",
    ];
    let flags = [&no_limits[..], &["--messages", &count]].concat();
    let _sandbox = children::start_sandbox(database, &config, &flags).await?;
    // `search` measures the index.
    let mut written = std::fs::read_to_string(&config)?;
    written.push_str("\n[search]\nenabled = false\n");
    std::fs::write(&config, written)?;
    sleep(SETTLE_WAIT).await;
    let first = write_speed(messages, children::run_sync(&config, &[]).await?);
    let connection = database.connect_raw().await?;
    let archived = select_number(&connection, "SELECT count(*) FROM message").await?;
    if archived != messages as i64 {
        let error = format!("{archived} messages were archived, not {messages}");
        return Err(BenchError::WrongResult(error));
    }
    execute(&connection, "DELETE FROM sealed_window").await?;
    connection.close().await;
    let again = write_speed(messages, children::run_sync(&config, &[]).await?);
    Ok([first, again])
}

/// Returns the speed of a process that wrote messages.
pub(super) fn write_speed(messages: usize, cost: ProcessCost) -> WriteSpeed {
    let ProcessCost { time, used } = cost;
    WriteSpeed {
        rate: messages as f64 / time.as_secs_f64(),
        cpu: used.cpu.as_secs_f64(),
        peak: used.peak,
    }
}

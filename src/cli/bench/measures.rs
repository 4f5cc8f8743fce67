//! What is measured, each in one run.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::time::{Instant, sleep};

use super::super::CliError;
use super::children::{self, ProcessCost};
use super::history::{self, CONVERSATIONS, SENDERS, START, WINDOW_MESSAGES};
use super::place::ScratchDatabase;
use super::usage::ProcessUsage;
use crate::domain::clock::Clock;
use crate::store::{Archive, NewAccount, RegisteredAccount, StoreError, WriteCounts};

/// Windows that are made up at a time, before their commits are timed: so many that it hardly counts how the last ends.
const WINDOWS_PER_CHUNK: usize = 50;
/// The age at which a message is sure to be within what a sync takes: the second that is still being written is left to the
/// next.
const SETTLE_WAIT: Duration = Duration::from_secs(3);
/// How often each question is asked.
const QUERIES_PER_KIND: usize = 25;

/// What writing came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct WriteSpeed {
    /// Messages a second.
    pub(super) rate: f64,
    /// Seconds of processor time, the database server's not included.
    pub(super) cpu: f64,
    /// Bytes resident at the most.
    pub(super) peak: u64,
}

/// Commits every window, timing nothing else. With `again`, by other streams, to which the same messages belong.
pub(super) async fn measure_commits(
    store: &Arc<dyn Archive>,
    messages: usize,
    again: bool,
    clock: &dyn Clock,
) -> Result<WriteSpeed, CliError> {
    let streams = history::streams();
    let account = NewAccount {
        name: "bench",
        provider: "agora",
        streams: Some(&streams),
        since: Some(START),
        horizon: None,
    };
    let RegisteredAccount {
        account, streams, ..
    } = store.register(&account).await?;
    let streams = &streams[if again { CONVERSATIONS } else { 0 }..];
    let windows = messages.div_ceil(WINDOW_MESSAGES);
    let (mut took, mut cpu, mut new) = (Duration::ZERO, Duration::ZERO, 0);
    for first in (0..windows).step_by(WINDOWS_PER_CHUNK) {
        let chunk = first..(first + WINDOWS_PER_CHUNK).min(windows);
        let chunk: Vec<_> = chunk
            .map(|n| [history::window(n, account, streams[n % CONVERSATIONS].0)])
            .collect();
        let (begun, used) = (Instant::now(), ProcessUsage::own().cpu);
        let commits = chunk.iter().map(|window| store.commit(window, clock.now()));
        let written: Vec<Vec<WriteCounts>> = stream::iter(commits)
            .buffered(store.max_parallel_commits())
            .try_collect()
            .await?;
        took += begun.elapsed();
        cpu += ProcessUsage::own().cpu.saturating_sub(used);
        new += written
            .iter()
            .flatten()
            .map(|written| written.new)
            .sum::<u64>();
    }
    let expected = if again {
        0
    } else {
        (windows * WINDOW_MESSAGES) as u64
    };
    if new != expected {
        let fault = format!("{new} messages were new, not {expected}");
        return Err(StoreError::Inconsistent {
            what: "bench",
            fault,
        }
        .into());
    }
    let rate = (windows * WINDOW_MESSAGES) as f64 / took.as_secs_f64();
    Ok(WriteSpeed {
        rate,
        cpu: cpu.as_secs_f64(),
        peak: ProcessUsage::own().peak,
    })
}

/// The bytes of all payloads.
pub(super) fn payload_bytes(messages: usize) -> usize {
    (0..messages)
        .map(|n| {
            history::message(n / WINDOW_MESSAGES, n % WINDOW_MESSAGES)
                .payload
                .bytes
                .len()
        })
        .sum()
}

/// How long a reader waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadLatency {
    pub(super) conversation: Duration,
    pub(super) sender: Duration,
    pub(super) day: Duration,
}

/// Asks what readers ask, through the views, once the database has put in order what was written.
pub(super) async fn measure_reads(
    place: &ScratchDatabase,
    messages: usize,
) -> Result<ReadLatency, CliError> {
    let direct = place.connect_raw().await?;
    if place.is_postgres() {
        // What autovacuum does within minutes.
        direct.execute("VACUUM (ANALYZE) message").await?;
    }
    let mut times = [const { Vec::new() }; 3];
    let days = (messages / CONVERSATIONS * 8 / 86_400).max(1) as i64;
    for n in 0..QUERIES_PER_KIND {
        let day_ms = START.start().0 + (n as i64 % days) * 86_400_000;
        let questions = [
            format!(
                "SELECT sent_at, sender, body FROM archive WHERE conversation_id = (SELECT conversation_id \
                 FROM conversations WHERE account = 'bench' AND conversation = '{}') ORDER BY sent_at_ms DESC LIMIT 100",
                history::conversation_name(n % CONVERSATIONS)
            ),
            format!(
                "SELECT sent_at, conversation, body FROM archive WHERE sender_id = (SELECT sender_id \
                 FROM senders WHERE sender = '{}') ORDER BY sent_at_ms DESC LIMIT 100",
                history::sender_name(n % SENDERS)
            ),
            format!(
                "SELECT count(*) FROM times WHERE sent_at_ms >= {day_ms} AND sent_at_ms < {}",
                day_ms + 86_400_000
            ),
        ];
        for (times, question) in times.iter_mut().zip(&questions) {
            let begun = Instant::now();
            direct.rows(question).await?;
            times.push(begun.elapsed());
        }
    }
    direct.close().await;
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

/// The sandbox without limits and `backscroll sync`, each a process of its own; then the same once more, after the
/// ledger has been forgotten. The processor time and the memory are those of `sync`.
pub(super) async fn measure_end_to_end(
    place: &ScratchDatabase,
    scratch: &Path,
    messages: usize,
) -> Result<[WriteSpeed; 2], CliError> {
    place.create().await?.close().await;
    let config = scratch.join("config.toml");
    let count = messages.to_string();
    let unlimited = [
        "--plain",
        "--ready-after",
        "0ms",
        "--requests-per-second",
        "0",
        "--messages",
        &count,
    ];
    let _sandbox = children::start_sandbox(place, &config, &unlimited).await?;
    sleep(SETTLE_WAIT).await;
    let first = write_speed(messages, children::run_sync(&config, &[]).await?);
    let direct = place.connect_raw().await?;
    let archived = direct.number("SELECT count(*) FROM message").await?;
    if archived != messages as i64 {
        let fault = format!("{archived} messages were archived, not {messages}");
        return Err(StoreError::Inconsistent {
            what: "bench",
            fault,
        }
        .into());
    }
    direct.execute("DELETE FROM sealed_window").await?;
    direct.close().await;
    Ok([
        first,
        write_speed(messages, children::run_sync(&config, &[]).await?),
    ])
}

fn write_speed(messages: usize, took: ProcessCost) -> WriteSpeed {
    let ProcessCost { time, used } = took;
    WriteSpeed {
        rate: messages as f64 / time.as_secs_f64(),
        cpu: used.cpu.as_secs_f64(),
        peak: used.peak,
    }
}

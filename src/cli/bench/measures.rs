//! What is measured, each in one run.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::time::{Instant, sleep};

use super::super::Failure;
use super::children::{self, Took};
use super::history::{self, CONVERSATIONS, SENDERS, START, WINDOW};
use super::place::Place;
use super::usage::Usage;
use crate::domain::clock::Clock;
use crate::store::{NewAccount, Registered, Store, StoreError, Written};

/// Windows that are made up at a time, before their commits are timed: so many that it hardly counts how the last ends.
const CHUNK: usize = 50;
/// The age at which a message is sure to be within what a sync takes: the second that is still being written is left to the
/// next.
const EDGE: Duration = Duration::from_secs(3);
/// How often each question is asked.
const QUESTIONS: usize = 25;

/// What writing came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Speed {
    /// Messages a second.
    pub(super) rate: f64,
    /// Seconds of processor time, the database server's not included.
    pub(super) cpu: f64,
    /// Bytes resident at the most.
    pub(super) peak: u64,
}

/// Commits every window, timing nothing else. With `again`, by other streams, to which the same messages belong.
pub(super) async fn store(
    store: &Arc<dyn Store>,
    messages: usize,
    again: bool,
    clock: &dyn Clock,
) -> Result<Speed, Failure> {
    let streams = history::streams();
    let account = NewAccount {
        name: "bench",
        provider: "agora",
        streams: Some(&streams),
        since: Some(START),
        horizon: None,
    };
    let Registered {
        account, streams, ..
    } = store.register(&account).await?;
    let streams = &streams[if again { CONVERSATIONS } else { 0 }..];
    let windows = messages.div_ceil(WINDOW);
    let (mut took, mut cpu, mut new) = (Duration::ZERO, Duration::ZERO, 0);
    for first in (0..windows).step_by(CHUNK) {
        let chunk = first..(first + CHUNK).min(windows);
        let chunk: Vec<_> = chunk
            .map(|n| [history::window(n, account, streams[n % CONVERSATIONS].0)])
            .collect();
        let (begun, used) = (Instant::now(), Usage::own().cpu);
        let commits = chunk.iter().map(|window| store.commit(window, clock.now()));
        let written: Vec<Vec<Written>> = stream::iter(commits)
            .buffered(store.lanes())
            .try_collect()
            .await?;
        took += begun.elapsed();
        cpu += Usage::own().cpu.saturating_sub(used);
        new += written
            .iter()
            .flatten()
            .map(|written| written.new)
            .sum::<u64>();
    }
    let expected = if again { 0 } else { (windows * WINDOW) as u64 };
    if new != expected {
        let fault = format!("{new} messages were new, not {expected}");
        return Err(StoreError::Inconsistent {
            what: "bench",
            fault,
        }
        .into());
    }
    let rate = (windows * WINDOW) as f64 / took.as_secs_f64();
    Ok(Speed {
        rate,
        cpu: cpu.as_secs_f64(),
        peak: Usage::own().peak,
    })
}

/// The bytes of all payloads.
pub(super) fn payload_bytes(messages: usize) -> usize {
    (0..messages)
        .map(|n| history::message(n / WINDOW, n % WINDOW).payload.bytes.len())
        .sum()
}

/// How long a reader waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) conversation: Duration,
    pub(super) sender: Duration,
    pub(super) day: Duration,
}

/// Asks what readers ask, through the views, once the database has put in order what was written.
pub(super) async fn reading(place: &Place, messages: usize) -> Result<Reading, Failure> {
    let direct = place.direct().await?;
    if place.is_postgres() {
        // What autovacuum does within minutes.
        direct.execute("VACUUM (ANALYZE) message").await?;
    }
    let mut times = [const { Vec::new() }; 3];
    let days = (messages / CONVERSATIONS * 8 / 86_400).max(1) as i64;
    for n in 0..QUESTIONS {
        let day_ms = START.start().0 + (n as i64 % days) * 86_400_000;
        let questions = [
            format!(
                "SELECT sent_at, sender, body FROM archive WHERE conversation_id = (SELECT conversation_id \
                 FROM conversations WHERE account = 'bench' AND conversation = '{}') ORDER BY sent_at_ms DESC LIMIT 100",
                history::conversation(n % CONVERSATIONS)
            ),
            format!(
                "SELECT sent_at, conversation, body FROM archive WHERE sender_id = (SELECT sender_id \
                 FROM senders WHERE sender = '{}') ORDER BY sent_at_ms DESC LIMIT 100",
                history::sender(n % SENDERS)
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
        times[QUESTIONS / 2]
    });
    Ok(Reading {
        conversation,
        sender,
        day,
    })
}

/// The sandbox without limits and `backscroll sync`, each a process of its own; then the same once more, after the
/// ledger has been forgotten. The processor time and the memory are those of `sync`.
pub(super) async fn end_to_end(
    place: &Place,
    scratch: &Path,
    messages: usize,
) -> Result<[Speed; 2], Failure> {
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
    let _sandbox = children::sandbox(place, &config, &unlimited).await?;
    sleep(EDGE).await;
    let first = speed(messages, children::sync(&config, &[]).await?);
    let direct = place.direct().await?;
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
    Ok([first, speed(messages, children::sync(&config, &[]).await?)])
}

fn speed(messages: usize, took: Took) -> Speed {
    let Took { time, used } = took;
    Speed {
        rate: messages as f64 / time.as_secs_f64(),
        cpu: used.cpu.as_secs_f64(),
        peak: used.peak,
    }
}

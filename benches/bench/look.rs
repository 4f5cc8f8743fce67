//! The measure of first looks at an archive with ten thousand streams: `backscroll status`, and the
//! status page after a start.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::Duration;

use backscroll::cli::scratch::ScratchDatabase;
use backscroll::domain::frontier::Frontier;
use backscroll::domain::stream::Scope;
use backscroll::domain::time::{Day, Second};
use backscroll::domain::window::Window;
use backscroll::store::{AccountLedger, Archive, LedgerRow, StreamLedger};
use tokio::time::{Instant, sleep};

use super::children;
use super::error::BenchError;
use super::history::START;

/// The number of streams, unless there are fewer messages.
const MAX_STREAMS: usize = 10_000;
/// The length of the sealed history of each stream in days, and that of a ledger row in seconds. A row
/// may be half as long as the provider keeps messages.
const DAYS: i64 = 30;
const ROW_S: i64 = 3 * Day::SECONDS;
/// The messages of a ledger row.
const ROW_MESSAGES: u64 = 100;
/// The time for which the provider keeps messages.
const RETENTION: Duration = Duration::from_hours(7 * 24);
/// The number of looks at the status and at the page.
const LOOKS: usize = 3;
/// The interval at which a service is asked if it has started.
const START_POLL_INTERVAL: Duration = Duration::from_millis(10);
/// The time after which a service that has not started is given up.
const START_PATIENCE: Duration = Duration::from_mins(1);

/// The time of first looks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LookFigures {
    pub(crate) streams: usize,
    /// `backscroll status`, from its start to its end.
    pub(crate) status: Duration,
    /// The first answer of the page after the start of `backscroll run`.
    pub(crate) page: Duration,
}

/// Adds streams and their ledger to an archive.
pub(super) async fn add_streams(store: &dyn Archive, messages: usize) -> Result<(), BenchError> {
    let end = START.plus(DAYS * Day::SECONDS);
    let ledger = AccountLedger {
        account: "looks".to_owned(),
        provider: "agora".to_owned(),
        identity: None,
        frontier: Frontier {
            horizon: Some(end.minus(RETENTION)),
            settled_to: end,
            wanted_to: end,
            retention: Some(RETENTION),
        },
        streams: (0..stream_count(messages)).map(stream).collect(),
    };
    store.restore_ledger(&ledger).await?;
    Ok(())
}

fn stream_count(messages: usize) -> usize {
    messages.min(MAX_STREAMS)
}

fn stream(number: usize) -> StreamLedger {
    let starts = (0..DAYS * Day::SECONDS).step_by(ROW_S as usize);
    StreamLedger {
        key: format!("destination={}", name(number)),
        scope: Some(Scope {
            recipient: Some(name(number)),
            ..Scope::default()
        }),
        wanted_from: START,
        followed_at: START,
        active: true,
        discovered: false,
        arrival_mark: None,
        windows: starts.map(|from| row(START.plus(from))).collect(),
        quarantine: Vec::new(),
    }
}

fn row(from: Second) -> LedgerRow {
    LedgerRow {
        window: Window::new(from, from.plus(ROW_S))
            .unwrap_or_else(|| unreachable!("rows have a length")),
        messages: ROW_MESSAGES,
        digest: None,
        provider_count: Some(ROW_MESSAGES),
        not_shown: 0,
        doubt: None,
        doubted_at: None,
        sealed_at: from.plus(ROW_S).start(),
    }
}

/// Returns the channel of a stream.
fn name(number: usize) -> String {
    format!("look-{number}")
}

/// Looks at an archive that nobody has open and that has the streams of [`add_streams`]. Returns the
/// medians.
pub(super) async fn measure_looks(
    database: &ScratchDatabase,
    dir: &Path,
    messages: usize,
) -> Result<LookFigures, BenchError> {
    let config = dir.join("look.toml");
    // Another program may take the port in between: the service then runs without a page.
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port();
    let streams = stream_count(messages);
    fs::write(&config, config_of(database, port, streams))?;
    let (mut status, mut page) = (Vec::new(), Vec::new());
    for _ in 0..LOOKS {
        status.push(children::run_status(&config).await?.time);
        page.push(first_page(&config, port).await?);
    }
    let median = |mut times: Vec<Duration>| {
        times.sort_unstable();
        times[LOOKS / 2]
    };
    Ok(LookFigures {
        streams,
        status: median(status),
        page: median(page),
    })
}

/// Starts the service, and returns the time of the first answer of the page.
async fn first_page(config: &Path, port: u16) -> Result<Duration, BenchError> {
    let _service = children::start_service(config)?;
    let page = format!("http://127.0.0.1:{port}/");
    let client = children::http_client(&page)?;
    let begun = Instant::now();
    // It is never ready: its provider cannot be reached.
    let is_alive = async || {
        let alive = client.get(format!("{page}healthz")).send().await;
        alive.is_ok_and(|alive| alive.status().is_success())
    };
    while !is_alive().await {
        if begun.elapsed() > START_PATIENCE {
            let error = "`backscroll run` did not start".to_owned();
            return Err(BenchError::WrongResult(error));
        }
        sleep(START_POLL_INTERVAL).await;
    }
    let begun = Instant::now();
    let answer = client.get(page).send().await?.error_for_status()?;
    answer.bytes().await?;
    Ok(begun.elapsed())
}

/// Returns a configuration that follows all streams. Its provider cannot be reached.
fn config_of(database: &ScratchDatabase, port: u16, streams: usize) -> String {
    let streams: Vec<String> = (0..streams)
        .map(|number| format!("{{ destination = \"{}\" }}", name(number)))
        .collect();
    format!(
        "[database]\nurl = \"{}\"\n\n[status_page]\nlisten = \"127.0.0.1:{port}\"\n\n\
         [search]\nenabled = false\n\n[[agora]]\nname = \"looks\"\n\
         base_url = \"http://127.0.0.1:1\"\napp_id = \"looks\"\ncustomer_id = \"looks\"\n\
         customer_secret = \"looks\"\nstreams = [\n{}\n]\n",
        database.url(),
        streams.join(",\n")
    )
}

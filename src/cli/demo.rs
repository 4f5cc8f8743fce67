//! `backscroll demo`: archives a generated history and runs example queries.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::error::CliError;
use super::exit_outcome::ExitOutcome;
use super::limits::DEMO_PASS_INTERVAL;
use super::output::print_line;
use super::sync::sync_until_complete;
use super::table::{counted, sanitized};
use super::{accounts, summary};
use crate::alerts::AlarmMonitor;
use crate::config::{Config, UsedSecrets};
use crate::daemon::complete_index;
use crate::daemon::signals;
use crate::daemon::web::{StatusServer, StatusSources};
use crate::domain::clock::Clock;
use crate::sandbox::{Options, Sandbox};
use crate::store::IfMissing;
use crate::store::{Archive, Reports, SqliteStore};
use crate::sync::{Engine, HistoryBounds, PassReport, Purpose};

/// The account names of a demo. An archive without any other account was written by a demo.
const DEMO_ACCOUNTS: [&str; 2] = ["sandbox", "web3mq-1"];
/// Ten times Agora's rate limit. With Agora's own, the demo would take a minute and a half.
const REQUESTS_PER_SECOND: u32 = 100;

const EXAMPLE_QUERIES: [(&str, &str); 3] = [
    (
        "Which conversations are there?",
        "SELECT account, conversation, messages, participants, substr(last_at, 1, 16) AS last
FROM conversations ORDER BY messages DESC LIMIT 6",
    ),
    (
        "Who mentioned \"lunch\" lately?",
        "SELECT substr(a.sent_at, 1, 16) AS sent, a.sender, substr(a.body, 1, 56) AS body
FROM archive_search s JOIN archive a ON a.id = s.rowid
WHERE s.words MATCH 'lunch' ORDER BY a.sent_at_ms DESC LIMIT 5",
    ),
    (
        "Is it all there? Each stream with the range that is complete, and the provider's own count:",
        "SELECT stream, from_at, to_at, messages, provider_count, state
FROM coverage WHERE messages > 0 ORDER BY messages DESC LIMIT 6",
    ),
];

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// File of the new archive. The archive of an earlier demo is replaced
    #[arg(long, default_value = "demo.db", value_name = "FILE")]
    out: PathBuf,

    /// Keep archiving afterwards, and serve the status page at this address until ^C
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = "127.0.0.1:9464")]
    serve: Option<SocketAddr>,

    /// Agora messages to generate; a third as many are added for Web3MQ
    #[arg(long, default_value_t = 30_000, value_name = "N")]
    messages: usize,
}

pub(super) async fn run(args: Args, clock: Arc<dyn Clock>) -> Result<ExitOutcome, CliError> {
    let stop = CancellationToken::new();
    signals::cancel_on_signal(stop.clone())?;
    remove_previous_demo(&args.out).await?;
    let options = Options {
        messages: args.messages,
        topic_messages: args.messages / 3,
        requests_per_second: REQUESTS_PER_SECOND,
        talk: true,
        append_rate: if args.serve.is_some() { 1.0 } else { 0.0 },
        ready_after: "50ms"
            .parse()
            .map_err(|_| CliError::Usage("a duration range".to_owned()))?,
        ..Options::default()
    };
    let sandbox = Sandbox::start(
        options,
        SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        clock.clone(),
    )
    .await?;
    print_line(
        "A sandbox serves the APIs of Agora RTM and Web3MQ on this machine, with a generated history.",
    );
    print_line(format_args!(
        "Archiving it into {}, at {REQUESTS_PER_SECOND} requests a second:\n",
        args.out.display()
    ));
    let database = format!("sqlite://{}", args.out.display());
    let config = Config::parse(
        &sandbox.sample_config(&database),
        Path::new("the sandbox's config.toml"),
        UsedSecrets::Accounts,
    )?;
    let store = Arc::new(SqliteStore::open(&args.out, IfMissing::Create).await?);
    let providers = accounts::build_providers(&config, None, &clock)?;
    let mut engine = Engine::new(providers.clone(), store.clone(), &clock);
    let begun = tokio::time::Instant::now();
    let reports = sync_until_complete(&mut engine, HistoryBounds::default(), &stop).await?;
    let took = begun.elapsed();
    complete_index(&*store, true, &stop).await?;
    let (bounds, streams) = (HistoryBounds::default(), store.status().await?);
    summary::print_sync_summary(&reports, bounds, streams, clock.now().second());
    print_speed(&reports, took, &sandbox);
    for (question, sql) in EXAMPLE_QUERIES {
        print_line(format_args!(
            "\n{question}\n\n  {}\n",
            sql.replace('\n', "\n  ")
        ));
        print_line(store.query(sql).await?.to_string());
    }
    print_next_steps(&args.out);
    if let Some(listen) = args.serve {
        let progress = engine.progress().clone();
        let (archive, accounts) = (store.clone(), providers.clone());
        let monitor = Arc::new(AlarmMonitor::new(archive, accounts, clock.clone(), None)?);
        let sources =
            StatusSources::new(store.clone(), providers, progress, monitor, clock.clone());
        serve(listen, sources, &mut engine, &stop).await?;
    }
    store.close().await;
    sandbox.stop().await;
    Ok(ExitOutcome::success_if(
        reports.iter().all(PassReport::is_complete),
    ))
}

/// Removes the archive of an earlier demo. Errors if the file is anything else.
async fn remove_previous_demo(path: &Path) -> Result<(), CliError> {
    if !path.exists() {
        return Ok(());
    }
    let refused = || {
        CliError::Usage(format!(
            "{0} exists and was not made by a demo: name another file with --out",
            path.display()
        ))
    };
    let store = SqliteStore::open(path, IfMissing::Refuse)
        .await
        .map_err(|_| refused())?;
    let streams = store.status().await?;
    store.close().await;
    let mut accounts = streams.iter().map(|stream| stream.account.as_str());
    if streams.is_empty() || !accounts.all(|account| DEMO_ACCOUNTS.contains(&account)) {
        return Err(refused());
    }
    Ok(std::fs::remove_file(path)?)
}

fn print_speed(reports: &[PassReport], took: Duration, sandbox: &Sandbox) {
    let new: u64 = reports.iter().map(|report| report.tally.new).sum();
    let requests: u64 = reports.iter().map(|report| report.tally.requests).sum();
    let broken = sandbox.rules().total.violations();
    print_line(format_args!(
        "\n{} in {:.1} s with {}; rules of the providers broken: {broken}.",
        counted(new, "message", "messages"),
        took.as_secs_f64(),
        counted(requests, "request", "requests")
    ));
}

/// Serves the status page, and archives what the sandbox goes on to say, until it is told to stop.
async fn serve(
    listen: SocketAddr,
    sources: StatusSources,
    engine: &mut Engine,
    stop: &CancellationToken,
) -> Result<(), CliError> {
    // The page itself would wait for a free address.
    let free = TcpListener::bind(listen)
        .await
        .and_then(|probe| probe.local_addr());
    let listen = free.map_err(|error| {
        CliError::Usage(format!(
            "cannot listen on {listen}: {error}; name another address"
        ))
    })?;
    let mut page = StatusServer::default();
    page.serve(Some(listen), sources).await;
    print_line(format_args!(
        "\nThe status page is at http://{listen}/ and the sandbox goes on talking. ^C ends both."
    ));
    while !stop.is_cancelled() {
        engine
            .pass(Purpose::Sync(HistoryBounds::default()), stop)
            .await?;
        // It does not matter which of the two ended the wait.
        let _ = tokio::time::timeout(DEMO_PASS_INTERVAL, stop.cancelled()).await;
    }
    page.stop().await;
    Ok(())
}

fn print_next_steps(path: &Path) {
    let path = sanitized(&path.display().to_string());
    let program = sanitized(&program_name());
    print_line(format_args!(
        "\nWhat next?
  sqlite3 {path}
      queries the views: archive, conversations, coverage, gaps, runs
  {program} search --database {path} lunch --context 2
      finds messages by their words, and says which part of the range is incomplete
  {program} demo --serve
      the same, with a status page
  {program} sandbox --write-config sandbox.toml
      a sandbox that keeps running, and a configuration for it
  {program} init
      your own account: asks for its credentials, and writes config.toml"
    ));
}

/// Returns the name by which this program was called, so that advice works as it is printed.
fn program_name() -> String {
    let called = std::env::args().next();
    called.unwrap_or_else(|| "backscroll".to_owned())
}

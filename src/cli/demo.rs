//! `backscroll demo`: archives a generated history and runs example queries.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::error::CliError;
use super::exit_outcome::ExitOutcome;
use super::output::print_line;
use super::sync::sync_until_complete;
use super::table::{sanitized, thousands};
use super::{accounts, summary};
use crate::config::Config;
use crate::daemon::signals;
use crate::domain::clock::Clock;
use crate::sandbox::{Options, Sandbox};
use crate::store::IfMissing;
use crate::store::{Archive, Reports, SqliteStore};
use crate::sync::{Engine, HistoryBounds, PassReport};

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
        "SELECT substr(sent_at, 1, 16) AS sent, sender, substr(body, 1, 56) AS body
FROM archive WHERE body LIKE '%lunch%' ORDER BY sent_at_ms DESC LIMIT 5",
    ),
    (
        "Is it all there? Each stream is complete from … to …, and the provider's own count agrees:",
        "SELECT stream, from_at, to_at, messages, provider_count, state
FROM coverage WHERE messages > 0 ORDER BY messages DESC LIMIT 6",
    ),
];

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// File of the new archive. The archive of an earlier demo is replaced
    #[arg(long, default_value = "demo.db", value_name = "FILE")]
    out: PathBuf,

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
    )?;
    let store = Arc::new(SqliteStore::open(&args.out, IfMissing::Create).await?);
    let providers = accounts::build_providers(&config, None, &clock)?;
    let mut engine = Engine::new(providers, store.clone(), &clock);
    let begun = tokio::time::Instant::now();
    let reports = sync_until_complete(&mut engine, HistoryBounds::default(), &stop).await?;
    let took = begun.elapsed();
    summary::print_sync_summary(&reports, store.status().await?, clock.now().second());
    print_speed(&reports, took, &sandbox);
    for (question, sql) in EXAMPLE_QUERIES {
        print_line(format_args!(
            "\n{question}\n\n  {}\n",
            sql.replace('\n', "\n  ")
        ));
        print_line(store.query(sql).await?.to_string());
    }
    store.close().await;
    sandbox.stop().await;
    print_next_steps(&args.out);
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
        "\n{} messages in {:.1} s with {} requests; rules of the providers broken: {broken}.",
        thousands(new),
        took.as_secs_f64(),
        thousands(requests)
    ));
}

fn print_next_steps(path: &Path) {
    let path = sanitized(&path.display().to_string());
    print_line(format_args!(
        "\nWhat next?
  sqlite3 {path}                      query the views: archive, conversations, coverage, gaps, runs
  backscroll sandbox --write-config sandbox.toml
                                       a sandbox that keeps running, and a configuration for it
  $EDITOR config.toml; backscroll check
                                       your own accounts"
    ));
}

//! `backscroll drill` runs the real binary as a child process against a sandbox that injects
//! faults, and kills it repeatedly. Then it compares the archive with the sandbox's history,
//! message by message.

mod comparison;
mod restart_loop;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use self::comparison::TruthComparison;
use self::restart_loop::{RestartLoop, RunCost};
use super::error::CliError;
use super::exit_outcome::ExitOutcome;
use super::output::print_line;
use super::scratch::{ScratchDatabase, ScratchDir};
use super::table::{build_table, counted, thousands};
use crate::daemon::signals;
use crate::domain::clock::Clock;
use crate::sandbox::{Fault, Options, RulesReport, Sandbox, Share};

/// The rate limit of the sandbox. It is high enough for a drill of minutes, and low enough that the
/// limit is reached.
const REQUESTS_PER_SECOND: u32 = 200;
/// The messages per second that are added during the drill.
const APPEND_RATE: f64 = 20.0;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Database of the throwaway archive: an SQLite file that does not exist yet, or a Postgres
    /// database without an archive, in a schema that is removed at the end. Default: a temporary
    /// file
    #[arg(
        long,
        value_name = "URL",
        env = "BACKSCROLL_DRILL_DATABASE",
        hide_env_values = true
    )]
    database: Option<String>,

    /// Number of kills
    #[arg(long, default_value_t = 20, value_name = "N")]
    kills: u32,

    /// Share of the requests that get a fault
    #[arg(long, default_value = "5%", value_name = "SHARE")]
    faults: Share,

    /// Kinds of faults to inject. Default: all
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KINDS")]
    fault_kinds: Vec<Fault>,

    /// Agora messages to generate; a third as many are added for Web3MQ
    #[arg(long, default_value_t = 20_000, value_name = "N")]
    messages: usize,

    /// Seed of the history, the faults and the times of the kills
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
}

pub(super) async fn run(args: Args, clock: Arc<dyn Clock>) -> Result<ExitOutcome, CliError> {
    let stop = CancellationToken::new();
    signals::cancel_on_signal(stop.clone())?;
    let dir = ScratchDir::new()?;
    let database = ScratchDatabase::at(args.database.as_deref(), dir.path()).await?;
    database.prepare().await?;
    let outcome = drill(&args, &database, &dir, clock, &stop).await;
    database.clear().await?;
    outcome
}

async fn drill(
    args: &Args,
    database: &ScratchDatabase,
    dir: &ScratchDir,
    clock: Arc<dyn Clock>,
    stop: &CancellationToken,
) -> Result<ExitOutcome, CliError> {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let sandbox = Sandbox::start(options(args)?, listen, clock).await?;
    let config = dir.path().join("drill.toml");
    sandbox.write_config(&config, database.url())?;
    let messages = args.messages + args.messages / 3;
    print_line(format_args!(
        "A sandbox serves both providers, with {}, and injects a fault into {} of its \
         responses. The process that archives them is killed {}.",
        counted(messages as u64, "message", "messages"),
        args.faults,
        counted(args.kills.into(), "time", "times")
    ));
    let mut process = RestartLoop::new(&sandbox, &config, dir.path(), args.seed)?;
    process.run_with_kills(args.kills, stop).await?;
    let edge = process.run_to_completion(stop).await?;
    let cost = process.cost();
    let comparison = TruthComparison::compare(database, &sandbox, edge).await?;
    let rules = sandbox.rules();
    print_line(describe_injections(&cost, &rules));
    print_line(describe_findings(&cost, &rules, &comparison));
    let is_equal = cost.ended_well && comparison.is_equal() && rules.total.violations() == 0;
    print_line(if is_equal {
        "EQUAL: nothing lost, nothing duplicated."
    } else {
        "NOT EQUAL."
    });
    if !is_equal {
        print_line(format_args!(
            "{}\nThe last log lines of the process:\n{}",
            comparison.describe_differences(),
            process.log_tail()
        ));
    }
    sandbox.stop().await;
    Ok(ExitOutcome::success_if(is_equal))
}

fn options(args: &Args) -> Result<Options, CliError> {
    let span = |text: &str| {
        text.parse()
            .map_err(|_| CliError::Usage("a duration range".to_owned()))
    };
    Ok(Options {
        seed: args.seed,
        messages: args.messages,
        topic_messages: args.messages / 3,
        faults: args.faults,
        fault_kinds: args.fault_kinds.clone(),
        requests_per_second: REQUESTS_PER_SECOND,
        ready_after: span("10ms..60ms")?,
        append_rate: APPEND_RATE,
        ..Options::default()
    })
}

fn describe_injections(cost: &RunCost, rules: &RulesReport) -> String {
    let faults = rules
        .faults
        .iter()
        .map(|(fault, count)| [fault_name(*fault), thousands(*count)]);
    let kills = [
        ["kills".to_owned(), thousands(cost.kills.into())],
        ["checks".to_owned(), thousands(cost.checks.into())],
    ];
    let all = [
        "faults, all kinds".to_owned(),
        thousands(rules.faults.values().sum()),
    ];
    build_table(
        ["INJECTED", "#"],
        kills.into_iter().chain([all]).chain(faults),
    )
}

/// Returns the name of a fault as `--fault-kinds` takes it.
fn fault_name(fault: Fault) -> String {
    use clap::ValueEnum;
    fault
        .to_possible_value()
        .map_or_else(String::new, |value| value.get_name().to_owned())
}

fn describe_findings(cost: &RunCost, rules: &RulesReport, comparison: &TruthComparison) -> String {
    let rows = [
        (
            "messages in the sandbox",
            comparison.difference.messages as u64,
        ),
        ("rows in the archive", comparison.rows as u64),
        ("rows missing", comparison.difference.missing.len() as u64),
        (
            "rows duplicated",
            comparison.difference.duplicated.len() as u64,
        ),
        (
            "rows unexpected",
            comparison.difference.unexpected.len() as u64,
        ),
        ("requests", rules.total.requests()),
        ("rules of the providers broken", rules.total.violations()),
        ("peak memory of the process, MiB", cost.peak >> 20),
    ];
    build_table(
        ["FOUND", "#"],
        rows.map(|(what, count)| [what.to_owned(), thousands(count)]),
    )
}

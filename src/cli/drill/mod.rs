//! `backscroll drill`: the real binary as a child, against a sandbox that spoils its answers, killed again and again;
//! and in the end its archive beside the truth, message by message.

mod comparison;
mod restart_loop;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use self::comparison::TruthComparison;
use self::restart_loop::{RestartLoop, RunCost};
use super::bench::ScratchDir;
use super::bench::place::ScratchDatabase;
use super::table::{build_table, thousands};
use super::{CliError, Outcome, say};
use crate::daemon::signals;
use crate::domain::clock::Clock;
use crate::sandbox::{Fault, Options, RulesReport, Sandbox, Share};

/// What the sandbox grants: fast enough for a drill of minutes, and slow enough that there is a quota to be kept.
const REQUESTS_PER_SECOND: u32 = 200;
/// Messages a second that are written while the drill goes on.
const APPEND_RATE: f64 = 20.0;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where the throwaway archive is made: an SQLite file that does not exist yet, or a Postgres database without an
    /// archive, in a schema that is removed in the end. Without it, a file among the temporary ones
    #[arg(
        long,
        value_name = "URL",
        env = "BACKSCROLL_DRILL_DATABASE",
        hide_env_values = true
    )]
    database: Option<String>,

    /// How often the process is killed
    #[arg(long, default_value_t = 20, value_name = "N")]
    kills: u32,

    /// How many of the requests are met by a fault
    #[arg(long, default_value = "5%", value_name = "SHARE")]
    faults: Share,

    /// The kinds of faults to draw from; without it, all
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KINDS")]
    fault_kinds: Vec<Fault>,

    /// Agora messages to make up; a third as many again for Web3MQ
    #[arg(long, default_value_t = 20_000, value_name = "N")]
    messages: usize,

    /// Draws the history, the faults and the moments of the kills
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
}

pub(super) async fn carry_out(args: Args, clock: Arc<dyn Clock>) -> Result<Outcome, CliError> {
    let stop = CancellationToken::new();
    signals::cancel_on_signal(stop.clone())?;
    let scratch = ScratchDir::new()?;
    let place = ScratchDatabase::at(args.database.as_deref(), &scratch.0).await?;
    place.prepare().await?;
    let outcome = drill(&args, &place, &scratch, clock, &stop).await;
    place.clear().await?;
    outcome
}

async fn drill(
    args: &Args,
    place: &ScratchDatabase,
    scratch: &ScratchDir,
    clock: Arc<dyn Clock>,
    stop: &CancellationToken,
) -> Result<Outcome, CliError> {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let sandbox = Sandbox::start(options(args)?, listen, clock).await?;
    let config = scratch.0.join("drill.toml");
    sandbox.write_config(&config, &place.url)?;
    say(format_args!(
        "A sandbox plays both providers, with {} messages, and spoils {} of its answers. The process that archives them \
         is killed {} times.",
        thousands(args.messages as u64 + args.messages as u64 / 3),
        args.faults,
        args.kills
    ));
    let mut lives = RestartLoop::new(&sandbox, &config, &scratch.0, args.seed)?;
    lives.run_with_kills(args.kills, stop).await?;
    let edge = lives.run_to_completion(stop).await?;
    let toll = lives.cost();
    let proof = TruthComparison::compare(place, &sandbox, edge).await?;
    let rules = sandbox.rules();
    say(describe_injections(&toll, &rules));
    say(describe_findings(&toll, &rules, &proof));
    let is_good = toll.ended_well && proof.is_equal() && rules.total.violations() == 0;
    say(if is_good {
        "EQUAL: nothing lost, nothing twice."
    } else {
        "NOT EQUAL."
    });
    if !is_good {
        say(format_args!(
            "{}\nThe last that the process said:\n{}",
            proof.describe_differences(),
            lives.log_tail()
        ));
    }
    sandbox.stop().await;
    Ok(if is_good {
        Outcome::Good
    } else {
        Outcome::Lacking
    })
}

fn options(args: &Args) -> Result<Options, CliError> {
    let span = |text: &str| {
        text.parse()
            .map_err(|_| CliError::Usage("a span".to_owned()))
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

fn describe_injections(toll: &RunCost, rules: &RulesReport) -> String {
    let faults = rules
        .faults
        .iter()
        .map(|(fault, count)| [fault_name(*fault), thousands(*count)]);
    let kills = [
        ["kills".to_owned(), thousands(toll.kills.into())],
        ["checks".to_owned(), thousands(toll.checks.into())],
    ];
    let all = [
        "faults, all kinds".to_owned(),
        thousands(rules.faults.values().sum()),
    ];
    build_table(
        ["INJECTED", "#"],
        kills.into_iter().chain([all]).chain(faults),
    )
    .to_string()
}

/// What the flag calls it.
fn fault_name(fault: Fault) -> String {
    use clap::ValueEnum;
    fault
        .to_possible_value()
        .map_or_else(String::new, |value| value.get_name().to_owned())
}

fn describe_findings(toll: &RunCost, rules: &RulesReport, proof: &TruthComparison) -> String {
    let rows = [
        ("messages in truth", proof.difference.messages as u64),
        ("rows in the archive", proof.rows as u64),
        ("rows missing", proof.difference.missing.len() as u64),
        ("rows twice", proof.difference.duplicated.len() as u64),
        (
            "rows that are not true",
            proof.difference.unexpected.len() as u64,
        ),
        ("requests", rules.total.requests()),
        ("rules of the providers broken", rules.total.violations()),
        ("peak memory of the process, MiB", toll.peak >> 20),
    ];
    build_table(
        ["FOUND", "#"],
        rows.map(|(what, count)| [what.to_owned(), thousands(count)]),
    )
    .to_string()
}

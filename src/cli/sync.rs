//! `backscroll sync`

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::progress::Watch;
use super::{Failure, Missing, Outcome, accounts, open, summary};
use crate::config::Config;
use crate::daemon::signals;
use crate::domain::clock::Clock;
use crate::domain::time::Millis;
use crate::provider::ProviderError;
use crate::store::{StoreError, Tally};
use crate::sync::{Bounds, Engine, PassReport};

/// Passes in a row that bring nothing before it is given up.
const FRUITLESS: u32 = 3;
/// The wait after such a pass.
const WAIT: Duration = Duration::from_secs(2);
/// Pauses up to this long are waited out.
const PATIENCE: Duration = Duration::from_secs(90);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this account
    #[arg(long, value_name = "NAME")]
    account: Option<String>,

    /// Nothing older than this (RFC 3339)
    #[arg(long, value_name = "TIME")]
    since: Option<Millis>,

    /// Nothing from this time on (RFC 3339)
    #[arg(long, value_name = "TIME")]
    until: Option<Millis>,
}

pub(super) async fn carry_out(args: Args, config: &Config, clock: Arc<dyn Clock>) -> Result<Outcome, Failure> {
    let stop = CancellationToken::new();
    signals::listen(stop.clone())?;
    let bounds = Bounds { since: args.since.map(Millis::second), until: args.until.map(Millis::second) };
    let providers = accounts::providers(config, args.account.as_deref(), &clock)?;
    let store = open(&config.database.url, Missing::Create).await?;
    let mut engine = Engine::new(providers, store.clone(), clock);
    let reports = to_the_end(&mut engine, bounds, &stop).await?;
    summary::after_sync(&reports, store.status().await?);
    store.close().await;
    Ok(if reports.iter().all(PassReport::is_complete) { Outcome::Good } else { Outcome::Lacking })
}

/// Passes until everything wanted is sealed, until nothing more can be had, or until `stop`. Answers with the last
/// report of each account, its tally over all passes.
pub(super) async fn to_the_end(
    engine: &mut Engine,
    bounds: Bounds,
    stop: &CancellationToken,
) -> Result<Vec<PassReport>, StoreError> {
    let watch = Watch::start(engine.progress().clone());
    let mut fruitless = 0;
    let mut reports = engine.pass("sync", bounds, stop).await?;
    let mut sums: Vec<Tally> = reports.iter().map(|report| report.tally.clone()).collect();
    loop {
        if stop.is_cancelled() || reports.iter().all(PassReport::is_complete) {
            break;
        }
        if reports.iter().all(|report| report.is_complete() || report.tally.windows == 0 || report.failure.is_some()) {
            fruitless += 1;
            let Some(wait) = worth_waiting(&reports).filter(|_| fruitless < FRUITLESS) else { break };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stop.cancelled() => {}
            }
        } else {
            fruitless = 0;
        }
        reports = engine.pass("sync", bounds, stop).await?;
        for (sum, report) in sums.iter_mut().zip(&reports) {
            let mut tally = report.tally.clone();
            tally.add(sum);
            *sum = tally;
        }
    }
    watch.finish().await;
    for (report, sum) in reports.iter_mut().zip(sums) {
        report.tally = sum;
    }
    Ok(reports)
}

/// How long to wait before the next pass; nothing where another would meet the same refusal.
fn worth_waiting(reports: &[PassReport]) -> Option<Duration> {
    let waits = reports.iter().filter_map(|report| match report.failure.as_ref()? {
        ProviderError::Blocked { left } => Some(*left).filter(|left| *left <= PATIENCE),
        ProviderError::Credentials { .. } => None,
        _ => Some(WAIT),
    });
    waits.max()
}

//! `backscroll sync`

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::progress::ProgressDisplay;
use super::{CliError, ExitOutcome, IfMissing, accounts, open_to_write, summary};
use crate::config::Config;
use crate::daemon::signals;
use crate::domain::clock::Clock;
use crate::domain::time::Millis;
use crate::provider::ProviderError;
use crate::store::{RunTotals, StoreError};
use crate::sync::{Engine, HistoryBounds, PassReport, Purpose};

/// The maximum number of consecutive passes without progress. The next one ends the sync: a larger
/// value waits longer for a provider that fails.
const MAX_FRUITLESS_PASSES: u32 = 3;
/// The wait after a pass without progress, and after a failure of the database.
const RETRY_WAIT: Duration = Duration::from_secs(2);
/// The maximum number of consecutive database failures, each followed by [`RETRY_WAIT`]. A server that
/// restarts is back within that time (30 s).
const MAX_DATABASE_RETRIES: u32 = 15;
/// The same, if another process holds the lease of an account. The lease of a killed process has
/// expired by then.
const MAX_LEASE_RETRIES: u32 = 3;
/// The maximum pause of an account that the sync waits for. A longer pause ends the sync.
const MAX_PAUSE_WAIT: Duration = Duration::from_secs(90);

/// The part of the history to archive.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// Only this account
    #[arg(long, value_name = "NAME")]
    pub(super) account: Option<String>,

    /// Only messages from this time on (RFC 3339)
    #[arg(long, value_name = "TIME")]
    since: Option<Millis>,

    /// Only messages before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    until: Option<Millis>,
}

impl Args {
    pub(super) fn bounds(&self) -> Result<HistoryBounds, CliError> {
        let bounds = HistoryBounds {
            since: self.since.map(Millis::second),
            until: self.until.map(Millis::second),
        };
        if bounds
            .since
            .zip(bounds.until)
            .is_some_and(|(since, until)| since >= until)
        {
            return Err(CliError::Usage(
                "--since is not before --until: the range between them is empty".to_owned(),
            ));
        }
        Ok(bounds)
    }
}

pub(super) async fn run(
    args: Args,
    config: &Config,
    clock: Arc<dyn Clock>,
) -> Result<ExitOutcome, CliError> {
    let stop = CancellationToken::new();
    signals::cancel_on_signal(stop.clone())?;
    let bounds = args.bounds()?;
    let providers = accounts::build_providers(config, args.account.as_deref(), &clock)?;
    accounts::log_warnings(config, args.account.as_deref());
    let store = open_to_write(&config.database.url, IfMissing::Create, &*clock).await?;
    let mut engine = Engine::new(providers, store.clone(), &clock);
    let reports = sync_until_complete(&mut engine, bounds, &stop).await?;
    summary::print_sync_summary(&reports, store.status().await?, clock.now().second());
    store.close().await;
    Ok(if reports.iter().all(PassReport::is_complete) {
        ExitOutcome::Success
    } else {
        ExitOutcome::Incomplete
    })
}

/// Makes passes until all wanted history is sealed, further passes make no progress, or `stop` is
/// cancelled. Returns the last report of each account, with the totals of all passes.
pub(super) async fn sync_until_complete(
    engine: &mut Engine,
    bounds: HistoryBounds,
    stop: &CancellationToken,
) -> Result<Vec<PassReport>, StoreError> {
    let watch = ProgressDisplay::start(engine.progress().clone());
    let reports = run_passes(engine, bounds, stop).await;
    watch.finish().await;
    reports
}

async fn run_passes(
    engine: &mut Engine,
    bounds: HistoryBounds,
    stop: &CancellationToken,
) -> Result<Vec<PassReport>, StoreError> {
    let mut sums: Vec<RunTotals> = Vec::new();
    let mut fruitless = 0;
    loop {
        let mut reports = run_pass(engine, bounds, stop).await?;
        let is_over = stop.is_cancelled() || reports.iter().all(PassReport::is_complete);
        fruitless = if reports.iter().any(PassReport::has_more_work) {
            0
        } else {
            fruitless + 1
        };
        let wait = wait_before_next_pass(&reports).filter(|_| fruitless < MAX_FRUITLESS_PASSES);
        sums.resize_with(reports.len(), RunTotals::default);
        for (report, sum) in reports.iter_mut().zip(&mut sums) {
            report.tally.add(sum);
            sum.clone_from(&report.tally);
        }
        match (is_over, fruitless, wait) {
            (true, ..) | (_, 1.., None) => return Ok(reports),
            (_, 1.., Some(wait)) => wait_or_stop(wait, stop).await,
            (_, 0, _) => {}
        }
    }
}

/// Makes a pass. Retries it if the database has a transient failure.
async fn run_pass(
    engine: &mut Engine,
    bounds: HistoryBounds,
    stop: &CancellationToken,
) -> Result<Vec<PassReport>, StoreError> {
    let mut outages = 0;
    loop {
        match engine.pass(Purpose::Sync(bounds), stop).await {
            Err(error)
                if error.is_transient()
                    && outages < max_retries(&error)
                    && !stop.is_cancelled() =>
            {
                outages += 1;
                // The account itself has already logged a lease of another process.
                if outages == 1 && !matches!(error, StoreError::InUse { .. }) {
                    tracing::warn!(%error, "the database fails; retrying");
                }
                wait_or_stop(RETRY_WAIT, stop).await;
            }
            outcome => return outcome,
        }
    }
}

fn max_retries(error: &StoreError) -> u32 {
    if matches!(error, StoreError::InUse { .. }) {
        MAX_LEASE_RETRIES
    } else {
        MAX_DATABASE_RETRIES
    }
}

async fn wait_or_stop(time: Duration, stop: &CancellationToken) {
    // It does not matter which of the two ended the wait.
    let _ = tokio::time::timeout(time, stop.cancelled()).await;
}

/// Returns the wait before the next pass; `None` if the next pass would fail in the same way.
fn wait_before_next_pass(reports: &[PassReport]) -> Option<Duration> {
    let waits = reports
        .iter()
        .filter_map(|report| match report.failure.as_ref()? {
            ProviderError::Paused { remaining: left } => {
                Some(*left).filter(|left| *left <= MAX_PAUSE_WAIT)
            }
            ProviderError::Credentials { .. } => None,
            _ => Some(RETRY_WAIT),
        });
    waits.max()
}

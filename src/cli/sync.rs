//! `backscroll sync`: makes passes until all wanted history is sealed.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::alarms::end_account_alarms;
use super::error::CliError;
use super::exit_outcome::ExitOutcome;
use super::limits::{
    INTERRUPT_GRACE, MAX_DATABASE_RETRIES, MAX_FRUITLESS_PASSES, MAX_LEASE_RETRIES, MAX_PAUSE_WAIT,
    RETRY_WAIT,
};
use super::open_archive::open_to_write;
use super::progress::ProgressDisplay;
use super::time_arg::TimeArg;
use super::{accounts, summary};
use crate::config::Config;
use crate::daemon::complete_index;
use crate::daemon::signals::Shutdown;
use crate::domain::clock::Clock;
use crate::domain::time::Millis;
use crate::provider::ProviderError;
use crate::store::{Archive, IfMissing};
use crate::store::{RunTotals, StoreError};
use crate::sync::{Engine, HistoryBounds, PassReport, Purpose};

/// The part of the history to archive.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// Only this account
    #[arg(long, value_name = "NAME")]
    pub(super) account: Option<String>,

    /// Only messages from this time on: `7d` (that long ago), `yesterday`, a date (UTC), or a time
    /// (RFC 3339)
    #[arg(long, value_name = "TIME")]
    since: Option<TimeArg>,

    /// Only messages before this time, in the same forms
    #[arg(long, value_name = "TIME")]
    until: Option<TimeArg>,
}

impl Args {
    /// Returns the part of the history as seen at `now`.
    pub(super) fn bounds(&self, now: Millis) -> Result<HistoryBounds, CliError> {
        let resolve = |time: TimeArg| time.resolve(now).second();
        let bounds = HistoryBounds {
            since: self.since.map(resolve),
            until: self.until.map(resolve),
        };
        if let Some(since) = bounds.since.filter(|since| *since > now.second()) {
            tracing::warn!("--since ({since}) is in the future: nothing is archived");
        }
        match bounds.since.zip(bounds.until) {
            Some((since, until)) if since >= until => Err(CliError::Usage(
                "--since is not before --until: the range between them is empty".to_owned(),
            )),
            _ => Ok(bounds),
        }
    }
}

pub(super) async fn run(
    args: Args,
    config: &Config,
    clock: Arc<dyn Clock>,
) -> Result<ExitOutcome, CliError> {
    let stop = Shutdown::on_signals(INTERRUPT_GRACE)?;
    let bounds = args.bounds(clock.now())?;
    let providers = accounts::build_providers(config, args.account.as_deref(), &clock)?;
    accounts::log_warnings(config, args.account.as_deref(), clock.now());
    let store = open_to_write(&config.database.url, IfMissing::Create, &*clock).await?;
    accounts::check_identities(&providers, &*store).await?;
    let mut engine = Engine::new(providers, store.clone(), &clock).aborted_by(&stop.abort);
    let reports = tokio::select! {
        reports = sync_until_complete(&mut engine, bounds, &stop.graceful) => reports?,
        () = stop.wait_for_deadline() => vec![],
    };
    for report in reports
        .iter()
        .filter(|report| report.shows_working_account())
    {
        end_account_alarms(&*store, &report.account, clock.now()).await?;
    }
    complete_search_index(&*store, config, &stop.graceful).await;
    let is_complete = !reports.is_empty() && reports.iter().all(PassReport::is_complete);
    if stop.graceful.is_cancelled() && !is_complete {
        summary::print_interrupted(&reports);
        // Committed data is on disk already, and the database closes with the process.
        return Ok(ExitOutcome::Incomplete);
    }
    let mut streams = store.status().await?;
    let is_synced = |account: &str| reports.iter().any(|report| report.account == account);
    streams.retain(|stream| is_synced(&stream.account));
    let is_certain = streams
        .iter()
        .all(|stream| stream.refetchable_suspects() == 0);
    summary::print_sync_summary(&reports, bounds, streams, clock.now().second());
    store.close().await;
    Ok(ExitOutcome::success_if(is_complete && is_certain))
}

/// Adds the new messages to the search index. A failure is no failure to archive: the next sync
/// continues, and a search says which messages are missing.
async fn complete_search_index(store: &dyn Archive, config: &Config, stop: &CancellationToken) {
    if let Err(error) = complete_index(store, config.search.enabled, stop).await {
        let hint = error.hint();
        tracing::warn!(%error, hint, "the search index could not be completed");
    }
}

/// Makes passes until all wanted history is sealed, further passes make no progress, or `stop` is
/// cancelled. Returns the last report of each account, with the totals of all passes.
pub(super) async fn sync_until_complete(
    engine: &mut Engine,
    bounds: HistoryBounds,
    stop: &CancellationToken,
) -> Result<Vec<PassReport>, StoreError> {
    let display = ProgressDisplay::start(engine.progress().clone());
    let reports = run_passes(engine, bounds, stop).await;
    display.finish().await;
    reports
}

async fn run_passes(
    engine: &mut Engine,
    bounds: HistoryBounds,
    stop: &CancellationToken,
) -> Result<Vec<PassReport>, StoreError> {
    let mut totals: Vec<RunTotals> = Vec::new();
    let mut fruitless_passes = 0;
    loop {
        let mut reports = run_pass(engine, bounds, stop).await?;
        add_totals(&mut reports, &mut totals);
        if stop.is_cancelled() || reports.iter().all(PassReport::is_complete) {
            return Ok(reports);
        }
        if reports.iter().any(PassReport::has_more_work) {
            fruitless_passes = 0;
            continue;
        }
        fruitless_passes += 1;
        match wait_before_next_pass(&reports) {
            Some(wait) if fruitless_passes < MAX_FRUITLESS_PASSES => {
                wait_or_stop(wait, stop).await;
            }
            _ => return Ok(reports),
        }
    }
}

/// Adds the totals of the previous passes to each report, and remembers the sums.
fn add_totals(reports: &mut [PassReport], totals: &mut Vec<RunTotals>) {
    totals.resize_with(reports.len(), RunTotals::default);
    for (report, total) in reports.iter_mut().zip(totals) {
        report.tally.add(total);
        total.clone_from(&report.tally);
    }
}

/// Makes a pass. Retries it if the database has a transient failure.
async fn run_pass(
    engine: &mut Engine,
    bounds: HistoryBounds,
    stop: &CancellationToken,
) -> Result<Vec<PassReport>, StoreError> {
    let mut failures = 0;
    loop {
        match engine.pass(Purpose::Sync(bounds), stop).await {
            Err(error)
                if error.is_transient()
                    && failures < max_retries(&error)
                    && !stop.is_cancelled() =>
            {
                failures += 1;
                // The account itself has already logged a lease of another process.
                if failures == 1 && !matches!(error, StoreError::InUse { .. }) {
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
    let failures = reports.iter().filter_map(|report| report.failure.as_ref());
    failures.filter_map(wait_after).max()
}

/// Returns the wait after a failure; `None` if a retry would fail in the same way.
fn wait_after(failure: &ProviderError) -> Option<Duration> {
    match failure {
        ProviderError::Paused { remaining, .. } => {
            Some(*remaining).filter(|remaining| *remaining <= MAX_PAUSE_WAIT)
        }
        ProviderError::Credentials { .. } => None,
        _ => Some(RETRY_WAIT),
    }
}

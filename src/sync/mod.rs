//! The engine: what is wanted and not sealed is surveyed, fetched and committed, window by window.
//!
//! A pass is one round over the streams of one account. It asks the [`planner`] what is missing, keeps a handful
//! of windows in flight (the account's budget orders their requests), and commits whatever has arrived while the
//! commit before it was under way. Nothing is remembered from one pass to the next but what the archive holds, so the
//! plan after a crash is the plan before it.
//!
//! What a pass will take can be told beforehand, from the provider's counts ([`mod@preview`]); and what of the missing
//! history will be lost at the present rate, from what the archive says alone ([`mod@forecast`]). Both reckon alike
//! ([`estimate`]).
//!
//! What is sealed is not done with. A pass that reconciles reads again the windows that are in doubt and those of which
//! the provider counts more than is known ([`mod@reconcile`]); one that refreshes, those with messages that were not
//! read yet. Both replace ledger rows whole, and for the rest are passes like any other.

mod account;
mod compare;
pub mod counters;
mod discovery;
pub mod estimate;
mod evidence;
mod fetch;
pub mod forecast;
mod memory;
mod pipeline;
pub mod plan;
pub mod preview;
pub mod progress;
pub mod reconcile;
mod refetch;
mod repair;
pub mod requeue;
pub mod tails;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::domain::clock::Clock;
use crate::domain::time::Second;
use crate::provider::{Provider, ProviderError};
use crate::store::{Archive, StoreError, Tally, describe_this_process};
pub use account::AccountSync;
pub use compare::{CountComparison, CountDifference};
use memory::MemoryBudget;
use progress::EngineProgress;
pub use repair::RepairReport;

/// Windows of an account under way at once, where there is no limit to its requests. Where there is one, another is begun
/// whenever a request could go and none wants to.
const UNLIMITED_IN_FLIGHT: usize = 8;
/// Windows under way at once at the most, however long answers take.
const MAX_IN_FLIGHT: usize = 32;
/// Bytes of payload to a window; where messages are large, windows are smaller.
const WINDOW_PAYLOAD_BYTES: u64 = 4 << 20;
/// A ledger row that is read again may hold so many times as much and still be one window: it has been one before, or
/// several that were joined.
const REFETCH_SIZE_FACTOR: u64 = 2;
/// After so long a pass begins no more windows: what else is due has its turn.
const MAX_PASS: Duration = Duration::from_mins(10);
/// A pass that reads again what was read before is shorter, and so is one that has found streams to follow.
const MAX_SHORT_PASS: Duration = Duration::from_mins(1);
/// How often the archive is told where the account stands while a pass is under way.
const FRONTIER_SAVE_INTERVAL: Duration = Duration::from_mins(1);
/// How long windows in hand may take after the word to stop.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// How long an account is left alone after its credentials were refused.
const REFUSED_CREDENTIALS_PAUSE: Duration = Duration::from_mins(15);

/// All accounts, and the archive that they share.
pub struct Engine {
    accounts: Vec<AccountSync>,
    store: Arc<dyn Archive>,
    progress: Arc<EngineProgress>,
}

/// What of the history is wanted, beyond what the configuration says.
#[derive(Clone, Copy, Debug, Default)]
pub struct HistoryBounds {
    /// Nothing older than this, this time.
    pub since: Option<Second>,
    /// Nothing from this on.
    pub until: Option<Second>,
}

/// What a pass is for.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// What is wanted and missing is fetched.
    Sync(HistoryBounds),
    /// What is in doubt is read again, and what the provider counts is compared with what is known.
    Reconcile,
    /// Messages are fetched again that had not been read by their addressee when they were fetched.
    Refresh,
}

impl Purpose {
    /// What all of them are called.
    pub const NAMES: [&str; 3] = ["sync", "reconcile", "refresh"];

    /// What `runs` calls it.
    pub fn why(self) -> &'static str {
        match self {
            Self::Sync(_) => "sync",
            Self::Reconcile => "reconcile",
            Self::Refresh => "refresh",
        }
    }

    fn bounds(self) -> HistoryBounds {
        if let Self::Sync(bounds) = self {
            bounds
        } else {
            HistoryBounds::default()
        }
    }
}

/// What a pass came to, for one account.
#[derive(Debug)]
pub struct PassReport {
    pub account: String,
    pub tally: Tally,
    /// How many seconds of wanted and settled history are not sealed yet, over all streams.
    pub missing_seconds: u64,
    /// Streams that were found and are followed from the next pass on.
    pub found: u64,
    /// Whether the provider's lists of what there is to follow could not be had when they were last asked for.
    pub discovery_failed: bool,
    /// What stopped the account or some of its streams.
    pub failure: Option<ProviderError>,
}

impl PassReport {
    /// Whether everything wanted that the provider is trusted to show is sealed, and all that is wanted is known.
    pub fn is_complete(&self) -> bool {
        self.missing_seconds == 0
            && self.failure.is_none()
            && self.found == 0
            && !self.discovery_failed
    }

    /// Whether another pass right away has more to do, by what this one came to.
    pub fn has_more_work(&self) -> bool {
        self.found > 0
            || self.missing_seconds > 0 && self.failure.is_none() && self.tally.windows > 0
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("accounts", &self.accounts)
            .finish_non_exhaustive()
    }
}

impl Engine {
    pub fn new(
        providers: Vec<Arc<dyn Provider>>,
        store: Arc<dyn Archive>,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let holder: Arc<str> = describe_this_process(clock.now()).into();
        let room = MemoryBudget::new();
        let account = |provider| {
            AccountSync::new(
                provider,
                store.clone(),
                clock.clone(),
                holder.clone(),
                room.for_another_account(),
            )
        };
        let accounts: Vec<AccountSync> = providers.into_iter().map(account).collect();
        let progress =
            EngineProgress::from_accounts(accounts.iter().map(|account| account.progress.clone()));
        Self {
            accounts,
            store,
            progress: Arc::new(progress),
        }
    }

    /// Leaves even the windows in hand at the word of `hurry`: nothing is lost, but they are fetched again.
    pub fn aborted_by(mut self, hurry: &CancellationToken) -> Self {
        for account in &mut self.accounts {
            account.abort = hurry.clone();
        }
        self
    }

    pub fn progress(&self) -> &Arc<EngineProgress> {
        &self.progress
    }

    pub fn store(&self) -> &Arc<dyn Archive> {
        &self.store
    }

    /// The accounts, each to be driven by itself: none waits for another.
    pub fn accounts(&mut self) -> impl Iterator<Item = &mut AccountSync> {
        self.accounts.iter_mut()
    }

    /// One pass over every account, side by side. See [`AccountSync::pass`].
    pub async fn pass(
        &mut self,
        purpose: Purpose,
        stop: &CancellationToken,
    ) -> Result<Vec<PassReport>, StoreError> {
        let passes = self
            .accounts
            .iter_mut()
            .map(|account| account.pass(purpose, stop));
        join_all(passes).await.into_iter().collect()
    }
}

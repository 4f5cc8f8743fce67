//! The engine: wanted history that is not sealed is surveyed, fetched and committed, window by
//! window.
//!
//! A pass is one round over the streams of one account. It opens a `session`, asks the `plan`
//! what is missing, keeps a number of windows in flight (the account's rate limiter orders their
//! requests), and commits what has arrived (`pipeline`). No state but the archive's decides what
//! is fetched, so that the plan after a crash is the plan before it.
//!
//! Sealed history is fetched again where the provider's counts differ or a message's status may
//! have changed ([`refetch`]). Such passes replace ledger rows as a whole.
//!
//! Calls run down only: `account` calls `pipeline`, `refetch` and `discovery`; those call `session`
//! and `plan`; those call the provider and the store.
//!
//! | question | file |
//! |---|---|
//! | What happens in a pass, from the session to the report? | `account.rs` |
//! | What can a pass be for, and what does it report? | `purpose.rs` |
//! | How is an account leased and registered? | `session_keeper.rs` |
//! | What if the provider's time is in doubt? | `clock_check.rs`; a clock that went back: `session.rs` |
//! | How are pauses, errors and the frontier recorded? | `session.rs` |
//! | In which order are windows fetched? | `plan/mod.rs`; tails: `plan/tails.rs`, their share of requests: `plan/credit.rs` |
//! | What is one unit of work? | `plan/job.rs` |
//! | How do windows run concurrently? What happens at the stop signal? | `pipeline/mod.rs` |
//! | How is a window surveyed and fetched? | `pipeline/fetch.rs` (how it is split: the provider's `survey`) |
//! | What of a fetched window is sealed? | `pipeline/seal.rs` |
//! | How are windows committed in batches? | `pipeline/commit.rs` |
//! | What bounds the memory? | `pipeline/memory.rs` |
//! | How are late, changed or lost messages found by counting? | `refetch/reconcile.rs`, `refetch/bisect.rs` |
//! | When is a suspect window fetched again? | `refetch/doubts.rs` |
//! | When is a message's status fetched again? | `refetch/refresh.rs` |
//! | How does `verify --repair` work? | `refetch/repair.rs`, `refetch/evidence.rs` |
//! | What happens to quarantined messages after an upgrade? | `refetch/requeue.rs` |
//! | How are streams discovered? | `discovery.rs` |
//! | How much history will be lost? What will a sync cost? | `forecast/mod.rs`, `forecast/preview.rs`; the model: `forecast/model.rs` |
//! | Where do progress bars and metrics get their numbers? | `progress.rs`, `counters.rs` |
//! | Which constants can be tuned, and what changes? | `limits.rs` |

mod account;
mod clock_check;
pub mod counters;
mod discovery;
mod error;
pub mod forecast;
mod horizon;
mod limits;
mod pipeline;
mod plan;
pub mod progress;
mod purpose;
pub mod quota;
pub mod refetch;
mod session;
mod session_keeper;
#[cfg(feature = "sandbox")]
#[doc(hidden)]
pub mod simulation;

use std::sync::Arc;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

pub use self::account::AccountSync;
use self::pipeline::memory::MemoryBudget;
use self::progress::EngineProgress;
pub use self::purpose::{AccountFailure, HistoryBounds, PassReport, Purpose};
pub use self::refetch::compare::{CountComparison, CountDifference};
pub use self::refetch::repair_report::{RepairReport, UnrepairedReason, UnrepairedWindow};
use crate::domain::clock::Clock;
use crate::provider::Provider;
use crate::store::{Archive, StoreError, describe_this_process};

/// All accounts, and the archive that they share.
pub struct Engine {
    accounts: Vec<AccountSync>,
    archive: Arc<dyn Archive>,
    progress: Arc<EngineProgress>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("accounts", &self.accounts)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// Creates an engine with one account per provider. Neither the providers nor the archive are
    /// asked for anything yet.
    pub fn new(
        providers: Vec<Arc<dyn Provider>>,
        archive: Arc<dyn Archive>,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let process_name: Arc<str> = describe_this_process(clock.now()).into();
        let memory = MemoryBudget::new();
        let account = |provider| {
            let memory = memory.for_another_account();
            AccountSync::new(
                provider,
                archive.clone(),
                clock.clone(),
                process_name.clone(),
                memory,
            )
        };
        let accounts: Vec<AccountSync> = providers.into_iter().map(account).collect();
        let progress = accounts.iter().map(|account| account.progress().clone());
        let progress = Arc::new(EngineProgress::from_accounts(progress));
        Self {
            accounts,
            archive,
            progress,
        }
    }

    /// Drops even the windows in flight at the signal `abort`. Nothing is lost, but they are
    /// fetched again.
    #[must_use]
    pub fn aborted_by(mut self, abort: &CancellationToken) -> Self {
        for account in &mut self.accounts {
            account.set_abort(abort.clone());
        }
        self
    }

    /// Returns the progress of all accounts.
    pub fn progress(&self) -> &Arc<EngineProgress> {
        &self.progress
    }

    /// Returns the archive.
    pub fn archive(&self) -> &Arc<dyn Archive> {
        &self.archive
    }

    /// Returns the accounts. Each is driven by itself, so that none waits for another.
    pub fn accounts(&mut self) -> impl Iterator<Item = &mut AccountSync> {
        self.accounts.iter_mut()
    }

    /// Runs one pass over every account, concurrently. Fails with the first failure of the archive.
    /// See [`AccountSync::pass`].
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

//! Leases: of several processes that share an archive, one at a time works on an account.
//!
//! An account is held by a lock of a database session. It needs no clock and no heartbeat, and is
//! released when the session ends: at once when the process is killed, within seconds when its
//! machine vanishes. A process may not notice that its session was cut. So every lease has a
//! number, and a commit under an earlier number is rejected (fencing).

use std::collections::HashMap;
use std::sync::MutexGuard;

use sqlx::Pool;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::decode::{int, optional_text, text};
use super::dialect::{Dialect, Locking};
use super::driver::fetch_one;
use super::error::StoreError;
use super::limits::LEASE_SESSION_TIMEOUT;
use super::model::AccountId;
use super::sql;
use crate::domain::lock::lock;

/// The result of acquiring a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// This process has held the account since it was last acquired.
    Kept,
    /// The account was acquired just now. Another process may have worked on it before.
    Taken,
}

/// The accounts that this process holds.
pub(super) struct Leases<DB: Locking> {
    settings: DB::SessionSettings,
    /// The session that holds the locks. `None` before the first lease.
    session: Mutex<Option<DB::Connection>>,
    /// The number of each lease.
    numbers: std::sync::Mutex<HashMap<AccountId, i64>>,
}

impl<DB: Locking> std::fmt::Debug for Leases<DB> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leases")
            .field("numbers", &self.numbers)
            .finish_non_exhaustive()
    }
}

impl<DB: Dialect> Leases<DB> {
    /// Returns no leases. The session that is going to hold them gets these settings.
    pub(super) fn none(settings: DB::SessionSettings) -> Self {
        Self {
            settings,
            session: Mutex::new(None),
            numbers: std::sync::Mutex::default(),
        }
    }

    /// Acquires an account, or errors with [`StoreError::InUse`] and the name of its holder.
    pub(super) async fn acquire(
        &self,
        pool: &Pool<DB>,
        account: AccountId,
        holder: &str,
    ) -> Result<Lease, StoreError> {
        const WHAT: &str = "lease";
        let failed = StoreError::at(WHAT);
        let mut session = self.session.lock().await;
        let alive = match session.take() {
            Some(connection) => self.keep_if_alive(connection).await,
            None => None,
        };
        let connection = match alive {
            Some(connection) => connection,
            None => DB::open_session(pool, &self.settings)
                .await
                .map_err(&failed)?,
        };
        let connection = session.insert(connection);
        if self.number(account).is_some() {
            return Ok(Lease::Kept);
        }
        if !DB::try_lock_account(connection, account.0)
            .await
            .map_err(&failed)?
        {
            return Err(in_use_error::<DB>(connection, account).await?);
        }
        let args = [account.0.into(), holder.into()];
        let row = fetch_one::<DB>(connection, WHAT, sql::INCREMENT_LEASE, &args).await?;
        self.numbers()
            .insert(account, int::<DB>(&row, "fencing_token")?);
        Ok(Lease::Taken)
    }

    /// Returns the session if it still answers. Without it, all leases are lost.
    async fn keep_if_alive(&self, mut connection: DB::Connection) -> Option<DB::Connection> {
        let ping = DB::fetch(&mut connection, "SELECT 1", &[]);
        let answer: Result<_, _> = timeout(LEASE_SESSION_TIMEOUT, ping).await;
        if matches!(answer, Ok(Ok(_))) {
            return Some(connection);
        }
        self.numbers().clear();
        None
    }

    /// Checks within a transaction that this process still holds the account, and keeps the lease
    /// from changing until the transaction ends. An account without a lease passes the check.
    pub(super) async fn enforce(
        &self,
        tx: &mut DB::Connection,
        account: AccountId,
    ) -> Result<(), StoreError> {
        let Some(ours) = self.number(account) else {
            return Ok(());
        };
        let current = DB::hold_lease_number(tx, account.0)
            .await
            .map_err(StoreError::at("lease"))?;
        if current == Some(ours) {
            return Ok(());
        }
        self.numbers().remove(&account);
        Err(in_use_error::<DB>(tx, account).await?)
    }

    /// Releases all accounts. The locks end with the session.
    pub(super) async fn release_all(&self) {
        self.session.lock().await.take();
        self.numbers().clear();
    }

    fn number(&self, account: AccountId) -> Option<i64> {
        self.numbers().get(&account).copied()
    }

    fn numbers(&self) -> MutexGuard<'_, HashMap<AccountId, i64>> {
        lock(&self.numbers)
    }
}

/// Returns the error that names the holder of an account.
async fn in_use_error<DB: Dialect>(
    connection: &mut DB::Connection,
    account: AccountId,
) -> Result<StoreError, StoreError> {
    let row = fetch_one::<DB>(connection, "lease", sql::LEASE_HOLDER, &[account.0.into()]).await?;
    let what = format!("the account {}", text::<DB>(&row, "name")?);
    let holder = optional_text::<DB>(&row, "lease_holder")?;
    Ok(StoreError::InUse {
        what,
        holder: holder.unwrap_or("an unnamed process".to_owned()),
    })
}

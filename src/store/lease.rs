//! Leases: of several processes that share an archive, one at a time works on an account.
//!
//! An account is held by a lock of a database session. It needs no clock and no heartbeat, and falls when the session
//! ends: at once when its process is killed, within seconds when its machine vanishes. A process whose session was
//! cut while it lives may not know; so every lease is numbered, and no commit under an earlier number goes through.

use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::Duration;

use sqlx::Pool;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::dialect::{Dialect, fetch_one, int, text};
use super::{AccountId, StoreError, sql};

/// A session that has not answered by then is taken for cut.
const SESSION_TIMEOUT: Duration = Duration::from_secs(5);

/// How an account came to be ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// It was all along, since it was last asked for.
    Kept,
    /// Just now: another may have worked on it in between.
    Taken,
}

/// The accounts that this process holds.
pub(super) struct Leases<DB: sqlx::Database> {
    /// The session whose locks they are; none before the first.
    session: Mutex<Option<DB::Connection>>,
    /// The number of each lease.
    numbers: std::sync::Mutex<HashMap<AccountId, i64>>,
}

impl<DB: sqlx::Database> std::fmt::Debug for Leases<DB> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leases")
            .field("numbers", &self.numbers)
            .finish_non_exhaustive()
    }
}

impl<DB: Dialect> Leases<DB> {
    pub(super) fn none() -> Self {
        Self {
            session: Mutex::new(None),
            numbers: std::sync::Mutex::default(),
        }
    }

    /// Makes an account ours, or errors with whose it is.
    pub(super) async fn acquire(
        &self,
        pool: &Pool<DB>,
        account: AccountId,
        holder: &str,
    ) -> Result<Lease, StoreError> {
        const WHAT: &str = "lease";
        let mut session = self.session.lock().await;
        let mut connection = match session.take() {
            Some(connection) => self.keep_if_alive(connection).await,
            None => None,
        };
        if connection.is_none() {
            connection = Some(pool.acquire().await.map_err(StoreError::at(WHAT))?.detach());
        }
        let connection = session
            .insert(connection.ok_or_else(|| StoreError::at(WHAT)(sqlx::Error::PoolClosed))?);
        if self.number(account).is_some() {
            return Ok(Lease::Kept);
        }
        if !DB::try_lock_account(connection, account.0)
            .await
            .map_err(StoreError::at(WHAT))?
        {
            return Err(in_use_error::<DB>(connection, account).await?);
        }
        let args = [account.0.into(), holder.into()];
        let number = int::<DB>(
            &fetch_one::<DB>(connection, WHAT, sql::INCREMENT_LEASE, &args).await?,
            "fencing_token",
        )?;
        self.numbers().insert(account, number);
        Ok(Lease::Taken)
    }

    /// The session, if it still answers; without it nothing is ours any more.
    async fn keep_if_alive(&self, mut connection: DB::Connection) -> Option<DB::Connection> {
        let answer = timeout(SESSION_TIMEOUT, DB::fetch(&mut connection, "SELECT 1", &[])).await;
        if matches!(answer, Ok(Ok(_))) {
            return Some(connection);
        }
        self.numbers().clear();
        None
    }

    /// Makes sure, within the transaction of a commit, that an account has not passed into other hands; and that it
    /// will not before the transaction ends.
    pub(super) async fn enforce(
        &self,
        tx: &mut DB::Connection,
        account: AccountId,
    ) -> Result<(), StoreError> {
        let Some(ours) = self.number(account) else {
            return Ok(());
        };
        let now = DB::hold_lease_number(tx, account.0)
            .await
            .map_err(StoreError::at("lease"))?;
        if now == Some(ours) {
            return Ok(());
        }
        self.numbers().remove(&account);
        Err(in_use_error::<DB>(tx, account).await?)
    }

    /// Gives everything back.
    pub(super) async fn release_all(&self) {
        // Its locks fall with the session.
        self.session.lock().await.take();
        self.numbers().clear();
    }

    fn number(&self, account: AccountId) -> Option<i64> {
        self.numbers().get(&account).copied()
    }

    /// Numbers are plain data that no panic can leave half-written.
    fn numbers(&self) -> std::sync::MutexGuard<'_, HashMap<AccountId, i64>> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The error that says who has it.
async fn in_use_error<DB: Dialect>(
    connection: &mut DB::Connection,
    account: AccountId,
) -> Result<StoreError, StoreError> {
    let row = fetch_one::<DB>(connection, "lease", sql::LEASE_HOLDER, &[account.0.into()]).await?;
    let what = format!(
        "the account {}",
        text::<DB>(&row, "name")?.unwrap_or_default()
    );
    let holder = text::<DB>(&row, "lease_holder")?
        .unwrap_or("a process that has not said its name".to_owned());
    Ok(StoreError::InUse { what, holder })
}

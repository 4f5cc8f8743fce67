//! The role [`Quotas`]: blocks of time in which processes send requests for an account.

use std::time::Duration;

use async_trait::async_trait;

use super::decode;
use super::dialect::Dialect;
use super::driver::fetch_one;
use super::error::StoreError;
use super::limits::MAX_BLOCKS_AHEAD;
use super::sql_store::SqlStore;
use crate::domain::quota::{BlockRequest, ReservedBlock};
use crate::domain::time::Millis;

/// Blocks of time in which processes send requests for an account.
#[async_trait]
pub trait Quotas: Send + Sync {
    /// Reserves the next block of an account's time, behind all that are reserved. The account need
    /// not be registered. It costs one statement.
    ///
    /// On a database server, the server's clock counts and not `now`: it is the only one that all
    /// processes share. If the clock was set back, a block begins after a few blocks at the latest.
    async fn reserve_block(
        &self,
        account: &str,
        request: BlockRequest,
        now: Millis,
    ) -> Result<ReservedBlock, StoreError>;
}

#[async_trait]
impl<DB: Dialect> Quotas for SqlStore<DB> {
    async fn reserve_block(
        &self,
        account: &str,
        request: BlockRequest,
        now: Millis,
    ) -> Result<ReservedBlock, StoreError> {
        const WHAT: &str = "reserve block";
        let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 4);
        let args = [
            account.into(),
            ms(request.length).into(),
            request.last_end.map(|end| end.0).into(),
            ms(request.distance).into(),
            ms(request.length.saturating_mul(MAX_BLOCKS_AHEAD)).into(),
            now.0.into(),
        ];
        let args = if DB::IS_SHARED { &args[..5] } else { &args };
        let mut connection = self.acquire_writer(WHAT).await?;
        let row = fetch_one::<DB>(&mut connection, WHAT, DB::RESERVE_BLOCK, args).await?;
        Ok(ReservedBlock {
            begins_in: Duration::from_millis(decode::count::<DB>(&row, "begins_in_ms")?),
            end: decode::millis::<DB>(&row, "until_ms")?,
        })
    }
}

//! The role [`ArrivalMarks`]: the places up to which streams are archived that are read in order of
//! arrival.

use std::collections::HashMap;

use async_trait::async_trait;

use super::decode;
use super::dialect::Dialect;
use super::driver::{Arg, execute, fetch_all, fetch_one};
use super::error::StoreError;
use super::model::{AccountId, StreamId};
use super::sql;
use super::sql_store::SqlStore;
use crate::domain::arrival::ArrivalMark;

/// The places up to which streams are archived that are read in order of arrival.
#[async_trait]
pub trait ArrivalMarks: Send + Sync {
    /// Returns the marks of an account's streams. A stream that is read by time has none.
    async fn arrival_marks(
        &self,
        account: AccountId,
    ) -> Result<HashMap<StreamId, ArrivalMark>, StoreError>;

    /// Moves the mark of a stream, if it still has the position of `from`; none is a mark at the
    /// beginning. The messages between the two must be committed. Returns the mark as it is then.
    async fn move_arrival_mark(
        &self,
        stream: StreamId,
        from: ArrivalMark,
        to: ArrivalMark,
    ) -> Result<ArrivalMark, StoreError>;
}

/// Sets the mark of a stream. The messages before it must be committed.
pub(super) async fn write_arrival_mark<DB: Dialect>(
    tx: &mut DB::Connection,
    what: &'static str,
    stream: StreamId,
    mark: ArrivalMark,
) -> Result<(), StoreError> {
    let last = Arg::Bytes(mark.last.as_ref().map(|last| &last.0[..]));
    let args = [stream.0.into(), mark.position.into(), last];
    execute::<DB>(tx, what, sql::RESTORE_ARRIVAL_MARK, &args).await?;
    Ok(())
}

#[async_trait]
impl<DB: Dialect> ArrivalMarks for SqlStore<DB> {
    async fn arrival_marks(
        &self,
        account: AccountId,
    ) -> Result<HashMap<StreamId, ArrivalMark>, StoreError> {
        const WHAT: &str = "arrival marks";
        let mut connection = self.acquire_reader(WHAT).await?;
        let args = [account.0.into()];
        let rows = fetch_all::<DB>(&mut connection, WHAT, sql::ARRIVAL_MARKS, &args).await?;
        let mark = |row: &DB::Row| {
            let stream = StreamId(decode::int::<DB>(row, "stream_id")?);
            Ok((stream, decode::arrival_mark::<DB>(row)?))
        };
        rows.iter().map(mark).collect()
    }

    async fn move_arrival_mark(
        &self,
        stream: StreamId,
        from: ArrivalMark,
        to: ArrivalMark,
    ) -> Result<ArrivalMark, StoreError> {
        const WHAT: &str = "arrival mark";
        let args = [
            stream.0.into(),
            from.position.into(),
            to.position.into(),
            Arg::Bytes(to.last.as_ref().map(|last| &last.0[..])),
        ];
        let mut tx = self.begin(WHAT).await?;
        execute::<DB>(&mut tx, WHAT, sql::MOVE_ARRIVAL_MARK, &args).await?;
        let row = fetch_one::<DB>(&mut tx, WHAT, sql::ARRIVAL_MARK_OF_STREAM, &args[..1]).await?;
        let mark = decode::arrival_mark::<DB>(&row)?;
        tx.commit().await.map_err(StoreError::at(WHAT))?;
        Ok(mark)
    }
}

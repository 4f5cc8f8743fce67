//! The statements on ledger rows: read, locked, inserted, extended, adjusted.

use super::decode::ledger_row;
use super::dialect::Dialect;
use super::driver::{Arg, execute, fetch_all};
use super::error::StoreError;
use super::limits::MAX_PROVIDER_COUNT;
use super::model::{DigestUpdate, LedgerRow, StreamId};
use super::sql;
use crate::domain::time::Millis;
use crate::domain::window::Window;

/// Inserts a ledger row, and returns the number of rows affected.
pub(super) async fn insert_ledger_row<DB: Dialect>(
    tx: &mut DB::Connection,
    what: &'static str,
    stream: StreamId,
    row: &LedgerRow,
) -> Result<u64, StoreError> {
    let args = [
        stream.0.into(),
        row.window.from().0.into(),
        row.window.to().0.into(),
        row.messages.into(),
        provider_count_arg(row),
        row.doubt.as_deref().into(),
        row.sealed_at.0.into(),
        digest_arg(row),
        row.doubted_at.map(|at| at.0).into(),
        row.not_shown.into(),
    ];
    execute::<DB>(tx, what, sql::INSERT_LEDGER_ROW, &args).await
}

/// Extends the ledger row that begins where `row` begins, and returns the number of rows affected.
pub(super) async fn extend_ledger_row<DB: Dialect>(
    tx: &mut DB::Connection,
    stream: StreamId,
    row: &LedgerRow,
    now: Millis,
) -> Result<u64, StoreError> {
    let args = [
        stream.0.into(),
        row.window.from().0.into(),
        row.window.to().0.into(),
        row.messages.into(),
        provider_count_arg(row),
        now.0.into(),
        digest_arg(row),
        row.not_shown.into(),
    ];
    execute::<DB>(tx, "seal", sql::EXTEND_LEDGER_ROW, &args).await
}

/// A larger count is a provider's nonsense. It is cut, so that the views can add up counts.
fn provider_count_arg(row: &LedgerRow) -> Arg<'static> {
    row.provider_count
        .map(|count| count.min(MAX_PROVIDER_COUNT))
        .map_or(Arg::Int(None), Arg::from)
}

fn digest_arg(row: &LedgerRow) -> Arg<'_> {
    Arg::Bytes(row.digest.as_ref().map(|digest| &digest.0[..]))
}

/// Replaces the count and the digest of the ledger row that begins where `row` begins, and returns
/// the number of rows affected.
pub(super) async fn adjust_ledger_row<DB: Dialect>(
    tx: &mut DB::Connection,
    stream: StreamId,
    row: &LedgerRow,
) -> Result<u64, StoreError> {
    let args = [
        stream.0.into(),
        row.window.from().0.into(),
        row.messages.into(),
        digest_arg(row),
        row.not_shown.into(),
    ];
    execute::<DB>(tx, "adjust ledger row", sql::ADJUST_LEDGER_ROW, &args).await
}

/// Returns the first `limit` ledger rows of a stream that overlap `window`, in order.
pub(super) async fn read_ledger_rows<DB: Dialect>(
    connection: &mut DB::Connection,
    stream: StreamId,
    window: Window,
    limit: u64,
) -> Result<Vec<LedgerRow>, StoreError> {
    fetch_rows::<DB>(
        connection,
        sql::LEDGER_ROWS_IN_WINDOW,
        stream,
        window,
        limit,
    )
    .await
}

/// Returns the ledger rows of a stream that overlap `window`, in order, as they are after all other
/// transactions that change them. No other transaction can change them until this one ends.
pub(super) async fn lock_ledger_rows<DB: Dialect>(
    tx: &mut DB::Connection,
    stream: StreamId,
    window: Window,
) -> Result<Vec<LedgerRow>, StoreError> {
    fetch_rows::<DB>(tx, DB::LOCK_LEDGER_ROWS, stream, window, u64::MAX).await
}

async fn fetch_rows<DB: Dialect>(
    connection: &mut DB::Connection,
    statement: &'static str,
    stream: StreamId,
    window: Window,
    limit: u64,
) -> Result<Vec<LedgerRow>, StoreError> {
    let args = [
        stream.0.into(),
        window.from().0.into(),
        window.to().0.into(),
        limit.into(),
    ];
    let rows = fetch_all::<DB>(connection, "ledger rows", statement, &args).await?;
    rows.iter().map(ledger_row::<DB>).collect()
}

/// Adds digests to rows that have none and are otherwise as given.
pub(super) async fn write_digests<DB: Dialect>(
    tx: &mut DB::Connection,
    updates: &[DigestUpdate],
) -> Result<(), StoreError> {
    for DigestUpdate {
        stream,
        window,
        messages,
        digest,
    } in updates
    {
        let [from, to] = [window.from().0, window.to().0].map(Arg::from);
        let args = [
            stream.0.into(),
            from,
            to,
            (*messages).into(),
            (&digest.0[..]).into(),
        ];
        execute::<DB>(tx, "digests", sql::ADD_DIGEST, &args).await?;
    }
    Ok(())
}

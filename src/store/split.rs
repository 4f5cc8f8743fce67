//! A ledger row that is split in two, so that one part can be replaced without the other.

use super::adjust::agrees;
use super::dialect::Dialect;
use super::driver::{execute, expect_affected};
use super::error::StoreError;
use super::ledger_rows::{insert_ledger_row, lock_ledger_rows};
use super::links::{StreamRange, read_links};
use super::model::{AccountId, LedgerRow, StreamId};
use super::sql;
use crate::domain::digest::{ChainLink, Digest};
use crate::domain::stream::Scope;
use crate::domain::time::Second;
use crate::domain::window::Window;

/// The step that failures of this file name.
const WHAT: &str = "split ledger row";

/// Splits the ledger row of this window at a second within it. Returns false if there is no such
/// row, or if it does not agree with the archive: `verify` is still to find that.
pub(super) async fn split_ledger_row<DB: Dialect>(
    tx: &mut DB::Connection,
    account: AccountId,
    (stream, scope): (StreamId, &Scope),
    window: Window,
    at: Second,
) -> Result<bool, StoreError> {
    let (Some(before), Some(after)) = (window.up_to(at), window.starting_at(at)) else {
        return Ok(false);
    };
    let locked = lock_ledger_rows::<DB>(tx, stream, window).await?;
    let [row] = locked.as_slice() else {
        return Ok(false);
    };
    let range = StreamRange {
        account,
        scope,
        from: window.from().start(),
        to: window.to().start(),
    };
    let links = read_links::<DB>(tx, range).await?;
    if row.window != window || !agrees(row, &links) {
        return Ok(false);
    }
    let args = [
        stream.0.into(),
        window.from().0.into(),
        window.to().0.into(),
    ];
    execute::<DB>(tx, WHAT, sql::DELETE_LEDGER_ROWS, &args).await?;
    let first_after = links.partition_point(|link| link.sent_at < at.start());
    let (links_before, links_after) = links.split_at(first_after);
    for part in [
        part_of(row, before, links_before),
        part_of(row, after, links_after),
    ] {
        let affected = insert_ledger_row::<DB>(tx, WHAT, stream, &part).await?;
        expect_affected(WHAT, affected, 1)?;
    }
    Ok(true)
}

/// Returns the row of a part that holds these messages. The provider's figures for a part are not
/// known.
fn part_of(row: &LedgerRow, window: Window, links: &[ChainLink]) -> LedgerRow {
    LedgerRow {
        window,
        messages: links.len() as u64,
        digest: row.digest.map(|_| Digest::default().append_all(links)),
        provider_count: None,
        not_shown: 0,
        ..row.clone()
    }
}

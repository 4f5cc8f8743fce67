//! Ledger rows: written with their messages, extended by the next window, or replaced by a later
//! reading.
//!
//! A row's count and digest cover the messages of the stream's scope that the archive holds in
//! the window at that moment: those just fetched, and those archived before that the provider no
//! longer shows.

use super::decode::{ledger_row, optional_int};
use super::dialect::Dialect;
use super::driver::{Arg, execute, expect_affected, fetch_all};
use super::error::StoreError;
use super::limits::{MAX_JOINED_MESSAGES, UNCHECKED_ROW_S};
use super::links::{StreamRange, read_links};
use super::model::{AccountId, Commit, DigestUpdate, LedgerRow, Seal, StreamId};
use super::sql;
use crate::domain::digest::{ChainLink, Digest};
use crate::domain::time::Millis;
use crate::domain::window::Window;

/// The step that failures of a seal name.
const WHAT: &str = "seal";

/// Writes the ledger row of a commit whose messages are written, or extends the row before it.
/// `messages` is an upper bound on the number of the stream's messages in the window, `None` if
/// counting is expensive.
///
/// A window of which another process has sealed a part meanwhile is left alone: its messages are
/// archived, and the plan of the next pass sees the rest. A replacement that would cut a row is
/// left alone as well, since the content of a part of a row is not known.
pub(super) async fn seal_window<DB: Dialect>(
    tx: &mut DB::Connection,
    commit: &Commit,
    seal: &Seal,
    messages: Option<u64>,
    now: Millis,
) -> Result<(), StoreError> {
    let (stream, window) = (commit.stream, seal.window);
    let touching = Window::new(window.from().plus(-1), window.to()).unwrap_or(window);
    let mut inside = read_ledger_rows::<DB>(tx, stream, touching, u64::MAX).await?;
    let has_neighbour = inside
        .first()
        .is_some_and(|row| row.window.to() <= window.from());
    let before = has_neighbour.then(|| inside.remove(0));
    if !may_be_sealed(seal, &inside) {
        let replaces = seal.replaces;
        tracing::debug!(%window, replaces, "the window was sealed otherwise meanwhile");
        return Ok(());
    }
    if !inside.is_empty() {
        let args = [
            stream.0.into(),
            window.from().0.into(),
            window.to().0.into(),
        ];
        execute::<DB>(tx, WHAT, sql::DELETE_LEDGER_ROWS, &args).await?;
    }
    let links = links_in_window::<DB>(tx, commit, seal, messages).await?;
    let row = new_row(commit, seal, &inside, &links, now);
    // A replacement is not joined: another one may be about to replace the row before it.
    let before = before.filter(|_| inside.is_empty());
    let joined = before.and_then(|before| joined_row(before, &row, &links));
    let affected = match keep_if_countable::<DB>(tx, commit.account, joined).await? {
        Some(joined) => extend_ledger_row::<DB>(tx, stream, &joined, now).await?,
        None => insert_ledger_row::<DB>(tx, WHAT, stream, &row).await?,
    };
    expect_affected(WHAT, affected, 1)
}

/// True if the rows inside the window permit the seal: there are none, or the seal replaces them
/// and they lie within it.
fn may_be_sealed(seal: &Seal, inside: &[LedgerRow]) -> bool {
    let (from, to) = (seal.window.from(), seal.window.to());
    let is_cut = |row: &LedgerRow| row.window.from() < from || to < row.window.to();
    inside.is_empty() || (seal.replaces && !inside.iter().any(is_cut))
}

/// Returns the ledger row for a seal. `replaced` are the rows that it replaces.
fn new_row(
    commit: &Commit,
    seal: &Seal,
    replaced: &[LedgerRow],
    links: &[ChainLink],
    now: Millis,
) -> LedgerRow {
    let doubt = seal.doubt.clone().or_else(|| stray_doubt(commit, seal));
    let first_doubt = replaced.iter().filter_map(|row| row.doubted_at).min();
    let doubted_at = doubt.is_some().then(|| first_doubt.unwrap_or(now));
    LedgerRow {
        window: seal.window,
        messages: links.len() as u64,
        digest: Some(Digest::default().append_all(links)),
        provider_count: seal.provider_count,
        doubt,
        doubted_at,
        sealed_at: now,
    }
}

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
    ];
    execute::<DB>(tx, what, sql::INSERT_LEDGER_ROW, &args).await
}

/// Extends the ledger row that begins where `row` begins, and returns the number of rows affected.
async fn extend_ledger_row<DB: Dialect>(
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
    ];
    execute::<DB>(tx, WHAT, sql::EXTEND_LEDGER_ROW, &args).await
}

fn provider_count_arg(row: &LedgerRow) -> Arg<'static> {
    Arg::Int(
        row.provider_count
            .map(|count| i64::try_from(count).unwrap_or(i64::MAX)),
    )
}

fn digest_arg(row: &LedgerRow) -> Arg<'_> {
    Arg::Bytes(row.digest.as_ref().map(|digest| &digest.0[..]))
}

/// Returns the first `limit` ledger rows of a stream that overlap `window`, in order.
pub(super) async fn read_ledger_rows<DB: Dialect>(
    connection: &mut DB::Connection,
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
    let statement = sql::LEDGER_ROWS_IN_WINDOW;
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

/// Returns the row before extended by the new row. `None` if the rows are not adjacent, in doubt,
/// counted differently, or too large together.
fn joined_row(before: LedgerRow, row: &LedgerRow, links: &[ChainLink]) -> Option<LedgerRow> {
    let messages = before.messages + row.messages;
    let is_adjacent = before.window.to() == row.window.from();
    let is_certain = before.doubt.is_none() && row.doubt.is_none();
    let is_counted_alike = before.provider_count.is_some() == row.provider_count.is_some();
    let is_small = messages <= MAX_JOINED_MESSAGES;
    if !(is_adjacent && is_certain && is_counted_alike && is_small) {
        return None;
    }
    let provider_count = before.provider_count.zip(row.provider_count);
    Some(LedgerRow {
        window: Window::new(before.window.from(), row.window.to())?,
        messages,
        digest: Some(before.digest?.append_all(links)),
        provider_count: provider_count.map(|(before, new)| before + new),
        ..before
    })
}

/// Returns the row unless it has grown so long that it would rarely lie within the provider's
/// retention as a whole. A row that is partly expired cannot be counted or fetched again.
async fn keep_if_countable<DB: Dialect>(
    tx: &mut DB::Connection,
    account: AccountId,
    row: Option<LedgerRow>,
) -> Result<Option<LedgerRow>, StoreError> {
    let Some(row) = row else { return Ok(None) };
    let length_s = row.window.seconds();
    if length_s <= UNCHECKED_ROW_S {
        return Ok(Some(row));
    }
    let args = [account.0.into()];
    let found = fetch_all::<DB>(tx, "retention", sql::RETENTION_SPAN, &args).await?;
    let span_s = match found.first() {
        Some(found) => optional_int::<DB>(found, "span_s")?,
        None => None,
    };
    let fits = span_s.is_none_or(|span_s| length_s.saturating_mul(2) <= span_s.unsigned_abs());
    Ok(fits.then_some(row))
}

/// Returns the doubt about a window in which the provider returned messages of other streams.
fn stray_doubt(commit: &Commit, seal: &Seal) -> Option<String> {
    let messages = commit.messages.iter().map(|identified| &identified.message);
    let inside = messages.filter(|message| seal.window.contains(message.sent_at));
    let stray = inside
        .filter(|message| !seal.scope.matches(message))
        .count();
    let doubt = || format!("the provider served {stray} messages that do not belong to the stream");
    (stray > 0).then(doubt)
}

/// Returns the stream's messages in the sealed window of a commit, in canonical order. They are
/// read from the archive only if it may hold more than the commit.
async fn links_in_window<DB: Dialect>(
    tx: &mut DB::Connection,
    commit: &Commit,
    seal: &Seal,
    messages: Option<u64>,
) -> Result<Vec<ChainLink>, StoreError> {
    let window = seal.window;
    let ours = commit.messages.iter().filter(|identified| {
        window.contains(identified.message.sent_at) && seal.scope.matches(&identified.message)
    });
    let mut ours: Vec<ChainLink> = ours.map(ChainLink::from_identified).collect();
    ours.sort_unstable();
    ours.dedup();
    // A commit that covers only a part of the window does not show the rest.
    let is_covered = commit.window.intersect(window) == Some(window);
    if is_covered && messages.is_none_or(|messages| messages == ours.len() as u64) {
        return Ok(ours);
    }
    let (from, to) = (window.from().start(), window.to().start());
    let range = StreamRange {
        account: commit.account,
        scope: &seal.scope,
        from,
        to,
    };
    read_links::<DB>(tx, range).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Second;

    fn row(from: i64, to: i64, messages: u64) -> LedgerRow {
        LedgerRow {
            window: Window::new(Second(from), Second(to)).unwrap(),
            messages,
            digest: Some(Digest::default()),
            provider_count: None,
            doubt: None,
            doubted_at: None,
            sealed_at: Millis(0),
        }
    }

    #[test]
    fn adjacent_certain_small_rows_are_joined() {
        let new = row(100, 200, 7);
        let joined = joined_row(row(0, 100, 5), &new, &[]).unwrap();
        assert_eq!(
            (joined.window, joined.messages),
            (row(0, 200, 0).window, 12)
        );
        let doubted = LedgerRow {
            doubt: Some("stray".into()),
            ..row(0, 100, 5)
        };
        let counted = LedgerRow {
            provider_count: Some(5),
            ..row(0, 100, 5)
        };
        let without_digest = LedgerRow {
            digest: None,
            ..row(0, 100, 5)
        };
        let large = row(0, 100, MAX_JOINED_MESSAGES - 6);
        for before in [row(0, 99, 5), doubted, counted, without_digest, large] {
            assert_eq!(joined_row(before.clone(), &new, &[]), None, "{before:?}");
        }
        let full = row(0, 100, MAX_JOINED_MESSAGES - 7);
        assert!(joined_row(full, &new, &[]).is_some());
    }

    #[test]
    fn seal_replaces_only_whole_rows_and_only_if_it_says_so() {
        let seal = |replaces| Seal {
            window: row(100, 200, 0).window,
            scope: crate::domain::stream::Scope::default(),
            provider_count: None,
            doubt: None,
            replaces,
        };
        let inside = [row(100, 150, 1), row(150, 200, 1)];
        let cut = [row(50, 150, 1)];
        for (replaces, rows, allowed) in [
            (false, &[][..], true),
            (false, &inside[..], false),
            (true, &inside[..], true),
            (true, &cut[..], false),
        ] {
            assert_eq!(
                may_be_sealed(&seal(replaces), rows),
                allowed,
                "{replaces} {rows:?}"
            );
        }
    }
}

//! Ledger rows: written with their messages, extended by the next window, or replaced by a later
//! reading.
//!
//! A row's count and digest cover all messages of the stream's scope that the archive holds in the
//! window: those just fetched, and those archived before that the provider does not show to this
//! stream. Later messages adjust the row (`adjust.rs`).

use super::decode::optional_int;
use super::dialect::Dialect;
use super::driver::{execute, expect_affected, fetch_all};
use super::error::StoreError;
use super::ledger_rows::{extend_ledger_row, insert_ledger_row, lock_ledger_rows};
use super::limits::{MAX_JOINED_MESSAGES, UNCHECKED_ROW_S};
use super::links::{StreamRange, read_links};
use super::model::{AccountId, Commit, LedgerRow, Seal};
use super::sql;
use crate::domain::digest::{ChainLink, Digest};
use crate::domain::time::Millis;
use crate::domain::window::Window;

/// The step that failures of a seal name.
const WHAT: &str = "seal";

/// Bounds on the archived messages of a window that is to be sealed.
#[derive(Clone, Copy, Debug)]
pub(super) struct ArchivedBound {
    /// An upper bound on the number of the stream's messages.
    pub(super) messages: u64,
    /// True if the archive holds each message of the commit in the conversation that the commit
    /// gives. A message that another stream brought may be in another one.
    pub(super) is_filed_as_given: bool,
}

/// The archived messages of a stream in a window.
struct WindowContent {
    /// Their identities, in canonical order.
    links: Vec<ChainLink>,
    /// The number of them that the provider did not show.
    not_shown: u64,
}

/// Writes the ledger row of a commit whose messages are written, or extends the row before it.
/// `archived` tells what the archive holds of the window.
///
/// A window of which another process has sealed a part meanwhile is left alone: its messages are
/// archived, and the plan of the next pass sees the rest. A replacement that would cut a row is
/// left alone as well, since the content of a part of a row is not known.
pub(super) async fn seal_window<DB: Dialect>(
    tx: &mut DB::Connection,
    commit: &Commit,
    seal: &Seal,
    archived: ArchivedBound,
    now: Millis,
) -> Result<(), StoreError> {
    let (stream, window) = (commit.stream, seal.window);
    let touching = Window::new(window.from().plus(-1), window.to()).unwrap_or(window);
    let mut inside = lock_ledger_rows::<DB>(tx, stream, touching).await?;
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
    let content = window_content::<DB>(tx, commit, seal, archived).await?;
    let row = new_row(seal, &inside, &content, now);
    // A replacement is not joined: another one may be about to replace the row before it.
    let before = before.filter(|_| inside.is_empty());
    let joined = before.and_then(|before| joined_row(before, &row, &content.links));
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
fn new_row(seal: &Seal, replaced: &[LedgerRow], content: &WindowContent, now: Millis) -> LedgerRow {
    let doubt = seal.doubt.clone();
    let first_doubt = replaced.iter().filter_map(|row| row.doubted_at).min();
    let doubted_at = doubt.is_some().then(|| first_doubt.unwrap_or(now));
    LedgerRow {
        window: seal.window,
        messages: content.links.len() as u64,
        digest: Some(Digest::default().append_all(&content.links)),
        provider_count: seal.provider_count,
        not_shown: content.not_shown,
        doubt,
        doubted_at,
        sealed_at: now,
    }
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
        provider_count: provider_count.map(|(before, new)| before.saturating_add(new)),
        not_shown: before.not_shown + row.not_shown,
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

/// Returns what the archive holds of the sealed window of a commit. It is read from the archive
/// only if that may hold other messages than the commit.
async fn window_content<DB: Dialect>(
    tx: &mut DB::Connection,
    commit: &Commit,
    seal: &Seal,
    archived: ArchivedBound,
) -> Result<WindowContent, StoreError> {
    let window = seal.window;
    let ours = commit.messages.iter().filter(|identified| {
        window.contains(identified.message.sent_at) && seal.scope.matches(&identified.message)
    });
    let mut ours: Vec<ChainLink> = ours.map(ChainLink::from_identified).collect();
    ours.sort_unstable();
    ours.dedup();
    // A commit that covers only a part of the window does not show the rest.
    let is_covered = commit.window.intersect(window) == Some(window);
    if is_covered && archived.is_filed_as_given && archived.messages == ours.len() as u64 {
        return Ok(WindowContent {
            links: ours,
            not_shown: 0,
        });
    }
    let (from, to) = (window.from().start(), window.to().start());
    let range = StreamRange {
        account: commit.account,
        scope: &seal.scope,
        from,
        to,
    };
    let links = read_links::<DB>(tx, range).await?;
    let is_other = |link: &&ChainLink| ours.binary_search(link).is_err();
    let others = links.iter().filter(is_other).count() as u64;
    let not_shown = others.saturating_sub(seal.shown_outside);
    Ok(WindowContent { links, not_shown })
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
            not_shown: 0,
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
            doubt: Some("pages differ".into()),
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
            shown_outside: 0,
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

//! Ledger rows: written with their messages, lengthened by the window that follows, replaced by a better reading.
//!
//! A row's count and digest are those of what the archive holds in the window and in the stream's scope at that moment:
//! what was just fetched, and what was archived before and is not shown any more.

use super::dialect::{AccessPath, Arg, Dialect, DriverResult, bytes, int, optional_int, text};
use super::ledger::window_from_row;
use super::write::expect_affected;
use super::{
    AccountId, Commit, DigestUpdate, LedgerRow, MAX_JOINED_MESSAGES, Seal, StoreError, StreamId,
    sql,
};
use crate::domain::digest::{ChainLink, Digest};
use crate::domain::identity::Fingerprint;
use crate::domain::stream::Scope;
use crate::domain::time::{Day, Millis};
use crate::domain::window::Window;

/// Where only time leads to a recipient's messages, so many of all are looked at. Beyond it, what is in the archive and
/// is not shown any more is overlooked here; `verify` names it.
const MAX_COUNTED_ROWS: u64 = 5000;

/// Writes the ledger row of a commit whose messages are written, or lengthens the one before it. `there` is how many
/// messages of the stream there may be in the window by now: no fewer than there are, and nothing where that is costly
/// to tell.
///
/// A window of which another process has sealed a part in the meantime is left alone: its messages are in the archive,
/// and the plan of the next pass sees what is left. A replacement that would cut a row is left alone likewise, for
/// what a part of it holds is not known.
pub(super) async fn seal_window<DB: Dialect>(
    tx: &mut DB::Connection,
    commit: &Commit,
    seal: &Seal,
    there: Option<u64>,
    now: Millis,
) -> Result<(), StoreError> {
    const WHAT: &str = "seal";
    let Seal {
        window,
        scope,
        provider_count,
        doubt,
        replaces,
    } = seal;
    let (from, to) = (window.from(), window.to());
    let touching = Window::new(from.plus(-1), to).unwrap_or(*window);
    let mut inside = read_ledger_rows::<DB>(tx, commit.stream, touching, u64::MAX).await?;
    let before = inside
        .first()
        .is_some_and(|row| row.window.to() <= from)
        .then(|| inside.remove(0));
    let cuts = |row: &LedgerRow| row.window.from() < from || to < row.window.to();
    if !inside.is_empty() && (!replaces || inside.iter().any(cuts)) {
        tracing::debug!(%window, replaces, "sealed otherwise meanwhile");
        return Ok(());
    }
    if !inside.is_empty() {
        let args = [commit.stream.0.into(), from.0.into(), to.0.into()];
        DB::execute(tx, sql::DELETE_LEDGER_ROWS, &args)
            .await
            .map_err(StoreError::at(WHAT))?;
    }
    let links = links_in_window::<DB>(tx, commit, window, scope, there).await?;
    let row = LedgerRow {
        window: *window,
        messages: links.len() as u64,
        digest: Some(Digest::default().append_all(&links)),
        provider_count: *provider_count,
        doubt: doubt.clone().or_else(|| stray_doubt(commit, window, scope)),
        doubted_at: None,
        sealed_at: now,
    };
    let doubted_before = inside.iter().filter_map(|row| row.doubted_at).min();
    let row = LedgerRow {
        doubted_at: row.doubt.is_some().then(|| doubted_before.unwrap_or(now)),
        ..row
    };
    // What replaces a row keeps to it: others may be about to replace its neighbour.
    let joined = before
        .filter(|_| inside.is_empty())
        .and_then(|before| joined_row(before, &row, &links));
    let affected = match keep_if_countable::<DB>(tx, commit.account, joined).await? {
        Some(row) => {
            let LedgerRow {
                window,
                messages,
                digest,
                ..
            } = &row;
            let (first, messages) = (window.from().0.into(), (*messages).into());
            let digest = digest.as_ref().map(|digest| &digest.0[..]);
            let args = [
                commit.stream.0.into(),
                first,
                to.0.into(),
                messages,
                provider_count_arg(&row),
                now.0.into(),
                digest.into(),
            ];
            DB::execute(tx, sql::EXTEND_LEDGER_ROW, &args).await
        }
        None => insert_ledger_row::<DB>(tx, commit.stream, &row).await,
    };
    expect_affected(WHAT, affected.map_err(StoreError::at(WHAT))?, 1)
}

/// A ledger row by itself.
pub(super) async fn insert_ledger_row<DB: Dialect>(
    tx: &mut DB::Connection,
    stream: StreamId,
    row: &LedgerRow,
) -> DriverResult<u64> {
    let [from, to] = [row.window.from().0, row.window.to().0].map(Into::into);
    let (messages, doubt, sealed_at) = (
        row.messages.into(),
        row.doubt.as_deref().into(),
        row.sealed_at.0.into(),
    );
    let digest = row.digest.as_ref().map(|digest| &digest.0[..]).into();
    let doubted_at = row.doubted_at.map(|at| at.0).into();
    let args = [
        stream.0.into(),
        from,
        to,
        messages,
        provider_count_arg(row),
        doubt,
        sealed_at,
        digest,
        doubted_at,
    ];
    DB::execute(tx, sql::INSERT_LEDGER_ROW, &args).await
}

fn provider_count_arg(row: &LedgerRow) -> Arg<'static> {
    Arg::Int(
        row.provider_count
            .map(|count| i64::try_from(count).unwrap_or(i64::MAX)),
    )
}

/// The first `limit` ledger rows of a stream that have a part in `window`, in order.
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
    let rows = DB::fetch(connection, sql::LEDGER_ROWS_IN_WINDOW, &args)
        .await
        .map_err(StoreError::at("ledger rows"))?;
    rows.iter().map(ledger_row::<DB>).collect()
}

pub(super) fn ledger_row<DB: Dialect>(ledger_row: &DB::Row) -> Result<LedgerRow, StoreError> {
    let digest = bytes::<DB>(ledger_row, "digest")?
        .map(<[u8; 32]>::try_from)
        .transpose();
    let digest = digest.map_err(|_| StoreError::Inconsistent {
        what: "sealed_window",
        fault: "a digest that is not 32 bytes long".to_owned(),
    })?;
    Ok(LedgerRow {
        window: window_from_row::<DB>(ledger_row)?,
        messages: u64::try_from(int::<DB>(ledger_row, "messages")?).unwrap_or(0),
        digest: digest.map(Digest),
        provider_count: optional_int::<DB>(ledger_row, "provider_count")?
            .and_then(|count| u64::try_from(count).ok()),
        doubt: text::<DB>(ledger_row, "doubt")?,
        doubted_at: optional_int::<DB>(ledger_row, "doubted_at_ms")?.map(Millis),
        sealed_at: Millis(int::<DB>(ledger_row, "sealed_at_ms")?),
    })
}

/// Gives a digest to rows that have none and are otherwise as given.
pub(super) async fn write_digests<DB: Dialect>(
    tx: &mut DB::Connection,
    stamps: &[DigestUpdate],
) -> Result<(), StoreError> {
    for DigestUpdate {
        stream,
        window,
        messages,
        digest,
    } in stamps
    {
        let [from, to] = [window.from().0, window.to().0].map(Into::into);
        let args = [
            stream.0.into(),
            from,
            to,
            (*messages).into(),
            (&digest.0[..]).into(),
        ];
        DB::execute(tx, sql::ADD_DIGEST, &args)
            .await
            .map_err(StoreError::at("stamp"))?;
    }
    Ok(())
}

/// The row before with the new one, where both are short enough to be kept as one.
fn joined_row(before: LedgerRow, row: &LedgerRow, links: &[ChainLink]) -> Option<LedgerRow> {
    let digest = before.digest?.append_all(links);
    let messages = before.messages + row.messages;
    let certain = before.doubt.is_none() && row.doubt.is_none();
    let counted = before.provider_count.is_some() == row.provider_count.is_some();
    if before.window.to() != row.window.from()
        || !certain
        || !counted
        || messages > MAX_JOINED_MESSAGES
    {
        return None;
    }
    Some(LedgerRow {
        window: Window::new(before.window.from(), row.window.to())?,
        messages,
        digest: Some(digest),
        provider_count: before
            .provider_count
            .zip(row.provider_count)
            .map(|(before, more)| before + more),
        ..before
    })
}

/// The row, unless it has become so long that it would hardly ever lie within the provider's memory as a whole: what
/// is partly forgotten cannot be counted or read again.
async fn keep_if_countable<DB: Dialect>(
    tx: &mut DB::Connection,
    account: AccountId,
    row: Option<LedgerRow>,
) -> Result<Option<LedgerRow>, StoreError> {
    let Some(seconds) = row
        .as_ref()
        .map(|row| row.window.seconds())
        .filter(|seconds| *seconds > Day::SECONDS.unsigned_abs())
    else {
        return Ok(row);
    };
    let reach = DB::fetch(tx, sql::RETENTION_SPAN, &[account.0.into()])
        .await
        .map_err(StoreError::at("reach"))?;
    let reach = reach
        .first()
        .map(|row| optional_int::<DB>(row, "reach"))
        .transpose()?
        .flatten();
    Ok(row.filter(|_| reach.is_none_or(|reach| seconds.saturating_mul(2) <= reach.unsigned_abs())))
}

/// Why a window is in doubt in which the provider served what was not asked for.
fn stray_doubt(commit: &Commit, window: &Window, scope: &Scope) -> Option<String> {
    let inside = commit
        .messages
        .iter()
        .map(|identified| &identified.message)
        .filter(|m| window.contains(m.sent_at));
    let stray = inside.filter(|message| !scope.matches(message)).count();
    (stray > 0)
        .then(|| format!("the provider served {stray} messages that do not belong to the stream"))
}

/// What the archive holds of a stream in the window of a commit whose messages are written, in canonical order.
async fn links_in_window<DB: Dialect>(
    tx: &mut DB::Connection,
    commit: &Commit,
    window: &Window,
    scope: &Scope,
    there: Option<u64>,
) -> Result<Vec<ChainLink>, StoreError> {
    let ours = commit
        .messages
        .iter()
        .filter(|m| window.contains(m.message.sent_at) && scope.matches(&m.message));
    let mut ours: Vec<ChainLink> = ours.map(ChainLink::from_identified).collect();
    ours.sort_unstable();
    ours.dedup();
    let (from, to) = (window.from().start(), window.to().start());
    // A reading of a part of the window says nothing of the rest.
    let whole = commit.window.intersect(*window) == Some(*window);
    if whole && there.is_none_or(|there| there == ours.len() as u64) {
        return Ok(ours);
    }
    read_links::<DB>(tx, commit.account, scope, from, to).await
}

/// How many messages there may be between two moments: no fewer than there are. Nothing where that is costly to tell.
pub(super) async fn max_messages_between<DB: Dialect>(
    tx: &mut DB::Connection,
    account: AccountId,
    scope: &Scope,
    from: Millis,
    to: Millis,
) -> Result<Option<u64>, StoreError> {
    let [from, to, account] = [from.0, to.0, account.0].map(Arg::from);
    let there = match AccessPath::for_scope(scope) {
        AccessPath::Conversation(name) => {
            DB::fetch(
                tx,
                sql::COUNT_BY_CONVERSATION,
                &[from, to, name.into(), account],
            )
            .await
        }
        AccessPath::Sender(name) => {
            DB::fetch(tx, sql::COUNT_BY_SENDER, &[from, to, name.into()]).await
        }
        AccessPath::Recipient(name) => {
            DB::fetch(
                tx,
                DB::COUNT_BY_RECIPIENT,
                &[from, to, name.into(), MAX_COUNTED_ROWS.into()],
            )
            .await
        }
    };
    let there = there.map_err(StoreError::at("count"))?;
    let there = there
        .first()
        .map(|row| optional_int::<DB>(row, "there"))
        .transpose()?
        .flatten();
    Ok(there.and_then(|there| u64::try_from(there).ok()))
}

/// How many messages the archive holds of a stream between two moments. Nothing where that is costly to tell.
pub(super) async fn count_messages_between<DB: Dialect>(
    connection: &mut DB::Connection,
    account: AccountId,
    scope: &Scope,
    from: Millis,
    to: Millis,
) -> Result<Option<u64>, StoreError> {
    match AccessPath::for_scope(scope) {
        AccessPath::Recipient(_) => {
            max_messages_between::<DB>(connection, account, scope, from, to).await
        }
        _ => Ok(Some(
            read_links::<DB>(connection, account, scope, from, to)
                .await?
                .len() as u64,
        )),
    }
}

/// What the archive holds of a stream between two moments, in canonical order.
pub(super) async fn read_links<DB: Dialect>(
    connection: &mut DB::Connection,
    account: AccountId,
    scope: &Scope,
    from: Millis,
    to: Millis,
) -> Result<Vec<ChainLink>, StoreError> {
    let [from, to, account] = [from.0, to.0, account.0].map(Arg::from);
    let names = [&scope.sender, &scope.recipient, &scope.conversation]
        .map(|name| Arg::Text(name.as_deref()));
    let [sender, recipient, conversation] = names;
    let rows = DB::fetch(
        connection,
        DB::READ_LINKS.statement_for(AccessPath::for_scope(scope)),
        &[from, to, account, sender, recipient, conversation],
    )
    .await;
    rows.map_err(StoreError::at("links"))?
        .iter()
        .map(link_from_row::<DB>)
        .collect()
}

fn link_from_row<DB: Dialect>(row: &DB::Row) -> Result<ChainLink, StoreError> {
    let strange = |what: &str| StoreError::Inconsistent {
        what: "message",
        fault: format!("a strange `{what}`"),
    };
    let hash = bytes::<DB>(row, "hash")?.and_then(|hash| <[u8; 16]>::try_from(hash).ok());
    Ok(ChainLink {
        sent_at: Millis(int::<DB>(row, "sent_at_ms")?),
        fingerprint: Fingerprint(hash.ok_or_else(|| strange("hash"))?),
        occurrence: u32::try_from(int::<DB>(row, "occurrence")?)
            .map_err(|_| strange("occurrence"))?,
    })
}

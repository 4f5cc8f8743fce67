//! Ledger rows: written with their messages, lengthened by the window that follows, replaced by a better reading.
//!
//! A row's count and digest are those of what the archive holds in the window and in the stream's scope at that moment:
//! what was just fetched, and what was archived before and is not shown any more.

use super::dialect::{Arg, Dialect, Driver, Way, bytes, int, maybe_int, text};
use super::ledger::window_of;
use super::write::expect;
use super::{AccountId, Commit, JOINED_MESSAGES, Seal, Sealed, Stamp, StoreError, StreamId, sql};
use crate::domain::digest::{Digest, Link};
use crate::domain::identity::Fingerprint;
use crate::domain::stream::Scope;
use crate::domain::time::Millis;
use crate::domain::window::Window;

/// Where only time leads to a recipient's messages, so many of all are looked at. Beyond it, what is in the archive and
/// is not shown any more is overlooked here; `verify` names it.
const LOOKED_AT: u64 = 5000;
const DAY_S: u64 = 86_400;

/// Writes the ledger row of a commit whose messages are written, or lengthens the one before it. `there` is how many
/// messages of the stream there may be in the window by now: no fewer than there are, and nothing where that is costly
/// to tell.
///
/// A window of which another process has sealed a part in the meantime is left alone: its messages are in the archive,
/// and the plan of the next pass sees what is left. A replacement that would cut a row is left alone likewise, for
/// what a part of it holds is not known.
pub(super) async fn seal<DB: Dialect>(
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
    let mut inside = rows::<DB>(tx, commit.stream, touching, u64::MAX).await?;
    let before = inside
        .first()
        .is_some_and(|row| row.window.to() <= from)
        .then(|| inside.remove(0));
    let cuts = |row: &Sealed| row.window.from() < from || to < row.window.to();
    if !inside.is_empty() && (!replaces || inside.iter().any(cuts)) {
        tracing::debug!(%window, replaces, "sealed otherwise meanwhile");
        return Ok(());
    }
    if !inside.is_empty() {
        let args = [commit.stream.0.into(), from.0.into(), to.0.into()];
        DB::execute(tx, sql::UNSEAL, &args)
            .await
            .map_err(StoreError::at(WHAT))?;
    }
    let links = links::<DB>(tx, commit, window, scope, there).await?;
    let row = Sealed {
        window: *window,
        messages: links.len() as u64,
        digest: Some(Digest::default().through(&links)),
        provider_count: *provider_count,
        doubt: doubt.clone().or_else(|| stray(commit, window, scope)),
        doubted_at: None,
        sealed_at: now,
    };
    let doubted_before = inside.iter().filter_map(|row| row.doubted_at).min();
    let row = Sealed {
        doubted_at: row.doubt.is_some().then(|| doubted_before.unwrap_or(now)),
        ..row
    };
    // What replaces a row keeps to it: others may be about to replace its neighbour.
    let joined = before
        .filter(|_| inside.is_empty())
        .and_then(|before| joined(before, &row, &links));
    let affected = match may_grow::<DB>(tx, commit.account, joined).await? {
        Some(row) => {
            let Sealed {
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
                counted(&row),
                now.0.into(),
                digest.into(),
            ];
            DB::execute(tx, sql::SEAL_ON, &args).await
        }
        None => write::<DB>(tx, commit.stream, &row).await,
    };
    expect(WHAT, affected.map_err(StoreError::at(WHAT))?, 1)
}

/// A ledger row by itself.
pub(super) async fn write<DB: Dialect>(
    tx: &mut DB::Connection,
    stream: StreamId,
    row: &Sealed,
) -> Driver<u64> {
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
        counted(row),
        doubt,
        sealed_at,
        digest,
        doubted_at,
    ];
    DB::execute(tx, sql::SEAL, &args).await
}

fn counted(row: &Sealed) -> Arg<'static> {
    Arg::Int(
        row.provider_count
            .map(|count| i64::try_from(count).unwrap_or(i64::MAX)),
    )
}

/// The first `limit` ledger rows of a stream that have a part in `window`, in order.
pub(super) async fn rows<DB: Dialect>(
    connection: &mut DB::Connection,
    stream: StreamId,
    window: Window,
    limit: u64,
) -> Result<Vec<Sealed>, StoreError> {
    let args = [
        stream.0.into(),
        window.from().0.into(),
        window.to().0.into(),
        limit.into(),
    ];
    let rows = DB::fetch(connection, sql::SEALED_IN, &args)
        .await
        .map_err(StoreError::at("ledger rows"))?;
    rows.iter().map(row::<DB>).collect()
}

pub(super) fn row<DB: Dialect>(row: &DB::Row) -> Result<Sealed, StoreError> {
    let digest = bytes::<DB>(row, "digest")?
        .map(<[u8; 32]>::try_from)
        .transpose();
    let digest = digest.map_err(|_| StoreError::Inconsistent {
        what: "sealed_window",
        fault: "a digest that is not 32 bytes long".to_owned(),
    })?;
    Ok(Sealed {
        window: window_of::<DB>(row)?,
        messages: u64::try_from(int::<DB>(row, "messages")?).unwrap_or(0),
        digest: digest.map(Digest),
        provider_count: maybe_int::<DB>(row, "provider_count")?
            .and_then(|count| u64::try_from(count).ok()),
        doubt: text::<DB>(row, "doubt")?,
        doubted_at: maybe_int::<DB>(row, "doubted_at_ms")?.map(Millis),
        sealed_at: Millis(int::<DB>(row, "sealed_at_ms")?),
    })
}

/// Gives a digest to rows that have none and are otherwise as given.
pub(super) async fn stamp<DB: Dialect>(
    tx: &mut DB::Connection,
    stamps: &[Stamp],
) -> Result<(), StoreError> {
    for Stamp {
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
        DB::execute(tx, sql::STAMP, &args)
            .await
            .map_err(StoreError::at("stamp"))?;
    }
    Ok(())
}

/// The row before with the new one, where both are short enough to be kept as one.
fn joined(before: Sealed, row: &Sealed, links: &[Link]) -> Option<Sealed> {
    let digest = before.digest?.through(links);
    let messages = before.messages + row.messages;
    let certain = before.doubt.is_none() && row.doubt.is_none();
    let counted = before.provider_count.is_some() == row.provider_count.is_some();
    if before.window.to() != row.window.from() || !certain || !counted || messages > JOINED_MESSAGES
    {
        return None;
    }
    Some(Sealed {
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
async fn may_grow<DB: Dialect>(
    tx: &mut DB::Connection,
    account: AccountId,
    row: Option<Sealed>,
) -> Result<Option<Sealed>, StoreError> {
    let Some(seconds) = row
        .as_ref()
        .map(|row| row.window.seconds())
        .filter(|seconds| *seconds > DAY_S)
    else {
        return Ok(row);
    };
    let reach = DB::fetch(tx, sql::REACH, &[account.0.into()])
        .await
        .map_err(StoreError::at("reach"))?;
    let reach = reach
        .first()
        .map(|row| maybe_int::<DB>(row, "reach"))
        .transpose()?
        .flatten();
    Ok(row.filter(|_| reach.is_none_or(|reach| seconds.saturating_mul(2) <= reach.unsigned_abs())))
}

/// Why a window is in doubt in which the provider served what was not asked for.
fn stray(commit: &Commit, window: &Window, scope: &Scope) -> Option<String> {
    let inside = commit
        .messages
        .iter()
        .map(|identified| &identified.message)
        .filter(|m| window.contains(m.sent_at));
    let stray = inside.filter(|message| !scope.holds(message)).count();
    (stray > 0)
        .then(|| format!("the provider served {stray} messages that do not belong to the stream"))
}

/// What the archive holds of a stream in the window of a commit whose messages are written, in canonical order.
async fn links<DB: Dialect>(
    tx: &mut DB::Connection,
    commit: &Commit,
    window: &Window,
    scope: &Scope,
    there: Option<u64>,
) -> Result<Vec<Link>, StoreError> {
    let ours = commit
        .messages
        .iter()
        .filter(|m| window.contains(m.message.sent_at) && scope.holds(&m.message));
    let mut ours: Vec<Link> = ours.map(Link::of).collect();
    ours.sort_unstable();
    ours.dedup();
    let (from, to) = (window.from().start(), window.to().start());
    // A reading of a part of the window says nothing of the rest.
    let whole = commit.window.intersect(*window) == Some(*window);
    if whole && there.is_none_or(|there| there == ours.len() as u64) {
        return Ok(ours);
    }
    archived::<DB>(tx, commit.account, scope, from, to).await
}

/// How many messages there may be between two moments: no fewer than there are. Nothing where that is costly to tell.
pub(super) async fn there<DB: Dialect>(
    tx: &mut DB::Connection,
    account: AccountId,
    scope: &Scope,
    from: Millis,
    to: Millis,
) -> Result<Option<u64>, StoreError> {
    let [from, to, account] = [from.0, to.0, account.0].map(Arg::from);
    let there = match Way::of(scope) {
        Way::Conversation(name) => {
            DB::fetch(
                tx,
                sql::COUNT_BY_CONVERSATION,
                &[from, to, name.into(), account],
            )
            .await
        }
        Way::Sender(name) => DB::fetch(tx, sql::COUNT_BY_SENDER, &[from, to, name.into()]).await,
        Way::Recipient(name) => {
            DB::fetch(
                tx,
                DB::COUNT_BY_RECIPIENT,
                &[from, to, name.into(), LOOKED_AT.into()],
            )
            .await
        }
    };
    let there = there.map_err(StoreError::at("count"))?;
    let there = there
        .first()
        .map(|row| maybe_int::<DB>(row, "there"))
        .transpose()?
        .flatten();
    Ok(there.and_then(|there| u64::try_from(there).ok()))
}

/// How many messages the archive holds of a stream between two moments. Nothing where that is costly to tell.
pub(super) async fn count<DB: Dialect>(
    connection: &mut DB::Connection,
    account: AccountId,
    scope: &Scope,
    from: Millis,
    to: Millis,
) -> Result<Option<u64>, StoreError> {
    match Way::of(scope) {
        Way::Recipient(_) => there::<DB>(connection, account, scope, from, to).await,
        _ => Ok(Some(
            archived::<DB>(connection, account, scope, from, to)
                .await?
                .len() as u64,
        )),
    }
}

/// What the archive holds of a stream between two moments, in canonical order.
pub(super) async fn archived<DB: Dialect>(
    connection: &mut DB::Connection,
    account: AccountId,
    scope: &Scope,
    from: Millis,
    to: Millis,
) -> Result<Vec<Link>, StoreError> {
    let [from, to, account] = [from.0, to.0, account.0].map(Arg::from);
    let names = [&scope.sender, &scope.recipient, &scope.conversation]
        .map(|name| Arg::Text(name.as_deref()));
    let [sender, recipient, conversation] = names;
    let rows = DB::fetch(
        connection,
        DB::LINKS.by(Way::of(scope)),
        &[from, to, account, sender, recipient, conversation],
    )
    .await;
    rows.map_err(StoreError::at("links"))?
        .iter()
        .map(link::<DB>)
        .collect()
}

fn link<DB: Dialect>(row: &DB::Row) -> Result<Link, StoreError> {
    let strange = |what: &str| StoreError::Inconsistent {
        what: "message",
        fault: format!("a strange `{what}`"),
    };
    let hash = bytes::<DB>(row, "hash")?.and_then(|hash| <[u8; 16]>::try_from(hash).ok());
    Ok(Link {
        sent_at: Millis(int::<DB>(row, "sent_at_ms")?),
        fingerprint: Fingerprint(hash.ok_or_else(|| strange("hash"))?),
        occurrence: u32::try_from(int::<DB>(row, "occurrence")?)
            .map_err(|_| strange("occurrence"))?,
    })
}

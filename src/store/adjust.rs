//! Ledger rows are adjusted to the messages that a transaction adds or removes, whichever stream
//! brought them: a row's count and digest are those of all archived messages in its window and
//! scope, after every commit.
//!
//! Most commits affect no row: they fill a range that is not sealed yet. A row that is affected is
//! read again, since a digest depends on the order of the messages.
//!
//! A row that did not agree with the archive before keeps its claim. The archive was changed behind
//! the program's back, and `verify` is still to find that.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::decode::{int, scope, window};
use super::dialect::Dialect;
use super::driver::{Arg, expect_affected, fetch_all};
use super::error::StoreError;
use super::ledger_rows::{adjust_ledger_row, lock_ledger_rows};
use super::links::{StreamRange, read_links};
use super::model::{AccountId, LedgerRow, StreamId};
use crate::domain::digest::{ChainLink, Digest};
use crate::domain::identity::IdentifiedMessage;
use crate::domain::message::{Conversation, ConversationKind};
use crate::domain::stream::Scope;
use crate::domain::window::Window;

/// The step that failures of this file name.
const WHAT: &str = "adjust ledger rows";

/// A message that a transaction has added to a conversation of the archive, or removed from it.
#[derive(Clone, Debug)]
pub(super) struct MessageChange<'a> {
    link: ChainLink,
    sender: &'a str,
    recipient: &'a str,
    conversation: Cow<'a, str>,
    is_added: bool,
}

impl<'a> MessageChange<'a> {
    /// Returns the change for a new message.
    pub(super) fn added(identified: &'a IdentifiedMessage) -> Self {
        let message = &identified.message;
        Self {
            link: ChainLink::from_identified(identified),
            sender: &message.sender,
            recipient: &message.recipient,
            conversation: Cow::Borrowed(&message.conversation.name),
            is_added: true,
        }
    }

    /// Returns the change for a message that was deleted.
    pub(super) fn removed(identified: &'a IdentifiedMessage) -> Self {
        Self {
            is_added: false,
            ..Self::added(identified)
        }
    }

    /// Returns the changes for a message whose conversation has become known. A conversation of an
    /// unknown kind has the name of its recipient.
    pub(super) fn moved(identified: &'a IdentifiedMessage) -> [Self; 2] {
        let recipient = &identified.message.recipient;
        let from = Conversation::named(ConversationKind::Unknown, recipient);
        let removed = Self {
            conversation: Cow::Owned(from.name),
            ..Self::removed(identified)
        };
        [removed, Self::added(identified)]
    }

    fn belongs_to(&self, scope: &Scope) -> bool {
        scope.matches_names(self.sender, self.recipient, &self.conversation)
    }
}

/// Adjusts the ledger rows of an account to changes of its messages, which are written already.
/// `source` is the stream that brought them.
pub(super) async fn adjust_rows<DB: Dialect>(
    tx: &mut DB::Connection,
    account: AccountId,
    source: StreamId,
    mut changes: Vec<MessageChange<'_>>,
) -> Result<(), StoreError> {
    changes.sort_by_key(|change| change.link);
    for affected in affected_rows::<DB>(tx, account, &changes).await? {
        let is_other = affected.stream != source;
        let inside = affected.changes(affected.window, &changes);
        if inside.count() > 0 {
            adjust_row::<DB>(tx, account, &affected, &changes, is_other).await?;
        }
    }
    Ok(())
}

/// A ledger row that may contain one of the changed messages.
struct AffectedRow {
    stream: StreamId,
    scope: Scope,
    window: Window,
}

impl AffectedRow {
    /// Returns the changes that concern the stream in a window. `changes` are in the order of time.
    fn changes<'c, 'm>(
        &self,
        window: Window,
        changes: &'c [MessageChange<'m>],
    ) -> impl Iterator<Item = &'c MessageChange<'m>> {
        let position = |at| changes.partition_point(|change| change.link.sent_at < at);
        let inside = position(window.from().start())..position(window.to().start());
        let inside = changes.get(inside).unwrap_or_default();
        inside
            .iter()
            .filter(|change| change.belongs_to(&self.scope))
    }
}

/// Returns the ledger rows that may contain one of the messages, in a fixed order, in which all
/// transactions lock them.
async fn affected_rows<DB: Dialect>(
    tx: &mut DB::Connection,
    account: AccountId,
    changes: &[MessageChange<'_>],
) -> Result<Vec<AffectedRow>, StoreError> {
    let (Some(first), Some(last)) = (changes.first(), changes.last()) else {
        return Ok(vec![]);
    };
    let conversations = json_list(changes.iter().map(|change| &*change.conversation));
    let recipients = json_list(changes.iter().map(|change| change.recipient));
    let senders = json_list(changes.iter().map(|change| change.sender));
    let args = [
        account.0.into(),
        Arg::from(&conversations),
        Arg::from(&recipients),
        Arg::from(&senders),
        first.link.sent_at.second().0.into(),
        last.link.sent_at.second().0.into(),
    ];
    let rows = fetch_all::<DB>(tx, WHAT, DB::AFFECTED_ROWS, &args).await?;
    let row = |row: &DB::Row| {
        Ok(AffectedRow {
            stream: StreamId(int::<DB>(row, "stream_id")?),
            scope: scope::<DB>(row)?.unwrap_or_default(),
            window: window::<DB>(row)?,
        })
    };
    rows.iter().map(row).collect()
}

/// Returns the distinct names as a JSON list.
fn json_list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let distinct: BTreeSet<&str> = names.collect();
    serde_json::json!(distinct).to_string()
}

/// Adjusts one row, if it agreed with the archive before the changes. The row may have been
/// extended meanwhile, so that it is read again once it is locked.
async fn adjust_row<DB: Dialect>(
    tx: &mut DB::Connection,
    account: AccountId,
    affected: &AffectedRow,
    changes: &[MessageChange<'_>],
    is_other: bool,
) -> Result<(), StoreError> {
    let first_second = Window::with_length(affected.window.from(), 1);
    let locked = lock_ledger_rows::<DB>(tx, affected.stream, first_second).await?;
    let Some(row) = locked.into_iter().next() else {
        return Ok(());
    };
    let range = StreamRange {
        account,
        scope: &affected.scope,
        from: row.window.from().start(),
        to: row.window.to().start(),
    };
    let links = read_links::<DB>(tx, range).await?;
    let before = links_before(&links, affected.changes(row.window, changes));
    if !agrees(&row, &before) {
        let window = row.window;
        tracing::debug!(%window, "a ledger row that differs from the archive keeps its claim");
        return Ok(());
    }
    let added = (links.len() as u64).saturating_sub(before.len() as u64);
    let not_shown = row.not_shown + if is_other { added } else { 0 };
    let adjusted = LedgerRow {
        messages: links.len() as u64,
        digest: row.digest.map(|_| Digest::default().append_all(&links)),
        not_shown: not_shown.min(links.len() as u64),
        ..row
    };
    let affected_rows = adjust_ledger_row::<DB>(tx, affected.stream, &adjusted).await?;
    expect_affected(WHAT, affected_rows, 1)
}

/// Returns the messages of a row before the changes, in canonical order. `links` are those after
/// the changes.
fn links_before<'m>(
    links: &[ChainLink],
    changes: impl Iterator<Item = &'m MessageChange<'m>>,
) -> Vec<ChainLink> {
    let (added, removed): (Vec<_>, Vec<_>) = changes.partition(|change| change.is_added);
    let added: BTreeSet<ChainLink> = added.iter().map(|change| change.link).collect();
    let is_old = |link: &&ChainLink| !added.contains(link);
    let kept = links.iter().filter(is_old).copied();
    let mut before: Vec<ChainLink> = kept
        .chain(removed.iter().map(|change| change.link))
        .collect();
    before.sort_unstable();
    before.dedup();
    before
}

/// True if a row claims exactly these messages. A row without a digest is compared by its count.
pub(super) fn agrees(row: &LedgerRow, links: &[ChainLink]) -> bool {
    let is_same = |digest| digest == Digest::default().append_all(links);
    row.messages == links.len() as u64 && row.digest.is_none_or(is_same)
}

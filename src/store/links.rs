//! The messages of a stream in a range of time: counted, or as links for a digest.

use super::decode::{chain_link, optional_int};
use super::dialect::{AccessPath, Dialect};
use super::driver::{Arg, fetch_all};
use super::error::StoreError;
use super::limits::MAX_COUNTED_ROWS;
use super::model::AccountId;
use super::sql;
use crate::domain::digest::ChainLink;
use crate::domain::stream::Scope;
use crate::domain::time::Millis;

/// A stream of an account, and a range of time.
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamRange<'a> {
    pub(super) account: AccountId,
    pub(super) scope: &'a Scope,
    pub(super) from: Millis,
    pub(super) to: Millis,
}

/// Returns an upper bound on the number of a stream's messages in a range. It costs one count in
/// an index. `None` if counting would be expensive.
pub(super) async fn max_messages_in<DB: Dialect>(
    connection: &mut DB::Connection,
    range: StreamRange<'_>,
) -> Result<Option<u64>, StoreError> {
    const WHAT: &str = "count";
    let [from, to, account] = [range.from.0, range.to.0, range.account.0].map(Arg::from);
    let rows = match AccessPath::for_scope(range.scope) {
        AccessPath::Conversation(name) => {
            let args = [from, to, name.into(), account];
            fetch_all::<DB>(connection, WHAT, sql::COUNT_BY_CONVERSATION, &args).await?
        }
        AccessPath::Sender(name) => {
            let args = [from, to, name.into()];
            fetch_all::<DB>(connection, WHAT, sql::COUNT_BY_SENDER, &args).await?
        }
        AccessPath::Recipient(name) => {
            let args = [from, to, name.into(), MAX_COUNTED_ROWS.into()];
            fetch_all::<DB>(connection, WHAT, DB::COUNT_BY_RECIPIENT, &args).await?
        }
    };
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let bound = optional_int::<DB>(row, "messages")?;
    Ok(bound.and_then(|bound| u64::try_from(bound).ok()))
}

/// Returns the number of a stream's messages in a range. `None` if counting would be expensive.
pub(super) async fn count_messages_in<DB: Dialect>(
    connection: &mut DB::Connection,
    range: StreamRange<'_>,
) -> Result<Option<u64>, StoreError> {
    match AccessPath::for_scope(range.scope) {
        AccessPath::Recipient(_) => max_messages_in::<DB>(connection, range).await,
        _ => Ok(Some(read_links::<DB>(connection, range).await?.len() as u64)),
    }
}

/// Returns the identities of a stream's messages in a range, in canonical order.
pub(super) async fn read_links<DB: Dialect>(
    connection: &mut DB::Connection,
    range: StreamRange<'_>,
) -> Result<Vec<ChainLink>, StoreError> {
    let statement = DB::READ_LINKS.statement_for(AccessPath::for_scope(range.scope));
    let [sender, recipient, conversation] = scope_args(Some(range.scope));
    let [from, to, account] = [range.from.0, range.to.0, range.account.0].map(Arg::from);
    let args = [from, to, account, sender, recipient, conversation];
    let rows = fetch_all::<DB>(connection, "links", statement, &args).await?;
    rows.iter().map(chain_link::<DB>).collect()
}

/// Returns the sender, the recipient and the conversation of a scope as arguments.
pub(super) fn scope_args(scope: Option<&Scope>) -> [Arg<'_>; 3] {
    let Some(scope) = scope else {
        return [Arg::Text(None); 3];
    };
    [&scope.sender, &scope.recipient, &scope.conversation].map(|name| name.as_deref().into())
}

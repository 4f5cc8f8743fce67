//! The messages of a stream in a range of time: counted, or as links for a digest.

use super::decode::{chain_link, count};
use super::dialect::{AccessPath, Dialect};
use super::driver::{Arg, fetch_one};
use super::error::StoreError;
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
/// an index.
pub(super) async fn max_messages_in<DB: Dialect>(
    connection: &mut DB::Connection,
    range: StreamRange<'_>,
) -> Result<u64, StoreError> {
    const WHAT: &str = "count";
    let [from, to, account] = [range.from.0, range.to.0, range.account.0].map(Arg::from);
    let row = match AccessPath::for_scope(range.scope) {
        AccessPath::Conversation(name) => {
            let args = [from, to, name.into(), account];
            fetch_one::<DB>(connection, WHAT, sql::COUNT_BY_CONVERSATION, &args).await?
        }
        AccessPath::Sender(name) => {
            let args = [from, to, name.into()];
            fetch_one::<DB>(connection, WHAT, sql::COUNT_BY_SENDER, &args).await?
        }
        AccessPath::Recipient(name) => {
            let args = [from, to, name.into(), account];
            fetch_one::<DB>(connection, WHAT, DB::COUNT_BY_RECIPIENT, &args).await?
        }
    };
    count::<DB>(&row, "messages")
}

/// Returns the number of a stream's messages in a range.
pub(super) async fn count_messages_in<DB: Dialect>(
    connection: &mut DB::Connection,
    range: StreamRange<'_>,
) -> Result<u64, StoreError> {
    let mut messages = 0;
    for_each_link::<DB>(connection, range, |_| messages += 1).await?;
    Ok(messages)
}

/// Returns the identities of a stream's messages in a range, in canonical order.
pub(super) async fn read_links<DB: Dialect>(
    connection: &mut DB::Connection,
    range: StreamRange<'_>,
) -> Result<Vec<ChainLink>, StoreError> {
    let mut links = Vec::new();
    for_each_link::<DB>(connection, range, |link| links.push(link)).await?;
    Ok(links)
}

/// Calls `visit` with the identity of each message of a stream in a range, in canonical order. A
/// range may hold a million messages, so their rows are not held in memory together.
async fn for_each_link<DB: Dialect>(
    connection: &mut DB::Connection,
    range: StreamRange<'_>,
    mut visit: impl FnMut(ChainLink) + Send,
) -> Result<(), StoreError> {
    let statement = DB::READ_LINKS.statement_for(AccessPath::for_scope(range.scope));
    let [sender, recipient, conversation] = scope_args(Some(range.scope));
    let [from, to, account] = [range.from.0, range.to.0, range.account.0].map(Arg::from);
    let args = [from, to, account, sender, recipient, conversation];
    let visit = |row: &DB::Row| {
        visit(chain_link::<DB>(row)?);
        Ok(())
    };
    DB::for_each_row(connection, "links", statement, &args, visit).await
}

/// Returns the sender, the recipient and the conversation of a scope as arguments.
pub(super) fn scope_args(scope: Option<&Scope>) -> [Arg<'_>; 3] {
    let Some(scope) = scope else {
        return [Arg::Text(None); 3];
    };
    [&scope.sender, &scope.recipient, &scope.conversation].map(|name| name.as_deref().into())
}

//! The messages of a stream in a range of time: counted, or as links for a digest.

use super::decode::{chain_link, count};
use super::dialect::{AccessPath, Dialect};
use super::driver::{Arg, fetch_all, fetch_one};
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
    Ok(read_links::<DB>(connection, range).await?.len() as u64)
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

//! The streams of an account, listed and found, and the names that its messages bear.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::json;

use super::archived::kind_from_code;
use super::dialect::{Dialect, int, text};
use super::{AccountId, StoreError, StreamId, ledger, sql};
use crate::domain::message::Conversation;
use crate::domain::participant::Participant;
use crate::domain::stream::Stream;
use crate::domain::time::Second;

/// Writes streams down as active; answers in their order. The history of one that is new is wanted from `first` on,
/// that of any from `since` on where that is said. All by one statement: there may be ten thousand.
pub(super) async fn upsert_streams<DB: Dialect>(
    tx: &mut DB::Connection,
    account: i64,
    streams: &[Arc<Stream>],
    first: Second,
    since: Option<Second>,
) -> Result<Vec<(StreamId, Second)>, StoreError> {
    const WHAT: &str = "streams";
    let new = streams.iter().map(|stream| {
        let Stream { key, scope, discovered } = &**stream;
        let (sender, recipient, conversation) = (&scope.sender, &scope.recipient, &scope.conversation);
        let discovered = i64::from(*discovered);
        json!({ "key": key, "discovered": discovered, "sender": sender, "recipient": recipient, "conversation": conversation })
    });
    let new = new.collect::<serde_json::Value>().to_string();
    let args = [
        account.into(),
        first.0.into(),
        since.map(|s| s.0).into(),
        (&new).into(),
    ];
    let mut known = HashMap::new();
    for row in DB::fetch(tx, DB::UPSERT_STREAMS, &args)
        .await
        .map_err(StoreError::at(WHAT))?
    {
        let stream = (
            StreamId(int::<DB>(&row, "id")?),
            Second(int::<DB>(&row, "wanted_from_s")?),
        );
        known.insert(text::<DB>(&row, "key")?.unwrap_or_default(), stream);
    }
    let lost = || StoreError::Inconsistent {
        what: WHAT,
        fault: "one that was just written is not there".to_owned(),
    };
    streams
        .iter()
        .map(|stream| known.get(&stream.key).copied().ok_or_else(lost))
        .collect()
}

/// The streams of an account that were found, in the order in which they were.
pub(super) async fn read_discovered<DB: Dialect>(
    connection: &mut DB::Connection,
    account: AccountId,
) -> Result<Vec<Stream>, StoreError> {
    let rows = DB::fetch(connection, sql::DISCOVERED_STREAMS, &[account.0.into()]).await;
    let stream = |row: &DB::Row| {
        let key = text::<DB>(row, "key")?.unwrap_or_default();
        Ok(Stream {
            key,
            scope: ledger::scope_from_row::<DB>(row)?.unwrap_or_default(),
            discovered: true,
        })
    };
    rows.map_err(StoreError::at("discovered"))?
        .iter()
        .map(stream)
        .collect()
}

/// Who appears in an account's messages.
pub(super) async fn read_participants<DB: Dialect>(
    connection: &mut DB::Connection,
    account: AccountId,
) -> Result<Vec<Participant<'static>>, StoreError> {
    let failed = StoreError::at("parties");
    let mut parties = Vec::new();
    for row in DB::fetch(
        connection,
        sql::CONVERSATIONS_OF_ACCOUNT,
        &[account.0.into()],
    )
    .await
    .map_err(&failed)?
    {
        let conversation = Conversation {
            kind: kind_from_code(int::<DB>(&row, "kind")?),
            name: text::<DB>(&row, "name")?.unwrap_or_default(),
        };
        parties.extend(Participant::from_conversation(&conversation));
    }
    for row in DB::fetch(connection, sql::SENDERS_OF_ACCOUNT, &[account.0.into()])
        .await
        .map_err(&failed)?
    {
        parties.push(Participant::User(
            text::<DB>(&row, "value")?.unwrap_or_default().into(),
        ));
    }
    Ok(parties)
}

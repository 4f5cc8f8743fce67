//! What could not be understood is looked at once more, by what is known today.

use crate::domain::identity::identify;
use crate::domain::message::Message;
use crate::domain::stream::StreamIndex;
use crate::domain::time::Millis;
use crate::domain::window::Window;
use crate::provider::Provider;
use crate::store::{
    AccountId, Archive, Commit, HeldId, NewAccount, QuarantinedMessage, Seal, StoreError,
};

/// Messages that are held at once.
const QUARANTINE_PAGE: u64 = 200;

/// What became of an account's quarantine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requeued {
    /// Messages that are in the archive now.
    pub archived: u64,
    /// Messages that stay where they are.
    pub left: u64,
}

/// Reads an account's quarantine again. Asks the provider nothing. What is understood goes into the archive, and into
/// the count and the digest of the ledger row it belongs to; it may be broken off and begun again at any time.
pub async fn requeue(
    provider: &dyn Provider,
    store: &dyn Archive,
    now: Millis,
) -> Result<Requeued, StoreError> {
    let name = &provider.account().name;
    let known = NewAccount {
        name,
        provider: provider.account().provider.name(),
        streams: None,
        since: None,
        horizon: None,
    };
    let account = store.register(&known).await?.account;
    if provider.account().discovers {
        for stream in store.discovered_streams(account).await? {
            provider.follow(&stream);
        }
    }
    let mut requeued = Requeued::default();
    let mut after = HeldId::default();
    loop {
        let chunk = store.quarantined(account, after, QUARANTINE_PAGE).await?;
        let Some(last) = chunk.last() else {
            return Ok(requeued);
        };
        after = last.id;
        for held in chunk {
            // A stream that is not followed any more keeps what it has.
            let position = provider.stream_index(&held.key);
            // What the archive itself has set aside is no answer of the provider's.
            let position = position.filter(|_| !held.quarantined.was_archived());
            let read = position.map(|position| {
                (
                    position,
                    provider.parse_raw(position, &held.quarantined.raw),
                )
            });
            match read {
                Some((position, Ok(message))) => {
                    let commit =
                        build_commit(provider, store, account, position, &held, message).await?;
                    store.commit(&[commit], now).await?;
                    store.reconsider(account, held.id, None).await?;
                    requeued.archived += 1;
                    continue;
                }
                Some((_, Err(unreadable))) => {
                    store
                        .reconsider(account, held.id, Some(&unreadable.reason))
                        .await?;
                }
                None => {}
            }
            requeued.left += 1;
        }
    }
}

/// A message, with the ledger row of its time: the provider counted it when the row was read.
async fn build_commit(
    provider: &dyn Provider,
    store: &dyn Archive,
    account: AccountId,
    position: StreamIndex,
    held: &QuarantinedMessage,
    message: Message,
) -> Result<Commit, StoreError> {
    let window = Window::with_length(message.sent_at.second(), 1);
    let row = store.ledger_rows(held.stream, window, 1).await?.pop();
    let scope = provider.stream(position).scope.clone();
    let seal = row.map(|row| Seal {
        window: row.window,
        scope,
        provider_count: row.provider_count,
        doubt: row.doubt,
        replaces: true,
    });
    Ok(Commit {
        account,
        stream: held.stream,
        window,
        seal,
        messages: identify(vec![message]),
        unreadable: vec![],
    })
}

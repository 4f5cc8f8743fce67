//! Quarantined messages that are parsed again by this version of the program.

use crate::domain::identity::identify;
use crate::domain::time::Millis;
use crate::domain::window::Window;
use crate::provider::Provider;
use crate::store::{
    AccountId, Archive, Commit, NewAccount, QuarantineId, QuarantinedMessage, StoreError,
};
use crate::sync::limits::QUARANTINE_PAGE;

/// The result of requeueing an account's quarantine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requeued {
    /// Messages that were moved from quarantine to the archive.
    pub archived: u64,
    /// Messages that stay in quarantine.
    pub left: u64,
}

/// Parses an account's quarantined messages again. No request is made.
///
/// A message that can be parsed is committed, and becomes part of the count and the digest of the
/// ledger rows that contain it. Dropping the future is safe; a later call goes on from there.
pub async fn requeue(
    provider: &dyn Provider,
    archive: &dyn Archive,
    now: Millis,
) -> Result<Requeued, StoreError> {
    let account = find_account(provider, archive).await?;
    let mut requeued = Requeued::default();
    let mut after = QuarantineId::default();
    loop {
        let page = archive
            .quarantined_messages(account, after, QUARANTINE_PAGE)
            .await?;
        let Some(last) = page.last() else {
            return Ok(requeued);
        };
        after = last.entry.id;
        for message in page {
            if release(provider, archive, account, &message, now).await? {
                requeued.archived += 1;
            } else {
                requeued.left += 1;
            }
        }
    }
}

/// Returns the account's id in the archive, and follows the streams that were discovered.
async fn find_account(
    provider: &dyn Provider,
    archive: &dyn Archive,
) -> Result<AccountId, StoreError> {
    let settings = provider.account();
    let account = NewAccount {
        identity: settings.identity.as_ref(),
        ..NewAccount::named(&settings.name, settings.provider.name())
    };
    let account = archive.register(&account).await?.account;
    if settings.discovers() {
        for stream in archive.discovered_streams(account).await? {
            provider.follow(&stream);
        }
    }
    Ok(account)
}

/// Moves one message from quarantine to the archive if it can be parsed. Else records why not.
/// Returns true if it was moved.
async fn release(
    provider: &dyn Provider,
    archive: &dyn Archive,
    account: AccountId,
    quarantined: &QuarantinedMessage,
    now: Millis,
) -> Result<bool, StoreError> {
    // Messages in the archive's own form are no answer of the provider.
    if quarantined.entry.is_in_archive_form() {
        return Ok(false);
    }
    // A stream that is not followed any longer keeps its quarantine.
    let Some(stream) = provider.stream_index(&quarantined.key) else {
        return Ok(false);
    };
    match provider.parse_raw(stream, &quarantined.entry.raw) {
        Ok(message) => {
            let commit = Commit {
                account,
                stream: quarantined.stream,
                window: Window::with_length(message.sent_at.second(), 1),
                seal: None,
                messages: identify(vec![message]),
                unreadable: vec![],
            };
            archive.commit(&[commit], now).await?;
            archive
                .release_from_quarantine(account, quarantined.entry.id)
                .await?;
            Ok(true)
        }
        Err(unparsable) => {
            archive
                .update_quarantine_reason(account, quarantined.entry.id, &unparsable.reason)
                .await?;
            Ok(false)
        }
    }
}

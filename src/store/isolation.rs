//! Messages that a database cannot hold. They are kept in quarantine, and cost nothing else of
//! their commit.
//!
//! Most are known before the transaction ([`storable_part`]). If the database refuses a value all
//! the same, the windows of the batch are committed one by one, and the messages of the refused
//! window are halved until the refused ones stand alone ([`commit_apart`]).

use std::borrow::Cow;

use async_trait::async_trait;

use super::error::StoreError;
use super::model::{Commit, WriteCounts};
use super::quarantine::refused_message;
use crate::domain::identity::IdentifiedMessage;
use crate::domain::message::UnparsableMessage;
use crate::domain::time::Millis;

/// Writes single windows, each in a transaction of its own.
#[async_trait]
pub(super) trait WindowWriter: Sync {
    async fn write_window(&self, commit: &Commit, now: Millis) -> Result<WriteCounts, StoreError>;
}

/// Returns the batch with every message in quarantine that no database can hold.
pub(super) fn storable_part(batch: &[Commit]) -> Cow<'_, [Commit]> {
    let fault = |identified: &IdentifiedMessage| identified.message.storage_fault();
    let has_fault = |commit: &Commit| commit.messages.iter().any(|each| fault(each).is_some());
    if !batch.iter().any(has_fault) {
        return batch.into();
    }
    let refused = |commit: &Commit| {
        let faults = commit.messages.iter().map(fault);
        let reasons = faults.map(|fault| fault.map(str::to_owned));
        quarantined(commit, reasons.collect())
    };
    batch.iter().map(refused).collect::<Vec<_>>().into()
}

/// Writes windows one by one, after the database has refused a value in one of them. A window fails
/// only for another reason than its messages.
pub(super) async fn commit_apart(
    store: &dyn WindowWriter,
    batch: &[Commit],
    now: Millis,
) -> Result<Vec<WriteCounts>, StoreError> {
    let mut written = Vec::with_capacity(batch.len());
    for commit in batch {
        let counts = match store.write_window(commit, now).await {
            Err(error) if error.is_refusal() => commit_storable(store, commit, now, error).await?,
            outcome => outcome?,
        };
        written.push(counts);
    }
    Ok(written)
}

/// Writes a window without the messages that the database refuses. `refusal` is its error if that
/// is none of them.
async fn commit_storable(
    store: &dyn WindowWriter,
    commit: &Commit,
    now: Millis,
    refusal: StoreError,
) -> Result<WriteCounts, StoreError> {
    let (reasons, archived) = find_refused(store, commit, now).await?;
    if reasons.iter().all(Option::is_none) {
        return Err(refusal);
    }
    let written = store
        .write_window(&quarantined(commit, reasons), now)
        .await?;
    Ok(WriteCounts {
        new: written.new + archived.new,
        changed: written.changed + archived.changed,
    })
}

/// Returns the reason of the database for each message that it refuses, and writes the others
/// without sealing anything.
async fn find_refused(
    store: &dyn WindowWriter,
    commit: &Commit,
    now: Millis,
) -> Result<(Vec<Option<String>>, WriteCounts), StoreError> {
    let mut reasons = vec![None; commit.messages.len()];
    let mut archived = WriteCounts::default();
    let mut pending = vec![(0, commit.messages.len())];
    while let Some((start, end)) = pending.pop() {
        let part = Commit {
            seal: None,
            messages: commit.messages[start..end].to_vec(),
            unreadable: vec![],
            ..commit.clone()
        };
        match store.write_window(&part, now).await {
            Ok(written) => {
                archived.new += written.new;
                archived.changed += written.changed;
            }
            Err(error) if error.is_refusal() && end - start > 1 => {
                let middle = start.midpoint(end);
                pending.extend([(middle, end), (start, middle)]);
            }
            Err(error) if error.is_refusal() && end > start => {
                reasons[start] = Some(format!("the database refuses it: {error}"));
            }
            Err(error) => return Err(error),
        }
    }
    Ok((reasons, archived))
}

/// Returns the commit with its refused messages in quarantine. `reasons` has one entry for each
/// message.
fn quarantined(commit: &Commit, reasons: Vec<Option<String>>) -> Commit {
    let mut storable = Commit {
        messages: vec![],
        ..commit.clone()
    };
    let mut refused: Vec<UnparsableMessage> = vec![];
    for (identified, reason) in commit.messages.iter().zip(reasons) {
        match reason {
            Some(reason) => refused.push(refused_message(identified, reason)),
            None => storable.messages.push(identified.clone()),
        }
    }
    if let Some(first) = refused.first() {
        let (window, count, reason) = (commit.window, refused.len(), &first.reason);
        tracing::warn!(%window, count, reason, "messages that cannot be stored are in quarantine");
    }
    storable.unreadable.append(&mut refused);
    storable
}

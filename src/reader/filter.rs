//! The messages that a reader asks for.

use serde::Serialize;

use crate::domain::similar::SimilarNames;
use crate::domain::time::Millis;
use crate::store::{FoundConversation, NameKind, Reading, Selection, StoreError};

/// The messages that a reader asks for, by names and times. Every condition must hold; `None` leaves
/// it open. Names are compared byte by byte.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MessageFilter {
    /// The account's name.
    pub account: Option<String>,
    /// The conversation's name, in whichever account.
    pub conversation: Option<String>,
    pub sender: Option<String>,
    /// The first millisecond.
    #[serde(serialize_with = "as_text")]
    pub since: Option<Millis>,
    /// The end, exclusive.
    #[serde(serialize_with = "as_text")]
    pub until: Option<Millis>,
}

/// A filter whose names were found in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedFilter {
    pub filter: MessageFilter,
    /// The same in ids of the archive.
    pub selection: Selection,
    /// The conversations with the name of the filter, one in each account that has it. Empty if the
    /// filter names none.
    pub conversations: Vec<FoundConversation>,
}

/// The error of a filter.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// The archive does not have a name that the filter contains.
    #[error("{place} has no {kind} `{name}`: {remedy}")]
    UnknownName {
        place: String,
        kind: &'static str,
        name: String,
        /// Names that are similar, or the way to find them.
        remedy: String,
    },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Finds the names of a filter in the archive. A name that it does not have is an error with similar
/// ones: an empty result would look like an answer.
pub async fn resolve(
    archive: &dyn Reading,
    filter: MessageFilter,
) -> Result<ResolvedFilter, FilterError> {
    let account = match &filter.account {
        Some(name) => {
            let found = archive.find_account(name).await?;
            Some(found_or(archive, found, NameKind::Account, name, &filter).await?)
        }
        None => None,
    };
    let conversations = match &filter.conversation {
        Some(name) => {
            let found = archive.find_conversations(account, name).await?;
            let found = Some(found).filter(|found| !found.is_empty());
            found_or(
                archive,
                found,
                NameKind::Conversation(account),
                name,
                &filter,
            )
            .await?
        }
        None => Vec::new(),
    };
    let sender = match &filter.sender {
        Some(name) => {
            let found = archive.find_sender(name).await?;
            Some(found_or(archive, found, NameKind::Sender, name, &filter).await?)
        }
        None => None,
    };
    let selection = Selection {
        account,
        conversation: filter.conversation.clone(),
        sender,
        from: filter.since.unwrap_or(Millis(i64::MIN)),
        to: filter.until.unwrap_or(Millis(i64::MAX)),
    };
    Ok(ResolvedFilter {
        filter,
        selection,
        conversations,
    })
}

/// Returns what was found of a name, or the error that names similar ones.
async fn found_or<T: Send>(
    archive: &dyn Reading,
    found: Option<T>,
    kind: NameKind,
    name: &str,
    filter: &MessageFilter,
) -> Result<T, FilterError> {
    if let Some(found) = found {
        return Ok(found);
    }
    let mut similar = SimilarNames::to(name);
    archive
        .for_each_name(kind, &mut |known| similar.offer(known))
        .await?;
    let similar = similar.into_names();
    let (word, view) = match kind {
        NameKind::Account => ("account", "SELECT account FROM coverage"),
        NameKind::Conversation(_) => ("conversation", "SELECT conversation FROM conversations"),
        NameKind::Sender => ("sender", "SELECT sender FROM senders"),
    };
    let place = match (kind, &filter.account) {
        (NameKind::Conversation(_), Some(account)) => format!("the account `{account}`"),
        _ => "the archive".to_owned(),
    };
    let remedy = if similar.is_empty() {
        format!("names are compared exactly; `{view}` lists them")
    } else {
        let names: Vec<String> = similar.iter().map(|name| format!("`{name}`")).collect();
        format!("did you mean {}?", names.join(" or "))
    };
    Err(FilterError::UnknownName {
        place,
        kind: word,
        name: name.to_owned(),
        remedy,
    })
}

/// Writes a time as in RFC 3339.
#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
fn as_text<S: serde::Serializer>(time: &Option<Millis>, to: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.to_string()).serialize(to)
}

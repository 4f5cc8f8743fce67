//! The search for the place of an arrival mark, as messages come and go.

use super::api::Web3mqApi;
use super::message::ParsedRow;
use super::page_assembly::PageView;
use super::topic::Topic;
use crate::domain::arrival::ArrivalMark;
use crate::domain::identity::Fingerprint;
use crate::provider::error::ProviderError;
use crate::provider::limits::web3mq::MAX_SEARCHED_PAGES;

/// Finds the position behind the mark. 0 if messages came before it, or its message is gone.
pub(super) async fn find_unread(
    api: &Web3mqApi,
    topic: &Topic,
    mark: ArrivalMark,
    newest: &PageView,
) -> Result<u64, ProviderError> {
    let Some(expected) = mark.position.checked_sub(1) else {
        return Ok(0);
    };
    // Where the oldest have expired, it stands earlier.
    let is_in_reach = |position: &u64| *position <= expected;
    let mut found = find_last(mark, newest).filter(is_in_reach);
    if found.is_none() && expected < newest.first {
        let page = topic.read_page_at(api, expected, newest.total).await?;
        found = find_back(api, topic, mark, &page).await?;
        found = found.filter(is_in_reach);
    }
    if found.is_none() {
        found = find_back(api, topic, mark, newest).await?;
        found = found.filter(is_in_reach);
    }
    if let Some(position) = found {
        return Ok(position + 1);
    }
    tracing::info!(
        account = api.account(),
        topic = topic.name,
        "messages came before those that were read; the topic is read once more"
    );
    Ok(0)
}

/// Finds the last message before a mark on a page or a little before it.
async fn find_back(
    api: &Web3mqApi,
    topic: &Topic,
    mark: ArrivalMark,
    page: &PageView,
) -> Result<Option<u64>, ProviderError> {
    let (total, mut first) = (page.total, page.first);
    let mut found = find_last(mark, page);
    for _ in 1..MAX_SEARCHED_PAGES {
        let Some(before) = first.checked_sub(1).filter(|_| found.is_none()) else {
            break;
        };
        let page = topic.read_page_at(api, before, total).await?;
        first = page.first.min(before);
        found = find_last(mark, &page);
    }
    Ok(found)
}

/// Returns the position of the last message before a mark on a page. If there are several that are
/// equal, the oldest: nothing behind it is left out.
fn find_last(mark: ArrivalMark, page: &PageView) -> Option<u64> {
    let mut positions = (page.first..).zip(&page.rows);
    let found = positions.find(|(_, row)| is_last_of(mark, Some(row)));
    found.map(|(position, _)| position)
}

/// True if a row is the last message before a mark.
pub(super) fn is_last_of(mark: ArrivalMark, row: Option<&ParsedRow>) -> bool {
    row.is_some_and(|row| Some(fingerprint(row)) == mark.last)
}

/// Returns the fingerprint of a message, or of the raw text of one that could not be parsed.
pub(super) fn fingerprint(row: &ParsedRow) -> Fingerprint {
    match row {
        Ok(message) => Fingerprint::compute(message),
        Err(unparsable) => Fingerprint::of_raw(&unparsable.raw),
    }
}

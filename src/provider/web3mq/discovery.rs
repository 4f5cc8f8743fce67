//! Discovery of streams: the chats, groups and topics in the provider's own lists.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;

use super::api::Web3mqApi;
use super::lists::ListPage;
use super::streams::topic_stream;
use crate::domain::stream::Stream;
use crate::provider::discovery::{Directories, DirectoryPage, StreamFinder};
use crate::provider::error::ProviderError;
use crate::provider::limits::web3mq::{LIST_POLL_INTERVAL, MAX_LIST_PAGES};

/// The endpoints of the lists. Each may name topics that the others do not.
const LIST_ENDPOINTS: [&str; 3] = ["chats", "groups", "my_subscribe_topic_list"];

/// The discovery of streams of one user.
#[derive(Debug)]
pub(super) struct ListDiscovery {
    api: Arc<Web3mqApi>,
}

impl ListDiscovery {
    pub(super) fn new(api: Arc<Web3mqApi>) -> Self {
        Self { api }
    }

    /// Reads a list page by page, until a page shows nothing new. A short page need not be the
    /// last, and a list without pages answers every request with all of it.
    async fn read_list(
        &self,
        list: &'static str,
        found: &mut BTreeSet<String>,
    ) -> Result<(), ProviderError> {
        let size = self.api.page_size();
        for page in 1..=MAX_LIST_PAGES {
            let ListPage { ids, total } = self.api.read_list_page(list, page, size).await?;
            let (before, is_short) = (found.len(), (ids.len() as u64) < size);
            found.extend(ids);
            let is_complete = is_short && total.is_some_and(|total| found.len() as u64 >= total);
            if is_complete || found.len() == before {
                return Ok(());
            }
        }
        let fault = format!("the list has no end: {MAX_LIST_PAGES} pages were read");
        Err(ProviderError::Endless {
            operation: list,
            fault,
        })
    }
}

#[async_trait]
impl StreamFinder for ListDiscovery {
    fn directories(&self) -> Directories {
        Directories {
            count: LIST_ENDPOINTS.len(),
            poll_interval: LIST_POLL_INTERVAL,
        }
    }

    /// Reads the whole list, as far as it can be read.
    async fn read_directory(&self, directory: usize) -> DirectoryPage {
        let Some(list) = LIST_ENDPOINTS.get(directory) else {
            return DirectoryPage::default();
        };
        let mut found = BTreeSet::new();
        let error = self.read_list(list, &mut found).await.err();
        let user = self.api.user();
        let streams = found.iter().map(|topic| topic_stream(user, topic));
        let streams = streams
            .map(|stream| Stream {
                discovered: true,
                ..stream
            })
            .collect();
        DirectoryPage {
            streams,
            has_more: false,
            error,
        }
    }
}

//! Reading messages in the order of digests, page by page.

use async_trait::async_trait;

use super::driver::Arg;
use super::error::StoreError;
use super::model::{ArchivedMessage, Cursor};
use crate::domain::time::Millis;

/// Reads messages. Each page is read as the archive is at that moment, and no transaction is open
/// between two pages.
#[async_trait]
pub trait MessageReader: Send {
    /// Returns up to `limit` messages after the cursor and before `to`, in the order of their send
    /// time. It costs one range scan of at most `limit` rows. A reader that was interrupted or has
    /// failed is not used again.
    async fn next_messages(
        &mut self,
        after: &Cursor,
        to: Millis,
        limit: u64,
    ) -> Result<Vec<ArchivedMessage>, StoreError>;
}

/// Reads pages of messages from a database.
pub(super) trait MessagePages: Send + 'static {
    /// Returns a page of messages in the order of their send time. `args` are a position (millisecond,
    /// end of the range, hash, occurrence, recipient, slot) and a limit. The five parts of the position
    /// form one sort key. Messages with dangling references are returned as well.
    fn read_page(
        &mut self,
        args: &[Arg<'_>; 7],
    ) -> impl Future<Output = Result<Vec<ArchivedMessage>, StoreError>> + Send;
}

/// The step that failures of reading messages name.
pub(super) const MESSAGES: &str = "messages";

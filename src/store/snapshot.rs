//! Reading messages in one snapshot of the archive.

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::decode;
use super::driver::Arg;
use super::error::StoreError;
use super::model::{
    ChangeMark, ConversationId, ReadPath, SelectedMessage, SelectedStatements, Selection,
};
use super::row_values::DecodeRow;
use crate::domain::time::Millis;

/// Takes messages page by page.
pub type PageSender = mpsc::Sender<Vec<SelectedMessage>>;

/// One state of the archive. All that is read belongs to it, whatever is committed meanwhile.
///
/// While it is open, SQLite keeps its write-ahead log, and Postgres the rows that were deleted since:
/// it is meant for the messages of a day, and not for all of them.
#[async_trait]
pub trait Snapshot: Send {
    /// Returns the time of the first message of the selection. It costs one range of an index, up to
    /// the first message that has all the properties.
    async fn first_moment(&mut self, selection: &Selection) -> Result<Option<Millis>, StoreError>;

    /// Returns the mark of the selected messages. It reads each of them, in the database only.
    async fn change_mark(&mut self, selection: &Selection) -> Result<ChangeMark, StoreError>;

    /// Returns the conversations that have a selected message.
    async fn conversations(
        &mut self,
        selection: &Selection,
    ) -> Result<Vec<ConversationId>, StoreError>;

    /// Sends the selected messages to `pages`, in the order of time and then of ids, in pages that are
    /// never empty. It ends early if nobody receives them. Returns the mark of those that were sent.
    /// It costs one range of the index of the path.
    async fn send_messages(
        &mut self,
        selection: &Selection,
        path: ReadPath,
        pages: &PageSender,
    ) -> Result<ChangeMark, StoreError>;
}

/// A read transaction of a database.
pub(super) trait SnapshotReader: Send {
    /// Returns what `decode` makes of each row of a query.
    fn read<T: Send + 'static>(
        &mut self,
        what: &'static str,
        statement: &'static str,
        args: &[Arg<'_>],
        decode: DecodeRow<T>,
    ) -> impl Future<Output = Result<Vec<T>, StoreError>> + Send;

    /// See [`Snapshot::send_messages`].
    fn send_messages(
        &mut self,
        selection: &Selection,
        path: ReadPath,
        pages: &PageSender,
    ) -> impl Future<Output = Result<ChangeMark, StoreError>> + Send;
}

/// A snapshot in an SQL database.
pub(super) struct SqlSnapshot<R> {
    pub(super) reader: R,
    pub(super) statements: &'static SelectedStatements,
}

#[async_trait]
impl<R: SnapshotReader> Snapshot for SqlSnapshot<R> {
    async fn first_moment(&mut self, selection: &Selection) -> Result<Option<Millis>, StoreError> {
        const WHAT: &str = "first message";
        let statement = self.statements.first_moment.of(selection);
        let args = selection.args();
        let moments = self.reader.read(WHAT, statement, &args, decode::number);
        Ok(moments.await?.first().copied().map(Millis))
    }

    async fn change_mark(&mut self, selection: &Selection) -> Result<ChangeMark, StoreError> {
        const WHAT: &str = "change mark";
        let statement = self.statements.change_mark.of(selection);
        let args = selection.args();
        let marks = self
            .reader
            .read(WHAT, statement, &args, decode::change_mark);
        Ok(marks.await?.first().copied().unwrap_or_default())
    }

    async fn conversations(
        &mut self,
        selection: &Selection,
    ) -> Result<Vec<ConversationId>, StoreError> {
        const WHAT: &str = "conversations";
        let statement = self.statements.conversations.of(selection);
        let args = selection.args();
        let ids = self.reader.read(WHAT, statement, &args, decode::number);
        Ok(ids.await?.into_iter().map(ConversationId).collect())
    }

    async fn send_messages(
        &mut self,
        selection: &Selection,
        path: ReadPath,
        pages: &PageSender,
    ) -> Result<ChangeMark, StoreError> {
        self.reader.send_messages(selection, path, pages).await
    }
}

//! Reading messages in one snapshot of the archive, page by page.

use async_trait::async_trait;
use sqlx::Transaction;

use super::decode;
use super::dialect::Dialect;
use super::driver::{Arg, fetch_all, fetch_one};
use super::error::StoreError;
use super::limits::READ_PAGE_MESSAGES;
use super::model::{
    ChangeMark, ConversationId, ReadPath, ReadPosition, SelectedMessage, Selection,
};
use super::read_names::ReadNames;
use crate::domain::time::Millis;

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

    /// Returns the next messages of the selection behind a position, in the order of time and then of
    /// ids, and none at its end. It costs one range of the index of the path.
    async fn page(
        &mut self,
        selection: &Selection,
        path: ReadPath,
        after: ReadPosition,
        names: &mut ReadNames,
    ) -> Result<Vec<SelectedMessage>, StoreError>;
}

/// A read transaction.
pub(super) struct SqlSnapshot<'a, DB: Dialect> {
    pub(super) tx: Transaction<'a, DB>,
}

#[async_trait]
impl<DB: Dialect> Snapshot for SqlSnapshot<'_, DB> {
    async fn first_moment(&mut self, selection: &Selection) -> Result<Option<Millis>, StoreError> {
        const WHAT: &str = "first message";
        let statement = DB::SELECTED.first_moment.of(selection);
        let rows = fetch_all::<DB>(&mut self.tx, WHAT, statement, &selection.args()).await?;
        let moment = rows
            .first()
            .map(|row| decode::millis::<DB>(row, "sent_at_ms"));
        moment.transpose()
    }

    async fn change_mark(&mut self, selection: &Selection) -> Result<ChangeMark, StoreError> {
        const WHAT: &str = "change mark";
        let statement = DB::SELECTED.change_mark.of(selection);
        let row = fetch_one::<DB>(&mut self.tx, WHAT, statement, &selection.args()).await?;
        decode::change_mark::<DB>(&row)
    }

    async fn conversations(
        &mut self,
        selection: &Selection,
    ) -> Result<Vec<ConversationId>, StoreError> {
        const WHAT: &str = "conversations";
        let statement = DB::SELECTED.conversations.of(selection);
        let rows = fetch_all::<DB>(&mut self.tx, WHAT, statement, &selection.args()).await?;
        let ids = rows
            .iter()
            .map(|row| decode::int::<DB>(row, "conversation_id"));
        ids.map(|id| id.map(ConversationId)).collect()
    }

    async fn page(
        &mut self,
        selection: &Selection,
        path: ReadPath,
        after: ReadPosition,
        names: &mut ReadNames,
    ) -> Result<Vec<SelectedMessage>, StoreError> {
        const WHAT: &str = "messages";
        let [_, to, account, conversation, sender] = selection.args();
        let from = after.sent_at.max(selection.from);
        let pages = &DB::SELECTED.page;
        let (statement, of) = match path {
            ReadPath::Time => (pages.by_time, None),
            ReadPath::Sender => (pages.by_sender, None),
            ReadPath::Conversation(id) => (pages.by_conversation, Some(id.0)),
        };
        let args = [
            from.0.into(),
            to,
            account,
            conversation,
            sender,
            after.id.into(),
            READ_PAGE_MESSAGES.into(),
            Arg::Int(of),
        ];
        let args = if of.is_some() { &args[..] } else { &args[..7] };
        let rows = fetch_all::<DB>(&mut self.tx, WHAT, statement, args).await?;
        names.resolve::<DB>(&mut self.tx, &rows).await?;
        rows.iter()
            .map(|row| names.selected_message::<DB>(row))
            .collect()
    }
}

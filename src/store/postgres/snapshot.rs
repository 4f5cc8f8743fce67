//! Reading messages in one snapshot of an archive in Postgres, page by page.

use sqlx::Transaction;
use sqlx::postgres::{PgPool, Postgres};

use super::name_lookup::{look_up_names, read};
use super::sql;
use crate::domain::time::Millis;
use crate::store::decode;
use crate::store::dialect::Locking;
use crate::store::driver::Arg;
use crate::store::error::StoreError;
use crate::store::limits::{READ_PAGE_BYTES, READ_PAGE_MESSAGES};
use crate::store::message_reader::MESSAGES;
use crate::store::model::{
    ChangeMark, MessageRecord, ReadPath, SelectedMessage, SelectedStatements, Selection,
};
use crate::store::read_names::ReadNames;
use crate::store::row_values::DecodeRow;
use crate::store::snapshot::{PageSender, Snapshot, SnapshotReader, SqlSnapshot};

static STATEMENTS: SelectedStatements = sql::SELECTED;

/// The number of messages of the first page: their size is not known before.
const FIRST_PAGE_MESSAGES: usize = 50;

/// Begins to read one state of an archive.
pub(super) async fn open(pool: &PgPool) -> Result<Box<dyn Snapshot>, StoreError> {
    let begun = pool.begin_with(<Postgres as Locking>::BEGIN_SNAPSHOT).await;
    let tx = begun.map_err(StoreError::at("snapshot"))?;
    let names = ReadNames::default();
    Ok(Box::new(SqlSnapshot {
        reader: PostgresReader { tx, names },
        statements: &STATEMENTS,
    }))
}

/// A read transaction.
struct PostgresReader {
    tx: Transaction<'static, Postgres>,
    names: ReadNames,
}

impl SnapshotReader for PostgresReader {
    async fn read<T: Send + 'static>(
        &mut self,
        what: &'static str,
        statement: &'static str,
        args: &[Arg<'_>],
        decode: DecodeRow<T>,
    ) -> Result<Vec<T>, StoreError> {
        read(&mut self.tx, what, statement, args, decode).await
    }

    async fn send_messages(
        &mut self,
        selection: &Selection,
        path: ReadPath,
        pages: &PageSender,
    ) -> Result<ChangeMark, StoreError> {
        let mut mark = ChangeMark::default();
        let (mut from, mut id) = (selection.from, i64::MIN);
        let mut limit = FIRST_PAGE_MESSAGES;
        loop {
            let records = self.page(selection, path, (from, id), limit).await?;
            let Some(last) = records.last() else {
                return Ok(mark);
            };
            (from, id) = (last.message.sent_at, last.message.id);
            look_up_names(&mut self.tx, &records, &mut self.names).await?;
            let sizes = records.iter().map(|record| record.message.memory_bytes());
            let largest = sizes.max().unwrap_or_default().max(1);
            limit = (READ_PAGE_BYTES / largest).clamp(1, READ_PAGE_MESSAGES);
            let complete = |record| self.names.complete(record, &mut mark);
            let page: Vec<SelectedMessage> = records.into_iter().map(complete).collect();
            if pages.send(page).await.is_err() {
                return Ok(mark);
            }
        }
    }
}

impl PostgresReader {
    /// Returns the next messages behind a position, without their names.
    async fn page(
        &mut self,
        selection: &Selection,
        path: ReadPath,
        (from, id): (Millis, i64),
        limit: usize,
    ) -> Result<Vec<MessageRecord>, StoreError> {
        let (statement, conversation) = match path {
            ReadPath::Time => (STATEMENTS.messages.by_time, None),
            ReadPath::Sender => (STATEMENTS.messages.by_sender, None),
            ReadPath::Conversation(id) => (STATEMENTS.messages.by_conversation, Some(id.0)),
        };
        let mut args = selection.args().to_vec();
        args[0] = from.0.into();
        args.extend([Arg::from(id), Arg::from(limit as u64)]);
        args.extend(conversation.map(Arg::from));
        self.read(MESSAGES, statement, &args, decode::message_record)
            .await
    }
}

//! Reading messages in one snapshot of an SQLite archive, on a thread for blocking work.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::Value;

use super::blocking::{Blocking, bind, failed, on_blocking_thread, owned};
use super::guarded::open_to_read;
use super::name_lookup::NameLookup;
use super::sql;
use crate::store::decode;
use crate::store::driver::Arg;
use crate::store::error::StoreError;
use crate::store::limits::{READ_PAGE_BYTES, READ_PAGE_MESSAGES};
use crate::store::message_reader::MESSAGES;
use crate::store::model::{ChangeMark, ReadPath, SelectedStatements, Selection};
use crate::store::read_names::ReadNames;
use crate::store::row_values::DecodeRow;
use crate::store::snapshot::{PageSender, Snapshot, SnapshotReader, SqlSnapshot};

static STATEMENTS: SelectedStatements = sql::SELECTED;

/// Begins to read one state of an archive.
pub(super) async fn open(path: &Path) -> Result<Box<dyn Snapshot>, StoreError> {
    let path = path.to_owned();
    let opened = on_blocking_thread(move || {
        let connection = open_to_read(&path)?;
        connection.execute_batch("BEGIN")?;
        Ok(connection)
    });
    let connection = opened.await.map_err(failed("snapshot"))?;
    Ok(Box::new(SqlSnapshot {
        reader: SqliteReader(Blocking::new(connection)),
        statements: &STATEMENTS,
    }))
}

/// A connection in a read transaction.
struct SqliteReader(Blocking<Connection>);

impl SnapshotReader for SqliteReader {
    async fn read<T: Send + 'static>(
        &mut self,
        what: &'static str,
        statement: &'static str,
        args: &[Arg<'_>],
        decode: DecodeRow<T>,
    ) -> Result<Vec<T>, StoreError> {
        let args = owned(args);
        let read =
            move |connection: &mut Connection| read(connection, what, statement, &args, decode);
        self.0.run(what, read).await
    }

    async fn send_messages(
        &mut self,
        selection: &Selection,
        path: ReadPath,
        pages: &PageSender,
    ) -> Result<ChangeMark, StoreError> {
        let mut args = owned(&selection.args());
        let statement = match path {
            ReadPath::Time => STATEMENTS.messages.by_time,
            ReadPath::Sender => STATEMENTS.messages.by_sender,
            ReadPath::Conversation(id) => {
                args.push(Value::Integer(id.0));
                STATEMENTS.messages.by_conversation
            }
        };
        let pages = pages.clone();
        let send = move |connection: &mut Connection| send(connection, statement, &args, &pages);
        self.0.run(MESSAGES, send).await
    }
}

fn read<T>(
    connection: &Connection,
    what: &'static str,
    statement: &'static str,
    args: &[Value],
    decode: DecodeRow<T>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare(statement).map_err(failed(what))?;
    bind(&mut statement, args).map_err(failed(what))?;
    let mut rows = statement.raw_query();
    let mut values = Vec::new();
    while let Some(row) = rows.next().map_err(failed(what))? {
        values.push(decode(row)?);
    }
    Ok(values)
}

fn send(
    connection: &Connection,
    statement: &'static str,
    args: &[Value],
    pages: &PageSender,
) -> Result<ChangeMark, StoreError> {
    let (mut lookup, mut names) = (NameLookup::new(connection)?, ReadNames::default());
    let mut statement = connection.prepare(statement).map_err(failed(MESSAGES))?;
    bind(&mut statement, args).map_err(failed(MESSAGES))?;
    let mut rows = statement.raw_query();
    let mut mark = ChangeMark::default();
    let (mut page, mut bytes) = (Vec::with_capacity(READ_PAGE_MESSAGES), 0);
    while let Some(row) = rows.next().map_err(failed(MESSAGES))? {
        let record = decode::message_record(row)?;
        lookup.look_up(&record, &mut names)?;
        let message = names.complete(record, &mut mark);
        bytes += message.memory_bytes();
        page.push(message);
        if page.len() == READ_PAGE_MESSAGES || bytes >= READ_PAGE_BYTES {
            let full = std::mem::replace(&mut page, Vec::with_capacity(READ_PAGE_MESSAGES));
            bytes = 0;
            if pages.blocking_send(full).is_err() {
                return Ok(mark);
            }
        }
    }
    if !page.is_empty() {
        // Nobody may be receiving any more.
        let _ = pages.blocking_send(page);
    }
    Ok(mark)
}

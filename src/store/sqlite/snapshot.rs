//! Reading messages in one snapshot of an SQLite archive, on a thread for blocking work.

use std::path::Path;

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Error, Row, Statement};
use tokio::task::spawn_blocking;

use super::guarded::{open_to_read, query_failure};
use super::sql;
use crate::domain::task::unwrap_task;
use crate::store::decode;
use crate::store::driver::Arg;
use crate::store::error::StoreError;
use crate::store::limits::{READ_PAGE_BYTES, READ_PAGE_MESSAGES};
use crate::store::model::{
    ChangeMark, MessageRecord, ReadPath, SelectedMessage, SelectedStatements, Selection,
};
use crate::store::read_names::ReadNames;
use crate::store::row_values::{DecodeRow, RowValues};
use crate::store::snapshot::{MESSAGES, PageSender, Snapshot, SnapshotReader, SqlSnapshot};

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
        reader: SqliteReader(Some(connection)),
        statements: &STATEMENTS,
    }))
}

/// A connection in a read transaction. `None` while it is used, and after a caller gave up.
struct SqliteReader(Option<Connection>);

impl SqliteReader {
    /// Calls `task` with the connection.
    async fn run<T: Send + 'static>(
        &mut self,
        task: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let Some(connection) = self.0.take() else {
            return Err(StoreError::at(MESSAGES)(sqlx::Error::PoolClosed));
        };
        let (connection, result) = on_blocking_thread(move || {
            let result = task(&connection);
            (connection, result)
        })
        .await;
        self.0 = Some(connection);
        result
    }
}

/// Runs a task that blocks. A panic in it is passed on.
async fn on_blocking_thread<T: Send + 'static>(task: impl FnOnce() -> T + Send + 'static) -> T {
    unwrap_task(spawn_blocking(task).await)
}

impl SnapshotReader for SqliteReader {
    async fn read<T: Send + 'static>(
        &mut self,
        what: &'static str,
        statement: &'static str,
        args: &[Arg<'_>],
        decode: DecodeRow<T>,
    ) -> Result<Vec<T>, StoreError> {
        let args = owned(args);
        let read = move |connection: &Connection| read(connection, what, statement, &args, decode);
        self.run(read).await
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
        let send = move |connection: &Connection| send(connection, statement, &args, &pages);
        self.run(send).await
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

/// Binds each argument to the parameter of its number, if the statement has it.
fn bind(statement: &mut Statement<'_>, args: &[Value]) -> rusqlite::Result<()> {
    for (n, arg) in args.iter().enumerate() {
        // SQLite numbers `$1` by its first appearance, and `?1` by its number.
        for name in [format!("${}", n + 1), format!("?{}", n + 1)] {
            if let Some(index) = statement.parameter_index(&name)? {
                statement.raw_bind_parameter(index, arg)?;
            }
        }
    }
    Ok(())
}

fn send(
    connection: &Connection,
    statement: &'static str,
    args: &[Value],
    pages: &PageSender,
) -> Result<ChangeMark, StoreError> {
    let mut names = NameLookup::new(connection)?;
    let mut statement = connection.prepare(statement).map_err(failed(MESSAGES))?;
    bind(&mut statement, args).map_err(failed(MESSAGES))?;
    let mut rows = statement.raw_query();
    let mut mark = ChangeMark::default();
    let (mut page, mut bytes) = (Vec::with_capacity(READ_PAGE_MESSAGES), 0);
    while let Some(row) = rows.next().map_err(failed(MESSAGES))? {
        let message = names.complete(decode::message_record(row)?, &mut mark)?;
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

/// Looks up names and conversations one by one: it costs less than a message does.
struct NameLookup<'c> {
    names: ReadNames,
    name: Statement<'c>,
    conversation: Statement<'c>,
}

impl<'c> NameLookup<'c> {
    fn new(connection: &'c Connection) -> Result<Self, StoreError> {
        let prepare = |statement| connection.prepare(statement).map_err(failed(WHAT));
        Ok(Self {
            names: ReadNames::default(),
            name: prepare(sql::NAME_BY_ID)?,
            conversation: prepare(sql::CONVERSATION_BY_ID)?,
        })
    }

    fn complete(
        &mut self,
        record: MessageRecord,
        mark: &mut ChangeMark,
    ) -> Result<SelectedMessage, StoreError> {
        self.names.make_room();
        let unknown: Vec<i64> = self.names.unknown_names(&record).collect();
        for id in unknown {
            let names = by_id(&mut self.name, id, decode::name_with_id)?;
            self.names.insert_names(names);
        }
        if let Some(id) = self.names.unknown_conversation(&record) {
            let found = by_id(&mut self.conversation, id, decode::filed_conversation)?;
            self.names.insert_conversations(found);
        }
        Ok(self.names.complete(record, mark))
    }
}

/// The step that failures to look up a name name.
const WHAT: &str = "names of messages";

/// Returns the rows with an id: one or none.
fn by_id<T>(
    statement: &mut Statement<'_>,
    id: i64,
    decode: DecodeRow<T>,
) -> Result<Vec<T>, StoreError> {
    let mut rows = statement.query([id]).map_err(failed(WHAT))?;
    let row = rows.next().map_err(failed(WHAT))?;
    row.map(|row| decode(row)).transpose().map(Vec::from_iter)
}

impl RowValues for Row<'_> {
    fn int(&self, index: usize, column: &'static str) -> Result<Option<i64>, StoreError> {
        match self.get_ref(index).map_err(failed(column))? {
            ValueRef::Null => Ok(None),
            ValueRef::Integer(number) => Ok(Some(number)),
            _ => Err(wrong_type(column, "not a number")),
        }
    }

    fn text(&self, index: usize, column: &'static str) -> Result<Option<&str>, StoreError> {
        match self.get_ref(index).map_err(failed(column))? {
            ValueRef::Null => Ok(None),
            ValueRef::Text(bytes) => std::str::from_utf8(bytes)
                .map(Some)
                .map_err(|_| wrong_type(column, "not UTF-8")),
            _ => Err(wrong_type(column, "not a text")),
        }
    }

    fn bytes(&self, index: usize, column: &'static str) -> Result<Option<&[u8]>, StoreError> {
        match self.get_ref(index).map_err(failed(column))? {
            ValueRef::Null => Ok(None),
            ValueRef::Blob(bytes) => Ok(Some(bytes)),
            _ => Err(wrong_type(column, "not bytes")),
        }
    }
}

fn wrong_type(column: &'static str, fault: &str) -> StoreError {
    StoreError::Inconsistent {
        what: column,
        fault: fault.to_owned(),
    }
}

fn owned(args: &[Arg<'_>]) -> Vec<Value> {
    let value = |arg: &Arg<'_>| match *arg {
        Arg::Int(number) => Value::from(number),
        Arg::Text(text) => Value::from(text.map(str::to_owned)),
        Arg::Bytes(bytes) => Value::from(bytes.map(<[u8]>::to_vec)),
    };
    args.iter().map(value).collect()
}

/// Returns a function for `map_err` that names the step `what`.
fn failed(what: &'static str) -> impl Fn(Error) -> StoreError {
    move |error| match error {
        Error::SqliteFailure(cause, message) => {
            let message = message.unwrap_or_else(|| cause.to_string());
            query_failure(cause, format!("`{what}`: {message}"))
        }
        other => StoreError::at(what)(sqlx::Error::Decode(Box::new(other))),
    }
}

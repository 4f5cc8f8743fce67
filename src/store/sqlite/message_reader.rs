//! Reading messages in the order of digests from an SQLite archive, page by page.

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
use crate::store::message_reader::{MESSAGES, MessagePages};
use crate::store::model::ArchivedMessage;
use crate::store::read_names::ReadNames;

/// Opens a connection that reads pages of messages.
pub(super) async fn open(path: &Path) -> Result<SqlitePages, StoreError> {
    let path = path.to_owned();
    let opened = on_blocking_thread(move || open_to_read(&path)).await;
    Ok(SqlitePages(Blocking::new(NamingConnection {
        connection: opened.map_err(failed(MESSAGES))?,
        names: ReadNames::default(),
    })))
}

/// Reads pages of messages.
pub(in crate::store) struct SqlitePages(Blocking<NamingConnection>);

/// A connection, and the names that were looked up through it.
struct NamingConnection {
    connection: Connection,
    names: ReadNames,
}

impl MessagePages for SqlitePages {
    async fn read_page(&mut self, args: &[Arg<'_>; 7]) -> Result<Vec<ArchivedMessage>, StoreError> {
        let args = owned(args);
        let read = move |reader: &mut NamingConnection| reader.read_page(&args);
        self.0.run(MESSAGES, read).await
    }
}

impl NamingConnection {
    fn read_page(&mut self, args: &[Value]) -> Result<Vec<ArchivedMessage>, StoreError> {
        let mut lookup = NameLookup::new(&self.connection)?;
        let statement = self.connection.prepare_cached(sql::READ_MESSAGES);
        let mut statement = statement.map_err(failed(MESSAGES))?;
        bind(&mut statement, args).map_err(failed(MESSAGES))?;
        let mut rows = statement.raw_query();
        let mut page = Vec::new();
        while let Some(row) = rows.next().map_err(failed(MESSAGES))? {
            let record = decode::message_record(row)?;
            lookup.look_up(&record, &mut self.names)?;
            page.push(self.names.archived(record)?);
        }
        Ok(page)
    }
}

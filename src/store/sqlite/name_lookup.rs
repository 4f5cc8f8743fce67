//! Looking up the names and conversations of messages that are read.

use rusqlite::{CachedStatement, Connection, Statement};

use super::blocking::failed;
use super::sql;
use crate::store::decode;
use crate::store::error::StoreError;
use crate::store::model::MessageRecord;
use crate::store::read_names::ReadNames;
use crate::store::row_values::DecodeRow;

/// Looks up names and conversations one by one: it costs less than a message does.
pub(super) struct NameLookup<'c> {
    name: CachedStatement<'c>,
    conversation: CachedStatement<'c>,
}

impl<'c> NameLookup<'c> {
    pub(super) fn new(connection: &'c Connection) -> Result<Self, StoreError> {
        let prepare = |statement| connection.prepare_cached(statement).map_err(failed(WHAT));
        Ok(Self {
            name: prepare(sql::NAME_BY_ID)?,
            conversation: prepare(sql::CONVERSATION_BY_ID)?,
        })
    }

    /// Adds those of a message that `names` lacks.
    pub(super) fn look_up(
        &mut self,
        record: &MessageRecord,
        names: &mut ReadNames,
    ) -> Result<(), StoreError> {
        names.make_room();
        let unknown: Vec<i64> = names.unknown_names(record).collect();
        for id in unknown {
            let found = by_id(&mut self.name, id, decode::name_with_id)?;
            names.insert_names(found);
        }
        if let Some(id) = names.unknown_conversation(record) {
            let found = by_id(&mut self.conversation, id, decode::filed_conversation)?;
            names.insert_conversations(found);
        }
        Ok(())
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

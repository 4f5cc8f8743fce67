//! Looking up the names and conversations of messages that are read.

use std::collections::BTreeSet;

use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow, Postgres};

use super::sql;
use crate::store::decode;
use crate::store::driver::{Arg, Driver};
use crate::store::error::StoreError;
use crate::store::model::MessageRecord;
use crate::store::read_names::ReadNames;
use crate::store::row_values::{DecodeRow, RowValues};

/// Adds those of some messages that `names` lacks.
pub(super) async fn look_up_names(
    connection: &mut PgConnection,
    records: &[MessageRecord],
    names: &mut ReadNames,
) -> Result<(), StoreError> {
    names.make_room();
    let unknown = records.iter().flat_map(|m| names.unknown_names(m));
    let unknown = unknown.collect();
    let found = read_by_ids(connection, unknown, sql::NAMES_BY_ID, decode::name_with_id);
    names.insert_names(found.await?);
    let unknown = records.iter();
    let unknown = unknown.filter_map(|m| names.unknown_conversation(m));
    let unknown = unknown.collect();
    let decode = decode::filed_conversation;
    let found = read_by_ids(connection, unknown, sql::CONVERSATIONS_BY_ID, decode);
    names.insert_conversations(found.await?);
    Ok(())
}

/// Returns what `decode` makes of the rows with these ids. Without ids, nothing is asked.
async fn read_by_ids<T: Send>(
    connection: &mut PgConnection,
    ids: BTreeSet<i64>,
    statement: &'static str,
    decode: DecodeRow<T>,
) -> Result<Vec<T>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
    let ids = format!("[{}]", ids.join(","));
    let args = [Arg::from(&ids)];
    read(connection, "names of messages", statement, &args, decode).await
}

/// Returns what `decode` makes of each row of a query.
pub(super) async fn read<T: Send>(
    connection: &mut PgConnection,
    what: &'static str,
    statement: &'static str,
    args: &[Arg<'_>],
    decode: DecodeRow<T>,
) -> Result<Vec<T>, StoreError> {
    let mut values = Vec::new();
    Postgres::for_each_row(connection, what, statement, args, |row| {
        values.push(decode(row)?);
        Ok(())
    })
    .await?;
    Ok(values)
}

impl RowValues for PgRow {
    fn int(&self, index: usize, column: &'static str) -> Result<Option<i64>, StoreError> {
        self.try_get(index).map_err(StoreError::at(column))
    }

    fn text(&self, index: usize, column: &'static str) -> Result<Option<&str>, StoreError> {
        self.try_get(index).map_err(StoreError::at(column))
    }

    fn bytes(&self, index: usize, column: &'static str) -> Result<Option<&[u8]>, StoreError> {
        self.try_get(index).map_err(StoreError::at(column))
    }
}

//! The message table on Postgres: each column of many rows is bound as one array.

use std::collections::HashMap;

use sqlx::Row as _;
use sqlx::postgres::{PgArguments, PgConnection, PgRow, Postgres};
use sqlx::query::Query;
use sqlx::types::Uuid;

use super::{partitions, sql};
use crate::domain::time::Millis;
use crate::store::decode::{existing_message, owned_message, rows_with_keys};
use crate::store::dialect::{AccessPath, InsertMode, MessageTable, PerAccessPath};
use crate::store::driver::DriverResult;
use crate::store::jsonb::{is_jsonb_container, jsonb_compatible};
use crate::store::rows::{
    ExistingMessages, MessageKey, MessageRow, MutableColumns, NO_STATUS_TIME_MS,
};

type PostgresQuery<'q> = Query<'q, Postgres, PgArguments>;

impl MessageTable for Postgres {
    const COUNT_BY_RECIPIENT: &'static str = sql::COUNT_BY_RECIPIENT;
    const RESERVE_IDS: &'static str = sql::RESERVE_IDS;
    const READ_LINKS: PerAccessPath = sql::READ_LINKS;

    async fn ensure_partitions(
        connection: &mut PgConnection,
        moments: impl Iterator<Item = Millis> + Send,
    ) -> DriverResult<()> {
        partitions::ensure_partitions(connection, moments).await
    }

    async fn find_names(
        connection: &mut PgConnection,
        names: &[&str],
    ) -> DriverResult<Vec<(String, i64)>> {
        let rows = sqlx::query(sql::NAMES)
            .bind(names)
            .fetch_all(connection)
            .await?;
        rows.iter()
            .map(|row| Ok((row.try_get("value")?, row.try_get("id")?)))
            .collect()
    }

    async fn find_conversations(
        connection: &mut PgConnection,
        account: i64,
        names: &[&str],
    ) -> DriverResult<Vec<(String, i64, u8)>> {
        let query = sqlx::query(sql::CONVERSATIONS).bind(account).bind(names);
        let rows = query.fetch_all(connection).await?;
        let conversation = |row: &PgRow| {
            let kind: i64 = row.try_get("kind")?;
            let kind = u8::try_from(kind).unwrap_or(0);
            Ok((row.try_get("name")?, row.try_get("id")?, kind))
        };
        rows.iter().map(conversation).collect()
    }

    async fn count_existing(
        connection: &mut PgConnection,
        rows: &[&MessageRow<'_>],
        among: Option<AccessPath<'_>>,
    ) -> DriverResult<ExistingMessages> {
        let query = match (among, rows.first()) {
            (Some(path), Some(first)) => count_by_path(rows, path, first),
            _ => bind_probes(bind_keys(sqlx::query(sql::COUNT_EXISTING), rows), rows),
        };
        let row = query.fetch_one(connection).await?;
        let count: i64 = row.try_get("existing")?;
        let count = u64::try_from(count).unwrap_or(0);
        Ok(ExistingMessages {
            count,
            may_update: row.try_get("may_update")?,
        })
    }

    async fn load_existing(
        connection: &mut PgConnection,
        account: i64,
        rows: &[&MessageRow<'_>],
    ) -> DriverResult<HashMap<MessageKey, MutableColumns>> {
        let query = bind_keys(sqlx::query(sql::LOAD_EXISTING).bind(account), rows);
        let rows = query.fetch_all(connection).await?;
        rows.iter().map(existing_message::<Self>).collect()
    }

    async fn load_millisecond(
        connection: &mut PgConnection,
        recipient: i64,
        sent_at_ms: i64,
    ) -> DriverResult<Vec<(i64, MessageKey, MutableColumns)>> {
        let query = sqlx::query(sql::MESSAGES_OF_MILLISECOND).bind(narrow_id(recipient));
        let rows = query.bind(sent_at_ms).fetch_all(connection).await?;
        rows.iter().map(owned_message::<Self>).collect()
    }

    /// Binds arrays. Measured, `COPY` is no faster where there are indexes, and it ends with a
    /// small packet of its own, which waits on TCP for the acknowledgement of the one before.
    async fn insert_messages<'r, 'm>(
        connection: &mut PgConnection,
        rows: &[&'r MessageRow<'m>],
        mode: InsertMode,
    ) -> DriverResult<Vec<&'r MessageRow<'m>>> {
        let (plain, full): (Vec<&MessageRow>, Vec<&MessageRow>) =
            rows.iter().partition(|row| row.is_plain());
        let (copied, full): (Vec<&MessageRow>, Vec<&MessageRow>) =
            full.into_iter().partition(|row| row.origin.id.is_some());
        let mut inserted = Vec::new();
        if !plain.is_empty() {
            let query = sqlx::query(sql::INSERT_PLAIN.for_mode(mode));
            let query = bind_plain(query, &plain);
            inserted.append(&mut query.fetch_all(&mut *connection).await?);
        }
        if !full.is_empty() {
            let query = sqlx::query(sql::INSERT_FULL.for_mode(mode));
            let query = bind_full(query, &full);
            inserted.append(&mut query.fetch_all(&mut *connection).await?);
        }
        if !copied.is_empty() {
            let query = sqlx::query(sql::INSERT_COPIED.for_mode(mode));
            let query = bind_full(query, &copied).bind(column(&copied, |row| row.origin.id));
            inserted.append(&mut query.fetch_all(connection).await?);
        }
        match mode {
            InsertMode::ExpectNew => Ok(rows.to_vec()),
            InsertMode::SkipExisting => rows_with_keys::<Self>(rows, &inserted),
        }
    }

    async fn update_messages(
        connection: &mut PgConnection,
        updates: &[(MessageKey, MutableColumns)],
    ) -> DriverResult<u64> {
        if updates.is_empty() {
            return Ok(0);
        }
        let times = || updates.iter().map(|(key, _)| key.sent_at_ms);
        let query = sqlx::query(sql::UPDATE_MESSAGES)
            .bind(times().min())
            .bind(times().max())
            .bind(column(updates, |(key, _)| narrow_id(key.recipient)))
            .bind(column(updates, |(key, _)| key.sent_at_ms))
            .bind(column(updates, |(_, columns)| columns.slot))
            .bind(column(updates, |(_, columns)| {
                narrow_id(columns.conversation)
            }))
            .bind(column(updates, |(_, columns)| {
                columns.message_type.map(narrow_id)
            }))
            .bind(column(updates, |(_, columns)| columns.status_code()))
            .bind(column(updates, |(_, columns)| columns.status_at_ms()));
        Ok(query.execute(connection).await?.rows_affected())
    }
}

/// Returns one column of many rows as an array.
fn column<'r, R, T>(rows: &'r [R], value: impl Fn(&'r R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}

/// Returns one column of many rows, or an empty array if all values are `usual`. The statements
/// read missing values as NULL, and NULL as the usual value.
fn sparse_column<'r, R, T>(rows: &'r [R], usual: T, value: impl Fn(&'r R) -> T) -> Vec<T>
where
    T: PartialEq + Copy,
{
    let column = column(rows, value);
    if column.iter().all(|value| *value == usual) {
        Vec::new()
    } else {
        column
    }
}

/// Binds the common columns of [`sql::INSERT_PLAIN`] and [`sql::INSERT_FULL`].
fn bind_plain<'q>(query: PostgresQuery<'q>, rows: &[&MessageRow<'_>]) -> PostgresQuery<'q> {
    query
        .bind(column(rows, |row| {
            stored_archived_at(row.origin.archived_at)
        }))
        .bind(column(rows, |row| narrow_id(row.key.recipient)))
        .bind(column(rows, |row| row.key.sent_at_ms))
        .bind(column(rows, |row| row.slot))
        .bind(column(rows, |row| Uuid::from_bytes(row.key.hash)))
        .bind(column(rows, |row| narrow_id(row.conversation)))
        .bind(column(rows, |row| narrow_id(row.sender)))
        .bind(column(rows, |row| row.message_type.map(narrow_id)))
        .bind(column(rows, |row| row.payload))
        .bind(sparse_column(rows, None, |row| {
            let is_json = row.exact_text().is_some_and(is_jsonb_container);
            is_json.then_some(true)
        }))
}

/// Binds all columns of [`sql::INSERT_FULL`]. Usual values of `occurrence`, `encoding` and
/// `is_text` become NULL.
fn bind_full<'q>(query: PostgresQuery<'q>, rows: &[&MessageRow<'_>]) -> PostgresQuery<'q> {
    let non_zero_id = |id: i64| Some(narrow_id(id)).filter(|id| *id != 0);
    let non_zero_code = |code: i64| Some(narrow_code(code)).filter(|code| *code != 0);
    bind_plain(query, rows)
        .bind(column(rows, |row| non_zero_id(row.key.occurrence)))
        .bind(column(rows, |row| non_zero_code(row.encoding)))
        .bind(column(rows, |row| {
            Some(row.is_text()).filter(|is_text| !is_text)
        }))
        .bind(column(rows, |row| row.status_code()))
        .bind(column(rows, |row| row.status_at_ms()))
        .bind(column(rows, |row| row.payload_type.map(narrow_id)))
        .bind(column(rows, |row| row.cipher_suite.map(narrow_id)))
        .bind(column(rows, |row| row.provider_id))
        .bind(column(rows, |row| row.readable_body()))
        .bind(column(rows, |row| row.extra))
        .bind(column(rows, |row| row.extra.and_then(jsonb_compatible)))
}

/// Binds recipients, milliseconds, slots, hashes and occurrences.
fn bind_keys<'q>(query: PostgresQuery<'q>, rows: &[&MessageRow<'_>]) -> PostgresQuery<'q> {
    query
        .bind(column(rows, |row| narrow_id(row.key.recipient)))
        .bind(column(rows, |row| row.key.sent_at_ms))
        .bind(column(rows, |row| row.slot))
        .bind(column(rows, |row| Uuid::from_bytes(row.key.hash)))
        .bind(sparse_column(rows, 0, |row| narrow_id(row.key.occurrence)))
}

/// Binds conversations and the values that may advance existing rows.
fn bind_probes<'q>(query: PostgresQuery<'q>, rows: &[&MessageRow<'_>]) -> PostgresQuery<'q> {
    query
        .bind(column(rows, |row| narrow_id(row.conversation)))
        .bind(sparse_column(rows, 0, |row| row.update_probe().status))
        .bind(sparse_column(rows, NO_STATUS_TIME_MS, |row| {
            row.update_probe().status_at
        }))
        .bind(rows.iter().any(|row| row.update_probe().message_type))
}

/// Builds the query that reads a whole access path. `first` is the first of the rows: all of them
/// share the id of the path.
fn count_by_path<'q>(
    rows: &[&MessageRow<'_>],
    path: AccessPath<'_>,
    first: &MessageRow<'_>,
) -> PostgresQuery<'q> {
    let times = || rows.iter().map(|row| row.key.sent_at_ms);
    let id = match path {
        AccessPath::Conversation(_) => first.conversation,
        AccessPath::Sender(_) => first.sender,
        AccessPath::Recipient(_) => first.key.recipient,
    };
    let query = sqlx::query(sql::COUNT_EXISTING_BY_PATH.statement_for(path))
        .bind(Vec::<i32>::new())
        .bind(column(rows, |row| row.key.sent_at_ms))
        .bind(Vec::<i32>::new())
        .bind(column(rows, |row| Uuid::from_bytes(row.key.hash)))
        .bind(sparse_column(rows, 0, |row| narrow_id(row.key.occurrence)));
    bind_probes(query, rows)
        .bind(times().min())
        .bind(times().max())
        .bind(narrow_id(id))
}

/// Returns the value of `archived_at_s` for a time. See [`sql::ARCHIVED_AT_OFFSET_S`].
fn stored_archived_at(at: Millis) -> i32 {
    let seconds = at.second().0 - sql::ARCHIVED_AT_OFFSET_S;
    i32::try_from(seconds).unwrap_or(if seconds < 0 { i32::MIN } else { i32::MAX })
}

/// Narrows an id to the width of the columns that hold it. The tables that generate these ids are
/// as narrow, so no id is wider.
fn narrow_id(id: i64) -> i32 {
    i32::try_from(id).unwrap_or(i32::MAX)
}

/// Narrows a code to the width of its column.
fn narrow_code(code: i64) -> i16 {
    i16::try_from(code).unwrap_or(i16::MAX)
}

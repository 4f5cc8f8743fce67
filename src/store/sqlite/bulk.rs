//! The message table on SQLite: rows are bound one by one, in batches of prepared statements.

use std::collections::HashMap;

use futures_util::join;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{Arguments, Row as _};

use super::sql;
use crate::domain::time::Millis;
use crate::store::decode::{existing_message, owned_message, rows_with_keys};
use crate::store::dialect::{AccessPath, InsertMode, MessageTable, PerAccessPath};
use crate::store::driver::DriverResult;
use crate::store::rows::{ExistingMessages, MessageKey, MessageRow, MutableColumns, UpdateProbe};
use crate::store::sql::read_links;

/// Adds values to arguments, one after the other.
macro_rules! add_all {
    ($arguments:expr, $($value:expr),+ $(,)?) => {
        Ok(()) $(.and_then(|()| $arguments.add($value).map_err(sqlx::Error::Encode)))+
    };
}

/// A statement and its arguments.
type BoundBatch = DriverResult<(&'static str, SqliteArguments)>;

impl MessageTable for Sqlite {
    const COUNT_BY_RECIPIENT: &'static str = sql::COUNT_BY_RECIPIENT;
    const RESERVE_IDS: &'static str = sql::RESERVE_IDS;
    const READ_LINKS: PerAccessPath = read_links!("m.hash");

    /// The table has no partitions on SQLite.
    async fn ensure_partitions(
        _: &mut SqliteConnection,
        _: impl Iterator<Item = Millis> + Send,
    ) -> DriverResult<()> {
        Ok(())
    }

    async fn find_names(
        connection: &mut SqliteConnection,
        names: &[&str],
    ) -> DriverResult<Vec<(String, i64)>> {
        let mut found = Vec::new();
        for (text, names) in sql::NAMES.batches(names) {
            let query = names
                .iter()
                .fold(sqlx::query(text), |query, name| query.bind(*name));
            let rows = query.fetch_all(&mut *connection).await?;
            found.extend(rows.iter().map(|row| (row.get("value"), row.get("id"))));
        }
        Ok(found)
    }

    async fn find_conversations(
        connection: &mut SqliteConnection,
        account: i64,
        names: &[&str],
    ) -> DriverResult<Vec<(String, i64, u8)>> {
        let mut found = Vec::new();
        for (text, names) in sql::CONVERSATIONS.batches(names) {
            let query = sqlx::query(text).bind(account);
            let query = names.iter().fold(query, |query, name| query.bind(*name));
            let rows = query.fetch_all(&mut *connection).await?;
            found.extend(
                rows.iter()
                    .map(|row| (row.get("name"), row.get("id"), row.get("kind"))),
            );
        }
        Ok(found)
    }

    /// Looks up each row by itself. No other access path is faster on SQLite.
    async fn count_existing(
        connection: &mut SqliteConnection,
        rows: &[&MessageRow<'_>],
        _among: Option<AccessPath<'_>>,
    ) -> DriverResult<ExistingMessages> {
        let batches = sql::COUNT_EXISTING.batches(rows).map(|(text, rows)| {
            bind_batch(
                text,
                rows,
                sql::COUNT_EXISTING_WIDTH,
                add_key_and_probe,
                None,
            )
        });
        let mut existing = ExistingMessages::default();
        for row in fetch_batches(connection, batches).await? {
            let count: i64 = row.try_get("existing")?;
            existing.count += u64::try_from(count).unwrap_or(0);
            existing.may_update |= row.try_get::<bool, _>("may_update")?;
        }
        Ok(existing)
    }

    async fn load_existing(
        connection: &mut SqliteConnection,
        account: i64,
        rows: &[&MessageRow<'_>],
    ) -> DriverResult<HashMap<MessageKey, MutableColumns>> {
        let batches = sql::LOAD_EXISTING.batches(rows).map(|(text, rows)| {
            bind_batch(text, rows, sql::LOAD_EXISTING_WIDTH, add_key, Some(account))
        });
        let rows = fetch_batches(connection, batches).await?;
        rows.iter().map(existing_message::<Self>).collect()
    }

    async fn load_millisecond(
        connection: &mut SqliteConnection,
        recipient: i64,
        sent_at_ms: i64,
    ) -> DriverResult<Vec<(i64, MessageKey, MutableColumns)>> {
        let query = sqlx::query(sql::MESSAGES_OF_MILLISECOND)
            .bind(recipient)
            .bind(sent_at_ms);
        let rows = query.fetch_all(connection).await?;
        rows.iter().map(owned_message::<Self>).collect()
    }

    async fn insert_messages<'r, 'm>(
        connection: &mut SqliteConnection,
        rows: &[&'r MessageRow<'m>],
        mode: InsertMode,
    ) -> DriverResult<Vec<&'r MessageRow<'m>>> {
        let (plain, full): (Vec<&MessageRow>, Vec<&MessageRow>) =
            rows.iter().partition(|row| row.is_plain());
        let plain = sql::INSERT_PLAIN.for_mode(mode).batches(&plain);
        let plain =
            plain.map(|(text, rows)| bind_batch(text, rows, sql::PLAIN_WIDTH, add_plain, None));
        let full = sql::INSERT_FULL.for_mode(mode).batches(&full);
        let full = full.map(|(text, rows)| bind_batch(text, rows, sql::FULL_WIDTH, add_full, None));
        let inserted = fetch_batches(connection, plain.chain(full)).await?;
        match mode {
            InsertMode::ExpectNew => Ok(rows.to_vec()),
            InsertMode::SkipExisting => rows_with_keys::<Self>(rows, &inserted),
        }
    }

    async fn update_messages(
        connection: &mut SqliteConnection,
        updates: &[(MessageKey, MutableColumns)],
    ) -> DriverResult<u64> {
        let mut updated = 0;
        for (key, columns) in updates {
            let query = sqlx::query(sql::UPDATE_MESSAGE)
                .bind(key.recipient)
                .bind(key.sent_at_ms)
                .bind(columns.slot)
                .bind(columns.conversation)
                .bind(columns.message_type)
                .bind(columns.status_code())
                .bind(columns.status_at_ms());
            updated += query.execute(&mut *connection).await?.rows_affected();
        }
        Ok(updated)
    }
}

/// Runs statements and returns the rows of all of them. SQLite works in a thread of its own:
/// meanwhile the next batch is bound in this one.
async fn fetch_batches(
    connection: &mut SqliteConnection,
    mut batches: impl Iterator<Item = BoundBatch>,
) -> DriverResult<Vec<SqliteRow>> {
    let mut rows = Vec::new();
    let mut next = batches.next().transpose()?;
    while let Some((text, arguments)) = next {
        let fetch = sqlx::query_with(text, arguments).fetch_all(&mut *connection);
        let (found, following) = join!(fetch, async { batches.next().transpose() });
        rows.append(&mut found?);
        next = following?;
    }
    Ok(rows)
}

/// Binds the values of a batch's rows, `width` of them per row, and `last` after all rows.
fn bind_batch(
    text: &'static str,
    rows: &[&MessageRow<'_>],
    width: usize,
    add: impl Fn(&mut SqliteArguments, &MessageRow<'_>) -> DriverResult<()>,
    last: Option<i64>,
) -> BoundBatch {
    let mut arguments = SqliteArguments::default();
    arguments.reserve(rows.len() * width + 1, 0);
    for row in rows {
        add(&mut arguments, row)?;
    }
    if let Some(last) = last {
        add_all!(arguments, last)?;
    }
    Ok((text, arguments))
}

fn add_key(arguments: &mut SqliteArguments, row: &MessageRow<'_>) -> DriverResult<()> {
    let MessageKey {
        recipient,
        sent_at_ms,
        hash,
        occurrence,
    } = &row.key;
    add_all!(
        arguments,
        *sent_at_ms,
        *recipient,
        row.slot,
        &hash[..],
        *occurrence
    )
}

fn add_key_and_probe(arguments: &mut SqliteArguments, row: &MessageRow<'_>) -> DriverResult<()> {
    let UpdateProbe {
        status,
        status_at,
        message_type,
    } = row.update_probe();
    add_key(arguments, row)?;
    add_all!(arguments, row.conversation, status, status_at, message_type)
}

fn add_plain(arguments: &mut SqliteArguments, row: &MessageRow<'_>) -> DriverResult<()> {
    let MessageKey {
        recipient,
        sent_at_ms,
        hash,
        ..
    } = &row.key;
    add_all!(
        arguments,
        *sent_at_ms,
        *recipient,
        row.slot,
        &hash[..],
        row.conversation,
        row.sender,
        row.message_type,
        row.origin.archived_at.second().0,
        row.payload,
    )
}

fn add_full(arguments: &mut SqliteArguments, row: &MessageRow<'_>) -> DriverResult<()> {
    add_plain(arguments, row)?;
    add_all!(
        arguments,
        row.key.occurrence,
        row.encoding,
        row.is_text(),
        row.status_code(),
        row.status_at_ms(),
        row.payload_type,
        row.cipher_suite,
        row.provider_id,
        row.readable_body(),
        row.extra,
        row.origin.id,
    )
}

//! The raw ceiling: how fast the database takes the same messages, as plainly as they can be written (their names in
//! full), into a table without any index, unsafely and in large transactions. Nothing that keeps an archive can be as
//! fast; how near it comes can be compared between machines.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, AssertSqlSafe, Connection};
use tokio::time::Instant;

use super::super::CliError;
use super::history::{WINDOW_MESSAGES, message};
use super::place::{
    RawConnection, ScratchDatabase, driver_error, open_unsafe_sqlite, remove_if_present,
};
use crate::domain::identity::Fingerprint;
use crate::domain::message::Message;

/// Rows to a transaction.
const ROWS_PER_TRANSACTION: usize = 10_000;
/// What is the same in every message.
const ACCOUNT: &str = "bench";
const KIND: &str = "channel";
/// Rows to a statement of SQLite's.
const ROWS_PER_STATEMENT: usize = 250;

/// Rows a second into SQLite, by plain statements of many rows. They are bound before the clock starts: what is
/// measured is SQLite, not the making of arguments.
pub(super) async fn sqlite_ceiling(scratch: &Path, messages: usize) -> Result<f64, CliError> {
    let path = scratch.join("ceiling.db");
    remove_if_present(&path)?;
    let mut connection = open_unsafe_sqlite(&path).await?;
    let create = "CREATE TABLE ceiling (account TEXT, conversation TEXT, kind TEXT, sender TEXT, recipient TEXT, \
                  sent_at_ms INTEGER, payload BLOB, encoding TEXT, message_type TEXT, hash BLOB, archived_at_ms INTEGER)";
    sqlx::query(create)
        .execute(&mut connection)
        .await
        .map_err(driver_error)?;
    let rows = vec!["(?,?,?,?,?,?,?,?,?,?,?)"; ROWS_PER_STATEMENT].join(",");
    let insert = format!("INSERT INTO ceiling VALUES {rows}");
    let mut took = Duration::ZERO;
    for batch in batches(messages) {
        let statements: Vec<_> = batch
            .collect::<Vec<_>>()
            .chunks_exact(ROWS_PER_STATEMENT)
            .map(bind_rows)
            .collect();
        let begun = Instant::now();
        let mut tx = connection.begin().await.map_err(driver_error)?;
        for arguments in statements {
            let insert = sqlx::query_with(AssertSqlSafe(insert.as_str()), arguments?);
            insert.execute(&mut *tx).await.map_err(driver_error)?;
        }
        tx.commit().await.map_err(driver_error)?;
        took += begun.elapsed();
    }
    connection.close().await.map_err(driver_error)?;
    remove_if_present(&path)?;
    Ok((messages / ROWS_PER_STATEMENT * ROWS_PER_STATEMENT) as f64 / took.as_secs_f64())
}

/// The values of these messages, row by row.
fn bind_rows(numbers: &[usize]) -> Result<SqliteArguments, CliError> {
    let mut arguments = SqliteArguments::default();
    for &n in numbers {
        let message = message(n / WINDOW_MESSAGES, n % WINDOW_MESSAGES);
        let hash = Fingerprint::compute(&message).0;
        let mut add = || {
            for text in [
                ACCOUNT,
                &message.conversation.name,
                KIND,
                &message.sender,
                &message.recipient,
            ] {
                arguments.add(text)?;
            }
            arguments.add(message.sent_at.0)?;
            arguments.add(&message.payload.bytes[..])?;
            arguments.add(message.payload.encoding.as_str())?;
            arguments.add(message.message_type.as_deref())?;
            arguments.add(&hash[..])?;
            arguments.add(message.sent_at.0)
        };
        add().map_err(|error| driver_error(sqlx::Error::Encode(error)))?;
    }
    Ok(arguments)
}

/// Rows a second into Postgres by `COPY BINARY`, into a logged table like the archive's.
pub(super) async fn postgres_ceiling(
    place: &ScratchDatabase,
    messages: usize,
) -> Result<f64, CliError> {
    place.create().await?.close().await;
    let RawConnection::Postgres(pool) = place.connect_raw().await? else {
        return Err(CliError::Usage("that is no Postgres".to_owned()));
    };
    let mut connection = pool.acquire().await.map_err(driver_error)?;
    let create = "CREATE TABLE ceiling (account TEXT, conversation TEXT, kind TEXT, sender TEXT, recipient TEXT, \
                  sent_at_ms BIGINT, payload BYTEA, encoding TEXT, message_type TEXT, hash BYTEA, archived_at_ms BIGINT)";
    sqlx::query(create)
        .execute(&mut *connection)
        .await
        .map_err(driver_error)?;
    let mut took = Duration::ZERO;
    for batch in batches(messages) {
        let data = copy_data(batch);
        let begun = Instant::now();
        let mut tx = connection.begin().await.map_err(driver_error)?;
        let mut copy = tx
            .copy_in_raw("COPY ceiling FROM STDIN (FORMAT BINARY)")
            .await
            .map_err(driver_error)?;
        copy.send(data).await.map_err(driver_error)?;
        copy.finish().await.map_err(driver_error)?;
        tx.commit().await.map_err(driver_error)?;
        took += begun.elapsed();
    }
    drop(connection);
    pool.close().await;
    place.clear().await?;
    Ok(messages as f64 / took.as_secs_f64())
}

fn batches(messages: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    (0..messages)
        .step_by(ROWS_PER_TRANSACTION)
        .map(move |first| first..(first + ROWS_PER_TRANSACTION).min(messages))
}

/// Messages in Postgres's binary form for `COPY`.
fn copy_data(batch: std::ops::Range<usize>) -> Vec<u8> {
    let mut data = b"PGCOPY\n\xFF\r\n\0".to_vec();
    data.extend([0; 8]);
    for n in batch {
        let message = message(n / WINDOW_MESSAGES, n % WINDOW_MESSAGES);
        let Message {
            sent_at,
            payload,
            conversation,
            sender,
            recipient,
            ..
        } = &message;
        let moment = sent_at.0.to_be_bytes();
        let fields: [Option<&[u8]>; 11] = [
            Some(ACCOUNT.as_bytes()),
            Some(conversation.name.as_bytes()),
            Some(KIND.as_bytes()),
            Some(sender.as_bytes()),
            Some(recipient.as_bytes()),
            Some(&moment),
            Some(&payload.bytes),
            Some(payload.encoding.as_str().as_bytes()),
            message.message_type.as_deref().map(str::as_bytes),
            Some(&Fingerprint::compute(&message).0),
            Some(&moment),
        ];
        data.extend(11_i16.to_be_bytes());
        for field in fields {
            let length = field.map_or(-1, |bytes| i32::try_from(bytes.len()).unwrap_or(0));
            data.extend(length.to_be_bytes());
            data.extend(field.unwrap_or_default());
        }
    }
    data.extend((-1_i16).to_be_bytes());
    data
}

//! The raw ceiling: the speed at which the database takes the same messages into one table without
//! indexes, with full names, without crash safety and in large transactions. No archive can be as
//! fast. The ratio to the ceiling can be compared between machines.

use std::path::Path;
use std::time::Duration;

use backscroll::cli::scratch::{RawConnection, ScratchDatabase};
use backscroll::domain::identity::Fingerprint;
use backscroll::domain::message::Message;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, AssertSqlSafe, Connection};
use tokio::time::Instant;

use super::database::{create_archive, open_unsafe_sqlite, remove_if_present};
use super::error::BenchError;
use super::history::{WINDOW_MESSAGES, message};

/// The rows per transaction.
const ROWS_PER_TRANSACTION: usize = 10_000;
/// The columns that are the same in every message.
const ACCOUNT: &str = "bench";
const KIND: &str = "channel";
/// The rows per statement in SQLite.
const ROWS_PER_STATEMENT: usize = 250;

/// Returns the rows per second into SQLite, in statements of many rows. The arguments are bound
/// before the clock starts, so only SQLite is measured.
pub(super) async fn sqlite_ceiling(dir: &Path, messages: usize) -> Result<f64, BenchError> {
    let path = dir.join("ceiling.db");
    remove_if_present(&path)?;
    let mut connection = open_unsafe_sqlite(&path).await?;
    let create = "CREATE TABLE ceiling (account TEXT, conversation TEXT, kind TEXT, sender TEXT, recipient TEXT, \
                  sent_at_ms INTEGER, payload BLOB, encoding TEXT, message_type TEXT, hash BLOB, archived_at_ms INTEGER)";
    sqlx::query(create).execute(&mut connection).await?;
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
        let mut tx = connection.begin().await?;
        for arguments in statements {
            let insert = sqlx::query_with(AssertSqlSafe(insert.as_str()), arguments?);
            insert.execute(&mut *tx).await?;
        }
        tx.commit().await?;
        took += begun.elapsed();
    }
    connection.close().await?;
    remove_if_present(&path)?;
    Ok((messages / ROWS_PER_STATEMENT * ROWS_PER_STATEMENT) as f64 / took.as_secs_f64())
}

/// Binds the values of these messages, row by row.
fn bind_rows(numbers: &[usize]) -> Result<SqliteArguments, BenchError> {
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
        add().map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

/// Returns the rows per second into Postgres with `COPY BINARY`, into a logged table like the
/// archive's.
pub(super) async fn postgres_ceiling(
    database: &ScratchDatabase,
    messages: usize,
) -> Result<f64, BenchError> {
    create_archive(database).await?.close().await;
    let RawConnection::Postgres(pool) = database.connect_raw().await? else {
        return Err(BenchError::WrongResult(
            "the database is not Postgres".to_owned(),
        ));
    };
    let mut connection = pool.acquire().await?;
    let create = "CREATE TABLE ceiling (account TEXT, conversation TEXT, kind TEXT, sender TEXT, recipient TEXT, \
                  sent_at_ms BIGINT, payload BYTEA, encoding TEXT, message_type TEXT, hash BYTEA, archived_at_ms BIGINT)";
    sqlx::query(create).execute(&mut *connection).await?;
    let mut took = Duration::ZERO;
    for batch in batches(messages) {
        let data = copy_data(batch);
        let begun = Instant::now();
        let mut tx = connection.begin().await?;
        let mut copy = tx
            .copy_in_raw("COPY ceiling FROM STDIN (FORMAT BINARY)")
            .await?;
        copy.send(data).await?;
        copy.finish().await?;
        tx.commit().await?;
        took += begun.elapsed();
    }
    drop(connection);
    pool.close().await;
    database.clear().await?;
    Ok(messages as f64 / took.as_secs_f64())
}

fn batches(messages: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    (0..messages)
        .step_by(ROWS_PER_TRANSACTION)
        .map(move |first| first..(first + ROWS_PER_TRANSACTION).min(messages))
}

/// Encodes messages in Postgres's binary format for `COPY`.
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

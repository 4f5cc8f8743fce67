//! The raw ceiling: how fast the database takes the same columns into a table without any index, unsafely and in
//! large transactions. Nothing that keeps an archive can be as fast; how near it comes can be compared between machines.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, AssertSqlSafe, Connection};
use tokio::time::Instant;

use super::super::Failure;
use super::history::{CONVERSATIONS, SENDERS, WINDOW, message};
use super::place::{Direct, Place, careless, driver, remove};
use crate::domain::identity::Fingerprint;
use crate::domain::message::Message;

/// Rows to a transaction.
const BATCH: usize = 10_000;
/// Rows to a statement of SQLite's.
const STATEMENT: usize = 250;

/// Rows a second into SQLite, by plain statements of many rows, every column bound. The arguments are made before
/// the clock starts: what is measured is SQLite.
pub(super) async fn sqlite(scratch: &Path, messages: usize) -> Result<f64, Failure> {
    let path = scratch.join("ceiling.db");
    remove(&path)?;
    let mut connection = careless(&path).await?;
    let create = "CREATE TABLE ceiling (account_id INTEGER, recipient_id INTEGER, sent_at_ms INTEGER, hash BLOB, \
                  occurrence INTEGER, conversation_id INTEGER, sender_id INTEGER, encoding INTEGER, is_text INTEGER, \
                  status INTEGER, status_at_ms INTEGER, message_type_id INTEGER, payload_type_id INTEGER, \
                  cipher_suite_id INTEGER, archived_at_ms INTEGER, provider_id TEXT, payload BLOB, body TEXT, extra TEXT)";
    sqlx::query(create).execute(&mut connection).await.map_err(driver)?;
    let rows = vec!["(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"; STATEMENT].join(",");
    let insert = format!("INSERT INTO ceiling VALUES {rows}");
    let mut took = Duration::ZERO;
    for batch in batches(messages) {
        let statements: Vec<_> = batch.collect::<Vec<_>>().chunks_exact(STATEMENT).map(bound).collect();
        let begun = Instant::now();
        let mut tx = connection.begin().await.map_err(driver)?;
        for arguments in statements {
            let insert = sqlx::query_with(AssertSqlSafe(insert.as_str()), arguments?);
            insert.execute(&mut *tx).await.map_err(driver)?;
        }
        tx.commit().await.map_err(driver)?;
        took += begun.elapsed();
    }
    connection.close().await.map_err(driver)?;
    remove(&path)?;
    Ok((messages / STATEMENT * STATEMENT) as f64 / took.as_secs_f64())
}

/// The values of these messages, row by row.
fn bound(numbers: &[usize]) -> Result<SqliteArguments, Failure> {
    let mut arguments = SqliteArguments::default();
    for &n in numbers {
        let message = message(n / WINDOW, n % WINDOW);
        let hash = Fingerprint::of(&message).0;
        let place = (n / WINDOW % CONVERSATIONS) as i64;
        let mut add = || {
            [1, place, message.sent_at.0].into_iter().try_for_each(|number: i64| arguments.add(number))?;
            arguments.add(&hash[..])?;
            [0, place, (n % SENDERS) as i64, 0, 1].into_iter().try_for_each(|number: i64| arguments.add(number))?;
            let words = [None, None, Some(1), None, None, Some(message.sent_at.0)];
            words.into_iter().try_for_each(|number: Option<i64>| arguments.add(number))?;
            arguments.add(None::<&str>)?;
            arguments.add(&message.payload.bytes[..])?;
            arguments.add(None::<&str>)?;
            arguments.add(None::<&str>)
        };
        add().map_err(|error| driver(sqlx::Error::Encode(error)))?;
    }
    Ok(arguments)
}

/// Rows a second into Postgres by `COPY BINARY`, into a logged table like the archive's.
pub(super) async fn postgres(place: &Place, messages: usize) -> Result<f64, Failure> {
    place.create().await?.close().await;
    let Direct::Postgres(pool) = place.direct().await? else {
        return Err(Failure::Usage("that is no Postgres".to_owned()));
    };
    let mut connection = pool.acquire().await.map_err(driver)?;
    sqlx::query("CREATE TABLE ceiling (LIKE message)").execute(&mut *connection).await.map_err(driver)?;
    let mut took = Duration::ZERO;
    for batch in batches(messages) {
        let data = copied(batch);
        let begun = Instant::now();
        let mut tx = connection.begin().await.map_err(driver)?;
        let mut copy = tx
            .copy_in_raw(
                "COPY ceiling (account_id, recipient_id, sent_at_ms, hash, occurrence, conversation_id, sender_id, \
                 encoding, is_text, status, status_at_ms, message_type_id, payload_type_id, cipher_suite_id, \
                 archived_at_ms, provider_id, payload, body, extra, extra_readable) FROM STDIN (FORMAT BINARY)",
            )
            .await
            .map_err(driver)?;
        copy.send(data).await.map_err(driver)?;
        copy.finish().await.map_err(driver)?;
        tx.commit().await.map_err(driver)?;
        took += begun.elapsed();
    }
    drop(connection);
    pool.close().await;
    place.clear().await?;
    Ok(messages as f64 / took.as_secs_f64())
}

fn batches(messages: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    (0..messages).step_by(BATCH).map(move |first| first..(first + BATCH).min(messages))
}

/// Messages in Postgres's binary form for `COPY`.
fn copied(batch: std::ops::Range<usize>) -> Vec<u8> {
    let mut data = b"PGCOPY\n\xFF\r\n\0".to_vec();
    data.extend([0; 8]);
    for n in batch {
        let Message { sent_at, payload, .. } = &message(n / WINDOW, n % WINDOW);
        let hash = Fingerprint::of(&message(n / WINDOW, n % WINDOW)).0;
        let small = |n: usize| i32::try_from(n).unwrap_or(0).to_be_bytes();
        let place = small(n / WINDOW % CONVERSATIONS);
        let moment = sent_at.0.to_be_bytes();
        let one = small(1);
        let fields: [Option<&[u8]>; 20] = [
            Some(&one),
            Some(&place),
            Some(&moment),
            Some(&hash),
            Some(&[0; 4]),
            Some(&place),
            Some(&small(n % SENDERS)),
            Some(&[0; 2]),
            Some(&[1]),
            None,
            None,
            Some(&one),
            None,
            None,
            Some(&moment),
            None,
            Some(&payload.bytes),
            None,
            None,
            None,
        ];
        data.extend(20_i16.to_be_bytes());
        for field in fields {
            let length = field.map_or(-1, |bytes| i32::try_from(bytes.len()).unwrap_or(0));
            data.extend(length.to_be_bytes());
            data.extend(field.unwrap_or_default());
        }
    }
    data.extend((-1_i16).to_be_bytes());
    data
}

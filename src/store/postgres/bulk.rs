//! Many messages at once by `COPY`, in Postgres's binary form: the fastest way in, as long as none of them is there.

use sqlx::Connection;
use sqlx::error::DatabaseError;
use sqlx::postgres::PgConnection;

use super::super::dialect::Driver;
use super::super::readable::readable_json;
use super::super::rows::Row;
use super::{archived, id, small};
use crate::domain::time::Millis;

const COPY: &str = "
    COPY message (sent_at_ms, archived_at_s, recipient_id, slot, conversation_id, sender_id, hash, payload,
                  message_type_id, payload_type_id, cipher_suite_id, occurrence, encoding, is_text, status,
                  status_at_ms, provider_id, body, extra, extra_readable)
    FROM STDIN (FORMAT BINARY)";
const FIELDS: i16 = 20;
const HEAD: &[u8] = b"PGCOPY\n\xFF\r\n\0\0\0\0\0\0\0\0\0";
const END: i16 = -1;

/// Adds messages; answers whether it could: where the slot of one of them is taken nothing is added.
pub(super) async fn copy(connection: &mut PgConnection, rows: &[&Row<'_>], now: Millis) -> Driver<bool> {
    let data = binary(rows, now);
    let mut savepoint = connection.begin().await?;
    match send(&mut savepoint, data).await {
        Ok(()) => savepoint.commit().await.map(|()| true),
        Err(error) if error.as_database_error().is_some_and(DatabaseError::is_unique_violation) => {
            savepoint.rollback().await.map(|()| false)
        }
        Err(error) => Err(error),
    }
}

async fn send(connection: &mut PgConnection, data: Vec<u8>) -> Driver<()> {
    let mut copy = connection.copy_in_raw(COPY).await?;
    copy.send(data).await?;
    copy.finish().await.map(drop)
}

fn binary(rows: &[&Row<'_>], now: Millis) -> Vec<u8> {
    let size: usize = rows.iter().map(|row| 192 + row.payload.len()).sum();
    let mut data = Data(Vec::with_capacity(HEAD.len() + size));
    data.0.extend(HEAD);
    let archived = archived(now);
    for row in rows {
        let number = |number: i64| id(number).to_be_bytes();
        let (recipient, sent_at, hash, occurrence) = &row.key;
        data.0.extend(FIELDS.to_be_bytes());
        data.field(&sent_at.to_be_bytes());
        data.field(&archived.to_be_bytes());
        data.field(&number(*recipient));
        data.field(&row.slot.to_be_bytes());
        data.field(&number(row.conversation));
        data.field(&number(row.sender));
        data.field(hash);
        data.field(row.payload);
        for name in [row.message_type, row.payload_type, row.cipher_suite] {
            data.maybe(name.map(number));
        }
        data.maybe((*occurrence != 0).then(|| number(*occurrence)));
        data.maybe((row.encoding != 0).then(|| small(row.encoding).to_be_bytes()));
        data.maybe((!row.is_text()).then_some([0]));
        data.maybe(row.status.map(|delivery| (delivery.status as i16).to_be_bytes()));
        data.maybe(row.status.and_then(|delivery| delivery.at).map(|at| at.0.to_be_bytes()));
        data.maybe(row.provider_id);
        data.maybe(row.readable());
        data.maybe(row.extra);
        data.maybe(row.extra.and_then(readable_json));
    }
    data.0.extend(END.to_be_bytes());
    data.0
}

/// Fields as they follow each other: a length in bytes, −1 for NULL, and so many bytes.
struct Data(Vec<u8>);

impl Data {
    fn field(&mut self, value: &[u8]) {
        // No field is longer than a page of the provider's, which is bounded far below this.
        let length = i32::try_from(value.len()).unwrap_or(i32::MAX);
        self.0.extend(length.to_be_bytes());
        self.0.extend(value);
    }

    fn maybe(&mut self, value: Option<impl AsRef<[u8]>>) {
        match value {
            Some(value) => self.field(value.as_ref()),
            None => self.0.extend((-1_i32).to_be_bytes()),
        }
    }
}

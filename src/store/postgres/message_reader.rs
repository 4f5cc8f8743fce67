//! Reading messages in the order of digests from an archive in Postgres, page by page.

use sqlx::postgres::PgPool;

use super::name_lookup::{look_up_names, read};
use super::sql;
use crate::store::decode;
use crate::store::driver::Arg;
use crate::store::error::StoreError;
use crate::store::message_reader::{MESSAGES, MessagePages};
use crate::store::model::ArchivedMessage;
use crate::store::read_names::ReadNames;

/// Reads pages of messages, each through a connection of the pool: a small pool has one only.
pub(in crate::store) struct PostgresPages {
    pool: PgPool,
    names: ReadNames,
}

impl PostgresPages {
    pub(super) fn new(pool: PgPool) -> Self {
        let names = ReadNames::default();
        Self { pool, names }
    }
}

impl MessagePages for PostgresPages {
    async fn read_page(&mut self, args: &[Arg<'_>; 7]) -> Result<Vec<ArchivedMessage>, StoreError> {
        let connection = self.pool.acquire().await;
        let mut connection = connection.map_err(StoreError::at(MESSAGES))?;
        let decode = decode::message_record;
        let records = read(&mut connection, MESSAGES, sql::READ_MESSAGES, args, decode).await?;
        look_up_names(&mut connection, &records, &mut self.names).await?;
        let archived = records.into_iter();
        archived.map(|record| self.names.archived(record)).collect()
    }
}

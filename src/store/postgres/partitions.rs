//! One partition for each month that holds a message.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor, Row};

use crate::domain::time::Millis;
use crate::store::driver::DriverResult;

/// The storage options of a partition. A count reads only the index where vacuum has marked all
/// rows of a page as visible. By default it would run only after the month has grown by a fifth,
/// which would make the current day the slowest one to count.
const PARTITION_OPTIONS: &str = "WITH (autovacuum_vacuum_insert_scale_factor = 0.02)";

/// Lets one transaction at a time create partitions, in any process. The key is `bscrmnth` in
/// ASCII.
const LOCK_PARTITIONS: &str = "SELECT pg_advisory_xact_lock(7093283411366213736)";

/// A calendar month in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Month(Date);

impl Month {
    /// Returns the month of a moment. `None` beyond the years that the calendar covers.
    fn containing(moment: Millis) -> Option<Self> {
        let date = Timestamp::from_millisecond(moment.0)
            .ok()?
            .to_zoned(TimeZone::UTC)
            .date();
        Some(Self(date.first_of_month()))
    }

    fn next(self) -> Option<Self> {
        self.0
            .checked_add(jiff::Span::new().months(1))
            .ok()
            .map(Self)
    }

    fn start_ms(self) -> Option<i64> {
        self.0
            .to_zoned(TimeZone::UTC)
            .ok()
            .map(|start| start.timestamp().as_millisecond())
    }

    /// Returns the name of the month's partition.
    fn table_name(self) -> String {
        format!("message_{:04}_{:02}", self.0.year(), self.0.month())
    }
}

/// Creates the missing partitions for these moments, and the one after the newest in advance.
pub(super) async fn ensure_partitions(
    connection: &mut PgConnection,
    moments: impl Iterator<Item = Millis> + Send,
) -> DriverResult<()> {
    let mut months: BTreeSet<Month> = moments.filter_map(Month::containing).collect();
    months.extend(months.last().copied().and_then(Month::next));
    if months.is_empty() || missing_partitions(connection, &months).await?.is_empty() {
        return Ok(());
    }
    let mut tx = connection.begin().await?;
    tx.execute(LOCK_PARTITIONS).await?;
    for month in missing_partitions(&mut tx, &months).await? {
        create_partition(&mut tx, month).await?;
    }
    tx.commit().await
}

/// Creates a table and attaches it. Creating it as a partition would lock out all readers of the
/// message table.
async fn create_partition(tx: &mut PgConnection, month: Month) -> DriverResult<()> {
    let end_ms = month.next().and_then(Month::start_ms);
    let (Some(from), Some(to)) = (month.start_ms(), end_ms) else {
        return Ok(());
    };
    let table = month.table_name();
    tracing::debug!(table, "creating a partition");
    let create = format!(
        "CREATE TABLE {table} (LIKE message INCLUDING DEFAULTS INCLUDING CONSTRAINTS) \
         {PARTITION_OPTIONS}"
    );
    let attach =
        format!("ALTER TABLE message ATTACH PARTITION {table} FOR VALUES FROM ({from}) TO ({to})");
    tx.execute(AssertSqlSafe(create)).await?;
    tx.execute(AssertSqlSafe(attach)).await?;
    Ok(())
}

/// Returns the months without a partition.
async fn missing_partitions(
    connection: &mut PgConnection,
    months: &BTreeSet<Month>,
) -> DriverResult<Vec<Month>> {
    let statement = "SELECT t FROM UNNEST($1::TEXT[]) AS t WHERE to_regclass(t) IS NULL";
    let tables: Vec<String> = months.iter().map(|month| month.table_name()).collect();
    let rows = sqlx::query(statement)
        .bind(&tables)
        .fetch_all(connection)
        .await?;
    let missing: Vec<String> = rows
        .iter()
        .map(|row| row.try_get("t"))
        .collect::<DriverResult<_>>()?;
    let is_missing = |month: &Month| missing.contains(&month.table_name());
    Ok(months.iter().copied().filter(is_missing).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_begin_at_midnight_utc_and_adjoin() {
        let december = Month::containing("2026-12-31T23:59:59.999Z".parse().unwrap()).unwrap();
        assert_eq!(december.table_name(), "message_2026_12");
        let start: Millis = "2026-12-01T00:00:00Z".parse().unwrap();
        assert_eq!(december.start_ms(), Some(start.0));
        assert_eq!(december.next().unwrap().table_name(), "message_2027_01");
        assert_eq!(
            Month::containing(Millis(-1)).unwrap().table_name(),
            "message_1969_12"
        );
        assert_eq!(Month::containing(Millis(i64::MAX)), None);
    }
}

//! A partition for every month that holds a message.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor, Row};

use crate::domain::time::Millis;
use crate::store::dialect::DriverResult;

/// A count reads the index alone where all of a page is known to be visible, which is what vacuum finds out. Left to the
/// server's default it would not look before the month has grown by a fifth: today would be the slowest day to count.
const PARTITION_OPTIONS: &str = "WITH (autovacuum_vacuum_insert_scale_factor = 0.02)";
/// Only one at a time makes partitions, whichever process it is in: `bscrmnth` in ASCII.
const LOCK_PARTITIONS: &str = "SELECT pg_advisory_xact_lock(7093283411366213736)";

/// A calendar month in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Month(Date);

impl Month {
    /// Messages beyond the years that a calendar can say have no month.
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

    fn table_name(self) -> String {
        format!("message_{:04}_{:02}", self.0.year(), self.0.month())
    }
}

/// Makes the partitions for these moments, where they are missing. The one after the newest is made ahead of time.
pub(super) async fn ensure_partitions(
    connection: &mut PgConnection,
    moments: impl Iterator<Item = Millis> + Send,
) -> DriverResult<()> {
    let mut months: BTreeSet<Month> = moments.filter_map(Month::containing).collect();
    months.extend(months.last().copied().and_then(Month::next));
    if months.is_empty() {
        return Ok(());
    }
    let missing = missing_partitions(connection, &months).await?;
    if missing.is_empty() {
        return Ok(());
    }
    let mut tx = connection.begin().await?;
    tx.execute(LOCK_PARTITIONS).await?;
    for month in self::missing_partitions(&mut tx, &months).await? {
        let (Some(from), Some(to)) = (month.start_ms(), month.next().and_then(Month::start_ms))
        else {
            continue;
        };
        let table = month.table_name();
        tracing::debug!(table, "making a partition");
        // Attached rather than made as a partition: that would lock out every reader of the table.
        let make = format!(
            "CREATE TABLE {table} (LIKE message INCLUDING DEFAULTS INCLUDING CONSTRAINTS) {PARTITION_OPTIONS}"
        );
        let attach = format!(
            "ALTER TABLE message ATTACH PARTITION {table} FOR VALUES FROM ({from}) TO ({to})"
        );
        tx.execute(AssertSqlSafe(make)).await?;
        tx.execute(AssertSqlSafe(attach)).await?;
    }
    tx.commit().await
}

async fn missing_partitions(
    connection: &mut PgConnection,
    months: &BTreeSet<Month>,
) -> DriverResult<Vec<Month>> {
    let tables: Vec<String> = months.iter().map(|month| month.table_name()).collect();
    let rows = sqlx::query("SELECT t FROM UNNEST($1::TEXT[]) AS t WHERE to_regclass(t) IS NULL")
        .bind(&tables);
    let rows = rows.fetch_all(connection).await?;
    let missing = rows
        .iter()
        .map(|row| row.try_get("t"))
        .collect::<DriverResult<Vec<String>>>()?;
    Ok(months
        .iter()
        .copied()
        .filter(|month| missing.contains(&month.table_name()))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_begins_at_midnight_in_utc_and_ends_where_the_next_begins() {
        let december = Month::containing("2026-12-31T23:59:59.999Z".parse().unwrap()).unwrap();
        assert_eq!(december.table_name(), "message_2026_12");
        assert_eq!(
            december.start_ms(),
            Some("2026-12-01T00:00:00Z".parse::<Millis>().unwrap().0)
        );
        assert_eq!(december.next().unwrap().table_name(), "message_2027_01");
        assert_eq!(
            Month::containing(Millis(-1)).unwrap().table_name(),
            "message_1969_12"
        );
        assert_eq!(Month::containing(Millis(i64::MAX)), None);
    }
}

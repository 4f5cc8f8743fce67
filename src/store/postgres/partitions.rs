//! One partition for each month that holds a message, and two for the times outside the calendar.

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

/// The first month with a partition of its own.
const FIRST_MONTH: Date = Date::constant(1, 1, 1);

/// The first month without one. The calendar ends within the year 9999.
const END_MONTH: Date = Date::constant(9999, 1, 1);

/// A partition of the message table: a calendar month in UTC, or all the time before or behind the
/// months.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Partition {
    Before,
    Month(Date),
    Behind,
}

impl Partition {
    /// Returns the partition of a moment.
    fn containing(moment: Millis) -> Self {
        let date = Timestamp::from_millisecond(moment.0)
            .map(|moment| moment.to_zoned(TimeZone::UTC).date().first_of_month());
        match date {
            Ok(month) if month < FIRST_MONTH => Self::Before,
            Ok(month) if month < END_MONTH => Self::Month(month),
            Err(_) if moment.0 < 0 => Self::Before,
            _ => Self::Behind,
        }
    }

    /// Returns the partition of the month that follows. `None` if this is no month, or the last.
    fn next_month(self) -> Option<Self> {
        let Self::Month(month) = self else {
            return None;
        };
        let next = month.checked_add(jiff::Span::new().months(1)).ok()?;
        (next < END_MONTH).then_some(Self::Month(next))
    }

    fn table_name(self) -> String {
        match self {
            Self::Before => "message_before".to_owned(),
            Self::Month(month) => format!("message_{:04}_{:02}", month.year(), month.month()),
            Self::Behind => "message_behind".to_owned(),
        }
    }

    /// Returns the bounds in ms as Postgres writes them. `None` beyond the calendar.
    fn bounds(self) -> Option<(String, String)> {
        let start_ms = |month: Date| {
            let start = month.to_zoned(TimeZone::UTC).ok()?;
            Some(start.timestamp().as_millisecond().to_string())
        };
        Some(match self {
            Self::Before => ("MINVALUE".to_owned(), start_ms(FIRST_MONTH)?),
            Self::Month(month) => {
                let next = month.checked_add(jiff::Span::new().months(1)).ok()?;
                (start_ms(month)?, start_ms(next)?)
            }
            Self::Behind => (start_ms(END_MONTH)?, "MAXVALUE".to_owned()),
        })
    }
}

/// Creates the missing partitions for these moments, and the month after the newest in advance.
pub(super) async fn ensure_partitions(
    connection: &mut PgConnection,
    moments: impl Iterator<Item = Millis> + Send,
) -> DriverResult<()> {
    let mut partitions: BTreeSet<Partition> = moments.map(Partition::containing).collect();
    let next = partitions.iter().filter_map(|month| month.next_month());
    let next = next.max();
    partitions.extend(next);
    if partitions.is_empty()
        || missing_partitions(connection, &partitions)
            .await?
            .is_empty()
    {
        return Ok(());
    }
    let mut tx = connection.begin().await?;
    tx.execute(LOCK_PARTITIONS).await?;
    for partition in missing_partitions(&mut tx, &partitions).await? {
        create_partition(&mut tx, partition).await?;
    }
    tx.commit().await
}

/// Creates a table and attaches it. Creating it as a partition would lock out all readers of the
/// message table.
async fn create_partition(tx: &mut PgConnection, partition: Partition) -> DriverResult<()> {
    let Some((from, to)) = partition.bounds() else {
        return Ok(());
    };
    let table = partition.table_name();
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

/// Returns those of the partitions that do not exist.
async fn missing_partitions(
    connection: &mut PgConnection,
    partitions: &BTreeSet<Partition>,
) -> DriverResult<Vec<Partition>> {
    let statement = "SELECT t FROM UNNEST($1::TEXT[]) AS t WHERE to_regclass(t) IS NULL";
    let tables: Vec<String> = partitions.iter().map(|each| each.table_name()).collect();
    let rows = sqlx::query(statement)
        .bind(&tables)
        .fetch_all(connection)
        .await?;
    let missing: Vec<String> = rows
        .iter()
        .map(|row| row.try_get("t"))
        .collect::<DriverResult<_>>()?;
    let is_missing = |partition: &Partition| missing.contains(&partition.table_name());
    Ok(partitions.iter().copied().filter(is_missing).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_begin_at_midnight_utc_and_adjoin() {
        let december = Partition::containing("2026-12-31T23:59:59.999Z".parse().unwrap());
        assert_eq!(december.table_name(), "message_2026_12");
        let start: Millis = "2026-12-01T00:00:00Z".parse().unwrap();
        let january = december.next_month().unwrap();
        let (from, to) = december.bounds().unwrap();
        assert_eq!(from, start.0.to_string());
        assert_eq!(january.table_name(), "message_2027_01");
        assert_eq!(january.bounds().unwrap().0, to);
        let before_1970 = Partition::containing(Millis(-1));
        assert_eq!(before_1970.table_name(), "message_1969_12");
    }

    #[test]
    fn every_moment_has_a_partition() {
        let first = Partition::Month(FIRST_MONTH).bounds().unwrap().0;
        let first: i64 = first.parse().unwrap();
        let end: i64 = Partition::Behind.bounds().unwrap().0.parse().unwrap();
        for (moment, table) in [
            (i64::MIN, "message_before"),
            (first - 1, "message_before"),
            (first, "message_0001_01"),
            (end - 1, "message_9998_12"),
            (end, "message_behind"),
            (i64::MAX, "message_behind"),
        ] {
            let partition = Partition::containing(Millis(moment));
            assert_eq!(partition.table_name(), table, "{moment}");
            assert!(partition.bounds().is_some(), "{moment}");
        }
        assert_eq!(Partition::containing(Millis(end - 1)).next_month(), None);
        assert_eq!(Partition::Before.bounds().unwrap().1, first.to_string());
    }
}

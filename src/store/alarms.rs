//! The role [`AlarmLog`]: recorded alarms, and the disk space that alarms watch.

use std::path::PathBuf;

use async_trait::async_trait;

use super::decode;
use super::dialect::Dialect;
use super::driver::{Arg, execute, fetch_all};
use super::error::StoreError;
use super::model::DiskSpace;
use super::sql;
use super::sql_store::SqlStore;
use crate::domain::alarm::Alarm;
use crate::domain::time::Millis;

/// The step that failures of alarm statements name.
const WHAT: &str = "alarms";

/// Recorded alarms. Alarms of a kind that only a later version knows are left out.
#[async_trait]
pub trait AlarmLog: Send + Sync {
    /// Returns the active alarms, the oldest first.
    async fn active_alarms(&self) -> Result<Vec<Alarm>, StoreError>;

    /// Returns the active alarms and those that ended since a moment, the oldest first. Some that
    /// ended earlier are included: those with a notification to send, and the latest alarm of
    /// each damage that is permanent, which records how large it is.
    async fn alarms(&self, ended_since: Millis) -> Result<Vec<Alarm>, StoreError>;

    /// Inserts or updates alarms, and deletes those that ended before `oldest`, in one
    /// transaction.
    async fn save_alarms(&self, alarms: &[Alarm], oldest: Millis) -> Result<(), StoreError>;

    /// Returns the disk space of the archive. `None` if a server keeps the archive, or the file
    /// system does not answer.
    async fn disk_space(&self) -> Option<DiskSpace>;
}

#[async_trait]
impl<DB: Dialect> AlarmLog for SqlStore<DB> {
    async fn active_alarms(&self) -> Result<Vec<Alarm>, StoreError> {
        let mut connection = self.acquire_reader(WHAT).await?;
        read_alarms::<DB>(&mut connection, sql::ACTIVE_ALARMS, &[]).await
    }

    async fn alarms(&self, ended_since: Millis) -> Result<Vec<Alarm>, StoreError> {
        let mut connection = self.acquire_reader(WHAT).await?;
        read_alarms::<DB>(&mut connection, sql::ALARMS, &[ended_since.0.into()]).await
    }

    async fn save_alarms(&self, alarms: &[Alarm], oldest: Millis) -> Result<(), StoreError> {
        let mut tx = self.begin(WHAT).await?;
        for alarm in alarms {
            execute::<DB>(&mut tx, WHAT, DB::UPSERT_ALARM, &alarm_args(alarm)).await?;
        }
        execute::<DB>(&mut tx, WHAT, sql::DELETE_OLD_ALARMS, &[oldest.0.into()]).await?;
        tx.commit().await.map_err(StoreError::at(WHAT))
    }

    async fn disk_space(&self) -> Option<DiskSpace> {
        measure_disk_space(DB::local_folder(&self.location)?).await
    }
}

async fn read_alarms<DB: Dialect>(
    connection: &mut DB::Connection,
    statement: &'static str,
    args: &[Arg<'_>],
) -> Result<Vec<Alarm>, StoreError> {
    let rows = fetch_all::<DB>(connection, WHAT, statement, args).await?;
    let alarms = rows
        .iter()
        .map(decode::alarm::<DB>)
        .collect::<Result<Vec<_>, _>>()?;
    Ok(alarms.into_iter().flatten().collect())
}

fn alarm_args(alarm: &Alarm) -> [Arg<'_>; 9] {
    let Alarm {
        subject,
        since,
        until,
        text,
        hint,
        level,
        notified,
    } = alarm;
    [
        subject.account.as_deref().unwrap_or_default().into(),
        subject.stream.as_deref().unwrap_or_default().into(),
        subject.kind.name().into(),
        since.0.into(),
        until.map(|until| until.0).into(),
        text.into(),
        hint.into(),
        (*level).into(),
        (*notified as i64).into(),
    ]
}

/// Asks the file system for its size, in a thread of its own: a remote file system may not answer
/// for a while, and must not block other tasks.
async fn measure_disk_space(folder: PathBuf) -> Option<DiskSpace> {
    let measuring = tokio::task::spawn_blocking(move || DiskSpace::of(&folder));
    measuring.await.ok()?
}

//! What is wrong by the archive's own record, and what a stream's rhythm is.

use std::path::PathBuf;

use super::dialect::{AccessPath, Arg, Dialect, int, optional_int, text};
use super::{StoreError, sql};
use crate::domain::alarm::{Alarm, AlarmKind, AlarmSubject, Notified};
use crate::domain::stream::Scope;
use crate::domain::time::{Hour, Millis, Second};

/// The space that there is for an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes that are left.
    pub free_bytes: u64,
    /// Bytes of the whole file system.
    pub total: u64,
}

/// A file system that is far away may not answer for a while: that is to hold up nobody else.
pub(super) async fn measure_disk_space(folder: PathBuf) -> Option<Room> {
    let asked = tokio::task::spawn_blocking(move || rustix::fs::statvfs(&folder)).await;
    let found = asked.ok()?.ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Some(Room {
        free_bytes: bytes(found.f_bavail),
        total: bytes(found.f_blocks),
    })
}

/// The alarms that stand, those that are over since a moment, and those of which it must be known still that they were.
pub(super) async fn read_alarms<DB: Dialect>(
    connection: &mut DB::Connection,
    ended_since: Millis,
) -> Result<Vec<Alarm>, StoreError> {
    let rows = DB::fetch(connection, sql::ALARMS, &[ended_since.0.into()])
        .await
        .map_err(StoreError::at("alarms"))?;
    let alarms = rows
        .iter()
        .map(alarm_from_row::<DB>)
        .collect::<Result<Vec<Option<Alarm>>, _>>()?;
    Ok(alarms.into_iter().flatten().collect())
}

/// Nothing of a kind that a later Backscroll has given.
fn alarm_from_row<DB: Dialect>(row: &DB::Row) -> Result<Option<Alarm>, StoreError> {
    let part = |column| Ok(text::<DB>(row, column)?.filter(|part| !part.is_empty()));
    let Some(kind) = AlarmKind::from_name(&text::<DB>(row, "kind")?.unwrap_or_default()) else {
        return Ok(None);
    };
    let told = match int::<DB>(row, "notified")? {
        0 => Notified::Nothing,
        1 => Notified::Start,
        _ => Notified::All,
    };
    Ok(Some(Alarm {
        subject: AlarmSubject {
            account: part("account")?,
            stream: part("stream")?,
            kind,
        },
        since: Millis(int::<DB>(row, "since_ms")?),
        until: optional_int::<DB>(row, "until_ms")?.map(Millis),
        text: text::<DB>(row, "text")?.unwrap_or_default(),
        hint: text::<DB>(row, "hint")?.unwrap_or_default(),
        level: optional_int::<DB>(row, "level")?,
        notified: told,
    }))
}

/// Writes alarms down as they are by now, and forgets those that were over before a moment.
pub(super) async fn write_alarms<DB: Dialect>(
    tx: &mut DB::Connection,
    alarms: &[Alarm],
    forget: Millis,
) -> Result<(), StoreError> {
    let failed = StoreError::at("alarms");
    for Alarm {
        subject,
        since,
        until,
        text,
        hint,
        level,
        notified: told,
    } in alarms
    {
        let account = subject.account.as_deref().unwrap_or_default().into();
        let stream = subject.stream.as_deref().unwrap_or_default().into();
        let until = until.map(|until| until.0).into();
        let (text, hint) = (text.into(), hint.into());
        let told = (*told as i64).into();
        let args: [Arg<'_>; 9] = [
            account,
            stream,
            subject.kind.name().into(),
            since.0.into(),
            until,
            text,
            hint,
            (*level).into(),
            told,
        ];
        DB::execute(tx, sql::UPSERT_ALARM, &args)
            .await
            .map_err(&failed)?;
    }
    DB::execute(tx, sql::DELETE_OLD_ALARMS, &[forget.0.into()])
        .await
        .map_err(&failed)?;
    Ok(())
}

/// The hours since 1970 in which messages of a stream were sent, in order, of those that begin in a range. It takes a look
/// into an index for each, however many messages it holds.
pub(super) async fn read_active_hours<DB: Dialect>(
    connection: &mut DB::Connection,
    account: &str,
    scope: &Scope,
    from: Second,
    to: Second,
) -> Result<Vec<i64>, StoreError> {
    let before = Hour::containing(from.plus(-1)).0;
    let [sender, recipient, conversation]: [Arg<'_>; 3] =
        [&scope.sender, &scope.recipient, &scope.conversation].map(|name| name.as_deref().into());
    let args = [
        before.into(),
        to.start().0.into(),
        account.into(),
        sender,
        recipient,
        conversation,
    ];
    let rows = DB::fetch(
        connection,
        sql::ACTIVE_HOURS.statement_for(AccessPath::for_scope(scope)),
        &args,
    )
    .await;
    rows.map_err(StoreError::at("active hours"))?
        .iter()
        .map(|row| int::<DB>(row, "hour"))
        .collect()
}

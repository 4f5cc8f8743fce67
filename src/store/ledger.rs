//! The ledger as a whole: out of one archive, into another.

use std::collections::HashMap;

use super::dialect::{Arg, Dialect, duration_s, fetch_one, int, optional_int, text};
use super::{LedgerRow, StoreError, StreamId, seal, sql};
use crate::domain::frontier::Frontier;
use crate::domain::stream::Scope;
use crate::domain::time::{Millis, Second};
use crate::domain::window::{Runs, Window};

/// What an archive says of an account, apart from its messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountLedger {
    pub account: String,
    pub provider: String,
    /// The account's frontier when it was last saved.
    pub frontier: Frontier,
    pub streams: Vec<StreamLedger>,
}

/// What an archive says of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamLedger {
    pub key: String,
    /// Which messages belong to it; nothing where it was last followed before this was written down.
    pub scope: Option<Scope>,
    pub wanted_from: Second,
    pub active: bool,
    /// Whether it was found, and not listed.
    pub discovered: bool,
    pub windows: Vec<LedgerRow>,
    pub quarantine: Vec<QuarantineEntry>,
}

/// A message that could not be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantineEntry {
    pub window: Window,
    pub found_at: Millis,
    pub reason: String,
    pub raw: String,
}

/// A stream that the archive knows, followed or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownStream {
    pub id: StreamId,
    /// The account's name.
    pub account: String,
    pub provider: String,
    pub key: String,
    /// Which messages belong to it; nothing where it was last followed before this was written down.
    pub scope: Option<Scope>,
}

impl AccountLedger {
    /// What of each stream is sealed, by account and key.
    pub fn runs(&self) -> impl Iterator<Item = (&str, &str, Runs)> {
        self.streams.iter().map(|stream| {
            let runs = stream.windows.iter().map(|row| row.window).collect();
            (self.account.as_str(), stream.key.as_str(), runs)
        })
    }
}

/// The ledgers of all accounts, in the order of their names.
pub(super) async fn read_ledgers<DB: Dialect>(
    connection: &mut DB::Connection,
) -> Result<Vec<AccountLedger>, StoreError> {
    const WHAT: &str = "ledgers";
    let failed = StoreError::at(WHAT);
    let mut windows: HashMap<i64, Vec<LedgerRow>> = HashMap::new();
    for row in DB::fetch(connection, sql::LEDGER_WINDOWS, &[])
        .await
        .map_err(&failed)?
    {
        windows
            .entry(int::<DB>(&row, "stream_id")?)
            .or_default()
            .push(seal::ledger_row::<DB>(&row)?);
    }
    let mut quarantine: HashMap<i64, Vec<QuarantineEntry>> = HashMap::new();
    for row in DB::fetch(connection, sql::LEDGER_QUARANTINE, &[])
        .await
        .map_err(&failed)?
    {
        let quarantined = QuarantineEntry {
            window: window_from_row::<DB>(&row)?,
            found_at: Millis(int::<DB>(&row, "found_at_ms")?),
            reason: text::<DB>(&row, "reason")?.unwrap_or_default(),
            raw: text::<DB>(&row, "raw")?.unwrap_or_default(),
        };
        quarantine
            .entry(int::<DB>(&row, "stream_id")?)
            .or_default()
            .push(quarantined);
    }
    let mut streams: HashMap<i64, Vec<StreamLedger>> = HashMap::new();
    for row in DB::fetch(connection, sql::LEDGER_STREAMS, &[])
        .await
        .map_err(&failed)?
    {
        let id = int::<DB>(&row, "id")?;
        let stream = StreamLedger {
            key: text::<DB>(&row, "key")?.unwrap_or_default(),
            scope: scope_from_row::<DB>(&row)?,
            wanted_from: Second(int::<DB>(&row, "wanted_from_s")?),
            active: int::<DB>(&row, "active")? == 1,
            discovered: int::<DB>(&row, "discovered")? == 1,
            windows: windows.remove(&id).unwrap_or_default(),
            quarantine: quarantine.remove(&id).unwrap_or_default(),
        };
        streams
            .entry(int::<DB>(&row, "account_id")?)
            .or_default()
            .push(stream);
    }
    let accounts = DB::fetch(connection, sql::LEDGER_ACCOUNTS, &[])
        .await
        .map_err(&failed)?;
    let ledger = |row| {
        Ok(AccountLedger {
            account: text::<DB>(row, "name")?.unwrap_or_default(),
            provider: text::<DB>(row, "provider")?.unwrap_or_default(),
            frontier: frontier_from_row::<DB>(row)?,
            streams: streams.remove(&int::<DB>(row, "id")?).unwrap_or_default(),
        })
    };
    accounts.iter().map(ledger).collect()
}

/// All streams, in the order of accounts and keys.
pub(super) async fn read_streams<DB: Dialect>(
    connection: &mut DB::Connection,
) -> Result<Vec<KnownStream>, StoreError> {
    let rows = DB::fetch(connection, sql::ALL_STREAMS, &[])
        .await
        .map_err(StoreError::at("streams"))?;
    let known = |row| {
        Ok(KnownStream {
            id: StreamId(int::<DB>(row, "id")?),
            account: text::<DB>(row, "account")?.unwrap_or_default(),
            provider: text::<DB>(row, "provider")?.unwrap_or_default(),
            key: text::<DB>(row, "key")?.unwrap_or_default(),
            scope: scope_from_row::<DB>(row)?,
        })
    };
    rows.iter().map(known).collect()
}

/// Makes an account's ledger the one given. Its messages must be in the archive already.
pub(super) async fn write_ledger<DB: Dialect>(
    tx: &mut DB::Connection,
    ledger: &AccountLedger,
) -> Result<(), StoreError> {
    const WHAT: &str = "restore";
    let failed = StoreError::at(WHAT);
    let account = fetch_one::<DB>(
        tx,
        WHAT,
        sql::REGISTER_ACCOUNT,
        &[(&ledger.account).into(), (&ledger.provider).into()],
    )
    .await?;
    let account = int::<DB>(&account, "id")?;
    let frontier = frontier_args(account, ledger.frontier);
    DB::execute(tx, sql::SAVE_FRONTIER, &frontier)
        .await
        .map_err(&failed)?;
    for stream in &ledger.streams {
        let [sender, recipient, conversation] = scope_args(stream.scope.as_ref());
        let wanted_from = stream.wanted_from.0.into();
        let [active, discovered] =
            [stream.active, stream.discovered].map(|flag| i64::from(flag).into());
        let key = (&stream.key).into();
        let args = [
            account.into(),
            key,
            wanted_from,
            active,
            sender,
            recipient,
            conversation,
            discovered,
        ];
        let id = fetch_one::<DB>(tx, WHAT, sql::RESTORE_STREAM, &args).await?;
        let id = int::<DB>(&id, "id")?;
        DB::execute(tx, sql::DELETE_STREAM_LEDGER, &[id.into()])
            .await
            .map_err(&failed)?;
        for row in &stream.windows {
            seal::insert_ledger_row::<DB>(tx, StreamId(id), row)
                .await
                .map_err(&failed)?;
        }
        for quarantined in &stream.quarantine {
            super::write::insert_quarantine::<DB>(tx, account, id, quarantined)
                .await
                .map_err(&failed)?;
        }
    }
    Ok(())
}

/// Returns the frontier of an account from its columns.
pub(super) fn frontier_from_row<DB: Dialect>(row: &DB::Row) -> Result<Frontier, StoreError> {
    Ok(Frontier {
        horizon: optional_int::<DB>(row, "horizon_s")?.map(Second),
        settled_to: Second(int::<DB>(row, "settled_s")?),
        wanted_to: Second(int::<DB>(row, "wanted_to_s")?),
        retention: duration_s::<DB>(row, "retention_s")?,
    })
}

/// Returns the arguments of [`sql::SAVE_FRONTIER`].
pub(super) fn frontier_args(account: i64, frontier: Frontier) -> [Arg<'static>; 5] {
    let retention_s = frontier
        .retention
        .map(|retention| i64::try_from(retention.as_secs()).unwrap_or(i64::MAX));
    let horizon = frontier.horizon.map(|horizon| horizon.0);
    [
        account.into(),
        horizon.into(),
        frontier.settled_to.0.into(),
        frontier.wanted_to.0.into(),
        retention_s.into(),
    ]
}

/// A scope on its way into the columns of a stream.
fn scope_args(scope: Option<&Scope>) -> [Arg<'_>; 3] {
    let part = |part: fn(&Scope) -> &Option<String>| {
        Arg::Text(scope.and_then(|scope| part(scope).as_deref()))
    };
    [
        part(|scope| &scope.sender),
        part(|scope| &scope.recipient),
        part(|scope| &scope.conversation),
    ]
}

/// And out of them again.
pub(super) fn scope_from_row<DB: Dialect>(row: &DB::Row) -> Result<Option<Scope>, StoreError> {
    let [sender, recipient, conversation] =
        ["sender", "recipient", "conversation"].map(|part| text::<DB>(row, part));
    let scope = Scope {
        sender: sender?,
        recipient: recipient?,
        conversation: conversation?,
    };
    Ok((scope != Scope::default()).then_some(scope))
}

pub(super) fn window_from_row<DB: Dialect>(row: &DB::Row) -> Result<Window, StoreError> {
    let (from, to) = (int::<DB>(row, "from_s")?, int::<DB>(row, "to_s")?);
    Window::new(Second(from), Second(to)).ok_or_else(|| StoreError::Inconsistent {
        what: "sealed_window",
        fault: format!("a window from {from} to {to} is empty"),
    })
}

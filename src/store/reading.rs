//! The role [`Reading`]: what readers filter by, and how complete the archive is.

use std::collections::HashMap;

use async_trait::async_trait;

use super::decode;
use super::dialect::Dialect;
use super::driver::{Arg, fetch_all};
use super::error::StoreError;
use super::limits::MAX_STREAMS_READ_SINGLY;
use super::model::{AccountId, FoundConversation, NameKind, SenderId, StreamCoverage, StreamId};
use super::snapshot::Snapshot;
use super::sql;
use super::sql_store::SqlStore;
use crate::domain::stream::Scope;
use crate::domain::time::Second;
use crate::domain::window::Window;

/// Decides by its scope if a stream is read.
pub type StreamFilter<'a> = &'a (dyn Fn(Option<&Scope>) -> bool + Send + Sync);

/// Names that readers filter by, and the coverage of streams. No method changes anything.
#[async_trait]
pub trait Reading: Send + Sync {
    /// Begins to read one state of the archive.
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError>;

    /// Returns the id of an account; `None` if the archive has none of this name.
    async fn find_account(&self, name: &str) -> Result<Option<AccountId>, StoreError>;

    /// Returns the conversations of this name, of one account or of all, in the order of accounts.
    async fn find_conversations(
        &self,
        account: Option<AccountId>,
        name: &str,
    ) -> Result<Vec<FoundConversation>, StoreError>;

    /// Returns the id of a sender; `None` if no message has one of this name.
    async fn find_sender(&self, name: &str) -> Result<Option<SenderId>, StoreError>;

    /// Calls `visit` with all names of a kind. It reads all of them: it is meant for the error about
    /// one that was not found.
    async fn for_each_name(
        &self,
        kind: NameKind,
        visit: &mut (dyn for<'n> FnMut(&'n str) + Send),
    ) -> Result<(), StoreError>;

    /// Returns the coverage of the streams that `is_wanted` accepts in `[from, to)`, of one account
    /// or of all, in the order of accounts and keys. Everything is read in one snapshot. It costs
    /// one pass over the ledger rows in the range, or a lookup for each of a few streams, and one
    /// for each stream with a break.
    async fn coverage(
        &self,
        account: Option<AccountId>,
        is_wanted: StreamFilter<'_>,
        from: Second,
        to: Second,
    ) -> Result<Vec<StreamCoverage>, StoreError>;
}

#[async_trait]
impl<DB: Dialect> Reading for SqlStore<DB> {
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        self.open_snapshot().await
    }

    async fn find_account(&self, name: &str) -> Result<Option<AccountId>, StoreError> {
        let id = find_id(self, "account by name", sql::FIND_ACCOUNT, name);
        Ok(id.await?.map(AccountId))
    }

    async fn find_conversations(
        &self,
        account: Option<AccountId>,
        name: &str,
    ) -> Result<Vec<FoundConversation>, StoreError> {
        const WHAT: &str = "conversation by name";
        let args = [name.into(), account.map(|account| account.0).into()];
        let mut tx = self.begin_snapshot(WHAT).await?;
        let mut found = Vec::new();
        for row in fetch_all::<DB>(&mut tx, WHAT, sql::FIND_CONVERSATIONS, &args).await? {
            let id = [decode::int::<DB>(&row, "id")?.into()];
            let latest = fetch_all::<DB>(&mut tx, WHAT, sql::LATEST_PARTICIPANTS, &id).await?;
            found.push(decode::found_conversation::<DB>(&row, latest.first())?);
        }
        Ok(found)
    }

    async fn find_sender(&self, name: &str) -> Result<Option<SenderId>, StoreError> {
        let id = find_id(self, "sender by name", sql::FIND_SENDER, name);
        Ok(id.await?.map(SenderId))
    }

    async fn for_each_name(
        &self,
        kind: NameKind,
        visit: &mut (dyn for<'n> FnMut(&'n str) + Send),
    ) -> Result<(), StoreError> {
        const WHAT: &str = "names";
        let (statement, args) = match kind {
            NameKind::Account => (sql::ACCOUNT_NAMES, vec![]),
            NameKind::Conversation(account) => {
                let account = Arg::from(account.map(|account| account.0));
                (sql::CONVERSATION_NAMES, vec![account])
            }
            NameKind::Sender => (sql::SENDER_NAMES, vec![]),
        };
        let mut connection = self.acquire_reader(WHAT).await?;
        DB::for_each_row(&mut connection, WHAT, statement, &args, |row| {
            visit(&decode::text::<DB>(row, "name")?);
            Ok(())
        })
        .await
    }

    async fn coverage(
        &self,
        account: Option<AccountId>,
        is_wanted: StreamFilter<'_>,
        from: Second,
        to: Second,
    ) -> Result<Vec<StreamCoverage>, StoreError> {
        let mut tx = self.begin_snapshot(COVERAGE).await?;
        let account = Arg::from(account.map(|account| account.0));
        let mut streams = Vec::new();
        for row in fetch_all::<DB>(&mut tx, COVERAGE, sql::STREAM_LIMITS, &[account]).await? {
            let stream = decode::stream_limits::<DB>(&row)?;
            if is_wanted(stream.scope.as_ref()) {
                streams.push(stream);
            }
        }
        let range = [from.0.into(), to.0.into()];
        let unbroken = if streams.len() > MAX_STREAMS_READ_SINGLY {
            unbroken_runs::<DB>(&mut tx, range, account).await?
        } else {
            HashMap::new()
        };
        for stream in &mut streams {
            match unbroken.get(&stream.stream) {
                Some(run) => stream.sealed.insert(*run),
                None => read_runs::<DB>(&mut tx, range, stream).await?,
            }
        }
        Ok(streams)
    }
}

/// The step that failures of the coverage name.
const COVERAGE: &str = "coverage";

/// Returns the runs of the streams whose sealed windows are one unbroken run without a doubt.
async fn unbroken_runs<DB: Dialect>(
    tx: &mut DB::Connection,
    [from, to]: [Arg<'_>; 2],
    account: Arg<'_>,
) -> Result<HashMap<StreamId, Window>, StoreError> {
    let args = [from, to, account];
    let mut runs = HashMap::new();
    for row in fetch_all::<DB>(tx, COVERAGE, sql::LEDGER_SPANS, &args).await? {
        let run = decode::window::<DB>(&row)?;
        let is_unbroken = decode::count::<DB>(&row, "seconds")? == run.seconds()
            && decode::int::<DB>(&row, "suspect")? == 0;
        if is_unbroken {
            let stream = StreamId(decode::int::<DB>(&row, "stream_id")?);
            runs.insert(stream, run);
        }
    }
    Ok(runs)
}

/// Reads the sealed windows of one stream.
async fn read_runs<DB: Dialect>(
    tx: &mut DB::Connection,
    [from, to]: [Arg<'_>; 2],
    stream: &mut StreamCoverage,
) -> Result<(), StoreError> {
    let args = [from, to, stream.stream.0.into()];
    DB::for_each_row(tx, COVERAGE, sql::LEDGER_RUNS, &args, |row| {
        let window = decode::window::<DB>(row)?;
        match decode::optional_text::<DB>(row, "doubt")? {
            None => stream.sealed.insert(window),
            Some(doubt) => stream.suspect.push((window, doubt)),
        }
        Ok(())
    })
    .await
}

/// Returns the id of the row with a name.
async fn find_id<DB: Dialect>(
    store: &SqlStore<DB>,
    what: &'static str,
    statement: &'static str,
    name: &str,
) -> Result<Option<i64>, StoreError> {
    let mut connection = store.acquire_reader(what).await?;
    let rows = fetch_all::<DB>(&mut connection, what, statement, &[name.into()]).await?;
    let id = rows.first().map(|row| decode::int::<DB>(row, "id"));
    id.transpose()
}

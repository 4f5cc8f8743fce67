//! The role [`Accounts`]: accounts, their streams, leases, runs, and recorded errors.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;

use super::decode;
use super::dialect::Dialect;
use super::driver::{Arg, execute, fetch_all, fetch_one};
use super::error::StoreError;
use super::lease::Lease;
use super::limits::RUN_RETENTION;
use super::model::{
    AccountId, ErrorSubject, NewAccount, Pause, RecordedError, RegisteredAccount, RunId, RunTotals,
    StreamId, WantedHistory,
};
use super::records::total_args;
use super::sql;
use super::sql_store::SqlStore;
use crate::domain::account::{IdentityDifference, IdentityPart};
use crate::domain::clock::MachineSkew;
use crate::domain::frontier::Frontier;
use crate::domain::participant::Participant;
use crate::domain::stream::Stream;
use crate::domain::time::{Millis, Second};

/// Accounts, their streams, leases, runs, and recorded errors.
///
/// Each method that changes something is one transaction: if it fails or is dropped, it has either
/// all of its effect or none.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// Errors with [`StoreError::OtherIdentity`] if the archive knows the name as another account's.
    /// Changes nothing.
    async fn check_identity(&self, account: &NewAccount<'_>) -> Result<(), StoreError>;

    /// Inserts or updates an account, and makes the given streams its active ones. Other streams
    /// become inactive and keep their data.
    ///
    /// The start of each stream's wanted history is computed anew. It costs three statements.
    /// Errors as
    /// [`check_identity`](Self::check_identity) does.
    async fn register(&self, account: &NewAccount<'_>) -> Result<RegisteredAccount, StoreError>;

    /// Adds active streams to an account, each of them given once. Returns their ids and the starts
    /// of their wanted history, in the order given. It costs one statement.
    async fn follow(
        &self,
        account: AccountId,
        streams: &[Arc<Stream>],
        wanted: WantedHistory,
    ) -> Result<Vec<(StreamId, Second)>, StoreError>;

    /// Returns the discovered streams of an account, active or not, in the order of discovery.
    async fn discovered_streams(&self, account: AccountId) -> Result<Vec<Stream>, StoreError>;

    /// Returns the participants of an account's messages, possibly with duplicates. It costs one
    /// index lookup per name in the archive.
    async fn participants(
        &self,
        account: AccountId,
    ) -> Result<Vec<Participant<'static>>, StoreError>;

    /// Makes this process the only one that works on the account, or errors with
    /// [`StoreError::InUse`]. `holder` is shown to other processes. The lease ends with
    /// [`release_leases`](Self::release_leases) or with the process.
    ///
    /// On SQLite the file lock of the archive takes the place of leases, and this costs nothing.
    async fn acquire_lease(&self, account: AccountId, holder: &str) -> Result<Lease, StoreError>;

    /// Releases the leases of all accounts.
    async fn release_leases(&self);

    /// Saves the frontier of an account.
    async fn save_frontier(&self, account: AccountId, frontier: Frontier)
    -> Result<(), StoreError>;

    /// Records a pause of an account. `None` clears it.
    async fn pause(&self, account: AccountId, pause: Option<&Pause>) -> Result<(), StoreError>;

    /// Records the fingerprint of the credentials that the provider has just accepted.
    async fn record_accepted_credentials(
        &self,
        account: AccountId,
        fingerprint: &str,
    ) -> Result<(), StoreError>;

    /// Saves the difference between this machine's clock and the provider's.
    async fn save_clock_skew(
        &self,
        account: AccountId,
        skew: MachineSkew,
    ) -> Result<(), StoreError>;

    /// Records the error of an account, of its discovery or of a stream. `None` clears it. The time
    /// of an error that stays the same is kept.
    async fn record_error(
        &self,
        subject: ErrorSubject,
        error: Option<&RecordedError>,
    ) -> Result<(), StoreError>;

    /// Adds to the number of an account's stragglers, and returns the new number.
    async fn add_stragglers(&self, account: AccountId, more: u64) -> Result<u64, StoreError>;

    /// Saves a settle age that replaces the configured one, and resets the number of stragglers.
    async fn set_settle_override(
        &self,
        account: AccountId,
        settle: Duration,
    ) -> Result<(), StoreError>;

    /// Inserts a run, and deletes runs older than 90 days.
    async fn begin_run(
        &self,
        account: AccountId,
        why: &str,
        now: Millis,
    ) -> Result<RunId, StoreError>;

    /// Saves the totals of a run and its end.
    async fn end_run(&self, run: RunId, totals: &RunTotals, now: Millis) -> Result<(), StoreError>;
}

#[async_trait]
impl<DB: Dialect> Accounts for SqlStore<DB> {
    async fn check_identity(&self, account: &NewAccount<'_>) -> Result<(), StoreError> {
        const WHAT: &str = "identity";
        let mut connection = self.acquire_reader(WHAT).await?;
        let args = [account.name.into()];
        let rows = fetch_all::<DB>(&mut connection, WHAT, sql::ACCOUNT_IDENTITY, &args).await?;
        rows.iter()
            .try_for_each(|row| require_identity::<DB>(account, row))
    }

    async fn register(&self, account: &NewAccount<'_>) -> Result<RegisteredAccount, StoreError> {
        const WHAT: &str = "register";
        let mut tx = self.begin(WHAT).await?;
        let args = register_args(account);
        let row = fetch_one::<DB>(&mut tx, WHAT, sql::REGISTER_ACCOUNT, &args).await?;
        require_identity::<DB>(account, &row)?;
        let id = decode::int::<DB>(&row, "id")?;
        let mut streams = Vec::new();
        if let Some((listed, wanted)) = account.streams {
            execute::<DB>(&mut tx, WHAT, sql::DEACTIVATE_STREAMS, &[id.into()]).await?;
            streams = upsert_streams::<DB>(&mut tx, id, listed, wanted).await?;
        }
        tx.commit().await.map_err(StoreError::at(WHAT))?;
        Ok(RegisteredAccount {
            account: AccountId(id),
            streams,
            frontier: decode::frontier::<DB>(&row)?,
            pause: decode::pause::<DB>(&row)?,
            accepted_credentials: decode::optional_text::<DB>(&row, "accepted_credentials")?,
            settle_override: decode::duration_s::<DB>(&row, "settle_override_s")?,
        })
    }

    async fn follow(
        &self,
        account: AccountId,
        streams: &[Arc<Stream>],
        wanted: WantedHistory,
    ) -> Result<Vec<(StreamId, Second)>, StoreError> {
        const WHAT: &str = "follow";
        let mut tx = self.begin(WHAT).await?;
        let followed = upsert_streams::<DB>(&mut tx, account.0, streams, wanted).await?;
        tx.commit().await.map_err(StoreError::at(WHAT))?;
        Ok(followed)
    }

    async fn discovered_streams(&self, account: AccountId) -> Result<Vec<Stream>, StoreError> {
        const WHAT: &str = "discovered streams";
        let mut connection = self.acquire_reader(WHAT).await?;
        let args = [account.0.into()];
        let rows = fetch_all::<DB>(&mut connection, WHAT, sql::DISCOVERED_STREAMS, &args).await?;
        rows.iter().map(decode::discovered_stream::<DB>).collect()
    }

    async fn participants(
        &self,
        account: AccountId,
    ) -> Result<Vec<Participant<'static>>, StoreError> {
        const WHAT: &str = "participants";
        let mut connection = self.acquire_reader(WHAT).await?;
        let args = [account.0.into()];
        let statement = sql::CONVERSATIONS_OF_ACCOUNT;
        let mut participants = Vec::new();
        for row in fetch_all::<DB>(&mut connection, WHAT, statement, &args).await? {
            let conversation = decode::conversation::<DB>(&row)?;
            participants.extend(Participant::from_conversation(&conversation));
        }
        for row in fetch_all::<DB>(&mut connection, WHAT, sql::SENDERS_OF_ACCOUNT, &args).await? {
            participants.push(Participant::User(decode::text::<DB>(&row, "value")?.into()));
        }
        Ok(participants)
    }

    async fn acquire_lease(&self, account: AccountId, holder: &str) -> Result<Lease, StoreError> {
        if !DB::IS_SHARED {
            return Ok(Lease::Kept);
        }
        self.leases.acquire(&self.write, account, holder).await
    }

    async fn release_leases(&self) {
        self.leases.release_all().await;
    }

    async fn save_frontier(
        &self,
        account: AccountId,
        frontier: Frontier,
    ) -> Result<(), StoreError> {
        self.execute(
            "frontier",
            sql::SAVE_FRONTIER,
            &frontier_args(account, frontier),
        )
        .await
    }

    async fn pause(&self, account: AccountId, pause: Option<&Pause>) -> Result<(), StoreError> {
        let until = pause.map(|pause| pause.until.0).into();
        let reason = pause.map(|pause| pause.reason.as_str()).into();
        let refused = pause.and_then(|pause| pause.refused_credentials.as_deref());
        let args = [account.0.into(), until, reason, refused.into()];
        self.execute("pause", sql::SET_PAUSE, &args).await
    }

    async fn record_accepted_credentials(
        &self,
        account: AccountId,
        fingerprint: &str,
    ) -> Result<(), StoreError> {
        let args = [account.0.into(), fingerprint.into()];
        self.execute("accepted credentials", sql::SET_ACCEPTED_CREDENTIALS, &args)
            .await
    }

    async fn save_clock_skew(
        &self,
        account: AccountId,
        skew: MachineSkew,
    ) -> Result<(), StoreError> {
        let args = [account.0.into(), skew.0.into()];
        self.execute("clock skew", sql::SET_CLOCK_SKEW, &args).await
    }

    async fn record_error(
        &self,
        subject: ErrorSubject,
        error: Option<&RecordedError>,
    ) -> Result<(), StoreError> {
        let text = error.map(|error| error.error.as_str()).into();
        let hint = error.map(|error| error.hint.as_str()).into();
        match subject {
            ErrorSubject::Account(account) => {
                let args = [account.0.into(), text, hint];
                self.execute("account error", sql::RECORD_ACCOUNT_ERROR, &args)
                    .await
            }
            ErrorSubject::Discovery(account) => {
                let args = [account.0.into(), text, hint];
                self.execute("discovery error", sql::RECORD_DISCOVERY_ERROR, &args)
                    .await
            }
            ErrorSubject::Stream { id, now } => {
                let error_at = error.map(|_| now.0).into();
                let args = [id.0.into(), text, hint, error_at];
                self.execute("stream error", sql::RECORD_STREAM_ERROR, &args)
                    .await
            }
        }
    }

    async fn add_stragglers(&self, account: AccountId, more: u64) -> Result<u64, StoreError> {
        const WHAT: &str = "stragglers";
        let args = [account.0.into(), more.into()];
        let mut connection = self.acquire_writer(WHAT).await?;
        let row = fetch_one::<DB>(&mut connection, WHAT, sql::ADD_STRAGGLERS, &args).await?;
        decode::count::<DB>(&row, "straggler_count")
    }

    async fn set_settle_override(
        &self,
        account: AccountId,
        settle: Duration,
    ) -> Result<(), StoreError> {
        let args = [account.0.into(), settle.as_secs().into()];
        self.execute("settle", sql::SET_SETTLE_OVERRIDE, &args)
            .await
    }

    async fn begin_run(
        &self,
        account: AccountId,
        why: &str,
        now: Millis,
    ) -> Result<RunId, StoreError> {
        const WHAT: &str = "begin run";
        let mut tx = self.begin(WHAT).await?;
        let oldest = now.minus(RUN_RETENTION).0;
        execute::<DB>(&mut tx, WHAT, sql::DELETE_OLD_RUNS, &[oldest.into()]).await?;
        let args = [account.0.into(), why.into(), now.0.into()];
        let row = fetch_one::<DB>(&mut tx, WHAT, sql::BEGIN_RUN, &args).await?;
        tx.commit().await.map_err(StoreError::at(WHAT))?;
        Ok(RunId(decode::int::<DB>(&row, "id")?))
    }

    async fn end_run(&self, run: RunId, totals: &RunTotals, now: Millis) -> Result<(), StoreError> {
        let ending: [Arg<'_>; 2] = [run.0.into(), now.0.into()];
        let args = [ending.as_slice(), &total_args(totals)].concat();
        self.execute("end run", sql::END_RUN, &args).await
    }
}

/// Returns the arguments of [`sql::REGISTER_ACCOUNT`].
pub(super) fn register_args<'a>(account: &NewAccount<'a>) -> [Arg<'a>; 6] {
    let identity = account.identity;
    let node = identity.and_then(|identity| identity.node.as_deref());
    let former_node = identity.and_then(|identity| identity.former_node.as_deref());
    let settle_ms = account.settle.map(|settle| settle.as_millis());
    [
        account.name.into(),
        account.provider.into(),
        identity.map(|identity| identity.owner.as_str()).into(),
        node.into(),
        former_node.into(),
        settle_ms
            .map(|ms| i64::try_from(ms).unwrap_or(i64::MAX))
            .into(),
    ]
}

/// Errors if a row of the table `account` is another account's.
fn require_identity<DB: Dialect>(
    account: &NewAccount<'_>,
    row: &DB::Row,
) -> Result<(), StoreError> {
    let provider = decode::text::<DB>(row, "provider")?;
    let difference = if provider == account.provider {
        let archived = decode::identity::<DB>(row)?;
        let both = account.identity.zip(archived.as_ref());
        both.and_then(|(configured, archived)| configured.difference(archived))
    } else {
        Some(IdentityDifference {
            part: IdentityPart::Provider,
            archived: provider,
            configured: account.provider.to_owned(),
        })
    };
    match difference {
        None => Ok(()),
        Some(difference) => Err(StoreError::OtherIdentity {
            account: account.name.to_owned(),
            difference,
        }),
    }
}

/// Inserts or updates streams, makes them active, and returns their ids and the starts of their
/// wanted history, in the order given. One statement writes all of them: there may be ten thousand.
async fn upsert_streams<DB: Dialect>(
    tx: &mut DB::Connection,
    account: i64,
    streams: &[Arc<Stream>],
    wanted: WantedHistory,
) -> Result<Vec<(StreamId, Second)>, StoreError> {
    const WHAT: &str = "streams";
    let list: serde_json::Value = streams.iter().map(|stream| stream_json(stream)).collect();
    let list = list.to_string();
    let reach_s = wanted.reach.map(|reach| reach.as_secs());
    let args = [
        account.into(),
        wanted.now.0.into(),
        wanted.since.map(|since| since.0).into(),
        (&list).into(),
        reach_s.map(|s| i64::try_from(s).unwrap_or(i64::MAX)).into(),
    ];
    let mut known = HashMap::new();
    for row in fetch_all::<DB>(tx, WHAT, DB::UPSERT_STREAMS, &args).await? {
        let id = StreamId(decode::int::<DB>(&row, "id")?);
        let wanted_from = decode::second::<DB>(&row, "wanted_from_s")?;
        known.insert(decode::text::<DB>(&row, "key")?, (id, wanted_from));
    }
    let missing = || {
        let fault = "a stream that was just written is missing".to_owned();
        StoreError::Inconsistent { what: WHAT, fault }
    };
    let found = streams.iter().map(|stream| known.get(&stream.key).copied());
    found.map(|stream| stream.ok_or_else(missing)).collect()
}

/// Returns the columns of a stream, as [`Dialect::UPSERT_STREAMS`] expects them.
fn stream_json(stream: &Stream) -> serde_json::Value {
    json!({
        "key": stream.key,
        "discovered": i64::from(stream.discovered),
        "sender": stream.scope.sender,
        "recipient": stream.scope.recipient,
        "conversation": stream.scope.conversation,
    })
}

/// Returns the arguments of [`sql::SAVE_FRONTIER`].
pub(super) fn frontier_args(account: AccountId, frontier: Frontier) -> [Arg<'static>; 5] {
    let retention = frontier.retention.map(|retention| retention.as_secs());
    let retention_s = retention.map(|seconds| i64::try_from(seconds).unwrap_or(i64::MAX));
    [
        account.0.into(),
        frontier.horizon.map(|horizon| horizon.0).into(),
        frontier.settled_to.0.into(),
        frontier.wanted_to.0.into(),
        retention_s.into(),
    ]
}

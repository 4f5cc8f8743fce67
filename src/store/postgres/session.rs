//! Sessions of a Postgres server: how they are opened, counted and set up.
//!
//! A pooler such as `PgBouncer` admits only a few startup parameters. So settings are sent as
//! statements once a session is open, and only after it is certain that the session is not shared:
//! in another client's hands they would do harm.

use futures_util::future::join_all;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection, Executor as _, Row as _};
use tokio::time::{Instant, sleep, timeout};

use super::schemas::Schemas;
use crate::store::driver::DriverResult;
use crate::store::error::{StoreError, is_connection_limit};
use crate::store::limits::postgres::{
    ACQUIRE_TIMEOUT, CONNECTIONS_LEFT, LIMIT_PATIENCE, LIMIT_RETRY, MAX_CONNECTIONS, PROBE_TIMEOUT,
};

/// No query runs so long that compiling it would pay.
const NO_JIT: (&str, &str) = ("jit", "off");
const READ_ONLY: (&str, &str) = ("default_transaction_read_only", "on");

/// The settings of every session of an archive.
#[derive(Clone, Debug, Default)]
pub(in crate::store) struct SessionSettings {
    names: Vec<&'static str>,
    values: Vec<String>,
}

impl SessionSettings {
    /// Returns the settings for sessions that use the schemas.
    pub(super) fn new(schemas: &Schemas) -> Self {
        let [path, readers] = schemas.settings();
        let (jit, off) = NO_JIT;
        Self::default()
            .with(path.0, path.1)
            .with(readers.0, readers.1)
            .with(jit, off.to_owned())
    }

    /// Returns the settings for a session that only reads what its role sees.
    pub(in crate::store) fn for_reader() -> Self {
        let (jit, off) = NO_JIT;
        Self::default().with(jit, off.to_owned()).read_only()
    }

    /// Makes the server reject every change.
    pub(super) fn read_only(self) -> Self {
        let (name, on) = READ_ONLY;
        self.with(name, on.to_owned())
    }

    fn with(mut self, name: &'static str, value: String) -> Self {
        self.names.push(name);
        self.values.push(value);
        self
    }

    /// Applies the settings to a session.
    pub(in crate::store) async fn apply(&self, connection: &mut PgConnection) -> DriverResult<()> {
        let set = "SELECT set_config(name, value, FALSE)
                   FROM unnest($1::TEXT[], $2::TEXT[]) AS setting (name, value)";
        let set = sqlx::query(set).bind(&self.names).bind(&self.values);
        set.persistent(false).execute(connection).await.map(drop)
    }

    /// Returns the options of a pool whose sessions have these settings.
    pub(super) fn pool_of(&self, connections: u32) -> PgPoolOptions {
        let settings = self.clone();
        PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .after_connect(move |connection, _| {
                let settings = settings.clone();
                Box::pin(async move { settings.apply(connection).await })
            })
    }
}

/// Returns the options with the startup parameters that every server and pooler accepts. The driver
/// itself adds those for UTC, UTF8 and the form of dates.
pub(in crate::store) fn with_startup_parameters(options: PgConnectOptions) -> PgConnectOptions {
    options
        .application_name("backscroll")
        .extra_float_digits(None)
}

/// Opens one connection. It reports why it failed. A pool would only report a timeout.
///
/// A server counts the connections of a process that has just ended for a moment longer.
pub(in crate::store) async fn connect_once(
    options: &PgConnectOptions,
) -> DriverResult<PgConnection> {
    let begun = Instant::now();
    loop {
        match PgConnection::connect_with(options).await {
            Err(error) if is_connection_limit(&error) && begun.elapsed() < LIMIT_PATIENCE => {
                sleep(LIMIT_RETRY).await;
            }
            outcome => return outcome,
        }
    }
}

/// A session, and the server process that had it when it was first asked.
struct ProbedSession {
    connection: PgConnection,
    process_id: i32,
}

impl ProbedSession {
    async fn open(options: &PgConnectOptions) -> DriverResult<Self> {
        let mut connection = PgConnection::connect_with(options).await?;
        let process_id = server_process(&mut connection).await?;
        Ok(Self {
            connection,
            process_id,
        })
    }
}

/// Returns the number of connections that the pool may open. The server, a limit of the role or a
/// pooler may grant fewer than [`MAX_CONNECTIONS`]: they are counted once, since a pool that asks
/// for more waits without a word.
///
/// One of those granted is left for the session that holds the leases, and one for a command
/// beside the service.
///
/// # Errors
///
/// [`StoreError::SharedSessions`] if a pooler gives the connections another session for each
/// transaction. No session was changed then.
pub(super) async fn pool_size(
    options: &PgConnectOptions,
    first: &mut PgConnection,
    location: &str,
) -> Result<u32, StoreError> {
    let wanted = MAX_CONNECTIONS + CONNECTIONS_LEFT;
    let count = count_sessions(options, first, wanted, location).await?;
    if count < wanted {
        tracing::info!(
            granted = count,
            wanted,
            "the server grants fewer connections than wanted"
        );
    }
    Ok(count.saturating_sub(CONNECTIONS_LEFT).max(1))
}

/// Returns [`StoreError::SharedSessions`] if a pooler gives a connection another session for each
/// transaction. No session was changed then.
pub(in crate::store) async fn require_own_session(
    options: &PgConnectOptions,
    first: &mut PgConnection,
    location: &str,
) -> Result<(), StoreError> {
    count_sessions(options, first, 2, location).await.map(drop)
}

/// Returns the number of connections that are granted, up to `wanted`.
async fn count_sessions(
    options: &PgConnectOptions,
    first: &mut PgConnection,
    wanted: u32,
    location: &str,
) -> Result<u32, StoreError> {
    let at = |source| StoreError::Open {
        location: location.to_owned(),
        source,
    };
    let first_process = server_process(first).await.map_err(at)?;
    // A pooler may keep some of them waiting: that is no slow statement to be logged.
    let options = options.clone().disable_statement_logging();
    let probes = (1..wanted).map(|_| timeout(PROBE_TIMEOUT, ProbedSession::open(&options)));
    let probes = join_all(probes).await.into_iter().flatten();
    let mut probes: Vec<ProbedSession> = probes.flatten().collect();
    let count = u32::try_from(probes.len() + 1).unwrap_or(wanted);
    if is_any_shared(first, first_process, &mut probes)
        .await
        .map_err(at)?
    {
        return Err(StoreError::SharedSessions {
            location: location.to_owned(),
        });
    }
    for probe in probes {
        probe.connection.close().await.map_err(at)?;
    }
    Ok(count)
}

/// True if two connections had the same server process, or one of them had two.
///
/// A pooler hands out the session that was used last, or all of its sessions in turn. The first
/// shows at the first round of questions, the second if some are asked again in reverse order.
async fn is_any_shared(
    first: &mut PgConnection,
    first_process: i32,
    probes: &mut [ProbedSession],
) -> DriverResult<bool> {
    let mut processes: Vec<i32> = probes.iter().map(|probe| probe.process_id).collect();
    processes.push(first_process);
    processes.sort_unstable();
    if processes.windows(2).any(|pair| pair[0] == pair[1]) {
        return Ok(true);
    }
    if let Some(last) = probes.last_mut()
        && server_process(&mut last.connection).await? != last.process_id
    {
        return Ok(true);
    }
    Ok(server_process(first).await? != first_process)
}

/// Returns the number of the server process that answers. The question is not prepared: a prepared
/// statement belongs to a session as well.
async fn server_process(connection: &mut PgConnection) -> DriverResult<i32> {
    let row = connection.fetch_one("SELECT pg_backend_pid()").await?;
    row.try_get(0)
}

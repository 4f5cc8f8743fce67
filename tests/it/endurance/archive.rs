//! The archive of the day, and its outages.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use backscroll::domain::time::Millis;
use backscroll::sandbox::{ArchiveEntry, ENTRIES_IN_POSTGRES, ENTRIES_IN_SQLITE};
use backscroll::store::{Archive, IfMissing, PostgresStore, SqliteStore};
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::support::env::open_reader;
use crate::support::postgres_server::PostgresServer;

pub(super) struct EnduranceArchive {
    kind: DatabaseKind,
    is_down: AtomicBool,
}

enum DatabaseKind {
    File(TempDir),
    /// The server, the URL of the database, and a connection that sees the other sessions.
    Server(PostgresServer, String, Mutex<Option<PgConnection>>),
}

/// Counts the sessions that are not waiting for their client.
const COUNT_ACTIVE_QUERIES: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
    AND backend_type = 'client backend' AND pid <> pg_backend_pid() AND state IS DISTINCT FROM 'idle'";

impl EnduranceArchive {
    pub(super) fn file() -> Self {
        Self::of(DatabaseKind::File(TempDir::new().unwrap()))
    }

    pub(super) fn server() -> Self {
        let cluster = PostgresServer::start();
        let url = cluster.create_database();
        Self::of(DatabaseKind::Server(cluster, url, Mutex::default()))
    }

    fn of(kind: DatabaseKind) -> Self {
        Self {
            kind,
            is_down: AtomicBool::new(false),
        }
    }

    pub(super) fn is_down(&self) -> bool {
        self.is_down.load(Ordering::Relaxed)
    }

    pub(super) async fn open(&self) -> Arc<dyn Archive> {
        match &self.kind {
            DatabaseKind::File(dir) => Arc::new(
                SqliteStore::open_exclusive(&path(dir), IfMissing::Create, "a test")
                    .await
                    .unwrap(),
            ),
            DatabaseKind::Server(_, url, _) => Arc::new(
                PostgresStore::connect(url.parse().unwrap(), IfMissing::Create)
                    .await
                    .unwrap(),
            ),
        }
    }

    /// Waits until no session is active.
    pub(super) async fn wait_until_idle(&self, store: &dyn Archive) {
        match &self.kind {
            // Active and waiting sessions go first.
            DatabaseKind::File(_) => drop(tokio::join!(
                store.save_alarms(&[], Millis(0)),
                store.ping()
            )),
            DatabaseKind::Server(_, _, seen_by) if !self.is_down() => {
                let mut seen_by = seen_by.lock().await;
                while count_active_queries(&mut seen_by, self).await != 0 {}
            }
            DatabaseKind::Server(..) => {}
        }
    }

    /// Fills the disk, or stops the server.
    pub(super) fn start_outage(&self) {
        self.is_down.store(true, Ordering::Relaxed);
        match &self.kind {
            DatabaseKind::File(_) => limit_files("4096"),
            DatabaseKind::Server(cluster, ..) => cluster.stop(),
        }
    }

    pub(super) fn end_outage(&self) {
        match &self.kind {
            DatabaseKind::File(_) => limit_files("unlimited"),
            DatabaseKind::Server(cluster, ..) => cluster.start_process(),
        }
        self.is_down.store(false, Ordering::Relaxed);
    }

    pub(super) async fn entries(&self) -> Vec<ArchiveEntry> {
        match &self.kind {
            DatabaseKind::File(dir) => sqlx::query_as(ENTRIES_IN_SQLITE)
                .fetch_all(&mut open_reader(&path(dir)).await)
                .await
                .unwrap(),
            DatabaseKind::Server(_, url, _) => {
                let mut reader = PgConnection::connect(url).await.unwrap();
                sqlx::query_as(ENTRIES_IN_POSTGRES)
                    .fetch_all(&mut reader)
                    .await
                    .unwrap()
            }
        }
    }
}

/// The number of active sessions of a server. The observing connection is opened again after an
/// outage.
async fn count_active_queries(
    seen_by: &mut Option<PgConnection>,
    archive: &EnduranceArchive,
) -> i64 {
    let DatabaseKind::Server(_, url, _) = &archive.kind else {
        return 0;
    };
    if seen_by.is_none() {
        *seen_by = PgConnection::connect(url).await.ok();
    }
    let Some(connection) = seen_by else { return 1 };
    if let Ok(number) = sqlx::query_scalar(COUNT_ACTIVE_QUERIES)
        .fetch_one(connection)
        .await
    {
        return number;
    }
    *seen_by = None;
    1
}

fn path(dir: &TempDir) -> PathBuf {
    dir.path().join("archive.db")
}

/// Limits the size of the files that this process writes, in bytes.
fn limit_files(size: &str) {
    let process = std::process::id().to_string();
    let limited = Command::new("prlimit")
        .args(["--pid", &process, &format!("--fsize={size}:")])
        .status()
        .unwrap();
    assert!(limited.success());
}

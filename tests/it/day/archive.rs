//! What the day is archived into, and how that breaks down.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use backscroll::domain::time::Millis;
use backscroll::sandbox::{ENTRIES_IN_POSTGRES, ENTRIES_IN_SQLITE, Entry};
use backscroll::store::{Missing, PostgresStore, SqliteStore, Store};
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::bed::reader;
use crate::cluster::Cluster;

pub(super) struct Archive {
    kind: Kind,
    is_down: AtomicBool,
}

enum Kind {
    File(TempDir),
    /// With the URL of the database, and somebody who sees who is at it.
    Server(Cluster, String, Mutex<Option<PgConnection>>),
}

/// Sessions that are not waiting for their client.
const AT_WORK: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
    AND backend_type = 'client backend' AND pid <> pg_backend_pid() AND state IS DISTINCT FROM 'idle'";

impl Archive {
    pub(super) fn file() -> Self {
        Self::of(Kind::File(TempDir::new().unwrap()))
    }

    pub(super) fn server() -> Self {
        let cluster = Cluster::start();
        let url = cluster.database();
        Self::of(Kind::Server(cluster, url, Mutex::default()))
    }

    fn of(kind: Kind) -> Self {
        Self {
            kind,
            is_down: AtomicBool::new(false),
        }
    }

    pub(super) fn is_down(&self) -> bool {
        self.is_down.load(Ordering::Relaxed)
    }

    pub(super) async fn open(&self) -> Arc<dyn Store> {
        match &self.kind {
            Kind::File(dir) => Arc::new(
                SqliteStore::open_to_write(&path(dir), Missing::Create, "a test")
                    .await
                    .unwrap(),
            ),
            Kind::Server(_, url, _) => Arc::new(
                PostgresStore::connect(url.parse().unwrap(), Missing::Create)
                    .await
                    .unwrap(),
            ),
        }
    }

    /// Waits until nobody is at the database.
    pub(super) async fn comes_to_rest(&self, store: &dyn Store) {
        match &self.kind {
            // Whoever is at it, or waits for it, has his turn first.
            Kind::File(_) => drop(tokio::join!(
                store.note_alarms(&[], Millis(0)),
                store.ping()
            )),
            Kind::Server(_, _, seen_by) if !self.is_down() => {
                let mut seen_by = seen_by.lock().await;
                while at_work(&mut seen_by, self).await != 0 {}
            }
            Kind::Server(..) => {}
        }
    }

    /// There is no room for a byte more, or the server is gone.
    pub(super) fn break_down(&self) {
        self.is_down.store(true, Ordering::Relaxed);
        match &self.kind {
            Kind::File(_) => limit_files("4096"),
            Kind::Server(cluster, ..) => cluster.stop(),
        }
    }

    pub(super) fn mend(&self) {
        match &self.kind {
            Kind::File(_) => limit_files("unlimited"),
            Kind::Server(cluster, ..) => cluster.go_on(),
        }
        self.is_down.store(false, Ordering::Relaxed);
    }

    pub(super) async fn entries(&self) -> Vec<Entry> {
        match &self.kind {
            Kind::File(dir) => sqlx::query_as(ENTRIES_IN_SQLITE)
                .fetch_all(&mut reader(&path(dir)).await)
                .await
                .unwrap(),
            Kind::Server(_, url, _) => {
                let mut reader = PgConnection::connect(url).await.unwrap();
                sqlx::query_as(ENTRIES_IN_POSTGRES)
                    .fetch_all(&mut reader)
                    .await
                    .unwrap()
            }
        }
    }
}

/// How many are at work on a server. Whoever is to see it comes anew after every outage.
async fn at_work(seen_by: &mut Option<PgConnection>, archive: &Archive) -> i64 {
    let Kind::Server(_, url, _) = &archive.kind else {
        return 0;
    };
    if seen_by.is_none() {
        *seen_by = PgConnection::connect(url).await.ok();
    }
    let Some(connection) = seen_by else { return 1 };
    if let Ok(number) = sqlx::query_scalar(AT_WORK).fetch_one(connection).await {
        return number;
    }
    *seen_by = None;
    1
}

fn path(dir: &TempDir) -> PathBuf {
    dir.path().join("archive.db")
}

/// The largest file that this process may write, in bytes.
fn limit_files(size: &str) {
    let process = std::process::id().to_string();
    let limited = Command::new("prlimit")
        .args(["--pid", &process, &format!("--fsize={size}:")])
        .status()
        .unwrap();
    assert!(limited.success());
}

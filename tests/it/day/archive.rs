//! What the day is archived into, and how that breaks down.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use backscroll::sandbox::{ENTRIES_IN_POSTGRES, ENTRIES_IN_SQLITE, Entry};
use backscroll::store::{Missing, PostgresStore, SqliteStore, Store};
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use tempfile::TempDir;

use crate::bed::reader;
use crate::cluster::Cluster;

pub(super) enum Archive {
    File(TempDir),
    /// With the URL of the database.
    Server(Cluster, String),
}

impl Archive {
    pub(super) fn file() -> Self {
        Self::File(TempDir::new().unwrap())
    }

    pub(super) fn server() -> Self {
        let cluster = Cluster::start();
        let url = cluster.database();
        Self::Server(cluster, url)
    }

    pub(super) async fn open(&self) -> Arc<dyn Store> {
        match self {
            Self::File(dir) => {
                Arc::new(SqliteStore::open_to_write(&path(dir), Missing::Create, "a test").await.unwrap())
            }
            Self::Server(_, url) => {
                Arc::new(PostgresStore::connect(url.parse().unwrap(), Missing::Create).await.unwrap())
            }
        }
    }

    /// There is no room for a byte more, or the server is gone.
    pub(super) fn break_down(&self) {
        match self {
            Self::File(_) => limit_files("4096"),
            Self::Server(cluster, _) => cluster.stop(),
        }
    }

    pub(super) fn mend(&self) {
        match self {
            Self::File(_) => limit_files("unlimited"),
            Self::Server(cluster, _) => cluster.go_on(),
        }
    }

    pub(super) async fn entries(&self) -> Vec<Entry> {
        match self {
            Self::File(dir) => {
                sqlx::query_as(ENTRIES_IN_SQLITE).fetch_all(&mut reader(&path(dir)).await).await.unwrap()
            }
            Self::Server(_, url) => {
                let mut reader = PgConnection::connect(url).await.unwrap();
                sqlx::query_as(ENTRIES_IN_POSTGRES).fetch_all(&mut reader).await.unwrap()
            }
        }
    }
}

fn path(dir: &TempDir) -> PathBuf {
    dir.path().join("archive.db")
}

/// The largest file that this process may write, in bytes.
fn limit_files(size: &str) {
    let process = std::process::id().to_string();
    let limited = Command::new("prlimit").args(["--pid", &process, &format!("--fsize={size}:")]).status().unwrap();
    assert!(limited.success());
}

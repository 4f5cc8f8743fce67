//! Opens the archive that a configuration or a flag names.

use std::sync::Arc;
use std::time::Duration;

use crate::config::DatabaseUrl;
use crate::domain::clock::Clock;
use crate::store::query::QueryConnection;
use crate::store::{
    Archive, IfMissing, PostgresStore, SqliteStore, StoreError, describe_this_process,
    permission_warning,
};

/// Opens the archive at a URL, for reading and for runs under a lease.
pub(super) async fn open(
    url: &DatabaseUrl,
    missing: IfMissing,
) -> Result<Arc<dyn Archive>, StoreError> {
    Ok(match url {
        DatabaseUrl::Sqlite(path) => Arc::new(SqliteStore::open(path, missing).await?),
        DatabaseUrl::Postgres(server) => {
            Arc::new(PostgresStore::connect(server.options(), missing).await?)
        }
    })
}

/// Errors if the archive at a URL can neither be written nor created. Changes nothing.
pub(super) async fn require_writable(url: &DatabaseUrl) -> Result<(), StoreError> {
    match url {
        DatabaseUrl::Sqlite(path) => SqliteStore::require_writable(path),
        DatabaseUrl::Postgres(server) => PostgresStore::require_writable(server.options()).await,
    }
}

/// Opens the archive at a URL read-only.
pub(super) async fn open_to_read(url: &DatabaseUrl) -> Result<Arc<dyn Archive>, StoreError> {
    Ok(match url {
        DatabaseUrl::Sqlite(path) => Arc::new(SqliteStore::open_read_only(path).await?),
        DatabaseUrl::Postgres(server) => {
            Arc::new(PostgresStore::connect_read_only(server.options()).await?)
        }
    })
}

/// Opens the archive that a person reads. Warns if every user of the machine can.
pub(super) async fn open_for_reader(url: &DatabaseUrl) -> Result<Arc<dyn Archive>, StoreError> {
    let archive = open_to_read(url).await?;
    warn_of_permissions(url);
    Ok(archive)
}

/// Warns of an archive that is open: a file that is none is not Backscroll's to judge.
fn warn_of_permissions(url: &DatabaseUrl) {
    if let DatabaseUrl::Sqlite(path) = url
        && let Some(warning) = permission_warning(path)
    {
        tracing::warn!("{warning}");
    }
}

/// Opens the archive at a URL for the queries of people. A Postgres server stops each of them after
/// `timeout`.
pub(super) async fn open_to_query(
    url: &DatabaseUrl,
    timeout: Duration,
) -> Result<QueryConnection, StoreError> {
    let connection = match url {
        DatabaseUrl::Sqlite(path) => QueryConnection::open_sqlite(path).await?,
        DatabaseUrl::Postgres(server) => {
            QueryConnection::connect_postgres(server.options(), timeout).await?
        }
    };
    warn_of_permissions(url);
    Ok(connection)
}

/// Opens the archive at a URL for writing. Only one process at a time can open an SQLite file so.
pub(super) async fn open_to_write(
    url: &DatabaseUrl,
    missing: IfMissing,
    clock: &dyn Clock,
) -> Result<Arc<dyn Archive>, StoreError> {
    match url {
        DatabaseUrl::Sqlite(path) => Ok(Arc::new(
            SqliteStore::open_exclusive(path, missing, &describe_this_process(clock.now())).await?,
        )),
        DatabaseUrl::Postgres(_) => open(url, missing).await,
    }
}

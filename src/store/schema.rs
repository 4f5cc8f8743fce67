//! The schema of an archive: numbered migrations, and the views that readers use.
//!
//! A migration is applied once; sqlx's table records it. A view is applied again whenever the text
//! of its file changes; the table `view_definition` records it. Both happen when an archive is
//! opened for writing, under one lock. A reader never changes an archive: it refuses one that lacks
//! a migration.
//!
//! To add a migration: a file of the next number in `migrations/sqlite`, one of the same name in
//! `migrations/postgres`, and its name in [`migration_files`]. To add a column to a view: append it to the view's file in both folders
//! and describe it in `docs/SQL.md`. To add a view: a file in both folders, and its name in
//! [`view_files`]. (`archive_search` is a view in Postgres and a virtual table in SQLite.) Then write
//! the dumps in `docs/schema` anew (`tests/it/store/schema_dump.rs`).

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;

use sqlx::migrate::{AppliedMigration, Migrate, MigrateError, Migration, MigrationType};
use sqlx::{Connection as _, SqlStr};

use super::dialect::Dialect;
use super::error::StoreError;

/// The table in which sqlx records migrations.
const MIGRATIONS_TABLE: &str = "_sqlx_migrations";
/// The version of the first migration, which creates all tables.
const BASELINE: i64 = 1;
/// The name of this step in errors.
const WHAT: &str = "migrate";

const APPLIED_VIEWS: &str = "SELECT name, hash, version FROM view_definition";

const RECORD_VIEW: &str = "
    INSERT INTO view_definition (name, hash, version) VALUES ($1, $2, $3)
    ON CONFLICT (name) DO UPDATE SET hash = excluded.hash, version = excluded.version";

/// The migrations and views of one kind of database.
#[derive(Debug)]
pub struct Schema {
    /// In order of their versions. The first is the baseline.
    pub migrations: Cow<'static, [Migration]>,
    /// In order of their dependencies: a view stands behind those that it reads.
    pub views: Cow<'static, [ViewFile]>,
}

/// The definition of a view.
#[derive(Clone, Copy, Debug)]
pub struct ViewFile {
    pub name: &'static str,
    /// Statements that create the view or replace it, and describe it.
    pub sql: &'static str,
}

/// Embeds the files of a database's views: those of all databases, and its own. The order is that of
/// [`Schema::views`].
macro_rules! view_files {
    ($database:literal, $($own:literal)*) => {
        view_files!(
            $database: "archive" "archive_text" "archive_end" "archive_search_end" "times"
            "conversations" "senders" "coverage" "gaps" "completeness" "days" "quarantine" "runs"
            "alarms" $($own)*
        )
    };
    ($database:literal: $($name:literal)+) => {
        &[$(ViewFile {
            name: $name,
            sql: include_str!(concat!("../../migrations/", $database, "/views/", $name, ".sql")),
        }),+]
    };
}

/// Embeds the migrations of a database, in order of their versions. All databases have the same.
macro_rules! migration_files {
    ($database:literal) => {
        migration_files!($database: 1 "0001" "baseline")
    };
    ($database:literal: $($version:literal $number:literal $name:literal)+) => {
        vec![$(Migration::new(
            $version,
            Cow::Borrowed($name),
            MigrationType::Simple,
            SqlStr::from_static(include_str!(concat!(
                "../../migrations/", $database, "/", $number, "_", $name, ".sql"
            ))),
            false,
        )),+]
    };
}

impl Schema {
    /// Returns the schema of this program for SQLite.
    pub fn sqlite() -> Self {
        Self {
            migrations: Cow::Owned(migration_files!("sqlite")),
            views: Cow::Borrowed(view_files!("sqlite",)),
        }
    }

    /// Returns the schema of this program for Postgres.
    pub fn postgres() -> Self {
        Self {
            migrations: Cow::Owned(migration_files!("postgres")),
            views: Cow::Borrowed(view_files!("postgres", "archive_search")),
        }
    }

    /// Returns the version of the latest migration.
    pub fn version(&self) -> i64 {
        self.migrations
            .iter()
            .map(|migration| migration.version)
            .max()
            .unwrap_or(0)
    }

    /// Brings the tables and views of an archive up to date, or creates them in an empty database.
    ///
    /// Each migration is one transaction, and so are all views together: after a crash the next
    /// call continues. On Postgres, processes that do this at the same time wait for each other; on
    /// SQLite the caller holds the lock of the file. An archive that is up to date costs few reads.
    ///
    /// # Errors
    ///
    /// [`StoreError::SchemaTooNew`], [`StoreError::SchemaUnreleased`] or
    /// [`StoreError::UnknownSchema`] if the archive has migrations that this program does not know.
    /// The archive is unchanged then.
    #[expect(private_bounds, reason = "the databases are chosen in this crate")]
    pub async fn upgrade<DB: Dialect>(
        &self,
        connection: &mut DB::Connection,
    ) -> Result<(), StoreError>
    where
        DB::Connection: Migrate,
    {
        connection.lock().await.map_err(migrate_error)?;
        let upgraded = self.upgrade_locked::<DB>(connection).await;
        let unlocked = connection.unlock().await.map_err(migrate_error);
        upgraded.and(unlocked)
    }

    async fn upgrade_locked<DB: Dialect>(
        &self,
        connection: &mut DB::Connection,
    ) -> Result<(), StoreError>
    where
        DB::Connection: Migrate,
    {
        connection
            .ensure_migrations_table(MIGRATIONS_TABLE)
            .await
            .map_err(migrate_error)?;
        let applied = connection
            .list_applied_migrations(MIGRATIONS_TABLE)
            .await
            .map_err(migrate_error)?;
        self.version_of(&applied)?;
        for migration in self.migrations.iter() {
            if !applied
                .iter()
                .any(|applied| applied.version == migration.version)
            {
                connection
                    .apply(MIGRATIONS_TABLE, migration)
                    .await
                    .map_err(migrate_error)?;
            }
        }
        self.apply_views::<DB>(connection).await
    }

    /// Checks that the archive has all migrations of this program. Changes nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError::SchemaTooOld`] if a migration is missing, and the errors of [`Self::upgrade`].
    pub async fn require_current<C: Migrate>(&self, connection: &mut C) -> Result<(), StoreError> {
        let applied = connection
            .list_applied_migrations(MIGRATIONS_TABLE)
            .await
            .map_err(migrate_error)?;
        let (found, known) = (self.version_of(&applied)?, self.version());
        match found.cmp(&known) {
            Ordering::Less => Err(StoreError::SchemaTooOld { found, known }),
            Ordering::Equal | Ordering::Greater => Ok(()),
        }
    }

    /// Returns the version of an archive, which is at most that of this program.
    fn version_of(&self, applied: &[AppliedMigration]) -> Result<i64, StoreError> {
        let migration = |version| {
            self.migrations
                .iter()
                .find(|migration| migration.version == version)
        };
        let changed = applied.iter().find(|applied| {
            migration(applied.version)
                .is_some_and(|migration| migration.checksum != applied.checksum)
        });
        match changed.map(|applied| applied.version) {
            Some(BASELINE) => return Err(StoreError::SchemaUnreleased),
            Some(version) => {
                return Err(StoreError::UnknownSchema(MigrateError::VersionMismatch(
                    version,
                )));
            }
            None => {}
        }
        let (found, known) = (
            applied
                .iter()
                .map(|applied| applied.version)
                .max()
                .unwrap_or(0),
            self.version(),
        );
        if found > known {
            return Err(StoreError::SchemaTooNew { found, known });
        }
        match applied
            .iter()
            .find(|applied| migration(applied.version).is_none())
        {
            Some(unknown) => Err(StoreError::UnknownSchema(MigrateError::VersionMissing(
                unknown.version,
            ))),
            None => Ok(found),
        }
    }

    async fn apply_views<DB: Dialect>(
        &self,
        connection: &mut DB::Connection,
    ) -> Result<(), StoreError> {
        if self.outdated_views::<DB>(connection).await?.is_empty() {
            return Ok(());
        }
        let mut tx = connection
            .begin_with(DB::BEGIN)
            .await
            .map_err(StoreError::at(WHAT))?;
        // SQLite has no lock until here: another process may have applied them meanwhile.
        for view in self.outdated_views::<DB>(&mut tx).await? {
            let take = DB::TAKE_VIEW.map(|take| (take, vec![view.name.into()]));
            let hand_out = DB::HAND_OUT_VIEW.map(|hand_out| (hand_out, vec![view.name.into()]));
            let define = view.statements().map(|statement| (statement, vec![]));
            for (statement, args) in take.into_iter().chain(define).chain(hand_out) {
                DB::execute(&mut tx, statement, &args)
                    .await
                    .map_err(StoreError::at(WHAT))?;
            }
            let hash = view.hash();
            let record = [
                view.name.into(),
                hash.as_slice().into(),
                env!("CARGO_PKG_VERSION").into(),
            ];
            DB::execute(&mut tx, RECORD_VIEW, &record)
                .await
                .map_err(StoreError::at(WHAT))?;
        }
        tx.commit().await.map_err(StoreError::at(WHAT))
    }

    /// Returns the views that the archive lacks, or has with another text.
    async fn outdated_views<DB: Dialect>(
        &self,
        connection: &mut DB::Connection,
    ) -> Result<Vec<ViewFile>, StoreError> {
        let rows = DB::fetch(connection, APPLIED_VIEWS, &[])
            .await
            .map_err(StoreError::at(WHAT))?;
        let mut applied = HashMap::new();
        for row in &rows {
            let view = applied_view::<DB>(row).map_err(StoreError::at(WHAT))?;
            applied.insert(view.name.clone(), view);
        }
        let is_outdated = |view: &&ViewFile| {
            applied
                .get(view.name)
                .is_none_or(|applied| applied.is_older_than(view))
        };
        Ok(self.views.iter().filter(is_outdated).copied().collect())
    }
}

impl ViewFile {
    /// Returns the statements of the file: each ends with a semicolon at the end of a line.
    fn statements(&self) -> impl Iterator<Item = &'static str> {
        self.sql.split_inclusive(";\n")
    }

    fn hash(&self) -> [u8; 32] {
        *blake3::hash(self.sql.as_bytes()).as_bytes()
    }
}

/// A row of `view_definition`.
struct AppliedView {
    name: String,
    hash: Vec<u8>,
    version: String,
}

impl AppliedView {
    /// True if the text of the view's file differs and no later version of the program applied it.
    ///
    /// Two versions may share one Postgres. The older one must not undo the views of the newer one
    /// when it restarts.
    fn is_older_than(&self, file: &ViewFile) -> bool {
        self.hash != file.hash()
            && version_numbers(&self.version) <= version_numbers(env!("CARGO_PKG_VERSION"))
    }
}

fn applied_view<DB: Dialect>(row: &DB::Row) -> Result<AppliedView, sqlx::Error> {
    Ok(AppliedView {
        name: DB::text(row, "name")?.unwrap_or_default(),
        hash: DB::bytes(row, "hash")?.unwrap_or_default(),
        version: DB::text(row, "version")?.unwrap_or_default(),
    })
}

/// Returns the leading numbers of a version: those of `0.2.0` are 0, 2 and 0.
fn version_numbers(version: &str) -> Vec<u64> {
    version
        .split('.')
        .map_while(|part| part.parse().ok())
        .collect()
}

fn migrate_error(error: MigrateError) -> StoreError {
    match error {
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => {
            StoreError::Database { what: WHAT, source }
        }
        other => StoreError::UnknownSchema(other),
    }
}

#[cfg(test)]
mod tests;

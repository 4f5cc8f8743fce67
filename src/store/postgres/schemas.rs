//! The two schemas of an archive: the views lie where its readers look, and everything else out of
//! their sight.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _, Row as _};

use crate::store::driver::DriverResult;

/// The setting of a session that names the schema of the views. Statements refer to it.
const READERS_SETTING: &str = "backscroll.readers";

/// The names of the schemas.
#[derive(Debug)]
pub(super) struct Schemas {
    /// The first schema of the search path that the URL, the role or the database gives; another one
    /// than `backscroll`, if there is one.
    readers: String,
    tables: String,
}

impl Schemas {
    /// Finds the schemas of the archive that the connection leads to. A role named `backscroll` has
    /// the schema of the tables in its search path (`"$user"`) as soon as that exists; it must not
    /// become the readers' then.
    pub(super) async fn find(connection: &mut PgConnection) -> DriverResult<Self> {
        let first = "SELECT name::TEXT
             FROM unnest(current_schemas(false)) WITH ORDINALITY AS path (name, place)
             ORDER BY name = 'backscroll', place LIMIT 1";
        let readers = match connection.fetch_optional(first).await? {
            Some(row) => row.try_get(0)?,
            None => "public".to_owned(),
        };
        let tables = match readers.as_str() {
            "public" => "backscroll".to_owned(),
            name => format!("{name}_tables"),
        };
        Ok(Self { readers, tables })
    }

    /// True if the archive's tables exist. Errors if the role may not look into their schema.
    pub(super) async fn have_archive(&self, connection: &mut PgConnection) -> DriverResult<bool> {
        let found = "SELECT to_regclass(format('%I.sealed_window', $1::TEXT)) IS NOT NULL";
        let found = sqlx::query_scalar(found).bind(&self.tables);
        found.fetch_one(connection).await
    }

    /// Creates the schema of the tables, unless it exists.
    pub(super) async fn create(&self, connection: &mut PgConnection) -> DriverResult<()> {
        let exists = "SELECT to_regnamespace(quote_ident($1)) IS NOT NULL";
        let exists = sqlx::query_scalar(exists).bind(&self.tables);
        if exists.fetch_one(&mut *connection).await? {
            return Ok(());
        }
        let create = format!("CREATE SCHEMA IF NOT EXISTS {}", quoted(&self.tables));
        connection.execute(AssertSqlSafe(create)).await.map(drop)
    }

    /// Returns the settings of a session that uses the schemas. Tables are created in the first
    /// schema of the path.
    pub(super) fn settings(&self) -> [(&'static str, String); 2] {
        let path = format!("{}, {}", quoted(&self.tables), quoted(&self.readers));
        [
            ("search_path", path),
            (READERS_SETTING, self.readers.clone()),
        ]
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

//! Tests of the schema's versions and files.

use std::collections::BTreeMap;
use std::path::Path;

use sqlx::SqlSafeStr as _;

use super::*;

/// A schema of these versions; the text of a migration is its version.
fn schema(versions: &[i64]) -> Schema {
    let migration = |version: &i64| {
        let sql = if *version == BASELINE {
            "first"
        } else {
            "later"
        };
        Migration::new(
            *version,
            "".into(),
            MigrationType::Simple,
            sql.into_sql_str(),
            false,
        )
    };
    Schema {
        migrations: versions.iter().map(migration).collect(),
        views: Cow::Borrowed(&[]),
    }
}

fn applied(versions: &[i64]) -> Vec<AppliedMigration> {
    let record = |migration: &Migration| AppliedMigration {
        version: migration.version,
        checksum: migration.checksum.clone(),
    };
    schema(versions).migrations.iter().map(record).collect()
}

#[test]
fn recorded_migrations_are_compared_with_those_of_this_program() {
    let known = schema(&[1, 2, 4]);
    for (recorded, version) in [(&[][..], 0), (&[1], 1), (&[1, 2], 2), (&[1, 2, 4], 4)] {
        assert_eq!(known.version_of(&applied(recorded)).unwrap(), version);
    }
    let too_new = known.version_of(&applied(&[1, 2, 4, 7]));
    assert!(
        matches!(
            too_new,
            Err(StoreError::SchemaTooNew { found: 7, known: 4 })
        ),
        "{too_new:?}"
    );
    let unknown = known.version_of(&applied(&[1, 2, 3, 4]));
    assert!(
        matches!(unknown, Err(StoreError::UnknownSchema(_))),
        "{unknown:?}"
    );
    for (version, is_baseline) in [(1, true), (2, false)] {
        let mut changed = applied(&[1, 2, 3, 9]);
        changed[version - 1].checksum = Cow::Borrowed(b"another text");
        let refused = known.version_of(&changed).unwrap_err();
        assert_eq!(
            matches!(refused, StoreError::SchemaUnreleased),
            is_baseline,
            "{refused:?}"
        );
        assert_eq!(
            matches!(refused, StoreError::UnknownSchema(_)),
            !is_baseline,
            "{refused:?}"
        );
    }
}

/// The `.sql` files of a folder in `migrations`, with their texts.
fn sql_files(folder: &str) -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("migrations")
        .join(folder);
    let files = std::fs::read_dir(folder).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .collect()
}

#[test]
fn every_migration_and_every_view_is_embedded() {
    for (database, schema) in [
        ("sqlite", Schema::sqlite()),
        ("postgres", Schema::postgres()),
    ] {
        let migrations = schema.migrations.iter().map(|migration| {
            let name = format!("{:04}_{}", migration.version, migration.description);
            (name, migration.sql.as_str().to_owned())
        });
        let embedded: BTreeMap<String, String> = migrations.collect();
        assert_eq!(embedded, sql_files(database), "{database}");
        let versions: Vec<i64> = schema.migrations.iter().map(|m| m.version).collect();
        assert!(versions.is_sorted(), "{database}: {versions:?}");

        let views = schema.views.iter();
        let embedded: BTreeMap<String, String> = views
            .map(|view| (view.name.to_owned(), view.sql.to_owned()))
            .collect();
        assert_eq!(
            embedded,
            sql_files(&format!("{database}/views")),
            "{database}"
        );
    }
}

#[test]
fn versions_are_compared_by_number() {
    assert!(version_numbers("0.10.0") > version_numbers("0.9.1"));
    assert!(version_numbers("0.2.0-rc.1") < version_numbers("0.2.0"));
}

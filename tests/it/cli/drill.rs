//! Short drills on both databases.

use crate::support::env::{CommandOutput, run_command_in};
use crate::support::postgres_server;

const SHORT: [&str; 7] = [
    "drill",
    "--kills",
    "4",
    "--messages",
    "1500",
    "--faults",
    "4%",
];

#[track_caller]
fn assert_drill_ends_equal(args: &[&str]) -> CommandOutput {
    let dir = tempfile::TempDir::new().expect("a folder");
    let output = run_command_in(dir.path(), &[&SHORT[..], args].concat())
        .assert_ok()
        .assert_prints("EQUAL: nothing lost, nothing duplicated.");
    let figure = |what: &str| -> u64 {
        let line = output
            .stdout
            .lines()
            .find(|line| line.starts_with(what))
            .unwrap_or_else(|| panic!("{what}: {output:#?}"));
        line.trim_end()
            .rsplit_once("  ")
            .expect("a figure")
            .1
            .replace(',', "")
            .trim()
            .parse()
            .expect("a number")
    };
    assert_eq!(figure("kills"), 4);
    assert!(figure("faults, all kinds") > 0);
    assert!(figure("rows in the archive") >= 1900);
    for none in [
        "rows missing",
        "rows duplicated",
        "rows unexpected",
        "rules of the providers broken",
    ] {
        assert_eq!(figure(none), 0, "{none}");
    }
    output
}

#[test]
fn short_drill_on_sqlite_ends_equal() {
    assert_drill_ends_equal(&[]);
}

#[test]
fn short_drill_on_postgres_ends_equal_and_drops_its_schema() {
    let (url, name) = postgres_server::create_named_database();
    assert_drill_ends_equal(&["--database", &url, "--seed", "2"]);
    let left = postgres_server::shared_server().psql(
        &name,
        "SELECT count(*) FROM information_schema.schemata WHERE schema_name LIKE 'backscroll%'",
    );
    assert_eq!(left, "0");
}

#[test]
fn drill_refuses_a_database_with_an_archive() {
    let env = crate::support::env::TestEnv::without_messages(&[]);
    env.sync().assert_ok();
    let output = env.run(&["drill", "--database", "sqlite://archive.db"]);
    assert_eq!(output.code, Some(2), "{output:?}");
    let url = postgres_server::create_database();
    let env = env.with_database(&url);
    env.sync().assert_ok();
    let output = env
        .run(&["drill", "--database", &url])
        .assert_prints("holds an archive");
    assert_eq!(output.code, Some(2), "{output:?}");
}

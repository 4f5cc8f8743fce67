//! The readers' commands read an archive that a flag names, without a configuration.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::query_env::QueryEnv;
use crate::support::env::{CommandOutput, command_in, output_of, run_command_in};
use crate::support::postgres_server;

on_every_database!(
    each_reading_command_needs_no_configuration,
    named_archive_cannot_be_changed
);

/// The readers' commands.
const COMMANDS: [&[&str]; 5] = [
    &["status"],
    &["verify"],
    &["search", "hello"],
    &["sql", "SELECT count(*) AS messages FROM archive"],
    &["export", "--format", "jsonl", "--out", "-"],
];

/// Runs a command in a folder without a configuration.
fn run_in(folder: &Path, args: &[&str], archive: &str) -> CommandOutput {
    let args = [args, &["--database", archive]].concat();
    let mut command = command_in(folder, &args);
    // Nor is there one in the folder of the user.
    output_of(command.env("HOME", folder).env_remove("XDG_CONFIG_HOME"))
}

fn each_reading_command_needs_no_configuration(of: &QueryEnv) {
    let folder = TempDir::new().unwrap();
    for command in COMMANDS {
        let read = run_in(folder.path(), command, &of.archive);
        assert!(matches!(read.code, Some(0 | 1)), "{command:?}: {read:?}");
        assert!(!read.stdout.is_empty(), "{command:?}: {read:?}");
    }
    let counted = run_in(folder.path(), COMMANDS[3], &of.archive).assert_ok();
    assert!(counted.stdout.contains('3'), "{counted:?}");
    let named = &[("BACKSCROLL_DATABASE", &of.archive)];
    let mut by_variable = command_in(folder.path(), COMMANDS[3]);
    output_of(by_variable.envs(named.iter().copied())).assert_ok();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

fn named_archive_cannot_be_changed(of: &QueryEnv) {
    let folder = TempDir::new().unwrap();
    let before = fs::read(of.env.archive_path()).ok();
    let delete = ["sql", "DELETE FROM archive"];
    let refused = run_in(folder.path(), &delete, &of.archive);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    for command in COMMANDS {
        run_in(folder.path(), command, &of.archive);
    }
    let after = fs::read(of.env.archive_path()).ok();
    assert!(before == after, "the file has changed");
    let counted = run_in(folder.path(), COMMANDS[3], &of.archive).assert_ok();
    assert!(counted.stdout.contains('3'), "{counted:?}");
    for flag in ["--remote", "--repair"] {
        let refused = run_in(folder.path(), &["verify", flag], &of.archive);
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(!refused.stderr.contains(&of.archive), "{refused:?}");
    }
}

#[test]
fn a_missing_archive_is_named_and_not_created() {
    let folder = TempDir::new().unwrap();
    let empty = postgres_server::create_database();
    for command in COMMANDS {
        for archive in ["gone.db", "sqlite://gone.db", &empty] {
            let refused = run_in(folder.path(), command, archive);
            assert_eq!(refused.code, Some(1), "{command:?}: {refused:?}");
            refused
                .assert_prints("there is no archive in ")
                .assert_prints("or --database");
        }
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn url_without_a_database_says_which_one_is_taken() {
    let folder = TempDir::new().unwrap();
    let (url, name) = postgres_server::create_named_database();
    let nameless = url.replace(&format!("/{name}"), "/");
    let refused = run_in(folder.path(), &["status"], &nameless);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    refused.assert_prints("the URL names no database, so it is that of the user");
}

#[test]
fn names_that_cannot_be_an_archive_are_refused_without_their_secrets() {
    let folder = TempDir::new().unwrap();
    for (archive, sentence) in [
        ("mysql://reader:hunter2@db.example/archive", "password"),
        (
            "postgres://reader:hunter2@127.0.0.1:1/archive",
            "contains a password",
        ),
        ("mysql://db.example/archive", "not a supported database"),
        ("sqlite://archive.db?mode=ro", "contains parameters"),
        ("", "names no file"),
    ] {
        let refused = run_in(folder.path(), &["status"], archive);
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(!refused.stderr.contains("hunter2"), "{refused:?}");
        refused.assert_prints(sentence);
    }
    let mut by_variable = command_in(folder.path(), &["status"]);
    let url = "postgres://reader:hunter2@127.0.0.1:1/archive";
    let refused = output_of(by_variable.env("BACKSCROLL_DATABASE", url));
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let said = format!("{}{}", refused.stdout, refused.stderr);
    assert!(
        said.contains("127.0.0.1") && !said.contains("hunter2"),
        "{said}"
    );
    let help = run_command_in(folder.path(), &["status", "--help"]).assert_ok();
    assert!(help.stdout.contains("BACKSCROLL_DATABASE"), "{help:?}");
    let mut help = command_in(folder.path(), &["status", "--help"]);
    let help = output_of(help.env("BACKSCROLL_DATABASE", url)).assert_ok();
    assert!(!help.stdout.contains("hunter2"), "{help:?}");
}

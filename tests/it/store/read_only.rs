//! Commands that only read need no right to write, and create no files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::env::{BACKSCROLL, CommandOutput, TestEnv};
use crate::support::postgres_server::as_unprivileged_user;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// The files in a folder, with their sizes.
fn files_in(folder: &Path) -> Vec<(String, u64)> {
    let files = fs::read_dir(folder).unwrap();
    let files = files.map(|file| {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        (name, file.metadata().unwrap().len())
    });
    let mut files: Vec<_> = files.collect();
    files.sort();
    files
}

/// Runs a command as a user that may read the folder and write nothing in it.
fn run_as_reader(env: &TestEnv, args: &[&str]) -> CommandOutput {
    let config = env.path("config.toml");
    let mut command = as_unprivileged_user(&env.path("backscroll"));
    command.args(args).arg("--config").arg(config);
    let output = command.output().unwrap();
    CommandOutput {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn archive_in_a_read_only_folder_is_read_and_nothing_is_created() {
    let env = TestEnv::new(&["--messages", "60", "--topic-messages", "40"]);
    env.assert_sync_archives_truth();
    let expected = env.run(&["status", "--json"]).assert_ok();
    // Another user cannot run the program where it was built.
    fs::copy(BACKSCROLL, env.path("backscroll")).unwrap();
    set_mode(&env.path("config.toml"), 0o644);
    set_mode(&env.archive_path(), 0o444);
    set_mode(env.dir.path(), 0o555);
    let target = tempfile::TempDir::new().unwrap();
    set_mode(target.path(), 0o777);
    let before = files_in(env.dir.path());
    let status = run_as_reader(&env, &["status", "--json"]).assert_ok();
    assert_eq!(
        status.stdout.lines().count(),
        expected.stdout.lines().count()
    );
    run_as_reader(&env, &["verify"]).assert_ok();
    let url = format!("sqlite://{}", target.path().join("copy.db").display());
    run_as_reader(&env, &["copy", "--to", &url])
        .assert_ok()
        .assert_prints("100 messages");
    for command in [&["sync"][..], &["verify", "--repair"]] {
        run_as_reader(&env, command)
            .assert_incomplete()
            .assert_prints("this user may not write");
    }
    assert_eq!(files_in(env.dir.path()), before);
    set_mode(env.dir.path(), 0o755);
}

/// A reader leaves the archive as it is: it neither upgrades it nor leaves files of its own.
#[test]
fn reading_commands_change_no_byte_of_an_archive() {
    let env = TestEnv::new(&["--messages", "60", "--topic-messages", "40"]);
    env.sync().assert_ok();
    let state = || {
        (
            fs::read(env.archive_path()).unwrap(),
            files_in(env.dir.path()),
        )
    };
    let before = state();
    for command in ["status", "verify", "plan", "check"] {
        env.run(&[command]).assert_ok();
        assert!(
            state() == before,
            "{command}: {:?}",
            files_in(env.dir.path())
        );
    }
}

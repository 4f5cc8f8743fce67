//! Commands that only read need no right to write, and create no files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::env::{BACKSCROLL, CommandOutput, TestEnv, wait_until};
use crate::support::pooler::{PoolMode, Pooler};
use crate::support::postgres_server::{self, as_unprivileged_user};

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
    command_output(reader_command(env, args).output().unwrap())
}

fn reader_command(env: &TestEnv, args: &[&str]) -> Command {
    let config = env.path("config.toml");
    let mut command = as_unprivileged_user(&env.path("backscroll"));
    command.args(args).arg("--config").arg(config);
    command
}

fn command_output(output: Output) -> CommandOutput {
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

/// Not even the owner may write on a read-only mount, nor may root.
#[test]
fn archive_on_a_read_only_mount_is_read_and_nothing_is_created() {
    let env = TestEnv::new(&["--messages", "60", "--topic-messages", "40"]);
    env.assert_sync_archives_truth();
    if let Err(refusal) = try_to_mount() {
        // A container may forbid it. Any other failure is a fault of this test.
        let is_forbidden = ["not permitted", "denied"].map(|word| refusal.contains(word));
        assert!(is_forbidden.contains(&true), "{refusal}");
        eprintln!("not tried, since this system lets no test mount a folder: {refusal}");
        return;
    }
    let expected = env.run(&["status", "--json"]).assert_ok();
    let target = tempfile::TempDir::new().unwrap();
    let before = files_in(env.dir.path());
    let status = run_on_read_only_mount(&env, &["status", "--json"]).assert_ok();
    assert_eq!(
        status.stdout.lines().count(),
        expected.stdout.lines().count()
    );
    run_on_read_only_mount(&env, &["verify"]).assert_ok();
    let url = format!("sqlite://{}", target.path().join("copy.db").display());
    run_on_read_only_mount(&env, &["copy", "--to", &url])
        .assert_ok()
        .assert_prints("100 messages");
    for command in [&["sync"][..], &["verify", "--repair"]] {
        run_on_read_only_mount(&env, command)
            .assert_incomplete()
            .assert_prints("the file system of")
            .assert_prints("is read-only");
    }
    assert_eq!(files_in(env.dir.path()), before);
}

/// Mounts in a namespace of its own, which ends with the command.
const MOUNT_READ_ONLY: &str =
    r#"mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && cd "$0" && exec "$@""#;

fn on_read_only_mount(folder: &Path) -> Command {
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--map-root-user", "sh", "-c", MOUNT_READ_ONLY])
        .arg(folder);
    command
}

/// Errors with the system's words if it lets this user mount nothing.
fn try_to_mount() -> Result<(), String> {
    let folder = tempfile::TempDir::new().unwrap();
    let output = on_read_only_mount(folder.path()).arg("true").output();
    let output = output.expect("unshare runs: it is a part of util-linux");
    let refusal = String::from_utf8_lossy(&output.stderr).into_owned();
    output.status.success().then_some(()).ok_or(refusal)
}

fn run_on_read_only_mount(env: &TestEnv, args: &[&str]) -> CommandOutput {
    let mut command = on_read_only_mount(env.dir.path());
    command.arg(BACKSCROLL).args(args);
    command_output(command.output().unwrap())
}

/// A reader that may create no files cannot lock the archive against a writer that comes later.
#[test]
fn archive_that_is_written_while_it_is_read_without_a_lock_is_not_believed() {
    let env = TestEnv::new(&["--messages", "60", "--topic-messages", "40"]);
    env.sync().assert_ok();
    fs::copy(BACKSCROLL, env.path("backscroll")).unwrap();
    set_mode(&env.path("config.toml"), 0o644);
    set_mode(&env.archive_path(), 0o644);
    set_mode(env.dir.path(), 0o555);
    let (_, database) = postgres_server::create_named_database();
    let folder = postgres_server::shared_server().folder();
    let target = env.block_on(Pooler::start_closed(folder, PoolMode::Session));
    let copy = reader_command(&env, &["copy", "--to", &target.url(&database)])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The source is open by now.
    wait_until("a connection to the target", || target.has_client());
    set_mode(env.dir.path(), 0o755);
    env.sync().assert_ok();
    target.open();
    command_output(copy.wait_with_output().unwrap())
        .assert_incomplete()
        .assert_prints("while it was read without a lock")
        .assert_prints("run the command again");
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

//! The output of the commands, compared with snapshots.

use crate::support::config::{AGORA, from, to};
use crate::support::env::TestEnv;
use crate::support::snapshot::{assert_matches_file, redact};

/// An environment with few streams, one of which fails.
fn small_env() -> TestEnv {
    TestEnv::new(&["--messages", "120", "--topic-messages", "80", "--plain"])
        .with_only(AGORA)
        .with_agora_streams(&[to("lobby"), from("alice")])
}

// Without Parquet, the help of `export` does not name it.
#[cfg(feature = "parquet")]
#[test]
fn help_of_every_command_matches_its_snapshot() {
    use crate::support::env::{command_names, run_command_in};

    let dir = tempfile::TempDir::new().unwrap();
    let mut help = run_command_in(dir.path(), &["--help"]).assert_ok().stdout;
    for command in command_names() {
        let text = run_command_in(dir.path(), &[&command, "--help"])
            .assert_ok()
            .stdout;
        help += "\n=== ";
        help += &command;
        help += " ===\n\n";
        help += &text;
    }
    assert_matches_file("help", &help);
}

#[test]
fn plan_matches_its_snapshot() {
    let env = small_env();
    let plan = env.run(&["plan"]).assert_ok().stdout;
    // The room that is left is this machine's.
    let (plan, room) = plan
        .split_once("rate limit.")
        .expect("the basis of the estimate");
    assert!(room.contains("are free."), "{room}");
    assert_matches_file("plan", &redact(plan));
}

#[test]
fn sync_summary_matches_its_snapshot() {
    let env = small_env();
    assert_matches_file("sync", &redact(&env.sync().assert_ok().stdout));
}

#[test]
fn status_matches_its_snapshot() {
    let env = small_env();
    env.run(&["migrate"]).assert_ok();
    let empty = env.run(&["status"]).assert_ok().stdout;
    env.sync().assert_ok();
    let complete = env.run(&["status"]).assert_ok().stdout;
    env.execute_sql(
        "UPDATE stream SET error = 'count: refused with status 400 Bad Request', hint = 'names no user, channel or topic'
         WHERE key = 'source=alice'",
    );
    let failing = env.run(&["status"]).stdout;
    let text = format!("--- empty\n{empty}\n--- complete\n{complete}\n--- failing\n{failing}");
    assert_matches_file("status", &redact(&text));
}

#[test]
fn verify_matches_its_snapshot() {
    let env = small_env().with_agora_streams(&[to("lobby")]);
    env.sync().assert_ok();
    let intact = env.run(&["verify"]).assert_ok().stdout;
    env.execute_sql(
        "UPDATE message SET payload = x'00' WHERE rowid = (SELECT max(rowid) FROM message)",
    );
    let changed = env.run(&["verify"]).assert_incomplete().stdout;
    let repaired = env.run(&["verify", "--repair"]).assert_ok().stdout;
    let text = format!("--- intact\n{intact}\n--- changed\n{changed}\n--- repaired\n{repaired}");
    assert_matches_file("verify", &redact(&text));
}

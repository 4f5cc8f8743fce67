//! Names and error texts of others reach no terminal, log or chat as they are.

use backscroll::sandbox::ScriptedAnswer;
use serde_json::Value;

use crate::support::config::to;
use crate::support::daemon_process::DaemonProcess;
use crate::support::env::{TestEnv, wait_until};

/// Characters that change what a terminal shows: the direction of the text, a C1 control character,
/// an escape sequence.
const UNSAFE: [char; 4] = ['\u{202E}', '\u{9B}', '\u{1B}', '\u{2028}'];

#[track_caller]
fn assert_safe(text: &str) {
    assert!(!text.contains(UNSAFE), "{text:?}");
    assert!(
        !text.lines().any(|line| line.starts_with("FORGED")),
        "{text}"
    );
}

#[test]
fn hostile_names_are_sanitized_in_all_output() {
    let env = TestEnv::new(&["--messages", "60", "--topic-messages", "0"])
        .with_only("agora")
        .with_agora_streams(&[to("lobby"), to("bob")]);
    env.sync().assert_ok();
    let name = "char(10) || 'FORGED' || char(8238) || char(155) || char(27) || '[2J'";
    env.execute_sql(&format!(
        "UPDATE stream SET key = 'destination=' || {name}, recipient = {name},
                error = 'odd ' || {name}, hint = 'none'
         WHERE key = 'destination=lobby';
         UPDATE sealed_window SET messages = messages + 1, digest = zeroblob(32)
         WHERE stream_id = (SELECT id FROM stream WHERE error IS NOT NULL);
         INSERT INTO alarm (account, stream, kind, since_ms, text, hint, notified)
         VALUES ('sandbox', {name}, 'stuck', 0, 'odd ' || {name}, 'none', 2)"
    ));
    let verify = env.run(&["verify"]).assert_incomplete();
    assert!(verify.stdout.contains("should hold"), "{verify:?}");
    assert_safe(&verify.stdout);
    let status = env.run(&["status"]).assert_ok();
    assert!(status.stdout.contains("ALARM"), "{status:?}");
    assert_safe(&status.stdout);
    let json = env.run(&["status", "--json"]).assert_ok().stdout;
    assert_safe(&json);
    let streams: Vec<Value> = serde_json::from_str(&json).unwrap();
    let hostile = "destination=\nFORGED\u{202E}\u{9B}\u{1B}[2J";
    let is_hostile = |stream: &Value| stream["stream"] == hostile;
    assert!(
        streams.iter().any(is_hostile),
        "no value is changed: {json}"
    );
}

#[test]
fn hostile_error_texts_are_sanitized_in_the_log() {
    for format in ["json", "human", "journal"] {
        let env = TestEnv::new(&["--messages", "20", "--topic-messages", "0"]).with_only("agora");
        env.script_answer(ScriptedAnswer {
            status: 400,
            body: r#"{"message":"odd \u202e\u009b\u001b[2J \u2028 \nFORGED"}"#.to_owned(),
            times: u32::MAX,
            ..ScriptedAnswer::default()
        });
        let mut daemon = DaemonProcess::start_with_args(&env, &["run", "--log-format", format]);
        wait_until("the failure", || {
            env.archive_path().exists()
                && env.query_number("SELECT count(*) FROM sqlite_schema WHERE name = 'alarms'") == 1
                && env.query_number("SELECT count(*) FROM account WHERE error IS NOT NULL") == 1
        });
        daemon.signal("-TERM");
        let (_, log) = daemon.wait_for_exit();
        assert!(log.contains("odd "), "{log}");
        assert_safe(&log);
        if format == "json" {
            for line in log.lines() {
                serde_json::from_str::<Value>(line).unwrap();
            }
        }
    }
}

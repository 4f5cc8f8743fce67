//! The log, for people and for programs: known fields, no secrets, and no lines without news.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Command, Stdio};

use backscroll::sandbox::{CUSTOMER_SECRET, Call, CallFilter, Fault, ScriptedAnswer, Web3mqUser};
use backscroll::sync::Purpose;
use serde_json::Value;

use crate::support::config::{AGORA, EVERY_SECOND_SCHEDULE, secret_reference};
use crate::support::daemon_process::{DaemonProcess, archive_is_ready, env_syncing_every_second};
use crate::support::env::{BACKSCROLL, TestEnv, wait_until};

const FEW: [&str; 5] = ["--messages", "120", "--topic-messages", "80", "--plain"];

/// The fields that a line may have besides time, level, target and message.
const FIELDS: [&str; 23] = [
    "version",
    "accounts",
    "streams",
    "schedule",
    "account",
    "why",
    "new",
    "changed",
    "requests",
    "missing_seconds",
    "error",
    "hint",
    "stream",
    "window",
    "messages",
    "doubt",
    "operation",
    "cause",
    "count",
    "skew_s",
    "url",
    "settle_s",
    "tries",
];

fn count_passes(env: &TestEnv) -> i64 {
    if archive_is_ready(env) {
        env.query_number("SELECT count(*) FROM runs WHERE finished_at IS NOT NULL")
    } else {
        0
    }
}

#[test]
fn json_log_lines_have_known_fields() {
    let env = env_syncing_every_second(&FEW);
    env.script_answer(ScriptedAnswer {
        on: CallFilter::Only(Call::Read),
        fault: Some(Fault::Cut),
        times: 2,
        ..ScriptedAnswer::default()
    });
    env.script_answer(ScriptedAnswer {
        on: CallFilter::Only(Call::History),
        status: 500,
        times: 2,
        ..ScriptedAnswer::default()
    });
    let mut daemon =
        DaemonProcess::start_with_args(&env, &["run", "--log", "warn,backscroll=debug"]);
    wait_until("passes", || count_passes(&env) >= 6);
    daemon.signal("-TERM");
    let (_, said) = daemon.wait_for_exit();
    let mut names = BTreeSet::new();
    for line in said.lines() {
        let line: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"));
        let fields = line.as_object().unwrap();
        for always in ["timestamp", "level", "target", "message"] {
            assert!(fields[always].is_string(), "{line}");
        }
        names.extend(fields.keys().cloned());
    }
    for name in ["timestamp", "level", "target", "message"] {
        assert!(names.remove(name));
    }
    assert!(names.len() > 8, "{names:?}");
    let unknown: Vec<_> = names
        .iter()
        .filter(|name| !FIELDS.contains(&name.as_str()))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn journal_lines_have_priorities_and_no_timestamp() {
    let env = env_syncing_every_second(&FEW).with_only("agora");
    env.write_config();
    let path = env.path("journal");
    let journal = File::create(&path).unwrap();
    let metadata = journal.metadata().unwrap();
    let mut command = Command::new(BACKSCROLL);
    command
        .arg("run")
        .current_dir(env.dir.path())
        .env(
            "JOURNAL_STREAM",
            format!("{}:{}", metadata.dev(), metadata.ino()),
        )
        .stdout(Stdio::null())
        .stderr(journal);
    let daemon = DaemonProcess(command.spawn().unwrap());
    let said = || fs::read_to_string(&path).unwrap();
    wait_until("passes", || said().contains("pass finished"));
    let said = said();
    assert!(
        said.lines()
            .any(|line| line.starts_with("<4>every user of this machine can read")),
        "{said}"
    );
    assert!(
        said.lines()
            .any(|line| line.starts_with("<6>running version=")),
        "{said}"
    );
    drop(daemon);

    fs::write(env.path("config.toml"), "[[agora]]\n").unwrap();
    let output = bed_less(&env, &["run", "--log-format", "journal"]);
    assert!(
        output.starts_with("<3>config.toml:1:1: [[agora]] has no `name`"),
        "{output}"
    );
}

/// Runs the command with the existing configuration file and returns its standard error.
fn bed_less(env: &TestEnv, args: &[&str]) -> String {
    let output = Command::new(BACKSCROLL)
        .args(args)
        .current_dir(env.dir.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn passes_without_news_log_nothing() {
    let env = Purpose::NAMES
        .iter()
        .fold(TestEnv::new(&FEW), |env, purpose| {
            env.with_schedule(purpose, EVERY_SECOND_SCHEDULE)
        });
    let mut daemon = DaemonProcess::start(&env);
    let quiet = "SELECT count(*) FROM runs WHERE finished_at IS NOT NULL AND new = 0";
    wait_until("passes without news", || {
        archive_is_ready(&env) && env.query_number(quiet) >= 12
    });
    daemon.signal("-TERM");
    let (_, said) = daemon.wait_for_exit();
    let reasons: Vec<String> = env
        .query_rows::<(String,)>("SELECT DISTINCT why FROM runs ORDER BY why")
        .into_iter()
        .map(|(why,)| why)
        .collect();
    assert_eq!(reasons, ["reconcile", "refresh", "sync"]);
    // The start with its warnings, the results of the first passes, the page, and the end.
    assert!(said.lines().count() <= 12, "{said}");
}

#[test]
fn reload_changes_the_log_levels() {
    let env = env_syncing_every_second(&FEW)
        .with_only("agora")
        .with_setting("log", "levels", "off");
    let mut daemon = DaemonProcess::start(&env);
    wait_until("a pass", || count_passes(&env) >= 1);
    let env = env
        .with_setting("log", "levels", "backscroll::daemon=debug")
        .with_setting("log", "format", "human");
    env.write_config();
    daemon.signal("-HUP");
    let before = count_passes(&env);
    wait_until("passes", || count_passes(&env) >= before + 3);
    daemon.signal("-TERM");
    let (code, said) = daemon.wait_for_exit();
    assert_eq!(code, Some(0));
    assert!(
        said.contains("pass finished, no new messages") && !said.contains('{'),
        "{said}"
    );
    assert!(!said.contains("window committed"), "{said}");
}

#[test]
fn no_log_level_shows_a_secret_or_a_message() {
    let env =
        env_syncing_every_second(&["--messages", "300", "--topic-messages", "200", "--plain"]);
    for on in [
        CallFilter::Only(Call::Query),
        CallFilter::Only(Call::Read),
        CallFilter::Only(Call::Count),
        CallFilter::Only(Call::History),
    ] {
        for status in [400, 500, 302] {
            env.script_answer(ScriptedAnswer {
                on,
                status,
                after: 3,
                ..ScriptedAnswer::default()
            });
        }
        for fault in [Fault::Cut, Fault::Truncated, Fault::Html, Fault::Charset] {
            env.script_answer(ScriptedAnswer {
                on,
                fault: Some(fault),
                after: 4,
                ..ScriptedAnswer::default()
            });
        }
    }
    let log = env.path("log");
    // The log goes to a file: a pipe that is not read would soon be full.
    let command = Command::new(BACKSCROLL)
        .args(["run", "--log", "trace", "--config"])
        .arg(env.write_config())
        .current_dir(env.dir.path())
        .stderr(File::create(&log).unwrap())
        .spawn();
    let daemon = DaemonProcess(command.unwrap());
    wait_until("passes", || {
        count_passes(&env) >= 8 && env.query_number("SELECT count(*) FROM archive") == 500
    });
    let command_line = fs::read(format!("/proc/{}/cmdline", daemon.0.id())).unwrap();
    assert!(command_line.windows(9).any(|word| word == b"--config\0"));
    drop(daemon);
    let said = fs::read_to_string(log).unwrap();
    for target in ["backscroll::", "reqwest::", "hyper_util::", "sqlx::"] {
        assert!(
            said.contains(&format!("\"target\":\"{target}")),
            "{target} logs at the most detailed level"
        );
    }
    let key = env
        .world()
        .with_user(&env.world().user_ids()[0], Web3mqUser::private_key)
        .unwrap();
    let mut hidden = vec![
        CUSTOMER_SECRET.to_owned(),
        key,
        "web3mq_signature=".to_owned(),
    ];
    // Short texts may occur anywhere.
    let bodies = env.query_rows::<(String,)>(
        "SELECT DISTINCT body FROM archive WHERE length(body) BETWEEN 12 AND 200",
    );
    assert!(bodies.len() > 100, "{}", bodies.len());
    hidden.extend(bodies.into_iter().map(|(body,)| body));
    for hidden in hidden {
        let escaped = serde_json::to_string(&hidden).unwrap();
        let escaped = &escaped[1..escaped.len() - 1];
        assert!(
            !said.contains(&hidden) && !said.contains(escaped),
            "logged: {hidden}"
        );
        assert!(
            !command_line
                .windows(hidden.len())
                .any(|window| window == hidden.as_bytes()),
            "shown: {hidden}"
        );
    }
}

#[test]
fn world_readable_secret_is_warned_about() {
    let env = TestEnv::new(&FEW);
    let path = env.write_config();
    let check = |mode: u32| {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        crate::support::env::run_command_in(env.dir.path(), &["check"])
            .assert_ok()
            .stdout
    };
    let shown = check(0o644);
    for (key, owner) in [("customer_secret", "sandbox"), ("private_key", "web3mq-1")] {
        let warning = format!(
            "note: every user of this machine can read config.toml, which contains the {key} of the account `{owner}`: keep \
             it elsewhere ({{ file = \"…\" }}, {{ credential = \"…\" }}), or `chmod 640 config.toml`"
        );
        assert!(shown.contains(&warning), "{shown}");
    }
    assert!(!check(0o640).contains("can read config.toml"));
    let mut hook = env.config().clone();
    hook.set("alerts", "webhook", "https://hooks.example/a/token");
    fs::write(&path, hook.to_string()).unwrap();
    assert!(check(0o604).contains("which contains the webhook of [alerts]: keep it elsewhere"));
    let mut elsewhere = env.config().clone();
    for account in elsewhere.accounts_mut(AGORA) {
        account.insert(
            "customer_secret".to_owned(),
            secret_reference("file", "agora.secret"),
        );
    }
    fs::write(env.path("agora.secret"), CUSTOMER_SECRET).unwrap();
    fs::write(&path, elsewhere.to_string()).unwrap();
    let secret = env.path("agora.secret");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let shown = check(0o644);
    assert!(
        shown.contains("private_key") && !shown.contains("customer_secret"),
        "{shown}"
    );
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    let warning = "can read agora.secret, which contains the customer_secret of the account \
                   `sandbox`: `chmod 600 agora.secret`";
    let shown = check(0o640);
    assert!(shown.contains(warning), "{shown}");
    assert!(!shown.contains("can read config.toml"), "{shown}");
}

#[test]
fn password_on_the_command_line_is_refused() {
    let env = TestEnv::new(&FEW);
    for args in [
        &["copy", "--to", "postgres://me:hunter2@host/archive"][..],
        &["copy", "--to=postgres://h/a?password=hunter2"],
    ] {
        let output = env.run(args);
        assert_eq!(output.code, Some(2), "{output:?}");
        assert!(!output.stderr.contains("hunter2"), "{output:?}");
        output.assert_prints("~/.pgpass");
    }
}

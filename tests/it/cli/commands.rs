//! The commands, as somebody types them.

use std::net::{Ipv4Addr, TcpListener};

use serde_json::Value;

use crate::support::config::{AGORA, secret_reference};
use crate::support::env::{TestEnv, run_command_in};

const FEW: [&str; 5] = ["--messages", "120", "--topic-messages", "80", "--plain"];

#[test]
fn invalid_setting_is_reported_with_file_and_line() {
    let missing = secret_reference("env", "NO_SUCH_VARIABLE");
    let wrong: [(&str, &str, toml::Value, &str); 7] = [
        (AGORA, "retrys", 5.into(), "`retrys`"),
        (AGORA, "discover", 5.into(), "discover"),
        ("schedule", "sync", "every minute".into(), "six fields"),
        (AGORA, "customer_secret", missing, "NO_SUCH_VARIABLE"),
        (AGORA, "base_url", "http://api.agora.io:80".into(), "https"),
        (AGORA, "base_url", "127.0.0.1:80".into(), "base_url"),
        (
            AGORA,
            "requests_per_second",
            "many".into(),
            "requests_per_second",
        ),
    ];
    for (section, key, value, named) in wrong {
        let bed = TestEnv::new(&FEW).with_only("agora");
        let instead = format!("{key} = {value}");
        let bed = match section {
            AGORA => bed.with_account_setting(key, value),
            _ => bed.with_setting(section, key, value),
        };
        let line = bed.config().line_of(&instead);
        for command in ["sync", "run", "status", "check", "migrate"] {
            let ran = bed.run(&[command]);
            assert_eq!(
                (ran.code, ran.stdout.as_str()),
                (Some(2), ""),
                "{instead}: {ran:?}"
            );
            assert!(
                ran.stderr.contains(&format!("config.toml:{line}")),
                "{command} with {instead}: {ran:?}"
            );
            assert!(ran.stderr.contains(named), "{instead}: {ran:?}");
        }
        assert!(
            !bed.archive_path().exists(),
            "nothing is begun with a configuration that is wrong"
        );
    }
}

#[test]
fn missing_configuration_file_is_a_configuration_error() {
    let dir = tempfile::TempDir::new().unwrap();
    let ran = run_command_in(dir.path(), &["sync", "--config", "elsewhere.toml"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    ran.says("elsewhere.toml");
    let ran = run_command_in(dir.path(), &["sink"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
}

#[test]
fn help_lists_every_command() {
    let dir = tempfile::TempDir::new().unwrap();
    let ran = run_command_in(dir.path(), &["--help"]).assert_ok();
    for command in [
        "run", "sync", "plan", "status", "check", "verify", "sandbox", "demo", "migrate",
    ] {
        assert!(
            ran.stdout
                .lines()
                .any(|line| line.trim_start().starts_with(command)),
            "{command} in {ran:?}"
        );
        run_command_in(dir.path(), &[command, "--help"])
            .assert_ok()
            .says("--config <FILE>");
    }
    run_command_in(dir.path(), &["--version"])
        .assert_ok()
        .says(env!("CARGO_PKG_VERSION"));
}

#[test]
fn manual_page_and_completions_list_every_command() {
    let dir = tempfile::TempDir::new().unwrap();
    let page = run_command_in(dir.path(), &["man"]).assert_ok().stdout;
    let completions: Vec<String> = ["bash", "zsh", "fish"]
        .map(|shell| {
            run_command_in(dir.path(), &["completions", shell])
                .assert_ok()
                .stdout
        })
        .into();
    for command in [
        "run",
        "sync",
        "plan",
        "status",
        "check",
        "verify",
        "sandbox",
        "copy",
        "drill",
        "completions",
        "man",
    ] {
        assert!(
            page.contains(&format!("\n.SH \"BACKSCROLL {}\"", command.to_uppercase())),
            "{command} in {page}"
        );
        assert!(
            completions
                .iter()
                .all(|completions| completions.contains(command)),
            "{command}"
        );
    }
    assert!(
        page.starts_with(".ie")
            && page.contains(".TH backscroll 1")
            && page.contains("\\-\\-until"),
        "{page}"
    );
    assert!(!page.contains("BENCH"), "what is hidden stays so");
    assert_eq!(
        page.matches("\n\\fB\\-\\-config\\fR").count(),
        1,
        "what all share stands once: {page}"
    );
    assert_eq!(
        run_command_in(dir.path(), &["completions", "basic"]).code,
        Some(2)
    );
}

#[test]
fn status_shows_every_stream() {
    let bed = TestEnv::new(&FEW);
    bed.run(&["migrate"])
        .assert_ok()
        .says("archive.db is at schema ");
    bed.run(&["status"]).assert_ok().says("has no streams yet");
    bed.sync().assert_ok();
    let table = bed.run(&["status"]).assert_ok();
    assert!(table.stdout.starts_with("ACCOUNT"), "{table:?}");
    let json: Vec<Value> =
        serde_json::from_str(&bed.run(&["status", "--json"]).assert_ok().stdout).unwrap();
    assert_eq!(
        i64::try_from(json.len()).unwrap(),
        bed.number("SELECT count(DISTINCT account || stream) FROM coverage")
    );
    for stream in json {
        assert!(
            table.stdout.contains(stream["stream"].as_str().unwrap()),
            "{stream}"
        );
        let sealed = bed.number(&format!(
            "SELECT messages FROM coverage WHERE account = {} AND stream = {}",
            quoted(&stream["account"]),
            quoted(&stream["stream"])
        ));
        assert_eq!(stream["messages"], sealed);
        assert_eq!(
            (&stream["missing_seconds"], &stream["lost_seconds"]),
            (&0.into(), &0.into()),
            "{stream}"
        );
        assert!(
            (115..=130).contains(&stream["lag_seconds"].as_i64().unwrap()),
            "{stream}"
        );
        assert!(
            stream["error"].is_null() && stream["paused_until"].is_null(),
            "{stream}"
        );
    }
}

fn quoted(text: &Value) -> String {
    format!("'{}'", text.as_str().unwrap().replace('\'', "''"))
}

#[test]
fn status_without_archive_explains_how_to_create_one() {
    let bed = TestEnv::new(&FEW);
    bed.run(&["status"])
        .assert_incomplete()
        .says("`backscroll sync` or `backscroll migrate` makes it");
    assert!(!bed.archive_path().exists());
}

#[test]
fn check_reports_every_account() {
    let bed = TestEnv::new(&FEW);
    let ran = bed.run(&["check"]).assert_ok();
    for line in [
        "configuration: ok",
        "database: ok",
        "account sandbox: ok",
        "account web3mq-1: ok",
    ] {
        assert!(ran.stdout.contains(line), "{ran:?}");
    }
    assert_eq!(bed.assert_no_rule_broken().requests(), 2);
}

#[test]
fn archive_with_newer_schema_is_refused() {
    let bed = TestEnv::new(&FEW);
    bed.sync().assert_ok();
    bed.execute_sql(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (4711, 'from the future', TRUE, x'00', 0)",
    );
    let before = bed.number("SELECT count(*) FROM runs");
    for command in ["sync", "run", "status", "check", "migrate"] {
        bed.run(&[command])
            .assert_incomplete()
            .says("written by a newer Backscroll: it has schema 4711, and this one knows up to ");
    }
    assert_eq!(bed.number("SELECT count(*) FROM runs"), before);
}

#[test]
fn file_that_is_not_a_database_is_refused() {
    let bed = TestEnv::new(&FEW);
    let letter = "Dear diary,\n".repeat(1000);
    std::fs::write(bed.archive_path(), &letter).unwrap();
    bed.sync()
        .assert_incomplete()
        .says("archive.db cannot be opened")
        .says("file is not a database");
    assert_eq!(std::fs::read_to_string(bed.archive_path()).unwrap(), letter);
}

#[test]
fn sync_can_be_limited_to_an_account_and_a_time_range() {
    let bed = TestEnv::new(&FEW);
    bed.run(&["sync", "--account", "web3mq-1"]).assert_ok();
    assert_eq!(
        bed.number("SELECT count(*) FROM archive WHERE account <> 'web3mq-1'"),
        0
    );
    assert!(
        !bed.sandbox.rules().accounts.contains_key("sandbox"),
        "the other account was not asked"
    );
    let ran = bed.run(&["sync", "--account", "nobody"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");

    let now = bed.world().now().second();
    let (since, until) = (now.plus(-3 * 86_400), now.plus(-2 * 86_400));
    let (since_text, until_text) = (since.to_string(), until.to_string());
    bed.run(&[
        "sync",
        "--account",
        "sandbox",
        "--since",
        &since_text,
        "--until",
        &until_text,
    ])
    .assert_ok();
    let truth = bed
        .world()
        .agora_messages("sandbox")
        .iter()
        .filter(|m| (since.start().0..until.start().0).contains(&m.ms))
        .count();
    assert_eq!(
        usize::try_from(bed.number("SELECT count(*) FROM archive WHERE account = 'sandbox'"))
            .unwrap(),
        truth
    );
    bed.assert_sync_archives_truth();
}

#[test]
fn demo_creates_an_archive_and_runs_three_queries() {
    let dir = tempfile::TempDir::new().unwrap();
    let ran = run_command_in(dir.path(), &["demo", "--messages", "1500"]).assert_ok();
    assert!(dir.path().join("demo.db").exists());
    for text in [
        "rules of the providers broken: 0",
        "Which conversations are there?",
        "lately?",
        "Is it all there?",
        "What next?",
    ] {
        assert!(ran.stdout.contains(text), "no `{text}` in {ran:?}");
    }
    let answers: Vec<&str> = ran.stdout.split("\nFROM ").skip(1).collect();
    assert_eq!(ran.stdout.matches("SELECT ").count(), 3);
    // Below each question's SQL there is a header and at least one row.
    let sections: Vec<&str> = ran.stdout.split("SELECT ").skip(1).collect();
    for section in sections {
        let answer = section.split("\n\n").nth(1).unwrap_or_default();
        assert!(
            answer.lines().count() >= 2,
            "no answer in {section} of {answers:?}"
        );
    }
    // Another run replaces it; what is not a demo's is left alone.
    run_command_in(dir.path(), &["demo", "--messages", "900"]).assert_ok();
    std::fs::write(dir.path().join("mine.db"), "mine").unwrap();
    let refused = run_command_in(dir.path(), &["demo", "--out", "mine.db"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert_eq!(std::fs::read(dir.path().join("mine.db")).unwrap(), b"mine");
}

#[test]
fn sandbox_listens_on_loopback_only() {
    let dir = tempfile::TempDir::new().unwrap();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:80"] {
        run_command_in(dir.path(), &["sandbox", "--listen", address])
            .assert_incomplete()
            .says("the sandbox listens on loopback only");
    }
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    run_command_in(dir.path(), &["sandbox", "--listen", &address])
        .assert_incomplete()
        .says(&format!("cannot listen on {address}"));
}

#[test]
fn foreign_database_is_refused() {
    let bed = TestEnv::new(&FEW);
    bed.sync().assert_ok();
    // An archive whose own record of changes is gone is as foreign as any.
    bed.execute_sql("DROP TABLE _sqlx_migrations");
    bed.sync()
        .assert_incomplete()
        .says("is a database of something else")
        .says("left as it was");
}

#[test]
fn time_range_with_end_before_start_is_refused() {
    let bed = TestEnv::new(&FEW);
    let ran = bed.run(&[
        "sync",
        "--since",
        "2026-11-22T00:00:00Z",
        "--until",
        "2026-11-21T00:00:00Z",
    ]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    ran.says("--since is not before --until");
}

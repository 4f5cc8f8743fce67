//! The commands as a user runs them.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Mutex;

use serde_json::Value;

use crate::support::config::AGORA;
use crate::support::env::{TestEnv, command_names, run_command_in};
use crate::support::fault_proxy::ProxyAction;

const FEW: [&str; 5] = ["--messages", "120", "--topic-messages", "80", "--plain"];

#[test]
fn invalid_setting_is_reported_with_file_and_line() {
    let wrong: [(&str, &str, toml::Value, &str); 6] = [
        (AGORA, "retrys", 5.into(), "`retrys`"),
        (AGORA, "discover", 5.into(), "discover"),
        ("schedule", "sync", "every minute".into(), "six fields"),
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
        let env = TestEnv::new(&FEW).with_only("agora");
        let instead = format!("{key} = {value}");
        let env = match section {
            AGORA => env.with_account_setting(key, value),
            _ => env.with_setting(section, key, value),
        };
        let line = env.config().line_of(&instead);
        for command in ["sync", "run", "status", "check", "migrate"] {
            let output = env.run(&[command]);
            assert_eq!(
                (output.code, output.stdout.as_str()),
                (Some(2), ""),
                "{instead}: {output:?}"
            );
            assert!(
                output.stderr.contains(&format!("config.toml:{line}")),
                "{command} with {instead}: {output:?}"
            );
            assert!(output.stderr.contains(named), "{instead}: {output:?}");
        }
        assert!(
            !env.archive_path().exists(),
            "an invalid configuration starts nothing"
        );
    }
}

#[test]
fn missing_configuration_file_is_a_configuration_error() {
    let dir = tempfile::TempDir::new().unwrap();
    let output = run_command_in(dir.path(), &["sync", "--config", "elsewhere.toml"]);
    assert_eq!(output.code, Some(2), "{output:?}");
    output.assert_prints("elsewhere.toml");
    let output = run_command_in(dir.path(), &["sink"]);
    assert_eq!(output.code, Some(2), "{output:?}");
}

#[test]
fn every_command_has_a_help_text_and_is_in_the_documentation() {
    let dir = tempfile::TempDir::new().unwrap();
    let page = include_str!("../../../docs/COMMANDS.md");
    for command in command_names() {
        run_command_in(dir.path(), &[&command, "--help"])
            .assert_ok()
            .assert_prints("--config <FILE>");
        let in_table = |line: &str| line.starts_with('|') && line.contains(&format!("`{command}"));
        assert!(page.lines().any(in_table), "{command} in docs/COMMANDS.md");
    }
}

#[test]
fn version_names_commit_and_features() {
    let dir = tempfile::TempDir::new().unwrap();
    let version = run_command_in(dir.path(), &["--version"])
        .assert_ok()
        .stdout;
    let commit = version
        .lines()
        .find_map(|line| line.strip_prefix("commit: "))
        .unwrap();
    let hash = commit.trim_end_matches(", with changes");
    let is_hash = hash.len() == 12 && hash.chars().all(|c| c.is_ascii_hexdigit());
    assert!(is_hash || commit == "unknown", "{version}");
    let name = concat!("backscroll ", env!("CARGO_PKG_VERSION"));
    let parquet = if cfg!(feature = "parquet") {
        "parquet, "
    } else {
        ""
    };
    assert_eq!(
        version,
        format!("{name}\ncommit: {commit}\nfeatures: {parquet}sandbox\n")
    );
    let short = run_command_in(dir.path(), &["-V"]).assert_ok().stdout;
    assert_eq!(short.trim_end(), name);
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
    for command in command_names() {
        assert!(
            page.contains(&format!("\n.SH \"BACKSCROLL {}\"", command.to_uppercase())),
            "{command} in {page}"
        );
        assert!(
            completions
                .iter()
                .all(|completions| completions.contains(&command)),
            "{command}"
        );
    }
    assert!(
        page.starts_with(".ie")
            && page.contains(".TH backscroll 1")
            && page.contains("\\-\\-until"),
        "{page}"
    );
    assert_eq!(
        page.matches("\n\\fB\\-\\-config\\fR").count(),
        1,
        "shared options are listed once: {page}"
    );
    assert_eq!(
        run_command_in(dir.path(), &["completions", "basic"]).code,
        Some(2)
    );
}

#[test]
fn status_shows_every_stream() {
    let env = TestEnv::new(&FEW);
    env.run(&["migrate"])
        .assert_ok()
        .assert_prints("archive.db is at schema ");
    env.run(&["status"])
        .assert_ok()
        .assert_prints("has no streams yet");
    env.sync().assert_ok();
    let table = env.run(&["status"]).assert_ok();
    assert!(table.stdout.starts_with("ACCOUNT"), "{table:?}");
    let json: Vec<Value> =
        serde_json::from_str(&env.run(&["status", "--json"]).assert_ok().stdout).unwrap();
    assert_eq!(
        i64::try_from(json.len()).unwrap(),
        env.query_number("SELECT count(DISTINCT account || stream) FROM coverage")
    );
    for stream in json {
        assert!(
            table.stdout.contains(stream["stream"].as_str().unwrap()),
            "{stream}"
        );
        let sealed = env.query_number(&format!(
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
    let env = TestEnv::new(&FEW);
    env.run(&["status"])
        .assert_incomplete()
        .assert_prints("`backscroll sync` or `backscroll migrate` creates it");
    assert!(!env.archive_path().exists());
}

/// A dead account takes minutes, in which the others are to be checked.
#[test]
fn check_tries_all_accounts_at_the_same_time_and_reports_them_in_order() {
    let env = TestEnv::new(&FEW);
    let asked: Mutex<BTreeSet<bool>> = Mutex::default();
    // No account is answered before both have asked.
    let (env, _proxy) = env.behind_proxy(move |_, request| {
        let is_web3mq = matches!(request.endpoint(), "history" | "list");
        let mut asked = asked.lock().unwrap();
        asked.insert(is_web3mq);
        match asked.len() {
            2 => ProxyAction::Forward,
            _ => ProxyAction::reply(503, ""),
        }
    });
    let output = env.run(&["check"]).assert_ok().stdout;
    let lines = output.lines().filter(|line| line.starts_with("account"));
    let lines: Vec<&str> = lines.collect();
    assert_eq!(lines, ["account sandbox: ok", "account web3mq-1: ok"]);
}

#[test]
fn check_reports_every_account() {
    let env = TestEnv::new(&FEW);
    let output = env.run(&["check"]).assert_ok();
    for line in [
        "configuration: ok",
        "database: ok",
        "account sandbox: ok",
        "account web3mq-1: ok",
    ] {
        assert!(output.stdout.contains(line), "{output:?}");
    }
    assert_eq!(env.assert_no_rule_broken().requests(), 2);
}

#[test]
fn archive_with_newer_schema_is_refused() {
    let env = TestEnv::new(&FEW);
    env.sync().assert_ok();
    env.execute_sql(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (4711, 'from the future', TRUE, x'00', 0)",
    );
    let before = env.query_number("SELECT count(*) FROM runs");
    for command in ["sync", "run", "status", "check", "migrate"] {
        env.run(&[command]).assert_incomplete().assert_prints(
            "written by a newer Backscroll: it has schema 4711, this version knows up to ",
        );
    }
    assert_eq!(env.query_number("SELECT count(*) FROM runs"), before);
}

#[test]
fn file_that_is_not_a_database_is_refused() {
    let env = TestEnv::new(&FEW);
    let letter = "Dear diary,\n".repeat(1000);
    std::fs::write(env.archive_path(), &letter).unwrap();
    env.sync()
        .assert_incomplete()
        .assert_prints("archive.db cannot be opened")
        .assert_prints("file is not a database");
    assert_eq!(std::fs::read_to_string(env.archive_path()).unwrap(), letter);
}

#[test]
fn sync_can_be_limited_to_an_account_and_a_time_range() {
    let env = TestEnv::new(&FEW);
    env.run(&["sync", "--account", "web3mq-1"]).assert_ok();
    assert_eq!(
        env.query_number("SELECT count(*) FROM archive WHERE account <> 'web3mq-1'"),
        0
    );
    assert!(
        !env.sandbox.rules().accounts.contains_key("sandbox"),
        "no request was made for the other account"
    );
    let output = env.run(&["sync", "--account", "nobody"]);
    assert_eq!(output.code, Some(2), "{output:?}");

    let now = env.world().now().second();
    let (since, until) = (now.plus(-3 * 86_400), now.plus(-2 * 86_400));
    let (since_text, until_text) = (since.to_string(), until.to_string());
    env.run(&[
        "sync",
        "--account",
        "sandbox",
        "--since",
        &since_text,
        "--until",
        &until_text,
    ])
    .assert_ok();
    let truth = env
        .world()
        .agora_messages("sandbox")
        .iter()
        .filter(|m| (since.start().0..until.start().0).contains(&m.ms))
        .count();
    assert_eq!(
        usize::try_from(env.query_number("SELECT count(*) FROM archive WHERE account = 'sandbox'"))
            .unwrap(),
        truth
    );
    env.assert_sync_archives_truth();
}

#[test]
fn sandbox_listens_on_loopback_only() {
    let dir = tempfile::TempDir::new().unwrap();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:80"] {
        run_command_in(dir.path(), &["sandbox", "--listen", address])
            .assert_incomplete()
            .assert_prints("the sandbox listens on loopback only");
    }
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    run_command_in(dir.path(), &["sandbox", "--listen", &address])
        .assert_incomplete()
        .assert_prints(&format!("cannot listen on {address}"));
}

#[test]
fn sandbox_overwrites_no_configuration() {
    let dir = tempfile::TempDir::new().unwrap();
    std::fs::write(dir.path().join("config.toml"), "# mine").unwrap();
    std::fs::create_dir(dir.path().join("folder")).unwrap();
    std::os::unix::fs::symlink("config.toml", dir.path().join("link.toml")).unwrap();
    for file in ["config.toml", "link.toml", "folder"] {
        let args = ["sandbox", "--listen", "127.0.0.1:0", "--write-config", file];
        let refused = run_command_in(dir.path(), &args);
        assert_eq!(refused.code, Some(2), "{refused:?}");
        refused.assert_prints("exists already: name another file, or remove it");
    }
    // A link to nothing leads to no new file either.
    std::os::unix::fs::symlink("nowhere.toml", dir.path().join("dangling.toml")).unwrap();
    let args = [
        "sandbox",
        "--listen",
        "127.0.0.1:0",
        "--write-config",
        "dangling.toml",
    ];
    run_command_in(dir.path(), &args).assert_incomplete();
    assert!(!dir.path().join("nowhere.toml").exists());
    let kept = std::fs::read_to_string(dir.path().join("config.toml")).unwrap();
    assert_eq!(kept, "# mine");
}

#[test]
fn foreign_database_is_refused() {
    let env = TestEnv::new(&FEW);
    env.sync().assert_ok();
    // An archive without its migration record counts as a foreign database.
    env.execute_sql("DROP TABLE _sqlx_migrations");
    env.sync()
        .assert_incomplete()
        .assert_prints("is another program's database")
        .assert_prints("this one is unchanged");
}

#[test]
fn time_range_with_end_before_start_is_refused() {
    let env = TestEnv::new(&FEW);
    let output = env.run(&[
        "sync",
        "--since",
        "2026-11-22T00:00:00Z",
        "--until",
        "2026-11-21T00:00:00Z",
    ]);
    assert_eq!(output.code, Some(2), "{output:?}");
    output.assert_prints("--since is not before --until");
}

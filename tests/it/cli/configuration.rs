//! The configuration that a command reads, and what it needs of it.

use std::fs;
use std::path::Path;

use backscroll::sandbox::CUSTOMER_SECRET;

use crate::support::config::{AGORA, WEB3MQ, secret_reference};
use crate::support::env::{CommandOutput, TestEnv, command_in, output_of};
use crate::support::postgres_env::PostgresEnv;

const FEW: [&str; 5] = ["--messages", "60", "--topic-messages", "40", "--plain"];

/// Moves every credential and every identifier of the accounts out of the configuration, to
/// variables that are not set.
fn without_secrets(env: TestEnv) -> TestEnv {
    let missing = || secret_reference("env", "NO_SUCH_SECRET");
    env.with_setting_of(AGORA, "app_id", missing())
        .with_setting_of(AGORA, "customer_id", missing())
        .with_setting_of(AGORA, "customer_secret", missing())
        .with_setting_of(WEB3MQ, "user_id", missing())
        .with_setting_of(WEB3MQ, "private_key", missing())
        .with_setting("alerts", "webhook", missing())
}

/// Runs the commands that send no request, and those that do.
fn assert_only_requests_need_secrets(env: TestEnv, copy_to: &str) {
    env.sync().assert_ok();
    let status = env.run(&["status"]).assert_ok().stdout;
    let env = without_secrets(env);
    for args in [
        &["status", "--json"][..],
        &["verify"],
        &["migrate"],
        &["requeue"],
        &["copy", "--to", copy_to],
    ] {
        env.run(args).assert_ok();
    }
    // The row of an account is printed with and without its secrets.
    let names = |table: &str| -> Vec<String> {
        let rows = table.lines().take_while(|line| !line.is_empty());
        rows.map(|row| row.chars().take(40).collect()).collect()
    };
    assert_eq!(
        names(&env.run(&["status"]).assert_ok().stdout),
        names(&status)
    );
    for args in [
        &["sync"][..],
        &["sync", "--account", "web3mq-1"],
        &["plan"],
        &["check"],
        &["run"],
        &["verify", "--remote"],
        &["verify", "--repair"],
    ] {
        let refused = env.run(args);
        assert_eq!(refused.code, Some(2), "{args:?}: {refused:?}");
        refused.assert_prints("environment variable NO_SUCH_SECRET, which is unset");
    }
}

#[test]
fn commands_that_send_no_request_work_without_secrets() {
    assert_only_requests_need_secrets(TestEnv::new(&FEW), "sqlite://copied.db");
}

#[test]
fn commands_that_send_no_request_work_without_secrets_on_postgres() {
    let postgres = PostgresEnv::start(&FEW);
    assert_only_requests_need_secrets(postgres.env, "sqlite://copied.db");
}

#[test]
fn sync_of_one_account_needs_only_its_secrets() {
    let missing = secret_reference("file", "no-such-key");
    let env = TestEnv::new(&FEW).with_setting_of(WEB3MQ, "private_key", missing);
    env.run(&["sync", "--account", "sandbox"]).assert_ok();
    let refused = env.sync();
    assert_eq!(refused.code, Some(2), "{refused:?}");
    refused.assert_prints("no-such-key");
}

#[test]
fn quarantine_of_web3mq_is_parsed_again_without_the_key() {
    let (env, _proxy) = TestEnv::new(&FEW).with_only(WEB3MQ).behind_proxy(|_, _| {
        crate::support::fault_proxy::ProxyAction::Rewrite(Box::new(|body| {
            let text = String::from_utf8(body).expect("text");
            text.replacen("\"payload_type\"", "\"payload_tape\"", 1)
                .into_bytes()
        }))
    });
    env.sync();
    let missing = secret_reference("env", "NO_SUCH_KEY");
    let env = env.with_setting_of(WEB3MQ, "private_key", missing);
    env.run(&["requeue"]).assert_ok().assert_prints("web3mq-1");
}

/// Runs a command in a folder, with these variables.
fn run_with(folder: &Path, args: &[&str], variables: &[(&str, &Path)]) -> CommandOutput {
    let mut command = command_in(folder, args);
    command.env_remove("XDG_CONFIG_HOME").env_remove("HOME");
    for (name, value) in variables {
        command.env(name, value);
    }
    output_of(&mut command)
}

#[test]
fn blank_around_a_secret_is_warned_about_wherever_it_is_kept() {
    let env = TestEnv::new(&FEW).with_only(AGORA);
    let folder = env.dir.path();
    let blank = format!("{CUSTOMER_SECRET} ");
    std::fs::write(env.path("blank"), format!("{blank}\n")).unwrap();
    std::fs::write(env.path("right"), format!("{CUSTOMER_SECRET}\r\n")).unwrap();
    let none = ("VALUE", "");
    let of = |kind: &str, name: &str| {
        let reference = toml::Table::from_iter([(kind.to_owned(), name.into())]);
        toml::Value::Table(reference)
    };
    let line_break = format!("{CUSTOMER_SECRET}\n");
    let before = format!(" {CUSTOMER_SECRET}");
    let cases = [
        (blank.as_str().into(), none, true),
        (of("file", "blank"), none, true),
        (of("env", "VALUE"), ("VALUE", blank.as_str()), true),
        (of("env", "VALUE"), ("VALUE", before.as_str()), true),
        (of("credential", "blank"), none, true),
        (CUSTOMER_SECRET.into(), none, false),
        (of("file", "right"), none, false),
        (of("credential", "right"), none, false),
        (of("env", "VALUE"), ("VALUE", line_break.as_str()), false),
    ];
    let mut config = env.config().clone();
    for (value, (name, variable), is_warned) in cases {
        for account in config.accounts_mut(AGORA) {
            account.insert("customer_secret".to_owned(), value.clone());
        }
        std::fs::write(env.path("config.toml"), config.to_string()).unwrap();
        let variables = [
            (name, Path::new(variable)),
            ("CREDENTIALS_DIRECTORY", folder),
        ];
        let output = run_with(folder, &["check"], &variables);
        assert_eq!(
            output.code,
            Some(i32::from(is_warned)),
            "{value}: {output:#?}"
        );
        let warning = "customer_secret begins or ends with a blank";
        let printed = output.stdout + &output.stderr;
        assert_eq!(printed.contains(warning), is_warned, "{value}: {printed}");
        assert!(!printed.contains(CUSTOMER_SECRET));
    }
}

#[test]
fn configuration_is_found_without_being_named() {
    let env = TestEnv::new(&FEW).with_only(AGORA);
    let (work, home, xdg) = (env.path("work"), env.path("home"), env.path("xdg"));
    for folder in [
        &work,
        &home.join(".config/backscroll"),
        &xdg.join("backscroll"),
    ] {
        fs::create_dir_all(folder).unwrap();
    }
    let missing = run_with(&work, &["status"], &[("HOME", &home)]);
    assert_eq!(missing.code, Some(2), "{missing:?}");
    missing
        .assert_prints("there is no configuration at config.toml, ")
        .assert_prints("home/.config/backscroll/config.toml or /etc/backscroll/config.toml");

    let text = env.config().to_string();
    let at_home = home.join(".config/backscroll/config.toml");
    fs::write(&at_home, &text).unwrap();
    let check = |variables: &[(&str, &Path)]| run_with(&work, &["check"], variables).assert_ok();
    check(&[("HOME", &home)]).assert_prints(&format!("configuration: ok ({})", at_home.display()));
    // The user's folder may be named, and the working directory comes first.
    fs::write(xdg.join("backscroll/config.toml"), &text).unwrap();
    check(&[("HOME", &home), ("XDG_CONFIG_HOME", &xdg)]).assert_prints("xdg/backscroll");
    fs::write(work.join("config.toml"), &text).unwrap();
    check(&[("HOME", &home), ("XDG_CONFIG_HOME", &xdg)])
        .assert_prints("configuration: ok (config.toml)");
    check(&[("BACKSCROLL_CONFIG", &at_home)]).assert_prints("home/.config");
    // A file that cannot be read is not passed over.
    fs::remove_file(work.join("config.toml")).unwrap();
    fs::create_dir(work.join("config.toml")).unwrap();
    let unreadable = run_with(&work, &["check"], &[("HOME", &home)]);
    assert_eq!(unreadable.code, Some(2), "{unreadable:?}");
    unreadable.assert_prints("config.toml cannot be read");
}

#[test]
fn relative_archive_lies_beside_its_configuration() {
    let env = TestEnv::new(&FEW).with_only(AGORA);
    env.sync().assert_ok();
    let elsewhere = env.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let config = env.path("config.toml");
    let config = config.to_str().unwrap();
    for args in [&["status"][..], &["verify"], &["check"], &["sync"]] {
        let args = [args, &["--config", config]].concat();
        run_with(&elsewhere, &args, &[]).assert_ok();
    }
    run_with(&elsewhere, &["check", "--config", "../config.toml"], &[])
        .assert_ok()
        .assert_prints("../archive.db");
    assert_eq!(
        fs::read_dir(&elsewhere).unwrap().count(),
        0,
        "nothing was created there"
    );
    // A flag is relative to the working directory, like any path on the command line.
    let copy = ["copy", "--to", "sqlite://copied.db", "--config", config];
    run_with(&elsewhere, &copy, &[]).assert_ok();
    assert!(elsewhere.join("copied.db").exists());
}

#[test]
fn check_creates_nothing() {
    let env = TestEnv::new(&FEW);
    env.write_config();
    let files = || {
        let files = fs::read_dir(env.dir.path()).unwrap();
        let mut names: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
        names.sort();
        names
    };
    env.run(&["check"])
        .assert_ok()
        .assert_prints("database: ok; `backscroll sync` or `backscroll run` creates the archive");
    assert_eq!(files(), ["config.toml"]);
    let env = env.with_database("sqlite://no/such/folder/archive.db");
    env.run(&["check"])
        .assert_incomplete()
        .assert_prints("no/such/folder does not exist")
        .assert_prints("mkdir -p");
    assert!(!env.path("no").exists());

    let postgres = PostgresEnv::start(&FEW);
    postgres
        .env
        .run(&["check"])
        .assert_ok()
        .assert_prints("creates the archive");
    postgres
        .env
        .run(&["status"])
        .assert_incomplete()
        .assert_prints("there is no archive");
}

#[test]
fn check_of_an_archive_registers_no_account() {
    let env = TestEnv::new(&FEW);
    env.run(&["sync", "--account", "sandbox"]).assert_ok();
    env.run(&["check"])
        .assert_ok()
        .assert_prints("account web3mq-1: ok");
    assert_eq!(env.query_number("SELECT count(*) FROM account"), 1);
}

#[test]
fn every_mistake_in_the_configuration_is_a_line_of_its_own() {
    let missing = secret_reference("env", "NO_SUCH_VARIABLE");
    let env = TestEnv::new(&FEW)
        .with_setting("schedule", "sync", "often")
        .with_setting_of(AGORA, "customer_secret", missing)
        .with_setting_of(WEB3MQ, "page_size", 0);
    let output = env.sync();
    assert_eq!(output.code, Some(2), "{output:?}");
    let lines: Vec<&str> = output.stderr.lines().collect();
    assert_eq!(lines.len(), 3, "{output:?}");
    assert!(
        lines
            .iter()
            .all(|line| line.starts_with("error: config.toml:")),
        "{output:?}"
    );
}

#[test]
fn word_that_is_no_log_level_is_refused() {
    let env = TestEnv::new(&FEW).with_only(AGORA);
    for wrong in [
        "inof",
        "verbose",
        "warn,backscrol=info",
        "backscroll::snyc=debug",
    ] {
        let refused = env.run(&["status", "--log", wrong]);
        assert_eq!(refused.code, Some(2), "{refused:?}");
        refused.assert_prints("neither a level nor a module");
        let configured = TestEnv::new(&FEW).with_setting("log", "levels", wrong);
        let refused = configured.run(&["run"]);
        assert_eq!(refused.code, Some(2), "{refused:?}");
        refused
            .assert_prints("`levels` has")
            .assert_prints("neither a level nor a module");
    }
    env.sync().assert_ok();
    for good in ["debug", "info,backscroll::sync=debug,sqlx=warn", "off"] {
        env.run(&["status", "--log", good]).assert_ok();
    }
}

#[test]
fn unknown_account_error_lists_the_accounts() {
    let env = TestEnv::new(&FEW);
    env.sync().assert_ok();
    for command in ["sync", "plan", "verify"] {
        let refused = env.run(&[command, "--account", "sandbix"]);
        assert_eq!(refused.code, Some(2), "{refused:?}");
        refused.assert_prints("has no account `sandbix`: it has `sandbox`, `web3mq-1`");
    }
}

#[test]
fn future_start_is_warned_about() {
    let env = TestEnv::new(&FEW).with_account_setting("since", "2999-01-01T00:00:00Z");
    for command in ["sync", "plan", "check"] {
        env.run(&[command])
            .assert_prints("is in the future: nothing is archived before");
    }
    let env = TestEnv::new(&FEW);
    env.run(&["sync", "--since", "2999-01-01"])
        .assert_prints("--since (2999-01-01T00:00:00");
}

#[test]
fn start_is_given_as_a_duration_or_a_date() {
    let env = TestEnv::new(&FEW).with_only(AGORA);
    let now = env.world().now();
    let agora = |from: i64| {
        let messages = env.world().agora_messages("sandbox");
        let count = messages.iter().filter(|message| message.ms >= from).count();
        i64::try_from(count).unwrap()
    };
    env.run(&["sync", "--since", "3d"]).assert_ok();
    let archived = env.query_number("SELECT count(*) FROM archive");
    let expected = agora(now.0 - 3 * 86_400_000);
    // Messages of the last seconds may be left to the next sync.
    assert!(
        (expected - 3..=expected).contains(&archived),
        "{archived} of {expected}"
    );
    for form in ["yesterday", "today", "12h", "2026-11-01"] {
        env.run(&["plan", "--since", form]).assert_ok();
    }
    let refused = env.run(&["sync", "--since", "last week"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    refused.assert_prints("yesterday, a date like 2026-11-01");
}

#[test]
fn history_without_a_start_is_missing_from_the_beginning() {
    let env = TestEnv::new(&FEW).with_only(WEB3MQ);
    let output = env.run(&["plan"]).assert_ok();
    assert!(output.stdout.contains("from the beginning"), "{output:?}");
    let output = env
        .run(&["sync", "--since", "3d", "--until", "1d"])
        .assert_ok();
    let output = output
        .assert_prints("from the beginning")
        .assert_prints("Only a part of the history was asked for");
    let status = env.run(&["status"]).assert_ok();
    for printed in [&output.stdout, &status.stdout] {
        let years = printed.split_whitespace().find(|word| {
            let days = word
                .strip_suffix('d')
                .and_then(|days| days.parse::<u64>().ok());
            days.is_some_and(|days| days > 10_000)
        });
        assert_eq!(years, None, "{printed}");
    }
    env.sync().assert_ok();
    let output = env.run(&["status"]).assert_ok();
    assert!(!output.stdout.contains("from the beginning"), "{output:?}");
}

//! The commonest mistakes of new users: each has a sentence of its own and a remedy that fits.
//! Mistakes in the text of a configuration are tested beside its code (`config/tests/rejected`),
//! and TLS in `store/tls.rs`.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::config::{AGORA, WEB3MQ};
use crate::support::env::{BACKSCROLL, CommandOutput, TestEnv, command_in, output_of};
use crate::support::postgres_server::{PostgresServer, as_unprivileged_user, is_root};

const FEW: [&str; 5] = ["--messages", "40", "--topic-messages", "40", "--plain"];

/// Panics unless the command fails with this sentence and this remedy, and names no line.
#[track_caller]
fn assert_explained(output: CommandOutput, sentence: &str, remedy: &str) {
    let output = output.assert_incomplete().assert_prints(sentence);
    let printed = output.stdout.clone() + &output.stderr;
    let hint = printed.split_once("hint: ").map(|(_, hint)| hint);
    assert!(
        hint.is_some_and(|hint| hint.contains(remedy)),
        "no `{remedy}` in {output:#?}"
    );
    assert!(!printed.contains("at line"), "{output:#?}");
}

/// The roles of the server: one without a password, one with a password, one that does not exist.
/// All others are refused.
const ADMISSION: &str = "local all postgres trust
local all stranger trust
local all scroll scram-sha-256
";

fn strict_server() -> PostgresServer {
    let server = PostgresServer::start_with_settings(|folder| {
        let file = folder.join("admission.conf");
        fs::write(&file, ADMISSION).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        vec![format!("hba_file={}", file.display())]
    });
    server.psql("postgres", "CREATE ROLE scroll LOGIN PASSWORD 'right'");
    server.psql("postgres", "CREATE DATABASE archive");
    server.psql("archive", "REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    server
}

#[test]
fn mistakes_about_a_postgres_server_are_explained() {
    let server = strict_server();
    let socket = server.folder().display().to_string();
    let url = |user: &str, database: &str| {
        format!("postgres://{user}@localhost/{database}?host={socket}")
    };
    for (url, sentence, remedy) in [
        (
            url("scroll:wrong", "archive"),
            "password authentication failed for user \"scroll\" (code 28P01)",
            "correct the password",
        ),
        (
            url("stranger", "archive"),
            "role \"stranger\" does not exist",
            "create the role",
        ),
        (
            url("somebody", "archive"),
            "no pg_hba.conf entry",
            "let the server admit this user",
        ),
        (
            url("postgres", "no_such"),
            "database \"no_such\" does not exist",
            "create the database (`createdb NAME`)",
        ),
        (
            url("scroll:right", "archive"),
            "the role `scroll` may not create tables",
            "GRANT CREATE ON SCHEMA public",
        ),
        (
            "postgres://scroll@127.0.0.1:1/archive".to_owned(),
            "Connection refused",
            "check that the server runs",
        ),
        (
            "postgres://scroll@no-such-host.invalid/archive".to_owned(),
            "failed to lookup address information",
            "correct the host in database.url",
        ),
        (
            "postgres://scroll@localhost/archive?host=/no/such/folder".to_owned(),
            "No such file or directory",
            "check that the server runs",
        ),
    ] {
        let env = TestEnv::new(&FEW).with_only(AGORA).with_database(&url);
        for command in ["check", "sync", "migrate"] {
            assert_explained(env.run(&[command]), sentence, remedy);
        }
    }
    // The archive of another role cannot be written.
    let own = TestEnv::new(&FEW).with_database(&url("postgres", "archive"));
    own.run(&["migrate"]).assert_ok();
    let other = TestEnv::new(&FEW).with_database(&url("scroll:right", "archive"));
    other
        .run(&["sync"])
        .assert_incomplete()
        .assert_prints("permission denied")
        .assert_prints("make the role the owner");
    // The remedy works.
    server.psql("postgres", "CREATE DATABASE mine OWNER scroll");
    let mine = TestEnv::new(&FEW).with_database(&url("scroll:right", "mine"));
    mine.run(&["check"]).assert_ok();
    mine.run(&["sync"]).assert_ok();
}

/// Without the error, the requests would be sent without the proxy.
#[test]
fn malformed_proxy_variable_is_an_error() {
    let env = TestEnv::new(&FEW).with_only(AGORA).with_setting_of(
        AGORA,
        "base_url",
        "https://127.0.0.1:1",
    );
    env.write_config();
    for (name, value) in [
        ("HTTPS_PROXY", "http://"),
        ("https_proxy", "ht tp://proxy"),
        ("ALL_PROXY", "socks5://user:hunter2@proxy:1080"),
        ("all_proxy", "proxy:port"),
    ] {
        for command in ["check", "sync"] {
            let mut command = command_in(env.dir.path(), &[command]);
            let output = output_of(command.env(name, value));
            assert_ne!(output.code, Some(0), "{output:?}");
            let printed = output.stdout + &output.stderr;
            let error = format!("the variable {name} does not name an HTTP proxy");
            assert!(printed.contains(&error), "{printed}");
            assert!(!printed.contains("hunter2"), "{printed}");
        }
    }
}

#[test]
fn a_standby_can_be_read_and_names_the_primary_as_the_remedy() {
    let server = PostgresServer::start();
    let env = TestEnv::new(&FEW).with_database(&server.create_database());
    env.sync().assert_ok();
    server.stop();
    let data = server.folder().join("data");
    fs::write(data.join("standby.signal"), "").unwrap();
    server.start_process();
    for command in ["status", "verify", "plan"] {
        let output = env.run(&[command]);
        assert!(!output.stderr.contains("error:"), "{command}: {output:#?}");
    }
    for command in ["sync", "migrate", "check", "verify --repair"] {
        let args: Vec<&str> = command.split(' ').collect();
        let refused = env.run(&args);
        assert_explained(refused, "read-only", "name the primary server");
    }
    // An archive cannot be created there either.
    let env = env.with_database(&server.url("postgres"));
    for command in ["sync", "check"] {
        assert_explained(env.run(&[command]), "read-only", "name the primary server");
    }
}

#[test]
fn a_server_that_is_starting_is_explained() {
    let server = PostgresServer::start();
    let env = TestEnv::new(&FEW).with_database(&server.create_database());
    server.stop();
    let data = server.folder().join("data");
    fs::write(data.join("standby.signal"), "").unwrap();
    let mut settings = fs::read_to_string(data.join("postgresql.conf")).unwrap();
    settings.push_str("hot_standby = off\n");
    fs::write(data.join("postgresql.conf"), settings).unwrap();
    server.start_rejecting_process();
    for command in ["check", "sync", "status"] {
        assert_explained(env.run(&[command]), "(code 57P03)", "try again in a moment");
    }
}

#[test]
fn mistakes_about_an_archive_file_are_explained() {
    let env = TestEnv::new(&FEW).with_only(AGORA);
    env.sync().assert_ok();
    fs::create_dir(env.path("folder")).unwrap();
    fs::write(env.path("letter.db"), "Dear diary,\n".repeat(1000)).unwrap();
    fs::write(env.path("note"), "a file").unwrap();
    let whole = fs::read(env.archive_path()).unwrap();
    fs::write(env.path("half.db"), &whole[..whole.len() / 2]).unwrap();
    for (file, sentence, remedy) in [
        ("no/such/archive.db", "no/such does not exist", "`mkdir -p`"),
        ("note/archive.db", "note is not a folder", "name a file"),
        ("folder", "it is a folder", "name a file"),
        ("letter.db", "file is not a database", "name another file"),
        ("half.db", "malformed", "restore a backup"),
    ] {
        let env = TestEnv::new(&FEW)
            .with_only(AGORA)
            .with_database(&format!("sqlite://{}", env.path(file).display()));
        for command in ["check", "sync"] {
            assert_explained(env.run(&[command]), sentence, remedy);
        }
        let is_path_wrong = ["no/such/archive.db", "note/archive.db", "folder"].contains(&file);
        for command in ["status", "verify", "plan", "requeue"] {
            if is_path_wrong {
                assert_explained(env.run(&[command]), sentence, remedy);
            }
        }
    }
    assert!(!env.path("no").exists(), "no folder is created");
}

#[test]
fn file_of_another_user_is_explained() {
    let env = TestEnv::new(&FEW).with_only(AGORA);
    env.sync().assert_ok();
    let readable = fs::Permissions::from_mode(0o444);
    for file in ["archive.db", "archive.db.lock"] {
        fs::set_permissions(env.path(file), readable.clone()).unwrap();
    }
    fs::set_permissions(env.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // Another user cannot run the program where it was built.
    let program = env.path("backscroll");
    fs::copy(BACKSCROLL, &program).unwrap();
    let run = |config: &str, command: &str| {
        let output = as_unprivileged_user(&program)
            .args([command, "--config", config])
            .output()
            .unwrap();
        CommandOutput {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    };
    let config = env.write_config();
    fs::set_permissions(&config, fs::Permissions::from_mode(0o644)).unwrap();
    let config = config.display().to_string();
    let owner = if is_root() {
        "belongs to root"
    } else {
        "belongs to"
    };
    for command in ["sync", "migrate", "run"] {
        let output = run(&config, command);
        let output = output
            .assert_incomplete()
            .assert_prints("this user may not write");
        output
            .assert_prints(owner)
            .assert_prints("run Backscroll as the owner");
    }
    if is_root() {
        fs::create_dir(env.path("private")).unwrap();
        let env = env.with_database("sqlite://private/archive.db");
        env.write_config();
        assert_explained(
            run(&config, "sync"),
            "this user may not create files in ",
            "change the owner of the folder",
        );
        fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).unwrap();
        let refused = run(&config, "status");
        assert_eq!(refused.code, Some(2), "{refused:?}");
        refused
            .assert_prints("config.toml cannot be read: Permission denied")
            .assert_prints("let the user that runs Backscroll read it");
    }
}

#[test]
fn mistakes_about_a_provider_are_explained() {
    let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    for (provider, key, value, sentence, remedy) in [
        (
            WEB3MQ,
            "private_key",
            seed,
            "FAILED: history",
            "session key of user_id",
        ),
        (
            WEB3MQ,
            "user_id",
            "user:nobody",
            "User not found",
            "check user_id",
        ),
        (
            AGORA,
            "customer_secret",
            "wrong",
            "credentials refused",
            "renew the account's credentials",
        ),
        (
            AGORA,
            "customer_id",
            "wrong",
            "credentials refused",
            "correct them in the configuration",
        ),
        (AGORA, "app_id", "wrong", "FAILED", "app_id"),
        (
            AGORA,
            "base_url",
            "http://127.0.0.1:1",
            "cannot connect",
            "check whether base_url answers",
        ),
    ] {
        let env = TestEnv::new(&FEW)
            .with_only(provider)
            .with_setting_of(provider, key, value);
        assert_explained(env.run(&["check"]), sentence, remedy);
    }
    for (provider, path) in [
        (AGORA, "/dev/v2"),
        (WEB3MQ, "/api"),
        (WEB3MQ, "/api/messages/history"),
    ] {
        let env = TestEnv::new(&FEW).with_only(provider);
        let url = format!(
            "{}{path}",
            env.sandbox.base_url().as_str().trim_end_matches('/')
        );
        let refused = env
            .with_setting_of(provider, "base_url", url)
            .run(&["check"]);
        assert_eq!(refused.code, Some(2), "{refused:?}");
        refused.assert_prints("which Backscroll adds by itself");
    }
    // Another path may be that of a proxy. The address is named as the cause.
    let env = TestEnv::new(&FEW).with_only(AGORA);
    let url = format!("{}/elsewhere", env.sandbox.base_url());
    let env = env.with_setting_of(AGORA, "base_url", url);
    assert_explained(env.run(&["check"]), "404", "check base_url");
}

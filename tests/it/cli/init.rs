//! `init`: from credentials to a configuration that works.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use backscroll::sandbox::{CUSTOMER_ID, CUSTOMER_SECRET, Web3mqUser};

use crate::support::env::{CommandOutput, TestEnv, command_in, output_of};

const FEW: [&str; 5] = ["--messages", "60", "--topic-messages", "60", "--plain"];
/// The variables that hold secrets.
const SECRETS: [&str; 2] = ["AGORA_CUSTOMER_SECRET", "WEB3MQ_PRIVATE_KEY"];

/// Runs `init` with this secret in its variable and these answers at standard input.
fn init(
    env: &TestEnv,
    secret: Option<(&str, &str)>,
    args: &[&str],
    answers: &str,
) -> CommandOutput {
    let mut command = command_in(env.dir.path(), &[&["init"], args].concat());
    for name in SECRETS {
        command.env_remove(name);
    }
    if let Some((name, value)) = secret {
        command.env(name, value);
    }
    output_of(command.write_stdin(answers.to_owned()))
}

fn private_key(env: &TestEnv) -> String {
    let user = &env.world().user_ids()[0];
    env.world()
        .with_user(user, Web3mqUser::private_key)
        .unwrap()
}

fn assert_private(env: &TestEnv, file: &str) {
    let mode = fs::metadata(env.path(file)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn answers_become_a_configuration_that_works() {
    let env = TestEnv::new(&FEW);
    let url = env.sandbox.base_url().clone();
    let answers = format!("Agora\nsandbox\n{CUSTOMER_ID}\n{CUSTOMER_SECRET}\nlobby alice\n");
    let output = init(&env, None, &["--base-url", &url], &answers).assert_ok();
    assert!(
        !(output.stdout.clone() + &output.stderr).contains(CUSTOMER_SECRET),
        "{output:?}"
    );
    let output = output
        .assert_prints("account agora: the credentials are accepted")
        .assert_prints("config.toml was written. Only this user can read it.");
    assert_private(&env, "config.toml");
    let written = fs::read_to_string(env.path("config.toml")).unwrap();
    assert!(
        written.lines().filter(|line| line.starts_with('#')).count() > 8,
        "{written}"
    );
    // The next steps work as they are printed.
    let steps: Vec<&str> = output
        .stdout
        .lines()
        .filter_map(|line| line.trim().strip_prefix("backscroll "))
        .collect();
    assert_eq!(steps, ["plan", "sync", "run"]);
    for step in ["check", "plan", "sync", "status"] {
        output_of(&mut command_in(env.dir.path(), &[step])).assert_ok();
    }
    assert!(env.query_number("SELECT count(*) FROM archive") > 30);
    // A file that is there is never overwritten.
    let again = init(&env, None, &["--base-url", &url], &answers);
    assert_eq!(again.code, Some(2), "{again:?}");
    again.assert_prints("config.toml exists already");
    assert_eq!(
        fs::read_to_string(env.path("config.toml")).unwrap(),
        written
    );
}

#[test]
fn flags_replace_questions_and_chats_are_listed() {
    let env = TestEnv::new(&FEW);
    let (url, user) = (
        env.sandbox.base_url().clone(),
        env.world().user_ids()[0].clone(),
    );
    let args = [
        "--provider",
        "web3mq",
        "--base-url",
        &url,
        "--user-id",
        &user,
        "--name",
        "me",
        "--config",
        "mine.toml",
    ];
    let key = private_key(&env);
    let secret = Some(("WEB3MQ_PRIVATE_KEY", key.as_str()));
    let output = init(&env, secret, &args, "").assert_ok();
    assert!(!output.stdout.contains(&key), "{output:?}");
    output
        .assert_prints("account me: the credentials are accepted")
        .assert_prints("chats can be followed:")
        .assert_prints("topic=")
        .assert_prints("backscroll sync --config mine.toml");
    assert_private(&env, "mine.toml");
    let sync = output_of(&mut command_in(
        env.dir.path(),
        &["sync", "--config", "mine.toml"],
    ));
    sync.assert_ok();
    assert!(env.query_number("SELECT count(*) FROM archive WHERE account = 'me'") > 50);
}

#[test]
fn refused_credentials_write_nothing() {
    let env = TestEnv::new(&FEW);
    let url = env.sandbox.base_url().clone();
    let args = [
        "--provider",
        "agora",
        "--base-url",
        &url,
        "--app-id",
        "sandbox",
        "--customer-id",
        CUSTOMER_ID,
        "--follow",
        "lobby",
    ];
    let secret = Some(("AGORA_CUSTOMER_SECRET", "wrong"));
    init(&env, secret, &args, "")
        .assert_incomplete()
        .assert_prints("FAILED")
        .assert_prints("nothing was written");
    // An answer that is not valid is refused as it would be in a file.
    let args = [
        &args[..5],
        &["no such id", "--customer-id", "x", "--follow", "lobby"],
    ]
    .concat();
    let refused = init(&env, secret, &args, "");
    assert_eq!(refused.code, Some(2), "{refused:?}");
    refused.assert_prints("`app_id` must be letters");
    // Without a terminal, the flag of a missing answer is named.
    let silent = init(&env, None, &["--provider", "agora"], "");
    assert_eq!(silent.code, Some(2), "{silent:?}");
    silent.assert_prints("give it with --app-id");
    assert_eq!(fs::read_dir(env.dir.path()).unwrap().count(), 0);
}

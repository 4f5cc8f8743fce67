//! The identity of an account: a name of the archive stands for one history only.

use toml::{Table, Value};

use crate::support::config::{AGORA, WEB3MQ};
use crate::support::env::TestEnv;
use crate::support::postgres_env::PostgresEnv;

const FLAGS: [&str; 8] = [
    "--messages",
    "120",
    "--topic-messages",
    "80",
    "--projects",
    "2",
    "--users",
    "2",
];

fn first_account<'a>(env: &'a mut TestEnv, provider: &str) -> &'a mut Table {
    let mut accounts = env.config_mut().accounts_mut(provider);
    accounts.next().expect("an account")
}

fn set(env: &mut TestEnv, provider: &str, key: &str, value: impl Into<Value>) {
    first_account(env, provider).insert(key.to_owned(), value.into());
}

fn value_of(env: &TestEnv, provider: &str, nth: usize, key: &str) -> Value {
    let mut accounts = env.config().accounts(provider);
    accounts.nth(nth).expect("an account")[key].clone()
}

/// Panics unless each command that would work on the account refuses to, with this text, and the
/// service does not start.
#[track_caller]
fn assert_refused(env: &TestEnv, text: &str) {
    let requests = env.sandbox.rules().total.requests();
    for command in [
        &["sync"][..],
        &["run"],
        &["plan"],
        &["check"],
        &["requeue"],
        &["verify", "--remote"],
    ] {
        let output = env.run(command);
        assert_eq!(output.code, Some(2), "{command:?}: {output:#?}");
        output.assert_prints(text).assert_prints("`name`");
    }
    assert_eq!(env.sandbox.rules().total.requests(), requests, "{text}");
}

/// Another project, user, node or provider under a known name is refused before any request, and
/// the archive stays as it was. Returns the environment with its first configuration.
fn refuse_other_identities(mut env: TestEnv) -> TestEnv {
    env.sync().assert_ok();
    let first = env.config().clone();
    let app_id = value_of(&env, AGORA, 1, "app_id");
    set(&mut env, AGORA, "app_id", app_id);
    assert_refused(
        &env,
        "holds another account as `sandbox`: its app_id or user_id is `sandbox`",
    );
    *env.config_mut() = first.clone();

    let user = value_of(&env, WEB3MQ, 1, "user_id");
    set(&mut env, WEB3MQ, "user_id", user);
    assert_refused(
        &env,
        "holds another account as `web3mq-1`: its app_id or user_id is",
    );
    *env.config_mut() = first.clone();

    let url = value_of(&env, WEB3MQ, 0, "base_url").to_string();
    let elsewhere = url.trim_matches('"').replace("127.0.0.1", "localhost");
    set(&mut env, WEB3MQ, "base_url", elsewhere.as_str());
    assert_refused(
        &env,
        "holds another account as `web3mq-1`: its node (base_url) is `127.0.0.1:",
    );
    *env.config_mut() = first.clone();

    set(&mut env, AGORA, "name", "web3mq-1");
    set(&mut env, WEB3MQ, "name", "sandbox");
    assert_refused(
        &env,
        "its provider is `web3mq` there and `agora` in the configuration",
    );
    *env.config_mut() = first;
    env
}

#[test]
fn other_history_under_a_known_name_is_refused() {
    let mut env = refuse_other_identities(TestEnv::new(&FLAGS));
    env.assert_sync_archives_truth();
    let before = env.query_number("SELECT count(*) FROM archive");
    // With a name of its own it is archived beside the first.
    let app_id = value_of(&env, AGORA, 1, "app_id");
    set(&mut env, AGORA, "app_id", app_id);
    set(&mut env, AGORA, "name", "sandbox-3");
    env.sync().assert_ok();
    assert!(env.query_number("SELECT count(*) FROM archive") > before);
}

#[test]
fn other_history_under_a_known_name_is_refused_in_postgres() {
    let PostgresEnv { env, url } = PostgresEnv::start(&FLAGS);
    let env = refuse_other_identities(env);
    let postgres = PostgresEnv { env, url };
    postgres.env.sync().assert_ok();
    let archived = "SELECT count(*) FROM archive";
    assert_eq!(postgres.query_number(archived), 200);
}

#[test]
fn node_that_has_moved_is_accepted_by_its_earlier_address() {
    let mut env = TestEnv::new(&FLAGS);
    env.sync().assert_ok();
    let before: Vec<(i64, String)> = env.query_rows("SELECT id, body FROM archive ORDER BY id");
    let first = value_of(&env, WEB3MQ, 0, "base_url");
    let moved = first
        .as_str()
        .expect("a URL")
        .replace("127.0.0.1", "localhost");
    set(&mut env, WEB3MQ, "base_url", moved.as_str());
    set(&mut env, WEB3MQ, "moved_from", "https://elsewhere.example");
    assert_refused(&env, "node (base_url)");
    set(&mut env, WEB3MQ, "moved_from", first.clone());
    env.sync().assert_ok();
    // The archive has learned the new address, so the earlier one is refused from now on.
    first_account(&mut env, WEB3MQ).remove("moved_from");
    env.sync().assert_ok();
    set(&mut env, WEB3MQ, "base_url", first);
    assert_refused(&env, "`localhost:");
    assert_eq!(
        env.query_rows::<(i64, String)>("SELECT id, body FROM archive ORDER BY id"),
        before
    );
}

#[test]
fn other_host_and_credentials_of_a_project_are_accepted() {
    let mut env = TestEnv::new(&FLAGS);
    env.sync().assert_ok();
    let url = value_of(&env, AGORA, 0, "base_url");
    let url = url
        .as_str()
        .expect("a URL")
        .replace("127.0.0.1", "localhost");
    set(&mut env, AGORA, "base_url", url.as_str());
    let account = first_account(&mut env, AGORA);
    account.remove("customer_id");
    account.remove("customer_secret");
    account.insert("token".to_owned(), "sandbox-token".into());
    account.insert("uid".to_owned(), "sandbox-uid".into());
    env.assert_sync_archives_truth();
}

#[test]
fn copy_keeps_identities() {
    let mut env = TestEnv::new(&FLAGS);
    env.sync().assert_ok();
    env.run(&["copy", "--to", "sqlite://copy.db"]).assert_ok();
    env = env.with_database("sqlite://copy.db");
    env.sync().assert_ok();
    let app_id = value_of(&env, AGORA, 1, "app_id");
    set(&mut env, AGORA, "app_id", app_id.clone());
    assert_refused(&env, "`sandbox`");
    // Nor is it copied into an archive that holds another account under its name.
    env = env.with_database("sqlite://other.db");
    env.sync().assert_ok();
    env.run(&["copy", "--to", "sqlite://copy.db"])
        .assert_incomplete()
        .assert_prints("holds another account as `sandbox`");
}

#[test]
fn check_names_two_accounts_of_one_history() {
    let mut env = TestEnv::new(&FLAGS);
    let note = "are one account of the provider";
    let before = env.run(&["check"]).assert_ok();
    assert!(!before.stdout.contains(note), "{before:?}");
    for provider in [AGORA, WEB3MQ] {
        let key = if provider == AGORA {
            "app_id"
        } else {
            "user_id"
        };
        let second = value_of(&env, provider, 1, key);
        set(&mut env, provider, key, second);
        let names = [0, 1].map(|nth| value_of(&env, provider, nth, "name"));
        let [first, second] = names.each_ref().map(|name| name.as_str().unwrap());
        env.run(&["check"])
            .assert_prints(&format!("`{first}` and `{second}` {note}"));
    }
}

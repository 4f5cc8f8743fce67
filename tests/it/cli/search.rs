//! `backscroll search`: answers, filters, mistakes, and what an answer cannot know.

use std::time::Duration;

use serde_json::Value;

use crate::support::config::AGORA;
use crate::support::daemon_process::{DaemonProcess, archive_is_ready};
use crate::support::env::{CommandOutput, TestEnv, wait_until};
use crate::support::postgres_env::PostgresEnv;
use crate::support::postgres_server;

/// Runs a test in both databases.
macro_rules! in_both_databases {
    ($($test:ident: $body:ident),* $(,)?) => {
        $(#[test]
        fn $test() {
            $body(&lobby());
            let url = postgres_server::create_database();
            $body(&lobby().with_database(&url));
        })*
    };
}

in_both_databases! {
    search_prints_messages_and_their_context: prints_messages_and_context,
    search_prints_json: prints_json,
    search_says_what_it_cannot_know: says_what_it_cannot_know,
    search_is_turned_off_and_on_again: turned_off_and_on,
}

/// An Agora account that follows one channel without messages.
pub(super) fn lobby() -> TestEnv {
    let mut lobby = toml::Table::new();
    lobby.insert("destination".to_owned(), "lobby".into());
    lobby.insert("kind".to_owned(), "channel".into());
    TestEnv::without_messages(&[])
        .with_only(AGORA)
        .with_setting_of(AGORA, "name", "shop")
        .with_agora_streams(&[lobby])
        .with_settle("1s")
}

/// Archives three messages of the last day, and a long one.
pub(super) fn archive_messages(env: &TestEnv) {
    let ago = |minutes| Duration::from_mins(minutes);
    env.append_message("lobby", "Is the Café open?", ago(90));
    env.append_message("lobby", "No.\nThe CAFÉ opens at 8 \u{1b}[31m", ago(80));
    env.append_message("lobby", "東京都 then", ago(70));
    env.append_message("lobby", &format!("{} cafe", "x ".repeat(400)), ago(60));
    env.sync().assert_ok();
}

pub(super) fn search(env: &TestEnv, args: &[&str]) -> CommandOutput {
    env.run(&[&["search"], args].concat())
}

pub(super) fn json(env: &TestEnv, args: &[&str]) -> Value {
    let output = search(env, &[args, &["--json"]].concat());
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:#?}"))
}

fn prints_messages_and_context(env: &TestEnv) {
    archive_messages(env);
    let found = search(env, &["cafe"]).assert_ok();
    let lines: Vec<&str> = found.stdout.lines().collect();
    assert!(lines[0].contains("Z  shop lobby  alice: …"), "{found:#?}");
    assert!(lines[0].ends_with(" cafe"), "{found:#?}");
    assert!(
        lines[1].ends_with("alice: No. The CAFÉ opens at 8 \u{FFFD}[31m"),
        "{found:#?}"
    );
    assert!(lines[2].ends_with("alice: Is the Café open?"), "{found:#?}");
    assert_eq!(lines[3..5], ["", "3 messages."]);
    assert!(
        lines[5].starts_with("The archive is complete from 2"),
        "{found:#?}"
    );
    let found = search(env, &["京", "--context", "1"]).assert_ok();
    let lines: Vec<&str> = found.stdout.lines().collect();
    assert!(
        lines[0].starts_with("  ") && lines[0].contains("No. The CAFÉ"),
        "{found:#?}"
    );
    assert!(
        lines[1].starts_with("> ") && lines[1].ends_with(": 東京都 then"),
        "{found:#?}"
    );
    assert!(
        lines[2].starts_with("  ") && lines[2].ends_with('…'),
        "{found:#?}"
    );
    search(env, &["cafe", "--limit", "1"]).assert_prints("1 message. There are more");
    search(env, &["\"the cafe opens\""]).assert_prints("1 message.");
    search(env, &["absent"])
        .assert_ok()
        .assert_prints("No message matches.");
    search(env, &["cafe -opens OR 東京", "--since", "85m"]).assert_prints("2 messages.");
    search(env, &["cafe", "--conversation", "loby"]).assert_prints("did you mean `lobby`?");
    search(env, &["cafe", "--sender", "alice", "--account", "shop"]).assert_prints("3 messages.");
}

fn prints_json(env: &TestEnv) {
    archive_messages(env);
    let answer = json(env, &["cafe open*", "-C", "2"]);
    assert_eq!(answer["complete"], true, "{answer:#}");
    assert_eq!(
        (&answer["more"], &answer["order"]),
        (&false.into(), &"newest".into())
    );
    let hits = answer["hits"].as_array().unwrap();
    assert_eq!(hits.len(), 2);
    assert_eq!(hits[0]["body"], "No.\nThe CAFÉ opens at 8 \u{1b}[31m");
    assert_eq!(hits[0]["matches"], serde_json::json!([[8, 12], [13, 18]]));
    assert_eq!(hits[0]["before"][0]["body"], "Is the Café open?");
    assert_eq!(hits[0]["after"].as_array().unwrap().len(), 2);
    let message = &hits[1];
    for (key, value) in [
        ("account", "shop"),
        ("conversation", "lobby"),
        ("conversation_kind", "channel"),
        ("sender", "alice"),
        ("recipient", "lobby"),
    ] {
        assert_eq!(message[key], value);
    }
    assert_eq!(answer["index"]["indexed_to"], answer["index"]["latest_id"]);
    let answer = json(env, &["cafe", "--by", "relevance", "--limit", "2"]);
    assert_eq!(
        (&answer["more"], &answer["order"]),
        (&true.into(), &"relevance".into())
    );
}

fn says_what_it_cannot_know(env: &TestEnv) {
    archive_messages(env);
    let answer = json(env, &["cafe", "--since", "2001-01-01", "--until", "1m"]);
    assert_eq!(answer["complete"], false, "{answer:#}");
    assert!(!answer["incomplete"].as_array().unwrap().is_empty());
    search(env, &["cafe", "--since", "2001-01-01", "--until", "1m"])
        .assert_incomplete()
        .assert_prints("The archive is NOT complete in this range:");
    if env.archive_path().exists() {
        env.execute_sql("UPDATE search_progress SET indexed_to = indexed_to - 2");
        let answer = json(env, &["cafe"]);
        assert_eq!(answer["complete"], false, "{answer:#}");
        search(env, &["cafe"])
            .assert_incomplete()
            .assert_prints("The search index is NOT complete: it lacks up to 2 messages");
    }
}

fn turned_off_and_on(env: &TestEnv) {
    archive_messages(env);
    let config = env.config().to_string();
    let run = |config: &str, args: &[&str]| {
        std::fs::write(env.path("other.toml"), config).unwrap();
        let args = [&["--config", "other.toml"], args].concat();
        crate::support::env::run_command_in(env.dir.path(), &args)
    };
    let off = format!("{config}\n[search]\nenabled = false\n");
    run(&off, &["sync"]).assert_ok();
    let refused = run(&off, &["search", "cafe"]);
    assert_eq!(refused.code, Some(2));
    refused.assert_prints("search is off in this archive");
    run(&config, &["sync"]).assert_ok();
    run(&config, &["search", "cafe"])
        .assert_ok()
        .assert_prints("3 messages.");
}

#[test]
fn mistakes_in_queries_are_explained() {
    let env = lobby();
    for (query, text) in [
        (
            &["\"open"][..],
            "the quotation mark at character 1 is not closed",
        ),
        (&["a", "OR"], "`OR` at character 3 has no word on one side"),
        (
            &["?!"],
            "`?!` at character 1 has no letter, digit or symbol to search for",
        ),
        (
            &["--", "-a"],
            "`-a` at character 1 only says what must not occur",
        ),
    ] {
        let output = search(&env, query);
        assert_eq!(output.code, Some(2), "{output:#?}");
        output.assert_prints(text);
    }
}

/// The service is killed again and again while it archives and indexes. In the end, and at every
/// restart, the index holds the messages up to its end and no others. `assert_is_true` checks it, and
/// returns its end.
fn kill_again_and_again(
    env: &TestEnv,
    is_ready: impl Fn() -> bool,
    number: impl Fn(&str) -> i64,
    assert_is_true: impl Fn() -> i64,
) {
    for round in 1..=6 {
        let mut daemon = DaemonProcess::start(env);
        wait_until("more messages", || {
            is_ready() && number("SELECT coalesce(max(id), 0) FROM archive") >= 600 * round
        });
        if round % 2 == 0 {
            let end = "SELECT id FROM archive_search_end";
            wait_until("words", || number(end) >= 600 * round);
        }
        daemon.kill();
        assert_is_true();
    }
    env.sync().assert_ok();
    assert_eq!(assert_is_true(), number("SELECT max(id) FROM archive"));
}

const KILLED: [&str; 4] = ["--messages", "3000", "--topic-messages", "1000"];

#[test]
fn killed_processes_leave_a_true_index_in_sqlite() {
    let env = TestEnv::new(&KILLED);
    let number = |sql: &str| env.query_number(sql);
    kill_again_and_again(
        &env,
        || archive_is_ready(&env),
        number,
        || {
            let end = number("SELECT id FROM archive_search_end");
            let behind = "SELECT count(*) FROM archive_search_docsize
                      WHERE id > (SELECT id FROM archive_search_end)
                         OR id NOT IN (SELECT id FROM archive)";
            assert_eq!(number(behind), 0);
            let missing = "SELECT count(*) FROM archive
                       WHERE id <= (SELECT id FROM archive_search_end) AND body GLOB '*[a-z]*'
                         AND id NOT IN (SELECT id FROM archive_search_docsize)";
            assert_eq!(number(missing), 0);
            env.execute_sql(
                "INSERT INTO archive_search (archive_search) VALUES ('integrity-check')",
            );
            end
        },
    );
}

/// The server may go on with the transaction of a killed process for a moment, so each check is one
/// statement.
#[test]
fn killed_processes_leave_a_true_index_in_postgres() {
    let postgres = PostgresEnv::start(&KILLED);
    let number = |sql: &str| postgres.query_number(sql);
    kill_again_and_again(
        &postgres.env,
        || postgres.has_archive(),
        number,
        || {
            let wrong = "SELECT count(*)
                     FROM archive_search_end e
                          CROSS JOIN (archive a FULL JOIN archive_search s
                                      ON s.id = a.id AND s.sent_at_ms = a.sent_at_ms)
                     WHERE CASE WHEN s.id IS NULL THEN a.id <= e.id AND a.body ~ '[a-z]'
                                ELSE s.id > e.id OR a.id IS NULL END";
            assert_eq!(number(wrong), 0);
            let twice = "SELECT count(*) - count(DISTINCT id) FROM archive_search";
            assert_eq!(number(twice), 0);
            number("SELECT id FROM archive_search_end")
        },
    );
}
